"""One tool as an upstream lists it: kept as it came, checked once against each era of the protocol.

Each tool stands for itself: one that is bad hides no other. What was checked when the upstream was synced is not
checked again when it is listed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from portal.upstream._validity import is_valid_item
from portal.wire import LATEST_HANDSHAKE_VERSION, MODERN_VERSION, mirrored_params
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portal.wire import MirroredParam
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.upstream")

MAX_NAME_CHARS: Final = 256
"""Twice what MCP 2025-11-25 asks servers to keep to (server/tools, Tool Names); a longer name is noise or an attack."""

_NO_TOOLS: Final[Mapping[str, UpstreamTool]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTool:
    """A tool of one upstream: for the engine (``tool``), and for clients that list it as it was defined.

    ``handshake`` is what clients of the versions up to 2025-11-25 see and ``modern`` what those of 2026-07-28 see: the
    definition as it came, unknown fields included; None where that version cannot express it.
    ``mirrored`` are the arguments that are repeated in ``Mcp-Param-*`` headers (MCP 2026-07-28, transports).
    """

    tool: Tool
    definition: JsonObject
    handshake: JsonObject | None
    modern: JsonObject | None
    mirrored: tuple[MirroredParam, ...]

    @classmethod
    def own(cls, definition: JsonObject) -> UpstreamTool:
        """Make a tool of the portal itself, with ``name`` and ``inputSchema``, which tests check and nobody else."""
        name, schema = definition["name"], definition["inputSchema"]
        if not isinstance(name, str) or not isinstance(schema, dict):
            raise TypeError("a tool has a name and an input schema")
        tool = _for_engine(name, schema, definition)
        return cls(tool=tool, definition=definition, handshake=definition, modern=definition, mirrored=())

    @property
    def name(self) -> str:
        """The tool's own name at its upstream."""
        return self.tool.name

    @property
    def is_idempotent(self) -> bool:
        """Whether a call may be sent again without harm, as the tool says itself (MCP, ``ToolAnnotations``)."""
        annotations = self.tool.annotations or {}
        return annotations.get("idempotentHint") is True or annotations.get("readOnlyHint") is True


def read_tools(definitions: Iterable[JsonValue], *, upstream: str) -> tuple[UpstreamTool, ...]:
    """Read the definitions that an upstream listed, in its order; what is no tool is left out with a warning."""
    tools: dict[str, UpstreamTool] = {}
    add_tools(tools, definitions, upstream=upstream)
    return tuple(tools.values())


def add_tools(
    tools: dict[str, UpstreamTool],
    definitions: Iterable[JsonValue],
    *,
    upstream: str,
    known: Mapping[str, UpstreamTool] = _NO_TOOLS,
) -> None:
    """Read more definitions into ``tools``, as ``read_tools``; one that is in ``known`` is not checked again."""
    for definition in definitions:
        name = definition.get("name") if isinstance(definition, dict) else None
        before = known.get(name) if isinstance(name, str) else None
        if before is not None and before.definition == definition and before.name not in tools:
            tools[before.name] = before
            continue
        try:
            tool = _read(definition)
        except InvalidTool as problem:
            logger.warning("%s: left out the tool %s: %s", upstream, _shown_name(definition), problem)
            continue
        if tool.name in tools:
            logger.warning("%s: left out a second tool named %r", upstream, tool.name)
            continue
        tools[tool.name] = tool


class InvalidTool(ValueError):  # noqa: N818 -- never leaves this module
    """Raised for a definition that no version of the protocol accepts."""


def _read(definition: JsonValue) -> UpstreamTool:
    if not isinstance(definition, dict):
        raise InvalidTool("its definition is not an object")
    name = definition.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise InvalidTool(f"its name is not a string of 1 to {MAX_NAME_CHARS} characters")
    schema = definition.get("inputSchema")
    if not isinstance(schema, dict):
        raise InvalidTool("it has no inputSchema")
    handshake, mirrored = _for_handshake(definition), _mirrored(schema)
    modern = definition if mirrored is not None and _is_valid(definition, MODERN_VERSION) else None
    if handshake is None and modern is None:
        raise InvalidTool("its definition fits no version of the protocol")
    return UpstreamTool(
        tool=_for_engine(name, schema, definition),
        definition=definition,
        handshake=handshake,
        modern=modern,
        mirrored=mirrored if modern is not None and mirrored is not None else (),
    )


def _for_handshake(definition: JsonObject) -> JsonObject | None:
    """Return the definition for the versions up to 2025-11-25, whose output schemas describe objects only."""
    if _is_valid(definition, LATEST_HANDSHAKE_VERSION):
        return definition
    if "outputSchema" in definition:
        without = {key: value for key, value in definition.items() if key != "outputSchema"}
        if _is_valid(without, LATEST_HANDSHAKE_VERSION):
            return without
    return None


def _mirrored(schema: JsonObject) -> tuple[MirroredParam, ...] | None:
    # MCP 2026-07-28, transports: a client must drop a tool whose x-mcp-header annotations are invalid.
    try:
        return mirrored_params(schema)
    except ValueError:
        return None


def _is_valid(definition: JsonObject, version: str) -> bool:
    return is_valid_item(definition, method="tools/list", field="tools", version=version)


def _for_engine(name: str, schema: JsonObject, definition: JsonObject) -> Tool:
    description, title = definition.get("description"), definition.get("title")
    output, annotations = definition.get("outputSchema"), definition.get("annotations")
    if not isinstance(title, str) and isinstance(annotations, dict):
        title = annotations.get("title")
    return Tool(
        name=name,
        input_schema=schema,
        description=description if isinstance(description, str) else "",
        title=title if isinstance(title, str) else None,
        output_schema=output if isinstance(output, dict) else None,
        annotations=annotations if isinstance(annotations, dict) else None,
    )


def _shown_name(definition: JsonValue) -> str:
    name = definition.get("name") if isinstance(definition, dict) else None
    return repr(name)[:80]
