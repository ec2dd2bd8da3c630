"""The program as a model wrote it -> the program alone, every character still at its line and column."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n`]*$", re.MULTILINE)
_LANGUAGES = frozenset({"", "js", "javascript", "jsx", "mjs", "ts", "typescript", "tsx"})


def program_text(submitted: str) -> str:
    """Return ``submitted`` without its code fence and the prose around it.

    The first fenced block in JavaScript or TypeScript counts (else the first of any kind); one that is never closed
    runs to the end. Lines before it become blank, so that positions stay those of the submitted text. A fence inside
    a template literal is program text, not a fence.
    """
    text = submitted.removeprefix("\ufeff").replace("\r\n", "\n")
    blocks = _fenced_blocks(text) if "```" in text else []
    if not blocks:
        return text
    language_blocks = [block for block in blocks if block[0] in _LANGUAGES]
    _, start, end = (language_blocks or blocks)[0]
    return "\n" * text.count("\n", 0, start) + text[start:end]


def _fenced_blocks(text: str) -> list[tuple[str, int, int]]:
    """List (language, start, end) of each fenced block outside template literals."""
    fences = list(_FENCE.finditer(text))
    if not fences or _opens_template_literal(text[: fences[0].start()]):
        return []
    blocks = []
    for position in range(0, len(fences), 2):
        opening = fences[position]
        closed = position + 1 < len(fences)
        end = fences[position + 1].start() if closed else len(text)
        blocks.append((opening[1].lower(), min(opening.end() + 1, len(text)), end))
    return blocks


def _opens_template_literal(before: str) -> bool:
    """Say whether ``before`` leaves a template literal open: prose uses backticks in pairs."""
    return before.count("`") % 2 == 1
