"""The tools that the conformance suite calls by name, each doing what its scenario describes."""
# ruff: noqa: ANN401 -- what the SDK hands to a server has no public type

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types
from mcp import MCPError
from mcp.server.subscriptions import InMemorySubscriptionBus, PromptsListChanged, ToolsListChanged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

JSON = dict[str, Any]

MISSING_CAPABILITY = -32021
META = "io.modelcontextprotocol/"
CHANGES = InMemorySubscriptionBus()

_NOTHING: JSON = {"type": "object", "properties": {}}
TOOLS: dict[str, tuple[JSON, Callable[[Any, JSON], Awaitable[JSON]]]] = {}


def tool(
    description: str, schema: JSON | None = None, *, name: str | None = None
) -> Callable[[Callable[[Any, JSON], Awaitable[JSON]]], Callable[[Any, JSON], Awaitable[JSON]]]:
    """Offer a function as a tool of its own name."""

    def offer(function: Callable[[Any, JSON], Awaitable[JSON]]) -> Callable[[Any, JSON], Awaitable[JSON]]:
        listed = name or function.__name__
        definition = {"name": listed, "description": description, "inputSchema": schema or _NOTHING}
        TOOLS[listed] = definition, function
        return function

    return offer


def text(value: str, **fields: Any) -> JSON:
    """Return a result with one text block."""
    return {"content": [{"type": "text", "text": value}], **fields}


def red_pixel() -> str:
    """Return a PNG of one red pixel, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def silence() -> str:
    """Return a WAV of ten samples of silence, in base64."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(20))
    return base64.b64encode(file.getvalue()).decode()


IMAGE: JSON = {"type": "image", "data": red_pixel(), "mimeType": "image/png"}


@tool("Answers with a text.")
async def test_simple_text(ctx: Any, arguments: JSON) -> JSON:
    return text("This is a simple text response for testing.")


@tool("Answers with an image.")
async def test_image_content(ctx: Any, arguments: JSON) -> JSON:
    return {"content": [IMAGE]}


@tool("Answers with a sound.")
async def test_audio_content(ctx: Any, arguments: JSON) -> JSON:
    return {"content": [{"type": "audio", "data": silence(), "mimeType": "audio/wav"}]}


@tool("Answers with a resource.")
async def test_embedded_resource(ctx: Any, arguments: JSON) -> JSON:
    resource = {
        "uri": "test://embedded-resource",
        "mimeType": "text/plain",
        "text": "This is an embedded resource content.",
    }
    return {"content": [{"type": "resource", "resource": resource}]}


@tool("Answers with three kinds of content.")
async def test_multiple_content_types(ctx: Any, arguments: JSON) -> JSON:
    resource = {
        "uri": "test://mixed-content-resource",
        "mimeType": "application/json",
        "text": '{"test":"data","value":123}',
    }
    return {
        "content": [
            {"type": "text", "text": "Multiple content types test:"},
            IMAGE,
            {"type": "resource", "resource": resource},
        ]
    }


@tool("Says what it does in the log.")
async def test_tool_with_logging(ctx: Any, arguments: JSON) -> JSON:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
        await anyio.sleep(0.05)
    return text("Tool with logging executed successfully")


@tool("Says in the log that it was called, where the request asks for a log.")
async def test_logging_tool(ctx: Any, arguments: JSON) -> JSON:
    await ctx.session.send_log_message("info", "called", related_request_id=ctx.request_id)
    return text("logged")


@tool("Says how far it is.")
async def test_tool_with_progress(ctx: Any, arguments: JSON) -> JSON:
    for progress in (0, 50, 100):
        await ctx.session.report_progress(progress, 100)
        await anyio.sleep(0.05)
    return text("Tool with progress executed successfully")


@tool("Always fails.")
async def test_error_handling(ctx: Any, arguments: JSON) -> JSON:
    return text("This tool intentionally returns an error for testing", isError=True)


@tool(
    "Asks the client's model.",
    {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
)
async def test_sampling(ctx: Any, arguments: JSON) -> JSON:
    message = mcp_types.SamplingMessage(
        role="user", content=mcp_types.TextContent(type="text", text=arguments["prompt"])
    )
    answer = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    return text(f"LLM response: {answer.content.text}")


async def _elicit(ctx: Any, message: str, properties: JSON, required: list[str]) -> str:
    schema = {"type": "object", "properties": properties, "required": required}
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={answer.content}"


@tool(
    "Asks the user.",
    {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
)
async def test_elicitation(ctx: Any, arguments: JSON) -> JSON:
    properties = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    return text(f"User response: {await _elicit(ctx, arguments['message'], properties, ['username', 'email'])}")


@tool("Asks the user, with an answer proposed for everything.")
async def test_elicitation_sep1034_defaults(ctx: Any, arguments: JSON) -> JSON:
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return text(f"Elicitation completed: {await _elicit(ctx, 'Please review', properties, [])}")


@tool("Asks the user to choose, in five ways.")
async def test_elicitation_sep1330_enums(ctx: Any, arguments: JSON) -> JSON:
    options = ["option1", "option2", "option3"]
    titled = [
        {"const": f"value{number}", "title": f"{word} Option"}
        for number, word in enumerate(("First", "Second", "Third"), 1)
    ]
    properties = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return text(f"Elicitation completed: {await _elicit(ctx, 'Please choose', properties, [])}")


@tool("Ends its stream in the middle, so that the client has to come back for the answer.")
async def test_reconnection(ctx: Any, arguments: JSON) -> JSON:
    await anyio.sleep(0.1)  # the SDK closes it without sending what waits: the event that a client comes back with
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await anyio.sleep(0.1)
    return text("Reconnection test completed")


@tool("Needs sampling, and says so to a client that has none.")
async def test_missing_capability(ctx: Any, arguments: JSON) -> JSON:
    if "sampling" not in client_capabilities(ctx):
        needed: JSON = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_CAPABILITY, "This tool needs a client with sampling", needed)
    return text("sampling is there")


@tool("Announces a changed list of tools.")
async def test_trigger_tool_change(ctx: Any, arguments: JSON) -> JSON:
    TOOLS.setdefault("changed", ({"name": "changed", "inputSchema": _NOTHING}, test_simple_text))
    TOOLS["changed"][0]["description"] = f"Changed {len(TOOLS['changed'][0].get('description', ''))} times."
    await CHANGES.publish(ToolsListChanged())
    return text("changed")


PROMPT_CHANGES: list[int] = []


@tool("Announces a changed list of prompts.")
async def test_trigger_prompt_change(ctx: Any, arguments: JSON) -> JSON:
    PROMPT_CHANGES.append(1)
    await CHANGES.publish(PromptsListChanged())
    return text("changed")


@tool(
    "Takes two of its arguments as headers too.",
    {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "query": {"type": "string"},
            "priority": {"type": "integer", "x-mcp-header": "Priority"},
        },
        "required": ["region", "query"],
    },
)
async def test_x_mcp_header(ctx: Any, arguments: JSON) -> JSON:
    return text(f"region {arguments.get('region')}")


@tool(
    "Tool with JSON Schema 2020-12 features",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12_tool(ctx: Any, arguments: JSON) -> JSON:
    return text("ok")


def client_capabilities(ctx: Any) -> JSON:
    """Return what the client of this request declared in it."""
    meta = (ctx.params or {}).get("_meta") or {}
    declared: JSON = meta.get(f"{META}clientCapabilities") or {}
    return declared
