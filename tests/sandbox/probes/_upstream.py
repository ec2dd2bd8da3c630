"""What the programs of the probes may call: two servers in this process, and everything that reached them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from engine import Catalog, JsonObject, JsonValue, ServerTools, ToolCall, UpstreamError
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECRET = "tok-7Qk2-of-the-portal"
"""Known to the host's side of every probe, and in its environment: no answer may hold it."""


def accepting(required: tuple[str, ...] = (), **properties: JsonValue) -> JsonObject:
    """Return the input schema of an object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def tool(name: str, schema: JsonObject | None = None, **fields: JsonValue) -> Tool:
    """Return a tool, by default one that takes any arguments."""
    description = str(fields.get("description", f"The tool {name}."))
    return Tool(name=name, description=description, input_schema=schema or {"type": "object"})


def structured(value: JsonValue) -> JsonObject:
    return {"content": [], "structuredContent": value}


TRACKER = ServerTools(
    id="tracker",
    tools=(
        tool("greet", accepting(("name",), name={"type": "string"})),
        tool("get_issue", accepting(("id",), id={"type": "integer"}, note={"type": "string"})),
        tool("echo"),
        tool("give"),
        tool("wait"),
        tool("fail"),
    ),
)
FILES = ServerTools(id="files", tools=(tool("read_file"),))
CATALOG = Catalog.build([TRACKER, FILES])


@dataclass
class Upstream:
    """An invoker that keeps every call; ``gift`` is what ``give`` returns, and ``wait`` never ends by itself."""

    calls: list[tuple[str, JsonObject]] = field(default_factory=list)
    gift: JsonValue = None
    answers: dict[str, Callable[[JsonObject], Awaitable[JsonObject]]] = field(default_factory=dict)
    entered: anyio.Event = field(default_factory=anyio.Event)
    cancelled: int = 0
    credential: str = SECRET

    async def __call__(self, call: ToolCall) -> JsonObject:
        self.calls.append((call.entry.identifier, call.arguments))
        self.entered.set()
        own = self.answers.get(call.entry.name)
        if own is not None:
            return await own(call.arguments)
        match call.entry.name:
            case "greet":
                return {"content": [{"type": "text", "text": f"Hello, {call.arguments['name']}!"}]}
            case "give":
                return structured(self.gift)
            case "wait":
                return await self._wait()
            case "fail":
                raise UpstreamError("503 busy", server=call.entry.server_id, tool=call.entry.name, code=503)
            case _:
                return structured({"got": call.arguments})

    async def _wait(self) -> JsonObject:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return {}
