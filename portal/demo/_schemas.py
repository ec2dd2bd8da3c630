"""The JSON Schemas of the tracker's records and arguments, written by hand so that each says what a caller needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal.demo._phrases import LABELS
from portal.demo._records import PRIORITIES, SORTS
from portal.demo._staff import COMPONENTS

if TYPE_CHECKING:
    from typegen import JsonObject, JsonValue


def text(description: str = "", **more: JsonValue) -> JsonObject:
    """Build the schema of a string."""
    return _described("string", description, more)


def whole(description: str = "", **more: JsonValue) -> JsonObject:
    """Build the schema of an integer."""
    return _described("integer", description, more)


def flag(description: str = "", **more: JsonValue) -> JsonObject:
    """Build the schema of a boolean."""
    return _described("boolean", description, more)


def listing(items: JsonObject, description: str = "", **more: JsonValue) -> JsonObject:
    """Build the schema of an array."""
    return _described("array", description, {"items": items, **more})


def one_of(values: tuple[str, ...], description: str = "", **more: JsonValue) -> JsonObject:
    """Build the schema of a string out of a fixed few."""
    return _described("string", description, {"enum": list(values), **more})


def or_null(schema: JsonObject) -> JsonObject:
    """Build the schema of what ``schema`` allows, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(**properties: JsonObject) -> JsonObject:
    """Build the schema of an object that has all of ``properties``."""
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def arguments(*required: str, **properties: JsonObject) -> JsonObject:
    """Build the input schema of a tool: nothing but ``properties`` is accepted."""
    schema: JsonObject = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    return schema


def _described(kind: str, description: str, more: JsonObject) -> JsonObject:
    return {"type": kind, **({"description": description} if description else {}), **more}


def moment(description: str = "") -> JsonObject:
    """Build the schema of a time."""
    return text(description, format="date-time")


STATE: Final = one_of(("open", "closed"))
PRIORITY: Final = one_of(PRIORITIES)
SORT: Final = one_of(SORTS, "Order of the answer", default="newest")
LABEL: Final = one_of(LABELS)
COMPONENT: Final = one_of(tuple(component["name"] for component in COMPONENTS))
LOGIN: Final = text("Login of a person")

PERSON: Final = record(
    login=text(),
    name=text(),
    role=text("lead, engineer, writer or customer"),
    team=text("A component's name, or the company of a customer"),
    timezone=text("IANA name, such as Europe/Lisbon"),
    working_hours=record(start=text("HH:MM in the person's time zone"), end=text("HH:MM in the person's time zone")),
    active=flag("false for people who left"),
)
COMPONENT_RECORD: Final = record(
    name=COMPONENT,
    description=text(),
    lead=LOGIN,
    keywords=listing(text(), "Words that commit messages use for this component"),
)
_SUMMARY: Final[dict[str, JsonObject]] = {
    "number": whole(),
    "title": text(),
    "state": STATE,
    "priority": PRIORITY,
    "component": COMPONENT,
    "labels": listing(LABEL),
    "reporter": LOGIN,
    "assignee": or_null(LOGIN),
    "created_at": moment(),
    "updated_at": moment(),
    "comments": whole("How many comments it has"),
}
ISSUE_SUMMARY: Final = record(**_SUMMARY)
ISSUE: Final = record(
    **_SUMMARY,
    body=text(),
    locked=flag("A locked issue takes no changes"),
    closed_at=or_null(moment()),
)
COMMENT: Final = record(id=whole(), issue=whole(), author=LOGIN, body=text(), created_at=moment())
EVENT: Final = record(id=whole(), title=text(), start=moment(), end=moment(), attendees=listing(LOGIN))
