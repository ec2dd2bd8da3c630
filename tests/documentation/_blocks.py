"""The fenced code blocks of a Markdown file, and the output that a `text` block after one of them promises."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
_FILE_NAME = re.compile(r"# ([\w-]+\.(?:py|yaml))\n")
_BLOCK = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One code block; ``output`` is the text of the `text` block that follows it before any other block."""

    page: str
    line: int
    language: str
    text: str
    output: str | None

    @property
    def file_name(self) -> str | None:
        """The name of the file that the block is, where its first line is a comment with nothing but a name."""
        named = _FILE_NAME.match(self.text)
        return named[1] if named else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Collect the blocks of these languages from every page, in order."""
    found = []
    for page in PAGES:
        content = page.read_text()
        matches = list(_BLOCK.finditer(content))
        for match, following in zip(matches, [*matches[1:], None], strict=False):
            if match["language"] in languages:
                promised = following is not None and following["language"] == "text"
                found.append(
                    Block(
                        page=str(page.relative_to(ROOT)),
                        line=content.count("\n", 0, match.start()) + 1,
                        language=match["language"],
                        text=match["text"],
                        output=following["text"].removesuffix("\n") if following is not None and promised else None,
                    )
                )
    return found


def languages() -> set[str]:
    """Return every language that a block of any page is marked with."""
    return {match["language"] for page in PAGES for match in _BLOCK.finditer(page.read_text())}


def write_files(page: str, folder: Path) -> None:
    """Write every block of a page that is a file, as a reader who followed the page would have."""
    for block in blocks("python", "yaml"):
        if block.page == page and block.file_name is not None:
            (folder / block.file_name).write_text(block.text)
