"""What a program may reach outside its isolate: one namespace of host calls, by name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox._limits import Limits

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII)
_KEPT_INSIDE = ("memory_bytes", "source_bytes", "call_bytes", "call_depth", "calls", "log_bytes", "result_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The one namespace object of a program and what it offers.

    ``methods`` are the names that enumeration and ``in`` show, one a line; ``builtins`` are callable and found by
    ``in``, but not enumerated. Neither decides what may be called: every call reaches the handler, which does.
    ``errors`` are error classes defined as globals, for handlers to reject with. ``hints`` maps a name that is absent
    (``fetch``) to what the program should do instead. Make one and keep it: it is encoded once, when made.
    """

    namespace: str = "host"
    methods: str = ""
    builtins: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    encoded: bytes = field(init=False, repr=False, compare=False)  # JSON of all but hints and methods
    encoded_unread: bytes = field(init=False, repr=False, compare=False)  # a line of JSON, the hints; then the methods

    def __post_init__(self) -> None:
        for name in (self.namespace, *self.builtins, *self.errors):
            if not _IDENTIFIER.fullmatch(name):
                raise ValueError(f"{name!r} is not a JavaScript identifier")
        document = {
            "namespace": self.namespace,
            "builtins": self.builtins,
            "errors": self.errors,
        }
        unread = b"%b\n%b" % (_json_line(dict(self.hints)), self.methods.encode("utf-8", "replace"))
        object.__setattr__(self, "encoded", _json_line(document))
        object.__setattr__(self, "encoded_unread", unread)


def encode_setup(capabilities: Capabilities, limits: Limits) -> bytes:
    """Return what an isolate is told before its program: two lines of JSON, and the names of the methods, a line each.

    The guest parses the first line in every run. Hints and names it reads only when asked for them.
    """
    head = capabilities.encoded[:-1]
    return b'%b,"limits":%b}\n%b' % (head, _encode_limits(limits), capabilities.encoded_unread)


@lru_cache(maxsize=64)
def _encode_limits(limits: Limits) -> bytes:
    kept_inside = {name: getattr(limits, name) for name in _KEPT_INSIDE}
    return _json_line(kept_inside)


def _json_line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
