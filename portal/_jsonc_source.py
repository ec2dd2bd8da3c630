"""JSON text, with the comments and trailing commas of editors' files, as marked values."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portal._errors import ConfigError
from portal._marked import MAX_DEPTH, Marked, Scalar

if TYPE_CHECKING:
    from pathlib import Path

_SKIPPED: Final = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Scalar]] = {"true": True, "false": False, "null": None}


def parse_jsonc(text: str, file: Path) -> Marked:
    """Parse one JSON value. Raises ``ConfigError`` with the line and what was expected there."""
    parser = _Parser(text=text, file=file)
    root = parser.value(0, depth=0)
    if parser.position < len(text):
        raise parser.error("the file should end here", parser.position)
    return root


@dataclass(slots=True)
class _Parser:
    """Recursive descent over ``text``; ``position`` is always at the start of a token."""

    text: str
    file: Path
    position: int = 0
    _counted: tuple[int, int] = (0, 1)

    def error(self, expected: str, position: int) -> ConfigError:
        # One character only: the rest of the line may be a credential.
        column = position - self.text.rfind("\n", 0, position)
        found = f"at {self.text[position]} (column {column})" if position < len(self.text) else "at the end"
        return ConfigError(f"not JSON: {expected}, {found}.", file=self.file, line=self.line(position))

    def line(self, position: int) -> int:
        # Counted on from the last answer: a client's file of megabytes has a hundred thousand tokens.
        counted_to, lines = self._counted if self._counted[0] <= position else (0, 1)
        lines += self.text.count("\n", counted_to, position)
        self._counted = (position, lines)
        return lines

    def skip(self, position: int) -> int:
        found = _SKIPPED.match(self.text, position)
        return found.end() if found else position

    def value(self, position: int, *, depth: int) -> Marked:
        """Read a value at ``position``; afterwards ``self.position`` is the next token."""
        start = self.skip(position)
        line = self.line(start)
        if depth > MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels", start)
        match self.text[start : start + 1]:
            case "{":
                return Marked(self.fields(start, depth), line)
            case "[":
                return Marked(self.items(start, depth), line)
            case '"':
                return Marked(self.string(start), line)
            case _:
                return self.word(start, line)

    def items(self, start: int, depth: int) -> list[Marked]:
        items: list[Marked] = []
        self.position = self.skip(start + 1)
        while not self.closes("]"):
            items.append(self.value(self.position, depth=depth + 1))
            self.separate("]")
        return items

    def fields(self, start: int, depth: int) -> dict[str, Marked]:
        fields: dict[str, Marked] = {}
        self.position = self.skip(start + 1)
        while not self.closes("}"):
            key_start = self.position
            if self.text[key_start : key_start + 1] != '"':
                raise self.error("a key in double quotes should stand here", key_start)
            key, line = self.string(key_start), self.line(key_start)
            if key in fields:
                message = f'"{key}" stands here twice (first on line {fields[key].line}).'
                raise ConfigError(message, file=self.file, line=line)
            if self.text[self.position : self.position + 1] != ":":
                raise self.error(f'a ":" should follow "{key}"', self.position)
            found = self.value(self.position + 1, depth=depth + 1)
            fields[key] = Marked(found.value, line, found.spelling)
            self.separate("}")
        return fields

    def closes(self, bracket: str) -> bool:
        if self.text[self.position : self.position + 1] != bracket:
            return False
        self.position = self.skip(self.position + 1)
        return True

    def separate(self, bracket: str) -> None:
        character = self.text[self.position : self.position + 1]
        if character == ",":
            self.position = self.skip(self.position + 1)
        elif character != bracket:
            raise self.error(f'a "," or "{bracket}" should stand here', self.position)

    def string(self, start: int) -> str:
        found = _STRING.match(self.text, start)
        if found is None:
            raise self.error("this text has no closing quote", start)
        try:
            text: str = json.loads(found.group())
        except ValueError:
            raise self.error("this text has an escape that JSON does not know", start) from None
        self.position = self.skip(found.end())
        return text

    def word(self, start: int, line: int) -> Marked:
        found = re.compile(r"[A-Za-z]+").match(self.text, start) or _NUMBER.match(self.text, start)
        spelling = found.group() if found else ""
        self.position = self.skip(start + len(spelling))
        if spelling in _WORDS:
            return Marked(_WORDS[spelling], line, spelling)
        if not spelling or spelling.isalpha():
            raise self.error("a value should stand here", start)
        return Marked(int(spelling) if spelling.lstrip("-").isdigit() else float(spelling), line, spelling)
