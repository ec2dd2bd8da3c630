"""A server that asks, tells and offers everything that MCP has, in either era; its results go out as they are."""
# ruff: noqa: ANN401 -- what the SDK hands to a server has no public type

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import anyio
from mcp import MCPError
from mcp.server import Server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON = dict[str, Any]
OBJECT: Final[JSON] = {"type": "object"}
CAPABILITIES: Final[JSON] = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
    "logging": {},
}
INFO: Final[JSON] = {"name": "asking", "version": "1"}
FORM: Final[JSON] = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "Which colour?",
        "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string"}}},
    },
}
PAGE: Final[JSON] = {
    "method": "elicitation/create",
    "params": {"mode": "url", "message": "Sign in", "url": "https://example.com/in", "elicitationId": "e-1"},
}
SAMPLE: Final[JSON] = {
    "method": "sampling/createMessage",
    "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "Say hi"}}], "maxTokens": 10},
}
ROOTS: Final[JSON] = {"method": "roots/list", "params": {}}
QUESTIONS: Final[dict[str, dict[str, JSON]]] = {
    "confirm": {"colour": FORM},
    "visit": {"page": PAGE},
    "sample": {"model": SAMPLE},
    "roots": {"roots": ROOTS},
    "survey": {"colour": FORM, "roots": ROOTS},
}
RICH: Final[JSON] = {
    "content": [
        {"type": "text", "text": "a", "annotations": {"priority": 1}, "newField": 1},
        {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
        {"type": "resource_link", "uri": "note://1", "name": "one"},
        {"type": "resource", "resource": {"uri": "note://1", "text": "held"}},
        {"type": "hologram", "beam": [1]},
    ],
    "structuredContent": {"n": 1},
    "_meta": {"example.com/k": "v"},
    "isError": False,
    "newest": {"x": None},
}


@dataclass
class Asking:
    """The server, in the era that ``version`` says (None: 2026-07-28), and what reached it."""

    version: str | None = None
    name: str = "asking"
    breaks: str = ""
    headers: list[Mapping[str, str]] = field(default_factory=list)
    requests: list[tuple[str, JSON]] = field(default_factory=list)
    is_signed_in: bool = False
    completes_after_asking: bool = False
    tools: list[JSON] = field(default_factory=lambda: [*_tools()])
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    connections: list[Any] = field(default_factory=list)

    def server(self) -> Server[Any]:
        """The SDK's server, past its validation."""
        server: Server[Any] = Server("asking", on_subscriptions_listen=ListenHandler(self.bus))
        server.middleware[:] = [self._answer]
        return server

    def params_of(self, method: str) -> list[JSON]:
        """What came with each request of ``method``."""
        return [params for known, params in self.requests if known == method]

    async def tell(self, method: str, params: JSON | None = None) -> None:
        """Tell of a change, in every way a client may listen for."""
        events: dict[str, type[Any]] = {
            "notifications/tools/list_changed": ToolsListChanged,
            "notifications/prompts/list_changed": PromptsListChanged,
            "notifications/resources/list_changed": ResourcesListChanged,
        }
        if method in events:
            await self.bus.publish(events[method]())
        elif method == "notifications/resources/updated":
            await self.bus.publish(ResourceUpdated(uri=(params or {})["uri"]))
        for connection in self.connections:
            await connection.notify(method, params)

    async def _answer(self, ctx: Any, call_next: Any) -> Any:
        if ctx.method == "notifications/initialized":
            self.connections.append(ctx.session._connection)
        if ctx.request_id is None or ctx.method == "subscriptions/listen":
            return await call_next(ctx)
        params = dict(ctx.params or {})
        self.requests.append((ctx.method, params))
        result = await self._result(ctx, ctx.method, params)
        return result if self.version is not None else {"resultType": "complete", **result}

    async def _result(self, ctx: Any, method: str, params: JSON) -> JSON:  # noqa: C901 -- a case for each request
        match method:
            case "server/discover" if self.version is None:
                about = {
                    "supportedVersions": ["2026-07-28"],
                    "capabilities": CAPABILITIES,
                    "_meta": {SERVER_INFO: INFO},
                }
                return {**about, **KEPT}
            case "initialize":
                return {"protocolVersion": self.version, "capabilities": CAPABILITIES, "serverInfo": INFO}
            case "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe":
                return {}
            case "tools/list":
                return {"tools": self.tools, **KEPT}
            case "prompts/list":
                return {"prompts": [{"name": "greet", "title": "Greet", "newField": 1}], **KEPT}
            case "resources/list":
                return {"resources": [{"uri": "note://1", "name": "one", "newField": 1}], **KEPT}
            case "resources/templates/list":
                return {"resourceTemplates": [{"uriTemplate": "note://by/{id}", "name": "any"}], **KEPT}
            case "tools/call":
                return await self._call(ctx, params)
            case "prompts/get":
                return await self._prompt(ctx, params)
            case "resources/read":
                return self._read(params["uri"])
            case "completion/complete" if self.completes_after_asking and "inputResponses" not in params:
                asked = {"inputRequests": QUESTIONS["confirm"], "requestState": "secret-state"}
                return {"resultType": "input_required", **asked}
            case "completion/complete":
                return {"completion": {"values": [f"{params['argument']['value']}…"], "total": 1, "hasMore": False}}
            case _:
                raise MCPError(-32601, "Method not found")

    async def _call(self, ctx: Any, params: JSON) -> JSON:
        name = params["name"]
        if name in QUESTIONS:
            return await self._ask(ctx, params, QUESTIONS[name], _text)
        if name == "login" and not self.is_signed_in:
            page = {key: value for key, value in PAGE["params"].items() if key != "mode"}
            raise MCPError(-32042, "Sign in first", {"elicitations": [{"mode": "url", **page}]})
        if name == "chatty":
            await ctx.session._request_outbound.notify(
                "notifications/message", {"level": "warning", "data": "low ink", "logger": "printer"}
            )
            for step in (1, 2, 3):
                await ctx.session.report_progress(step, 3, f"step {step}")
            return _text("done")
        if name == "rich":
            return RICH
        if name == "rich_links":
            return {"content": RICH["content"][3:5]}
        return _text({"name": name, "arguments": params.get("arguments")})

    async def _prompt(self, ctx: Any, params: JSON) -> JSON:
        def said(answers: JSON) -> JSON:
            return {"messages": [{"role": "user", "content": _text(answers)["content"][0]}], "newField": 1}

        if (params.get("arguments") or {}).get("ask"):
            return await self._ask(ctx, params, QUESTIONS["confirm"], said)
        return said({"hello": params["name"]})

    def _read(self, uri: str) -> JSON:
        if not uri.startswith("note://"):
            raise MCPError(-32602 if self.version is None else -32002, f"Resource not found: {uri}", {"uri": uri})
        return {"contents": [{"uri": uri, "text": f"{self.name} has {uri}", "newField": 1}], **KEPT}

    async def _ask(self, ctx: Any, params: JSON, questions: dict[str, JSON], finish: Any) -> JSON:
        if self.version is None:
            if "inputResponses" not in params:
                return {"resultType": "input_required", "inputRequests": questions, "requestState": "secret-state"}
            assert params["requestState"] == "secret-state"
            result: JSON = finish(params["inputResponses"])
            return result
        answers: JSON = {}

        async def ask(key: str) -> None:
            question = questions[key]
            channel = ctx.session._request_outbound
            try:
                answers[key] = dict(await channel.send_raw_request(question["method"], question["params"], None))
            except MCPError as error:
                answers[key] = {"error": error.message}

        async with anyio.create_task_group() as tasks:
            for key in questions:
                tasks.start_soon(ask, key)
        finished: JSON = finish(answers)
        return finished


SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
KEPT: Final[JSON] = {"ttlMs": 0, "cacheScope": "private"}


def _tools() -> list[JSON]:
    names = [*QUESTIONS, "login", "chatty", "rich", "rich_links", "plain"]
    tools: list[JSON] = [{"name": name, "inputSchema": OBJECT} for name in names]
    return [*tools, {"name": "erase", "inputSchema": OBJECT, "annotations": {"destructiveHint": True}}]


def _text(value: object) -> JSON:
    text = value if isinstance(value, str) else repr(value)
    return {"content": [{"type": "text", "text": text}]}
