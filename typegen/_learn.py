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
MAX_SAMPLE: Final = 12  # items of a list, spread over it; fewer of the lists inside
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
    r"|.*-\d+\Z"  # ENG-123
    r"|(?=.*\d)(?=.*[A-Za-z])(?:[0-9a-f-]{8,}|[A-Z0-9]{6,})\Z"  # hashes, U02ABCD12
)


def learn(shape: ResultShape | None, value: JsonValue) -> ResultShape:
    """Return ``shape``, widened by what ``value`` shows; ``shape`` itself where it shows nothing new.

    Of a large value a bounded part is looked at. Names that are data (ids, dates, addresses, keys that vary) are not
    kept: such an object becomes a map.
    """
    if shape is not None and _Look().accepts(shape, value):
        return shape
    seen = _Look().shape_of(value)
    return bounded(seen if shape is None else join(shape, seen))


_ANY_OBJECT: Final = ResultShape(kinds=OBJECT, values=ANYTHING)
_ANY_ARRAY: Final = ResultShape(kinds=ARRAY, items=ANYTHING)
_SCALAR_SHAPES: Final[Mapping[int, ResultShape]] = {bit: ResultShape(kinds=bit) for bit in _SCALARS.values()}


class _Look:
    """One look at a value: how much of it may still be looked at."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_LOOKED_AT

    def accepts(self, shape: ResultShape, value: JsonValue, sample: int = MAX_SAMPLE) -> bool:
        """Say whether ``value`` shows nothing that ``shape`` does not have."""
        if shape.kinds & ANY:
            return True
        kind = _kind_of(value)
        if not shape.kinds & kind:
            return False
        if isinstance(value, dict):
            return self._accepts_object(shape, value, sample)
        if isinstance(value, list):
            item = shape.items
            if item is None or item.kinds & ANY:
                return item is not None or not value
            return all(self.accepts(item, one, _halved(sample)) for one in self._some(value, sample))
        return True

    def _accepts_object(self, shape: ResultShape, value: JsonObject, sample: int) -> bool:
        if shape.values is not None:
            values = shape.values
            return all(self.accepts(values, one, _halved(sample)) for one in self._some_values(value, sample))
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
                if self.left > 0 and not self.accepts(member, one, sample):
                    return False
            elif not member.kinds & (bit | ANY):
                return False
        return True

    def shape_of(self, value: JsonValue, depth: int = MAX_DEPTH, sample: int = MAX_SAMPLE) -> ResultShape:
        """Return the shape of ``value`` alone, to ``depth`` levels."""
        kind = _kind_of(value)
        if isinstance(value, dict):
            if not depth:
                return _ANY_OBJECT
            if len(value) > MAX_MEMBERS or not all(map(_is_name, value)):
                values = self._shape_of_all(self._some_values(value, sample), depth, sample)
                return ResultShape(kinds=OBJECT, values=values)
            self.left -= len(value)
            members = {
                name: self.shape_of(one, depth - 1, sample) if self.left > 0 else UNSEEN for name, one in value.items()
            }
            return record(OBJECT, members, frozenset(), None)
        if isinstance(value, list):
            if not depth:
                return _ANY_ARRAY
            return ResultShape(kinds=ARRAY, items=self._shape_of_all(self._some(value, sample), depth, sample))
        return _SCALAR_SHAPES.get(kind, ANYTHING)

    def _shape_of_all(self, values: Iterable[JsonValue], depth: int, sample: int) -> ResultShape:
        shape = UNSEEN
        for one in values:
            if not self.accepts(shape, one, _halved(sample)):
                shape = join(shape, self.shape_of(one, depth - 1, _halved(sample)))
        return shape

    def _some(self, items: Sequence[JsonValue], sample: int) -> Iterable[JsonValue]:
        """Return up to ``sample`` items: the first, the last, and some between, always the same ones."""
        count = len(items)
        if count > sample:
            step = (count - 1) / (sample - 1)
            items = [items[round(number * step)] for number in range(sample)]
        return self._while_left(items)

    def _some_values(self, value: JsonObject, sample: int) -> Iterable[JsonValue]:
        return self._while_left(islice(value.values(), sample))

    def _while_left(self, values: Iterable[JsonValue]) -> Iterable[JsonValue]:
        for one in values:
            self.left -= 1
            if self.left <= 0:
                return
            yield one


def _kind_of(value: JsonValue) -> int:
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    return next((bit for known, bit in _KINDS.items() if isinstance(value, known)), ANY)  # type: ignore[arg-type]


def _halved(sample: int) -> int:
    return max(2, sample // 2)


def _is_name(key: str) -> bool:
    """Say whether a key looks like the name of a field, rather than like an id, a date, an address or a sentence."""
    return len(key) <= MAX_NAME_CHARS and bool(_NAME.fullmatch(key)) and not _DATA_NAME.match(key)
