"""What the ends of a message tell that is not read as a whole, because it is too long or no JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portal.wire._messages import RequestId

END_BYTES: Final = 256
"""How much of either end is looked at."""

# JSON-RPC says no order; these are those in which libraries write, an answer's id before the result or after it.
_VERSION: Final = rb'"jsonrpc"\s*:\s*"2\.0"'
_ID: Final = rb'"id"\s*:\s*(?:(\d{1,18})|"([^"\\]*)")'
_BEGIN: Final = re.compile(
    rb'\s*\{\s*(?:%b\s*,\s*)?(?:%b\s*,\s*)?(?:%b\s*,\s*)?"(method|result|error)"\s*:' % (_VERSION, _ID, _VERSION)
)
_END: Final = re.compile(rb",\s*%b\s*(?:,\s*%b\s*)?\}\s*\Z" % (_ID, _VERSION))
_END_OF_METHOD: Final = re.compile(rb'\s*"[^"\\]*"\s*,\s*%b\s*,' % _ID)


@dataclass(frozen=True, slots=True)
class Unread:
    """A message of JSON-RPC: an answer, or a request or notification. ``request_id`` is None where no end says it."""

    request_id: RequestId | None
    is_answer: bool


def kind_of_unread(data: bytes) -> Unread | None:
    """Say what ``data`` is, from its ends; None for what does not begin as a message does."""
    begin = _BEGIN.match(data[:END_BYTES])
    if begin is None:
        return None
    is_answer = begin[3] != b"method"
    found: re.Match[bytes] | None = begin
    if begin[1] is None and begin[2] is None:
        found = _END.search(data[-END_BYTES:])
        if found is None and not is_answer:
            found = _END_OF_METHOD.match(data[begin.end() : END_BYTES])
    if found is None:
        return Unread(None, is_answer)
    if found[1] is not None:
        return Unread(int(found[1]), is_answer)
    return Unread(found[2].decode(errors="replace"), is_answer)
