"""Result types learned from results: names and broad types, never values.

A shape only ever widens, so that it stops changing once it has seen enough; where nothing changes, ``learn`` returns
the shape that it was given. Results are not trusted: a bounded part of each is looked at, and a name must look like a
name, because whoever writes the keys of a result writes into declarations that other agents read.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from typegen._result_shape import (
    ANY,
    ANYTHING,
    ARRAY,
    BOOLEAN,
    MAX_DEPTH,
    MAX_MEMBERS,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    UNSEEN,
    ResultShape,
    bounded,
    join,
    record,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typegen._json import JsonObject, JsonValue

MAX_LOOKED_AT: Final = 2_000  # values of one result
FIRST_SAMPLE: Final = 12  # items of a list, when there is something to learn; fewer of the lists inside
NEXT_SAMPLE: Final = 4  # items of a list, to see whether there is
MAX_NAME_CHARS: Final = 40

_KINDS: Final[Mapping[object, int]] = {
    type(None): NULL,
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    str: STRING,
    list: ARRAY,
    dict: OBJECT,
}
_SCALARS: Final[Mapping[object, int]] = {kind: bit for kind, bit in _KINDS.items() if bit < ARRAY}

_NAME = re.compile(r"[\w$@#][\w$:#-]*(?: [\w$:#-]+){0,2}|[+-]1")
_DATA_NAME = re.compile(
    r"\d"  # starts with a digit: numbers, dates, addresses
    r"|(?:\D*\d){5}"  # five digits: ids, times
    r"|.+-\d+\Z"  # ENG-123
    r"|(?=.*\d)(?=.*[a-f])[0-9a-f-]{8,}\Z"  # hashes
    r"|(?=.*\d[A-Z])[A-Z0-9]{6,}\Z"  # U02ABCD1, but ADDRESS1 is a column
)


def learn(shape: ResultShape | None, value: JsonValue) -> ResultShape:
    """Return ``shape``, widened by what ``value`` shows; ``shape`` itself where it shows nothing new.

    Of a large value a bounded part is looked at. Names that are data (ids, dates, addresses, keys that vary) are not
    kept: such an object becomes a map.
    """
    if shape is not None and _Look().accepts(shape, value, NEXT_SAMPLE):
        return shape
    seen = _Look().shape_of(value)
    return bounded(seen if shape is None else join(shape, seen))


_ANY_OBJECT: Final = ResultShape(kinds=OBJECT, values=ANYTHING)
_SCALAR_SHAPES: Final[Mapping[int, ResultShape]] = {bit: ResultShape(kinds=bit) for bit in _SCALARS.values()}


class _Look:
    """One look at a value: how much of it may still be looked at."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_LOOKED_AT

    def accepts(self, shape: ResultShape, value: JsonValue, sample: int) -> bool:
        """Say whether ``value`` shows nothing that ``shape`` does not have."""
        kinds = shape.kinds
        if kinds & ANY or self.left <= 0:
            return True
        self.left -= 1
        if not kinds & _kind_of(value):
            return False
        if isinstance(value, dict):
            return self._accepts_object(shape, value, sample)
        if isinstance(value, list):
            return shape.items is None or self._accepts_all(shape.items, _spread(value, sample), sample)
        return True

    def _accepts_object(self, shape: ResultShape, value: JsonObject, sample: int) -> bool:
        if shape.values is not None:
            return self._accepts_all(shape.values, islice(value.values(), sample), sample)
        members = shape.members
        if value.keys() != members.keys():
            if len(value) > MAX_MEMBERS or not value.keys() <= members.keys():
                return False
            if any(name not in value and name not in shape.optional for name in members):
                return False
        self.left -= len(value)
        for name, one in value.items():
            member = members[name]
            bit = _SCALARS.get(type(one))
            if bit is None:
                if not self.accepts(member, one, sample):
                    return False
            elif not member.kinds & (bit | ANY):
                return False
        return True

    def _accepts_all(self, shape: ResultShape, values: Iterable[JsonValue], sample: int) -> bool:
        inner = _halved(sample)
        for one in values:  # noqa: SIM110  # twice as fast as `all(...)`
            if not self.accepts(shape, one, inner):
                return False
        return True

    def shape_of(self, value: JsonValue, depth: int = MAX_DEPTH, sample: int = FIRST_SAMPLE) -> ResultShape:
        """Return the shape of ``value`` alone, to ``depth`` levels."""
        if self.left <= 0:
            return UNSEEN
        self.left -= 1
        if isinstance(value, dict):
            return self._shape_of_object(value, depth, sample) if depth else _ANY_OBJECT
        if isinstance(value, list):
            items = self._shape_of_all(_spread(value, sample), depth, sample) if depth else ANYTHING
            return ResultShape(kinds=ARRAY, items=items)
        return _SCALAR_SHAPES.get(_kind_of(value), ANYTHING)

    def _shape_of_object(self, value: JsonObject, depth: int, sample: int) -> ResultShape:
        if len(value) > MAX_MEMBERS or not all(map(_is_name, value)):
            values = self._shape_of_all(islice(value.values(), sample), depth, sample)
            return ResultShape(kinds=OBJECT, values=values)
        self.left -= len(value)
        members = {name: self.shape_of(one, depth - 1, sample) for name, one in value.items()}
        return record(OBJECT, members, frozenset(), None)

    def _shape_of_all(self, values: Iterable[JsonValue], depth: int, sample: int) -> ResultShape:
        shape = UNSEEN
        inner = _halved(sample)
        for one in values:
            if not self.accepts(shape, one, inner):
                shape = join(shape, self.shape_of(one, depth - 1, inner))
        return shape


def _spread(items: Sequence[JsonValue], sample: int) -> Sequence[JsonValue]:
    """Return up to ``sample`` items, from the first to the last; not evenly, for what repeats every few items."""
    count = len(items)
    if count <= sample:
        return items
    scale = (count - 1) / (sample - 1) ** 2
    return [items[int(scale * number * number)] for number in range(sample)]


def _kind_of(value: JsonValue) -> int:
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    return next((bit for known, bit in _KINDS.items() if isinstance(value, known)), ANY)  # type: ignore[arg-type]


def _halved(sample: int) -> int:
    return max(NEXT_SAMPLE, sample // 2)


def _is_name(key: str) -> bool:
    """Say whether a key looks like the name of a field, rather than like an id, a date, an address or a sentence."""
    return len(key) <= MAX_NAME_CHARS and bool(_NAME.fullmatch(key)) and not _DATA_NAME.match(key)
