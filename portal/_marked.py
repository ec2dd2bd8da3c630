"""Values from a file that know their line, and a reader that turns them into settings or into a clear error."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isinf, isnan, nan
from typing import TYPE_CHECKING, Final, ParamSpec, TypeAlias, TypeVar

from portal._errors import ConfigError
from portal._secret import Secret
from portal._suggestion import listing, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from portal._expand import Expander

P = ParamSpec("P")
T = TypeVar("T")

Scalar: TypeAlias = str | int | float | bool | None
MAX_DEPTH: Final = 64  # deeper than any configuration; keeps the parsers off the recursion limit


@dataclass(frozen=True, slots=True)
class Marked:
    """A scalar, a list or a mapping with the 1-based line where it begins (for a mapping's value: its key's line).

    ``spelling`` is how the file writes a number or a word like ``true``, so that ``1.10`` as text stays ``1.10``.
    """

    value: Scalar | list[Marked] | dict[str, Marked]
    line: int
    spelling: str = ""

    @property
    def kind(self) -> str:
        """What this is, for a message."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "true or false"
            case int() | float():
                return "a number"
            case str():
                return "text"
            case list():
                return "a list"
            case _:
                return "a mapping"


@dataclass(slots=True)
class Section:
    """A mapping in a file, read key by key; whatever nobody read is unknown, and ``finish`` says so.

    ``place`` is the dotted path for messages (``servers[2].auth``); empty at the top.
    """

    node: Marked
    file: Path
    expander: Expander
    place: str = ""
    _read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not isinstance(self.node.value, dict):
            where = self.place or "the file"
            raise self.error(f"{where} must be a mapping of settings, not {self.node.kind}.")

    @property
    def fields(self) -> dict[str, Marked]:
        """The keys and values as they stand in the file."""
        return self.node.value if isinstance(self.node.value, dict) else {}

    def error(self, message: str, key: str | None = None) -> ConfigError:
        """A ``ConfigError`` at the line of ``key``, or of this section."""
        line = self.line_of(key) if key is not None else self.node.line
        return ConfigError(message, file=self.file, line=line, key=self.path_of(key))

    def line_of(self, key: str) -> int:
        """The line of ``key`` or, when it is not here itself, of the nested key of that name, else of the section."""
        found = self.fields.get(key) or next(_nested(self.node, key), None)
        return found.line if found else self.node.line

    def path_of(self, key: str | None) -> str:
        """The dotted path of ``key``."""
        return ".".join(part for part in (self.place, key) if part)

    def take(self, key: str) -> Marked | None:
        """The raw value, or ``None`` when it is absent or empty; the key counts as known from now on."""
        self._read.add(key)
        found = self.fields.get(key)
        return None if found is None or found.value is None else found

    def text(self, key: str) -> str | None:
        """A text with its variables expanded; numbers count as their text."""
        found = self.take(key)
        return None if found is None else self.text_of(found, key)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.take(key)
        if found is None:
            return ()
        if not isinstance(found.value, list):
            raise self.error(f"{self.path_of(key)} must be a list, not {found.kind}: write [a, b].", key)
        return tuple(self.text_of(item, f"{key}[{index}]") for index, item in enumerate(found.value))

    def secret(self, key: str) -> Secret | None:
        """A text that is a credential."""
        text = self.text(key)
        return None if text is None else Secret(text)

    def secrets(self, key: str) -> dict[str, Secret]:
        """A mapping of names to credentials."""
        found = self.take(key)
        if found is None:
            return {}
        if not isinstance(found.value, dict):
            raise self.error(f"{self.path_of(key)} must be a mapping of names to texts, not {found.kind}.", key)
        return {name: Secret(self.text_of(item, f"{key}.{name}")) for name, item in found.value.items()}

    def flag(self, key: str) -> bool | None:
        """True or false, also from an expanded variable."""
        found = self.take(key)
        if found is None or isinstance(found.value, bool):
            return None if found is None else found.value is True
        text = self.text_of(found, key).lower() if isinstance(found.value, str) else ""
        if "$" not in str(found.value) or text not in {"true", "false"}:
            raise self.error(f"{self.path_of(key)} must be true or false, not {_shown(found)}.", key)
        return text == "true"

    def integer(self, key: str) -> int | None:
        """A whole number, also from an expanded variable."""
        value = self.number(key)
        if value is not None and value != int(value):
            raise self.error(f"{self.path_of(key)} must be a whole number.", key)
        return None if value is None else int(value)

    def number(self, key: str) -> float | None:
        """A finite number, also from an expanded variable."""
        found = self.take(key)
        if found is None:
            return None
        is_text = isinstance(found.value, str) and "$" not in found.value
        try:
            value = nan if is_text or isinstance(found.value, bool) else float(self.text_of(found, key))
        except ValueError:
            value = nan
        if isinf(value):
            raise self.error(f"{self.path_of(key)} must be a finite number: this is too large.", key)
        if isnan(value):
            raise self.error(f"{self.path_of(key)} must be a number, not {_shown(found)}.", key)
        return value

    def section(self, key: str) -> Section | None:
        """A nested mapping."""
        found = self.take(key)
        return None if found is None else self._nest(found, key)

    def sections(self, key: str) -> Iterator[Section]:
        """Each mapping of a list."""
        found = self.take(key)
        if found is None:
            return
        if not isinstance(found.value, list):
            raise self.error(f"{self.path_of(key)} must be a list, not {found.kind}: begin each item with '- '.", key)
        for index, item in enumerate(found.value):
            yield self._nest(item, f"{key}[{index}]")

    def build(self, factory: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``factory``; a ``ConfigError`` of its checks gets this file and the line of its key."""
        try:
            return factory(*args, **kwargs)
        except ConfigError as error:
            if error.line is not None:
                raise
            raise self.error(error.message, error.key) from None

    def finish(self, *, hints: Mapping[str, str] | None = None) -> None:
        """Raise ``ConfigError`` for the first key that nobody read; ``hints`` explain keys that people try here."""
        for key, item in self.fields.items():
            if key in self._read:
                continue
            advice = (hints or {}).get(key)
            names = sorted(self._read)
            near = nearest(key, names)
            advice = advice or (f'did you mean "{near}"?' if near else f"known here: {listing(names)}.")
            where = f" in {self.place}" if self.place else ""
            message = f'unknown key "{key}"{where}: {advice}'
            raise ConfigError(message, file=self.file, line=item.line, key=self.path_of(key))

    def text_of(self, found: Marked, key: str) -> str:
        """The expanded text of a value already taken; ``key`` is for the message when it is none."""
        if isinstance(found.value, str):
            return self.expander.expand(found.value, line=found.line)
        if isinstance(found.value, bool | int | float):
            return found.spelling
        path = self.path_of(key)
        raise ConfigError(f"{path} must be text, not {found.kind}.", file=self.file, line=found.line, key=path)

    def _nest(self, found: Marked, key: str) -> Section:
        return Section(node=found, file=self.file, expander=self.expander, place=self.path_of(key))


def _nested(node: Marked, key: str) -> Iterator[Marked]:
    if isinstance(node.value, dict):
        for name, item in node.value.items():
            if name == key:
                yield item
            yield from _nested(item, key)


def _shown(found: Marked) -> str:
    # Text that holds a variable may have become a credential: the file's own spelling is safe to show.
    return f'"{found.value}"' if isinstance(found.value, str) else found.kind
