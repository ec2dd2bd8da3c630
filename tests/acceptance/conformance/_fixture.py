"""A server with everything that the conformance suite asks for by name; its command line names the port."""
# ruff: noqa: ANN401 -- what the SDK hands to a server has no public type

from __future__ import annotations

import logging
import re
import socket
import sys
from typing import TYPE_CHECKING, Any

import mcp_types
import uvicorn
from mcp import MCPError
from mcp.server import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import ListenHandler
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.acceptance.conformance._fixture_questions import prompt_with_question
from tests.acceptance.conformance._fixture_tools import CHANGES, IMAGE, JSON, PROMPT_CHANGES, TOOLS, red_pixel

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

STATIC: dict[str, JSON] = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": red_pixel()},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}
TEMPLATE = re.compile(r"test://template/([^/]+)/data")
PROMPTS: dict[str, list[str]] = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}


def _user(content: JSON) -> JSON:
    return {"role": "user", "content": content}


async def _list_tools(ctx: Any, params: Any) -> JSON:
    return {"tools": [definition for definition, _ in TOOLS.values()]}


async def _call_tool(ctx: Any, params: Any) -> JSON:
    if params.name not in TOOLS:
        raise MCPError(mcp_types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    return await TOOLS[params.name][1](ctx, params.arguments or {})


async def _list_resources(ctx: Any, params: Any) -> JSON:
    return {
        "resources": [
            {"uri": uri, "name": uri.removeprefix("test://"), "description": uri, "mimeType": content["mimeType"]}
            for uri, content in STATIC.items()
        ]
    }


async def _list_templates(ctx: Any, params: Any) -> JSON:
    template = {
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "description": "Data by id",
        "mimeType": "application/json",
    }
    return {"resourceTemplates": [template]}


async def _read_resource(ctx: Any, params: Any) -> JSON:
    uri = str(params.uri)
    matched = TEMPLATE.fullmatch(uri)
    if matched is not None:
        data = f'{{"id":"{matched[1]}","templateTest":true,"data":"Data for ID: {matched[1]}"}}'
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": data}]}
    if uri not in STATIC:
        raise MCPError(mcp_types.INVALID_PARAMS, "Resource not found", {"uri": uri})
    return {"contents": [{"uri": uri, **STATIC[uri]}]}


async def _list_prompts(ctx: Any, params: Any) -> JSON:
    changed: dict[str, list[str]] = {"changed_prompt": []} if PROMPT_CHANGES else {}
    return {
        "prompts": [
            {
                "name": name,
                "description": f"{name} {len(PROMPT_CHANGES)}",
                "arguments": [{"name": argument, "required": True} for argument in arguments],
            }
            for name, arguments in {**PROMPTS, **changed}.items()
        ]
    }


async def _get_prompt(ctx: Any, params: Any) -> JSON:
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            return {"messages": [_user({"type": "text", "text": "This is a simple prompt for testing."})]}
        case "test_prompt_with_arguments":
            words = f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'"
            return {"messages": [_user({"type": "text", "text": words})]}
        case "test_prompt_with_embedded_resource":
            resource = {
                "uri": given.get("resourceUri"),
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            }
            question = {"type": "text", "text": "Please process the embedded resource above."}
            return {"messages": [_user({"type": "resource", "resource": resource}), _user(question)]}
        case "test_prompt_with_image":
            return {"messages": [_user(IMAGE), _user({"type": "text", "text": "Please analyze the image above."})]}
        case "test_input_required_result_prompt":
            return await prompt_with_question(ctx)
    raise MCPError(mcp_types.INVALID_PARAMS, f"Unknown prompt: {params.name}")


async def _complete(ctx: Any, params: Any) -> JSON:
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return {"completion": {"values": values, "total": len(values), "hasMore": False}}


async def _accept(ctx: Any, params: Any) -> mcp_types.EmptyResult:
    return mcp_types.EmptyResult()


class Fixture(Server[Any]):
    """Says that it announces its changes: the HTTP session manager does not ask for that."""

    def create_initialization_options(self, *args: Any, **kwargs: Any) -> Any:
        return super().create_initialization_options(*args or (NotificationOptions(True, True, True),), **kwargs)


class Events(EventStore):
    """Every event of every stream, in order."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        last = int(last_event_id)
        stream = self._events[last - 1][0]
        for number, (stream_id, message) in enumerate(self._events[last:], last + 1):
            if stream_id == stream and message is not None:
                from mcp.server.streamable_http import EventMessage  # noqa: PLC0415 -- only here

                await send_callback(EventMessage(message, str(number)))
        return stream


def _told(handler: Any, *, is_cacheable: bool = False) -> Any:
    """Add what every result of MCP 2026-07-28 says of itself; the versions before it know none of that."""

    async def answer(ctx: Any, params: Any) -> JSON:
        result = await handler(ctx, params)
        if ctx.protocol_version != MODERN_PROTOCOL_VERSIONS[-1]:
            return dict(result)
        hints = {"ttlMs": 0, "cacheScope": "private"} if is_cacheable else {}
        return {"resultType": "complete", **hints, **result}

    return answer


def build() -> Fixture:
    """Make the server."""
    server = Fixture(
        "conformance-fixture",
        version="1.0.0",
        get_tool_input_schema=lambda name: TOOLS[name][0]["inputSchema"] if name in TOOLS else None,
        on_list_tools=_told(_list_tools, is_cacheable=True),
        on_call_tool=_told(_call_tool),
        on_list_resources=_told(_list_resources, is_cacheable=True),
        on_list_resource_templates=_told(_list_templates, is_cacheable=True),
        on_read_resource=_told(_read_resource, is_cacheable=True),
        on_subscribe_resource=_accept,
        on_unsubscribe_resource=_accept,
        on_list_prompts=_told(_list_prompts, is_cacheable=True),
        on_get_prompt=_told(_get_prompt),
        on_completion=_told(_complete),
        on_set_logging_level=_accept,
        on_subscriptions_listen=ListenHandler(CHANGES),
    )
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="fixture"))
    return server


def main() -> None:
    """Serve on the port that the command line names, on loopback."""
    port = int(sys.argv[1])
    allowed = [f"127.0.0.1:{port}", f"localhost:{port}"]
    security = TransportSecuritySettings(allowed_hosts=allowed, allowed_origins=[f"http://{host}" for host in allowed])
    manager = StreamableHTTPSessionManager(
        build(), event_store=Events(), retry_interval=100, security_settings=security
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with manager.run():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await manager.handle_request(scope, receive, send)

    logging.basicConfig(level=logging.WARNING)
    with socket.create_server(("127.0.0.1", port)) as listener:
        print("listening", flush=True)  # noqa: T201 -- whoever started it waits for this; connections queue from here on
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        server.run([listener])


if __name__ == "__main__":
    main()
