"""JSON Schema -> types: 2020-12, and the older and looser spellings that servers send.

One level at a time: an object's members and a list's items stay unread until someone prints them. What TypeScript
cannot say (bounds, patterns, ``not``, conditions) leaves the type wider, never narrower: every value that the schema
accepts belongs to the type. Where a schema leaves its ``type`` out, ``properties`` and ``items`` imply it, as their
authors mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from typegen._algebra import accepts_object, intersection, union
from typegen._document import Document
from typegen._text import scalar_literal, string_literal
from typegen._types import (
    ANY_OBJECT,
    BOOLEAN,
    NEVER,
    NULL,
    NUMBER,
    STRING,
    UNKNOWN,
    AllOf,
    AnyOf,
    Atom,
    Combined,
    Enum,
    Index,
    Later,
    ListOf,
    Member,
    Scoped,
    Shape,
    TupleOf,
    Type,
)

if TYPE_CHECKING:
    from typegen._json import JsonValue

MAX_READ = 20_000  # schemas read for one declaration; the rest is `unknown`
MAX_NESTED = 48  # combinators inside combinators
MAX_BRANCHES = 256  # alternatives of one union, parts of one intersection
MAX_LITERALS = 1_000  # values of one enum; more become their common types
MAX_MEMBERS = 5_000  # properties of one object
MAX_TUPLE = 64

_SIMPLE: dict[str, Type] = {
    "string": STRING,
    "number": NUMBER,
    "integer": NUMBER,
    "boolean": BOOLEAN,
    "null": NULL,
    # Not JSON Schema, but found in the wild.
    "str": STRING,
    "int": NUMBER,
    "float": NUMBER,
    "double": NUMBER,
    "long": NUMBER,
    "bool": BOOLEAN,
    "none": NULL,
}
# What can make a type of more than the schema's own keywords.
_COMBINING = frozenset(
    {"$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "if", "nullable", "x-nullable"}
)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_OBJECT_NAMES = frozenset({"object", "dict", "map"})
_ARRAY_NAMES = frozenset({"array", "list"})
_KNOWN_NAMES = _OBJECT_NAMES | _ARRAY_NAMES | _SIMPLE.keys()
_OBJECT_KEYWORDS = ("properties", "additionalProperties", "patternProperties", "propertyNames", "required")
_ARRAY_KEYWORDS = ("items", "prefixItems")
_EVERY_KEY = frozenset({"", ".*", "^.*$", "^.*", ".*$", "^(.*)$", "(.*)", ".+", "^.+$", "^.+", "^(.+)$", "^", "$"})
_PREFIX = re.compile(r"\^([A-Za-z0-9_:/@ -]|\\[.$-])+(?:\.\*\$?)?\Z")
_SUFFIX = re.compile(r"(?:\^?\.\*)?([A-Za-z0-9_:/@ -]|\\[.$-])+\$\Z")


class Reader:
    """Reads the schemas of one document."""

    def __init__(self, root: Mapping[str, JsonValue]) -> None:
        self.document = Document(root)
        self._resource = root
        self._known: dict[int, tuple[object, Type]] = {}  # the schema is kept, so that its id stays its own
        self._active: set[int] = set()
        self._read = 0
        self._names: dict[int, str] = {}

    @property
    def is_exhausted(self) -> bool:
        """Whether the document was too large, so that something was left ``unknown``."""
        return self._read >= MAX_READ

    def read(self, later: Later) -> Type:
        """Return the type of a schema; what is already a type is returned as it is."""
        if isinstance(later, dict | Mapping):  # a dict is recognised five times faster than a mapping
            return self._remembered(later) if later else UNKNOWN
        if isinstance(later, Combined):
            return self._remembered(later)
        if isinstance(later, Scoped):
            outer, self._resource = self._resource, later.resource
            try:
                return self.read(later.schema)
            finally:
                self._resource = outer
        if isinstance(later, tuple):
            return later
        return NEVER if later is False else UNKNOWN

    def _remembered(self, later: Mapping[str, JsonValue] | Combined) -> Type:
        key = id(later)
        known = self._known.get(key)
        if known is not None:
            return known[1]
        if key in self._active or len(self._active) > MAX_NESTED or self._read >= MAX_READ:
            return UNKNOWN
        self._read += 1
        self._active.add(key)
        try:
            if isinstance(later, Combined):
                result = intersection([self.read(part) for part in later.parts])
            else:
                result = self._schema(later)
        finally:
            self._active.discard(key)
        self._known[key] = (later, result)
        return result

    def _schema(self, schema: Mapping[str, JsonValue]) -> Type:
        if "$id" in schema and schema is not self._resource and schema is not self.document.root:
            name = schema["$id"]
            if isinstance(name, str) and not name.startswith("#"):
                return self.read(Scoped(dict(schema, **{"$id": None}), schema))
        own, is_implied = self._own(schema)
        if _COMBINING.isdisjoint(schema):
            return own
        parts = [self._reference(schema[keyword]) for keyword in _REFERENCES if keyword in schema]
        branches = schema.get("allOf")
        if isinstance(branches, list):
            parts.extend(self.read(self._later(branch)) for branch in branches[:MAX_BRANCHES])
        for keyword in ("anyOf", "oneOf"):
            branches = schema.get(keyword)
            if isinstance(branches, list) and branches:
                parts.append(self._alternatives(branches))
        if "if" in schema and ("then" in schema or "else" in schema):
            parts.append(self._conditional(schema))
        result = self._with_siblings(own, parts, is_implied=is_implied)
        is_nullable = schema.get("nullable") is True or schema.get("x-nullable") is True
        return union((result, NULL)) if is_nullable and result is not UNKNOWN else result

    def _with_siblings(self, own: Type, parts: list[Type], *, is_implied: bool) -> Type:
        if not parts:
            return own
        rest = parts[0] if len(parts) == 1 else intersection(parts)
        if own is UNKNOWN:
            return rest
        if is_implied and isinstance(rest, AnyOf) and not all(accepts_object(one) for one in rest.parts):
            # `properties` beside alternatives constrains only those that are objects.
            return union(intersection((own, one)) if accepts_object(one) else one for one in rest.parts)
        if is_implied and not accepts_object(rest):
            return rest
        return intersection((own, rest))

    def _alternatives(self, branches: list[JsonValue]) -> Type:
        parts = [self.read(self._later(branch)) for branch in branches[:MAX_BRANCHES]]
        if len(branches) > MAX_BRANCHES:
            parts.append(UNKNOWN)
        return union(parts)

    def _conditional(self, schema: Mapping[str, JsonValue]) -> Type:
        """Read ``if``/``then``/``else`` as its two outcomes; a missing one allows anything."""
        then = intersection((self.read(self._later(schema["if"])), self.read(self._later(schema.get("then", True)))))
        otherwise = self.read(self._later(schema.get("else", True)))
        return UNKNOWN if UNKNOWN in (then, otherwise) else union((then, otherwise))

    def _reference(self, reference: JsonValue) -> Type:
        if not isinstance(reference, str):
            return UNKNOWN
        found = self.document.resolve(reference, self._resource)
        if found is None:
            return UNKNOWN
        target, resource = found
        result = self.read(Scoped(target, resource) if resource is not self._resource else target)
        if isinstance(result, Shape | AllOf | Enum) and id(result) not in self._names:
            self._names[id(result)] = reference.rstrip("/").rpartition("/")[2].lstrip("#")
        return result

    def name_of(self, part: Type) -> str:
        """Return what the document itself calls ``part`` (the key that it is referred to by, or its title)."""
        return self._names.get(id(part), "") or (part.name if isinstance(part, Shape | AllOf) else "")

    def _later(self, schema: JsonValue) -> Later:
        if not isinstance(schema, dict | bool | Mapping | tuple):
            return UNKNOWN
        if self._resource is not self.document.root and not isinstance(schema, bool | tuple):
            return Scoped(schema, self._resource)
        return schema

    def _own(self, schema: Mapping[str, JsonValue]) -> tuple[Type, bool]:
        """Return the type that the schema's own keywords give, and whether it is only implied by them."""
        stated = schema.get("type")
        if isinstance(stated, str) and "const" not in schema and "enum" not in schema:
            return self._named(stated, schema), False
        names: list[JsonValue] | None = (
            [stated] if isinstance(stated, str) else stated if isinstance(stated, list) else None
        )
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list):
            return self._allowed(values, names), False
        if names is not None:
            return union(self._named(name, schema) for name in names[:MAX_BRANCHES]), False
        if isinstance(stated, Mapping):
            return self.read(self._later(stated)), False
        return self._implied(schema), True

    def _implied(self, schema: Mapping[str, JsonValue]) -> Type:
        if any(keyword in schema for keyword in _OBJECT_KEYWORDS):
            return self._object(schema)
        if any(keyword in schema for keyword in _ARRAY_KEYWORDS):
            return self._array(schema)
        return UNKNOWN

    def _named(self, name: JsonValue, schema: Mapping[str, JsonValue]) -> Type:
        if isinstance(name, str) and name in _SIMPLE:
            return _SIMPLE[name]
        if isinstance(name, Mapping):  # draft 3 allowed schemas here
            return self.read(self._later(name))
        if not isinstance(name, str):
            return UNKNOWN
        if name in _OBJECT_NAMES:
            return self._object(schema)
        if name in _ARRAY_NAMES:
            return self._array(schema)
        return _SIMPLE.get(name.lower(), UNKNOWN)

    def _allowed(self, values: list[JsonValue], names: list[JsonValue] | None) -> Type:
        if names is not None:
            kinds = _KNOWN_NAMES.intersection(name for name in names if isinstance(name, str))
            values = [value for value in values if any(_is_a(value, kind) for kind in kinds)]
        if len(values) > MAX_LITERALS:
            return union(dict.fromkeys(_kind_of(value) for value in values))
        return union(_literal(value) for value in values)

    def _object(self, schema: Mapping[str, JsonValue]) -> Type:
        properties = schema.get("properties")
        listed = schema.get("required")
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        required = set(names)
        members: list[Member] = []
        if isinstance(properties, Mapping):
            for name, value in properties.items():
                if len(members) == MAX_MEMBERS:
                    break
                is_required = name in required or (isinstance(value, Mapping) and value.get("required") is True)
                members.append(Member(name, self._later(value), is_required))
        indexes = self._indexes(schema)
        if not any(index.is_mapped for index in indexes):
            others = required.difference(member.name for member in members) if required else ()
            extra = indexes[0].type if indexes else UNKNOWN
            members.extend(Member(name, extra, True) for name in dict.fromkeys(names) if name in others)
        if not members and not indexes:
            closed = schema.get("additionalProperties") is False
            indexes = (Index("string", NEVER),) if closed else ANY_OBJECT.indexes
        title = schema.get("title")
        return Shape(tuple(members), indexes, title if isinstance(title, str) and len(title) < 60 else "")

    def _indexes(self, schema: Mapping[str, JsonValue]) -> tuple[Index, ...]:
        patterns = schema.get("patternProperties")
        extra = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        if isinstance(patterns, Mapping) and patterns:
            return self._pattern_indexes(patterns, extra)
        if extra is None or extra is False:
            return ()
        later = self._later(extra)
        value: Later = UNKNOWN if later is True or later == {} else later
        properties = schema.get("properties")
        names = schema.get("propertyNames")
        if isinstance(names, Mapping) and not properties:
            keys = self.read(self._later(names))
            texts = keys.texts if isinstance(keys, Enum) else (keys.text,) if isinstance(keys, Atom) else ()
            if texts and all(text[0] == '"' for text in texts):
                required = schema.get("required")
                is_required = isinstance(required, list) and {string_literal(str(name)) for name in required} >= set(
                    texts
                )
                return (Index("|".join(texts), value, is_mapped=True, is_required=is_required),)
        return (Index("string", value),)

    def _pattern_indexes(self, patterns: Mapping[str, JsonValue], extra: JsonValue) -> tuple[Index, ...]:
        values = {pattern: self._later(value) for pattern, value in list(patterns.items())[:MAX_BRANCHES]}
        if len(values) == 1 and next(iter(values)) in _EVERY_KEY:
            return (Index("string", next(iter(values.values()))),)
        if extra is False:
            every = list(values.values())
            return (Index("string", every[0] if len(every) == 1 else union(self.read(value) for value in every)),)
        if extra is None or extra is True or extra == {}:
            keys = {pattern: _template(pattern) for pattern in values}
            if len(values) == 1 and all(keys.values()):
                return tuple(Index(keys[pattern] or "", value) for pattern, value in values.items())
            return (Index("string", UNKNOWN),)
        return (
            Index("string", union([*(self.read(value) for value in values.values()), self.read(self._later(extra))])),
        )

    def _array(self, schema: Mapping[str, JsonValue]) -> Type:
        items = schema.get("items")
        prefix = schema.get("prefixItems")
        rest: JsonValue = items
        if not isinstance(prefix, list) and isinstance(items, list):
            prefix, rest = items, schema.get("additionalItems")
        low, high = _count(schema.get("minItems")), _count(schema.get("maxItems"))
        if isinstance(prefix, list) and prefix:
            return self._tuple(prefix[:MAX_TUPLE], rest if len(prefix) <= MAX_TUPLE else None, low, high)
        if items is False or high == 0:
            return TupleOf((), 0, None)
        item = self._later(items) if items is not None else UNKNOWN
        if low is not None and low == high and low <= 4:  # a pair, a bounding box
            return TupleOf((item,) * low, low, None)
        return ListOf(item)

    def _tuple(self, prefix: list[JsonValue], rest: JsonValue, low: int | None, high: int | None) -> Type:
        items = tuple(self._later(item) for item in prefix)
        if high is not None and high <= len(items):
            items, rest = items[:high], False
        tail: Later | None = UNKNOWN if rest is None or rest is True else None if rest is False else self._later(rest)
        return TupleOf(items, min(low or 0, len(items)), tail)


def _count(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _template(pattern: str) -> str | None:
    """Return a pattern that only fixes how a name begins or ends as a template literal type."""
    if _PREFIX.match(pattern):
        text = pattern[1:].removesuffix("$").removesuffix(".*")
        return f"`{_unescaped(text)}${{string}}`"
    if _SUFFIX.match(pattern):
        text = pattern.removeprefix("^").removeprefix(".*")[:-1]
        return f"`${{string}}{_unescaped(text)}`"
    return None


def _unescaped(text: str) -> str:
    return text.replace("\\", "").replace("$", "\\$")


def _literal(value: JsonValue) -> Type:
    if isinstance(value, dict) and len(value) <= 8:
        if not value:
            return Shape((), (Index("string", NEVER),))
        return Shape(tuple(Member(name, _literal(item), True) for name, item in value.items()), ())
    if isinstance(value, list) and len(value) <= 8:
        return TupleOf(tuple(_literal(item) for item in value), len(value), None)
    text = None if isinstance(value, dict | list) else scalar_literal(value)
    return _kind_of(value) if text is None else NULL if text == "null" else Atom(text)


def _kind_of(value: JsonValue) -> Type:
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case str():
            return STRING
        case int() | float():
            return NUMBER
        case list():
            return ListOf(UNKNOWN)
        case _:
            return ANY_OBJECT


def _is_a(value: JsonValue, kind: str) -> bool:
    if isinstance(value, bool):
        return kind in ("boolean", "bool")
    if isinstance(value, int | float):
        is_whole = isinstance(value, int) or value.is_integer()
        return kind in ("number", "float", "double") or (kind in ("integer", "int", "long") and is_whole)
    if isinstance(value, str):
        return kind in ("string", "str")
    if isinstance(value, list):
        return kind in _ARRAY_NAMES
    return kind in (("null", "none") if value is None else _OBJECT_NAMES)
