"""What is quoted of a name or a query in a message: whoever wrote it may have written megabytes."""

from __future__ import annotations

from typing import Final

QUOTED_CHARS: Final = 200
"""More than any name of a tool that a model API accepts, three times over."""


def quoted_part(text: str, max_chars: int = QUOTED_CHARS) -> str:
    """Return ``text``, or its first ``max_chars`` characters and an ellipsis."""
    return text if len(text) <= max_chars else f"{text[:max_chars]}…"
