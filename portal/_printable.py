"""Text of servers and programs as a terminal may show it: nothing in it moves a cursor or hides a line."""

from __future__ import annotations

import re
from typing import Final

# All controls but tab and newline, and the marks that turn the direction of text.
_STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LINE_BREAKS: Final = re.compile(r"[\t\n]")


def printable(text: str) -> str:
    """Return ``text`` with every character that would steer a terminal written out, ESC as ``\\x1b``.

    What servers and programs write can move the cursor, hide lines, or make a link of anything.
    """
    return _STEERING.sub(_written_out, text)


def printable_line(text: str) -> str:
    """Return it likewise, its tabs and line breaks written out too."""
    return _LINE_BREAKS.sub(_written_out, printable(text))


def printable_json(document: str) -> str:
    """Return a JSON document, which holds such characters in its strings alone, with their escapes in their place.

    It says what it said before: JSON means one character by either.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
