"""Typed Python functions as a provider: collected by a decorator, called for programs, failing in their own words."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, TypeVar, overload

import orjson

from engine._blocks import as_block
from engine._errors import ToolDefinitionError, ToolFailure, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine._python_tool import PythonTool
    from typegen import JsonObject, JsonValue, Tool

logger = logging.getLogger("portico.tools")

F = TypeVar("F", bound="Callable[..., object]")

_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # MCP 2025-11-25, server/tools, Tool Names


class Tools:
    """A provider of typed Python functions. Add them with ``@tools.tool``; each becomes ``codemode.<id>_<name>``.

    Annotations become the schemas, the docstring the description of the tool and of its parameters. The functions run
    in this process, with everything that this process may do.
    """

    def __init__(self, id: str) -> None:  # noqa: A002 -- the same word as in a configuration
        normal = id.replace("_", "-")
        if not _ID.fullmatch(normal):
            raise ToolDefinitionError(f'the id "{id}" must be lower-case letters, digits and hyphens')
        self._id = normal
        self._tools: dict[str, PythonTool] = {}

    def __repr__(self) -> str:
        return f"Tools({self._id!r}: {', '.join(self._tools) or 'no tools yet'})"

    @property
    def id(self) -> str:
        """What the tools' names begin with; ``my_shop`` is ``my-shop``, and ``my_shop`` again in a program."""
        return self._id

    @overload
    def tool(self, function: F, /) -> F: ...

    @overload
    def tool(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        idempotent: bool | None = None,
        open_world: bool | None = None,
    ) -> Callable[[F], F]: ...

    def tool(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        read_only: bool | None = None,
        destructive: bool | None = None,
        idempotent: bool | None = None,
        open_world: bool | None = None,
    ) -> F | Callable[[F], F]:
        """Offer a function as a tool, and return it unchanged: a decorator, with or without settings.

        ``name`` and ``description`` replace the function's own. The four facts are what MCP calls annotations: what is
        not said is left out, and a tool that is not ``read_only`` counts as one that changes something.
        Raises ``ToolDefinitionError`` for a function that cannot be a tool; the message says what to change.
        """
        hints = {
            "readOnlyHint": read_only,
            "destructiveHint": destructive,
            "idempotentHint": idempotent,
            "openWorldHint": open_world,
        }
        said: JsonObject = {key: value for key, value in hints.items() if value is not None}

        def add(added: F) -> F:
            own_name = str(getattr(added, "__name__", "")) if name is None else name
            self._add(added, own_name, title=title, description=description, annotations=said)
            return added

        return add if function is None else add(function)

    async def list_tools(self) -> Sequence[Tool]:
        """Return the tools, in the order in which they were added."""
        return [known.tool for known in self._tools.values()]

    async def call_tool(self, name: str, arguments: Mapping[str, JsonValue]) -> JsonObject:
        """Call a function and return what it gave as an MCP tool result, an error included.

        Raises ``UpstreamError`` when there is no tool of that name.
        """
        known = self._tools.get(name)
        if known is None:
            raise UpstreamError(f"{self._id} has no tool {name}", server=self._id, tool=name, code="unknown_tool")
        from engine._python_tool import UnfitArgumentsError, UnfitResultError  # noqa: PLC0415 -- loaded with the first tool

        try:
            value = known.write(await known.run(known.read(arguments)))
        except UnfitArgumentsError as error:
            return _failure(str(error), {"code": "invalid_arguments"})
        except ToolFailure as failure:
            said: JsonObject = {**failure.data, **({} if failure.code is None else {"code": failure.code})}
            return _failure(failure.message, said or None)
        except UnfitResultError:
            logger.exception("%s.%s returned something else than its annotation says", self._id, name)
            return _failure("the tool returned something else than it promises; the log of the host says what")
        except (Exception, SystemExit) as error:  # whatever a function raises is a result, and its text may be private
            logger.exception("%s.%s failed", self._id, name)
            return _failure(f"the tool failed ({type(error).__name__}); the log of the host says why")
        return _success(value)

    def _add(
        self,
        function: Callable[..., object],
        name: str,
        *,
        title: str | None,
        description: str | None,
        annotations: JsonObject,
    ) -> None:
        from engine._python_tool import PythonTool  # noqa: PLC0415 -- pydantic is loaded with the first tool

        if not _NAME.fullmatch(name):
            advice = 'give it one of letters, digits, "_", "-" and ".", as in tool(name="find_orders")'
            raise ToolDefinitionError(f'"{name}" cannot be the name of a tool: {advice}', tool=name)
        if name in self._tools:
            raise ToolDefinitionError(f"{self._id} has a tool {name} already: give one of them another name", tool=name)
        if annotations.get("readOnlyHint") is True and annotations.get("destructiveHint") is True:
            raise ToolDefinitionError(f"{name}: read_only and destructive contradict each other: drop one", tool=name)
        self._tools[name] = PythonTool(
            function, name=name, title=title, description=description, annotations=annotations
        )


def _success(value: JsonValue) -> JsonObject:
    """Return a value as an MCP result: structured, and as the text or content block that a client can show."""
    if value is None:
        return {"content": []}
    text: JsonObject = {"type": "text", "text": value if isinstance(value, str) else orjson.dumps(value).decode()}
    block = (as_block(value) if isinstance(value, dict) else None) or text
    return {"content": [block], "structuredContent": value}


def _failure(text: str, data: JsonObject | None = None) -> JsonObject:
    result: JsonObject = {"content": [{"type": "text", "text": text}], "isError": True}
    if data is not None:
        result["structuredContent"] = data
    return result
