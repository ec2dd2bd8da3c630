"""Text that every database can hold, and what is long."""

from __future__ import annotations

from typing import Final

LONG_CHARS: Final = 2**18
"""From so many characters on, a text is cleaned and hashed in a thread: each MiB takes some 10 ms."""


def plain(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: NUL, and halves of surrogate pairs."""
    if text.isprintable():
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
