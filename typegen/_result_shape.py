"""The shape of a tool's results: what is known of it, and how two of them become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self

    from typegen._json import JsonObject, JsonValue

MAX_DEPTH: Final = 8  # a pull request of GitHub's is 4 deep; what lies deeper is `unknown`
MAX_MEMBERS: Final = 128  # its repository has 110; an object of more names is data
MAX_NODES: Final = 1_000  # of one shape: about 30 KB as a schema

MANY_ALIKE: Final = 6  # objects or lists side by side that are all alike: their keys are data
MANY_ALIKE_SCALARS: Final = 24  # scalars are alike more often: `total`, `open`, `closed`
MANY_OPTIONAL: Final = 16  # alike members that come and go
FEW_APART: Final = 3  # names, when results so far have none in common; two may be `result` and `error`

NULL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT, ANY = (1 << bit for bit in range(7))
_TYPES: Final = (
    (OBJECT, "object"),
    (ARRAY, "array"),
    (STRING, "string"),
    (NUMBER, "number"),
    (BOOLEAN, "boolean"),
    (NULL, "null"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultShape:
    """What results have looked like so far: kinds of values, names of members, shapes of what lies inside.

    An object is a record of named ``members``, those in ``optional`` not always there, or a map whose keys are data and
    whose ``values`` are alike. Made by ``learn``; immutable, and never changed through its mappings.
    """

    kinds: int = 0
    members: Mapping[str, ResultShape] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    values: ResultShape | None = None
    items: ResultShape | None = None

    def as_schema(self) -> JsonObject:
        """Return the JSON Schema that results have satisfied."""
        if not self.kinds or self.kinds & ANY:
            return {}
        types: list[JsonValue] = [name for bit, name in _TYPES if self.kinds & bit]
        schema: JsonObject = {"type": types[0] if len(types) == 1 else types}
        if self.values is not None:
            schema["additionalProperties"] = _schema_of(self.values)
        elif self.kinds & OBJECT:
            schema["properties"] = {name: _schema_of(member) for name, member in self.members.items()}
            required: list[JsonValue] = [name for name in self.members if name not in self.optional]
            if required:
                schema["required"] = required
        if self.items is not None:
            schema["items"] = _schema_of(self.items)
        return schema

    @classmethod
    def from_schema(cls, schema: Mapping[str, JsonValue]) -> Self:
        """Return the shape that ``as_schema`` wrote as ``schema``. Raises ``ValueError`` for what it never writes."""
        return cls._read(schema, MAX_DEPTH)

    @classmethod
    def _read(cls, schema: JsonValue | Mapping[str, JsonValue], depth: int) -> Self:
        if schema is True:
            return cls(kinds=ANY)
        if isinstance(schema, Mapping) and depth >= 0:
            types, members, required = schema.get("type", []), schema.get("properties", {}), schema.get("required", [])
            values, items = schema.get("additionalProperties"), schema.get("items")
            if isinstance(members, Mapping) and isinstance(required, list):
                return cls(
                    kinds=sum(bit for bit, name in _TYPES if name in (types if isinstance(types, list) else [types])),
                    members={name: cls._read(member, depth - 1) for name, member in members.items()},
                    optional=frozenset(members).difference(map(str, required)),
                    values=None if values is None else cls._read(values, depth - 1),
                    items=None if items is None else cls._read(items, depth - 1),
                )
        raise ValueError("not the schema of a learned shape")

    def joined(self, other: ResultShape) -> ResultShape:
        """Return what both have seen; this very shape where ``other`` adds nothing."""
        return bounded(join(self, other))


UNSEEN: Final = ResultShape()
ANYTHING: Final = ResultShape(kinds=ANY)


def join(one: ResultShape, other: ResultShape) -> ResultShape:
    """Return what both accept together, and ``one`` itself where ``other`` adds nothing."""
    if one is other or one.kinds & ANY or not other.kinds:
        return one
    if not one.kinds or other.kinds & ANY:
        return other
    kinds = one.kinds | other.kinds
    items = _joined_if_any(one.items, other.items)
    is_map = one.values is not None or other.values is not None
    if one.kinds & other.kinds & OBJECT and not is_map:
        return _joined_records(one, other, items)
    values = _joined_if_any(_as_values(one), _as_values(other)) if is_map else None
    if kinds == one.kinds and items is one.items and values is one.values:
        return one
    if is_map:
        return ResultShape(kinds=kinds, values=values, items=items)
    names = one if one.kinds & OBJECT else other
    return ResultShape(kinds=kinds, members=names.members, optional=names.optional, items=items)


def _joined_records(one: ResultShape, other: ResultShape, items: ResultShape | None) -> ResultShape:
    kinds = one.kinds | other.kinds
    members = dict(one.members)
    is_same = kinds == one.kinds and items is one.items
    for name, member in other.members.items():
        known = members.get(name)
        members[name] = member if known is None else join(known, member)
        is_same = is_same and members[name] is known
    optional = one.optional | other.optional | (one.members.keys() ^ other.members.keys())
    if is_same and optional == one.optional:
        return one
    are_apart = one.members and other.members and not one.members.keys() & other.members.keys()
    if are_apart and len(members) >= FEW_APART and _are_alike(list(members.values())):
        return ResultShape(kinds=kinds, values=_all_joined(members.values()), items=items)
    return record(kinds, members, optional, items)


def _joined_if_any(one: ResultShape | None, other: ResultShape | None) -> ResultShape | None:
    if one is None or other is None:
        return other if one is None else one
    return join(one, other)


def _as_values(shape: ResultShape) -> ResultShape | None:
    if shape.values is not None or not shape.kinds & OBJECT:
        return shape.values
    return _all_joined(shape.members.values())


def _all_joined(shapes: Iterable[ResultShape]) -> ResultShape:
    whole = UNSEEN
    for shape in shapes:
        whole = join(whole, shape)
    return whole


def record(
    kinds: int, members: dict[str, ResultShape], optional: frozenset[str], items: ResultShape | None
) -> ResultShape:
    """Return an object with these members, or a map where their names are data."""
    if len(members) > MAX_MEMBERS or _are_data(members, optional):
        return ResultShape(kinds=kinds, values=_all_joined(members.values()), items=items)
    return ResultShape(kinds=kinds, members=members, optional=optional, items=items)


def _are_data(members: Mapping[str, ResultShape], optional: frozenset[str]) -> bool:
    if len(members) < MANY_ALIKE:
        return False
    shapes = list(members.values())
    is_nested = all(shape.kinds & (OBJECT | ARRAY) or not shape.kinds & ~NULL for shape in shapes)
    if (is_nested or len(shapes) >= MANY_ALIKE_SCALARS) and _are_alike(shapes):
        return True
    if len(optional) <= max(MANY_OPTIONAL, 3 * (len(members) - len(optional))):
        return False
    return _are_alike([shape for name, shape in members.items() if name in optional])


def _are_alike(shapes: Sequence[ResultShape]) -> bool:
    known = next((shape for shape in shapes if shape.kinds & ~NULL), None)
    return known is not None and all(_is_alike(known, shape) for shape in shapes)


def _is_alike(one: ResultShape, other: ResultShape) -> bool:
    """Say whether both may be values of one map: of one kind, records with most names in common."""
    if not other.kinds & ~NULL or not one.kinds & ~NULL:
        return True
    if one.kinds | NULL != other.kinds | NULL:
        return False
    if one.items is not None and other.items is not None and not _is_alike(one.items, other.items):
        return False
    if not one.kinds & OBJECT or (one.values is not None) != (other.values is not None):
        return not one.kinds & OBJECT
    common = len(one.members.keys() & other.members.keys())
    return 2 * common >= max(len(one.members), len(other.members))


def bounded(shape: ResultShape) -> ResultShape:
    """Return ``shape``, or as many levels of it as keep to ``MAX_NODES``."""
    depth = MAX_DEPTH
    while depth > 1 and _count(shape) > MAX_NODES:
        depth -= 1
        shape = _cut(shape, depth)
    return shape


def _count(shape: ResultShape) -> int:
    inside = (*shape.members.values(), shape.values, shape.items)
    return 1 + sum(_count(one) for one in inside if one is not None)


def _cut(shape: ResultShape, depth: int) -> ResultShape:
    if not shape.kinds & (OBJECT | ARRAY):
        return shape
    if not depth:
        return ResultShape(
            kinds=shape.kinds,
            values=ANYTHING if shape.kinds & OBJECT else None,
            items=ANYTHING if shape.kinds & ARRAY else None,
        )
    return ResultShape(
        kinds=shape.kinds,
        members={name: _cut(member, depth - 1) for name, member in shape.members.items()},
        optional=shape.optional,
        values=None if shape.values is None else _cut(shape.values, depth - 1),
        items=None if shape.items is None else _cut(shape.items, depth - 1),
    )


def _schema_of(shape: ResultShape) -> JsonValue:
    return True if shape.kinds & ANY else shape.as_schema()
