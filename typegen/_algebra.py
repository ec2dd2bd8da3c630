"""Unions and intersections of types: one shape where that is exact, never narrower than what both schemas accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typegen._types import (
    ANY_OBJECT,
    BOOLEAN,
    NEVER,
    NULL,
    UNKNOWN,
    AllOf,
    AnyOf,
    Atom,
    Combined,
    Enum,
    Later,
    ListOf,
    Member,
    Shape,
    TupleOf,
    Type,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_PRODUCT = 64  # a distribution into more alternatives than this is written as an intersection instead

_MAX_COMBINATIONS = 4_096  # alternatives that a compiler has to multiply out


def union(parts: Iterable[Type]) -> Type:
    """Return the type that accepts what any of ``parts`` accepts; without repetitions, literals gathered."""
    flat: list[Type] = []
    literals: dict[str, None] = {}  # in order, once each
    for part in parts:
        for one in part.parts if isinstance(part, AnyOf) else (part,):
            if isinstance(one, Enum):
                literals.update(dict.fromkeys(one.texts))
            elif isinstance(one, Atom) and _is_literal(one.text):
                literals[one.text] = None
            elif one is not NEVER and not any(one is other or _same_word(one, other) for other in flat):
                flat.append(one)
    return _joined(flat, literals)


def _joined(flat: list[Type], literals: dict[str, None]) -> Type:
    if "true" in literals and "false" in literals:
        del literals["true"], literals["false"]
        flat = [one for one in flat if one is not BOOLEAN] + [BOOLEAN]
    if literals:
        first, *others = literals
        flat.insert(0, Enum((first, *others)) if others else Atom(first))
    if UNKNOWN in flat:
        # `unknown` accepts everything; shapes and literals beside it are kept, because they still tell what is meant.
        flat = [one for one in flat if not isinstance(one, Atom) or one.text[0] == '"']
        flat.append(UNKNOWN)
    if NULL in flat:  # last, where a reader expects it
        flat.remove(NULL)
        flat.append(NULL)
    if not flat:
        return NEVER
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))


def _is_literal(text: str) -> bool:
    return text[0] in '"-0123456789' or text in ("true", "false")


def _same_word(one: Type, other: Type) -> bool:
    return isinstance(one, Atom) and isinstance(other, Atom) and one.text == other.text


def intersection(parts: Iterable[Type]) -> Type:
    """Return the type that accepts what all of ``parts`` accept, as one shape where that is exact."""
    result: Type = UNKNOWN
    for part in parts:
        result = _both(result, part)
    return result


def accepts_object(part: Type) -> bool:
    """Say whether some object may belong to ``part``."""
    if isinstance(part, AnyOf):
        return any(accepts_object(one) for one in part.parts)
    return part is UNKNOWN or isinstance(part, Shape | AllOf)


def _both(left: Type, right: Type) -> Type:
    if left == UNKNOWN or left is right:
        return right
    if right == UNKNOWN:
        return left
    if isinstance(left, AnyOf):
        return _distribute(left, right)
    if isinstance(right, AnyOf):
        return _distribute(right, left)
    if isinstance(left, AllOf) or isinstance(right, AllOf):
        return _chain(left, right)
    return _both_plain(left, right)


def _both_plain(left: Type, right: Type) -> Type:
    if isinstance(left, Shape) and isinstance(right, Shape):
        return _merged(left, right)
    if isinstance(left, Atom | Enum) and isinstance(right, Atom | Enum):
        return _common_literals(left, right)
    if isinstance(left, ListOf) and isinstance(right, ListOf):
        return ListOf(_all_of(left.item, right.item))
    if isinstance(left, ListOf | TupleOf) and isinstance(right, ListOf | TupleOf):
        return _chain(left, right)
    return NEVER  # a string is not an object, an object not an array


def _distribute(alternatives: AnyOf, other: Type) -> Type:
    kept = [one for one in alternatives.parts if not _is_disjoint(one, other)]
    if isinstance(other, AllOf):
        return _chain(other, union(kept))  # not multiplied out: a product of products would have no end
    others = other.parts if isinstance(other, AnyOf) else (other,)
    shapes = [one for one in kept if isinstance(one, Shape | AllOf)]
    if (
        isinstance(other, Shape)
        and other.members
        and len(shapes) > 1
        and not any(_overlap(other, one) for one in shapes)
    ):
        return _chain(other, union(kept))  # `base & (A | B)` is smaller than repeating the base
    if len(kept) * len(others) > _MAX_PRODUCT:
        return _chain(other, union(kept))
    return union(_both(one, two) for one in kept for two in others)


def _overlap(base: Shape, one: Type) -> bool:
    """Say whether both give a type to a member of one name: then one of them has to hold both (TS2322 sees no conflict
    between, say, an array and an object in an intersection)."""
    if not isinstance(one, Shape):
        return True
    typed = {member.name for member in one.members if member.type is not UNKNOWN}
    return any(member.name in typed for member in base.members)


def _is_disjoint(one: Type, other: Type) -> bool:
    kinds = {_kind(one), _kind(other)}
    return len(kinds) > 1 and "unknown" not in kinds


def _kind(one: Type) -> str:
    match one:
        case Shape():
            return "object"
        case ListOf() | TupleOf():
            return "array"
        case AllOf(parts):
            return _kind(parts[0])
        case AnyOf() | Atom("unknown"):
            return "unknown"
        case _:
            return "scalar"


def _chain(left: Type, right: Type) -> Type:
    shapes: list[Type] = []
    others: list[Type] = []
    combinations = 1
    for part in (*_operands(left), *_operands(right)):
        if isinstance(part, AnyOf):
            combinations *= len(part.parts)
            if combinations > _MAX_COMBINATIONS:
                continue  # left out: wider, but the compiler can still represent it (TS2590)
        if not isinstance(part, Shape):
            others.append(part)
            continue
        for at, known in enumerate(shapes):
            merged = _merged(known, part) if isinstance(known, Shape) else known
            if isinstance(merged, Shape):
                shapes[at] = merged
                break
        else:
            shapes.append(part)
    parts = [*shapes, *others]
    return (
        AllOf(tuple(parts), next((one.name for one in shapes if isinstance(one, Shape)), ""))
        if len(parts) > 1
        else parts[0]
    )


def _operands(one: Type) -> tuple[Type, ...]:
    return one.parts if isinstance(one, AllOf) else (one,)


def _merged(left: Shape, right: Shape) -> Type:
    if right == ANY_OBJECT:
        return left
    if left == ANY_OBJECT:
        return right
    open_left, open_right = _is_open(left), _is_open(right)
    if not (open_left and open_right):
        return AllOf((_narrowed(left, right), right), left.name or right.name)
    members = {member.name: member for member in left.members}
    for member in right.members:
        known = members.get(member.name)
        if known is not None:
            both = _all_of(known.type, member.type)
            members[member.name] = Member(member.name, both, known.is_required or member.is_required)
        else:
            members[member.name] = member
    indexes = left.indexes or right.indexes if members else ANY_OBJECT.indexes
    return Shape(tuple(members.values()), indexes, left.name or right.name)


def _narrowed(left: Shape, right: Shape) -> Shape:
    """Return ``left`` with each member that ``right`` has too of both types, so that a conflict between them shows."""
    others = {member.name: member.type for member in right.members}
    members = tuple(
        Member(member.name, _all_of(member.type, others[member.name]), member.is_required)
        if member.name in others
        else member
        for member in left.members
    )
    return Shape(members, left.indexes, left.name)


def _is_open(shape: Shape) -> bool:
    return all(index.key == "string" and index.type == UNKNOWN for index in shape.indexes)


def _all_of(left: Later, right: Later) -> Later:
    if right in (left, UNKNOWN):
        return left
    return right if left == UNKNOWN else Combined((left, right))


def _common_literals(left: Atom | Enum, right: Atom | Enum) -> Type:
    texts = [text for text in _texts(left) if any(_is_within(text, other) for other in _texts(right))]
    texts += [text for text in _texts(right) if any(_is_within(text, other) for other in _texts(left))]
    return union(Atom(text) for text in dict.fromkeys(texts))


def _texts(one: Atom | Enum) -> tuple[str, ...]:
    return one.texts if isinstance(one, Enum) else (one.text,)


def _is_within(text: str, other: str) -> bool:
    if text == other:
        return True
    if other == "string":
        return text[0] == '"'
    if other == "number":
        return text[0] in "-0123456789"
    return other == "boolean" and text in ("true", "false")
