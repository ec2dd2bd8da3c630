"""Identifiers for tools: deterministic, ASCII, free of collisions, each mapping back to one tool.

An identifier depends on its own server and tool only. Tools that would share one all get a suffix made from a hash of
their own names, so that no tool can take the identifier of another: a program written for the old name fails instead
of calling the newcomer.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_IDENTIFIER_CHARS = 64  # the longest tool name that model APIs accept for a function
_HASH_STEP = 6  # hex digits; more are added, six at a time, until the names differ

_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")
_SEPARATORS = re.compile(r"[\W_]+")

_RESERVED = """
await break case catch class const continue debugger default delete do else enum export extends false finally for
function if implements import in instanceof interface let new null package private protected public return static super
switch this throw true try typeof var void while with yield arguments eval async of undefined NaN Infinity
then toJSON constructor prototype __proto__ __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__
hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf
raw search describe servers emit result
"""
# ECMAScript's words (ECMA-262, 12.7.2): a method so called could not be taken out of the namespace by destructuring.
# Then what objects and promises mean by a name, and the namespace's own methods.
RESERVED_WORDS = frozenset(_RESERVED.split())
"""Names that no tool gets; ``_`` is added."""


def identifier_for(server_id: str, tool_name: str) -> str:
    """Return the JavaScript name of a tool: ``my-server`` and ``get-data`` make ``my_server_get_data``.

    Always ASCII, at most 64 characters, never empty, never reserved. Where letters cannot be kept (another script, an
    emoji, too long, empty) a hash of the real names is added, so that such names stay apart.
    """
    text = f"{server_id}_{tool_name}" if server_id else tool_name
    plain = text
    if not text.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    name = _UNSAFE.sub("_", plain)
    if not plain.isascii() or not _SEPARATORS.sub("", tool_name) or len(name) > MAX_IDENTIFIER_CHARS:
        name = _suffixed(name, _fingerprint(server_id, tool_name)[:_HASH_STEP])
    if name[0].isdigit():
        name = f"_{name}"
    return f"{name}_" if name in RESERVED_WORDS else name


def assign_identifiers(tools: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return one identifier for each ``(server_id, tool_name)``, all different, whatever the order.

    A tool keeps its identifier when others come and go, unless one of them would share it: then each of those gets a
    suffix made from its own names.
    """
    names = {pair: identifier_for(*pair) for pair in tools}
    digits = dict.fromkeys(names, 0)
    while True:
        counts = Counter(names.values())
        clashing = [pair for pair, name in names.items() if counts[name] > 1]
        if not clashing:
            return names
        for pair in clashing:
            digits[pair] += _HASH_STEP
            names[pair] = _suffixed(identifier_for(*pair), _fingerprint(*pair)[: digits[pair]])


def fold_name(name: str) -> str:
    """Return ``name`` in lower case without separators, to look a name up that is written a little differently."""
    return _SEPARATORS.sub("", name).lower()


def _fingerprint(server_id: str, tool_name: str) -> str:
    pair = f"{len(server_id)}:{server_id}{tool_name}"  # the length keeps ("a", "bc") and ("ab", "c") apart
    return hashlib.sha256(pair.encode("utf-8", "surrogatepass")).hexdigest()


def _suffixed(name: str, suffix: str) -> str:
    room = MAX_IDENTIFIER_CHARS - len(suffix) - 1
    return f"{name[:room].rstrip('_')}_{suffix}"
