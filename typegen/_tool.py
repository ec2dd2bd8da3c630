"""A tool as typegen sees it: what a declaration is made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen._json import JsonValue

_UNWRITABLE = count()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Tool:
    """A callable offered to the model: its real name, its schemas and what it says about itself.

    Treated as a value: the mappings must not change afterwards. Two tools are equal when their content is.
    ``is_output_learned`` marks an output schema that was learned from results instead of given by the server.
    """

    name: str
    input_schema: Mapping[str, JsonValue]
    description: str = ""
    title: str | None = None
    output_schema: Mapping[str, JsonValue] | None = None
    annotations: Mapping[str, JsonValue] | None = None
    is_output_learned: bool = False
    _digest: list[str] = field(default_factory=list, init=False, repr=False)
    _input_digest: list[str] = field(default_factory=list, init=False, repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, in hex; computed when first asked for. Key order counts, as it does in text."""
        if not self._digest:
            content = [
                self.name,
                self.input_schema,
                self.description,
                self.title,
                self.output_schema,
                self.annotations,
                self.is_output_learned,
            ]
            try:
                text = json.dumps(content, default=dict, separators=(",", ":"))
            except (ValueError, RecursionError):  # circular or deeper than the interpreter's stack
                text = f"{next(_UNWRITABLE)}:{self.name}"  # not its id, which a later tool may have
            self._digest.append(hashlib.sha256(text.encode()).hexdigest())
        return self._digest[0]

    @property
    def input_digest(self) -> str:
        """A SHA-256 of the input schema alone, half of it, in hex; computed when first asked for. Key order is none."""
        if not self._input_digest:
            try:
                text = json.dumps(self.input_schema, default=dict, sort_keys=True)
            except (TypeError, ValueError, RecursionError):  # as above, or keys that cannot be sorted
                text = ""
            self._input_digest.append(hashlib.sha256(text.encode()).hexdigest()[:32])
        return self._input_digest[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tool) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
