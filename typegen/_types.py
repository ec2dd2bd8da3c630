"""TypeScript types as values.

What lies below an object's members or a list's items stays an unread schema (``Later``) until it is printed, so that
only what a declaration shows is ever read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typegen._json import JsonValue


class Atom(NamedTuple):
    """A type that is one word or one literal."""

    text: str


class Enum(NamedTuple):
    """Several literals."""

    texts: tuple[str, ...]


class Scoped(NamedTuple):
    """A schema that lies in an embedded resource (``$id``), where its references start."""

    schema: Mapping[str, JsonValue] | JsonValue
    resource: Mapping[str, JsonValue]


class Combined(NamedTuple):
    """What has to satisfy several schemas or types; not read yet either."""

    parts: tuple[Later, ...]


class ListOf(NamedTuple):
    """An array whose items are all alike."""

    item: Later


class TupleOf(NamedTuple):
    """An array with positions; the first ``required`` must be there; ``rest`` is ``None`` when nothing may follow."""

    items: tuple[Later, ...]
    required: int
    rest: Later | None


class Member(NamedTuple):
    """One property of an object."""

    name: str
    type: Later
    is_required: bool


class Index(NamedTuple):
    """Properties without a fixed name: ``key`` is ``string``, a template literal, or a union of names."""

    key: str
    type: Later
    is_mapped: bool = False
    is_required: bool = False


class Shape(NamedTuple):
    """An object."""

    members: tuple[Member, ...]
    indexes: tuple[Index, ...]
    name: str = ""


class AnyOf(NamedTuple):
    """A union of at least two types."""

    parts: tuple[Type, ...]


class AllOf(NamedTuple):
    """An intersection that could not be written as one type."""

    parts: tuple[Type, ...]
    name: str = ""


Type: TypeAlias = Atom | Enum | ListOf | TupleOf | Shape | AnyOf | AllOf
Later: TypeAlias = Union[Type, Scoped, Combined, "Mapping[str, JsonValue]", "JsonValue"]

UNKNOWN = Atom("unknown")
NEVER = Atom("never")
NULL = Atom("null")
STRING = Atom("string")
NUMBER = Atom("number")
BOOLEAN = Atom("boolean")
ANY_OBJECT = Shape((), (Index("string", UNKNOWN),))
