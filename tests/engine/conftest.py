"""An engine over a real sandbox, and a small upstream that records what reaches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from engine import Catalog, Engine, EngineLimits, JsonObject, JsonValue, ServerTools, ToolCall, UpstreamError
from sandbox import Limits, Sandbox, SandboxConfig
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from engine import Answer

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def schema(required: tuple[str, ...] = (), **properties: JsonValue) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def text(content: str, **more: JsonValue) -> JsonObject:
    return {"content": [{"type": "text", "text": content}], **more}


def structured(value: JsonValue) -> JsonObject:
    return {"content": [], "structuredContent": value}


ISSUES: list[JsonObject] = [
    {"id": number, "title": f"Issue {number}", "open": number % 3 != 0, "votes": number % 7} for number in range(1, 501)
]

TOOLS = (
    Tool(
        name="list_issues",
        description="List the issues of the tracker, filtered by state.",
        input_schema=schema(open={"type": "boolean"}, limit={"type": "integer", "minimum": 1}),
        annotations={"readOnlyHint": True},
    ),
    Tool(
        name="get_issue",
        description="Get one issue by its number.",
        input_schema=schema(("id",), id={"type": "integer"}, detail={"enum": ["short", "full"]}),
        annotations={"readOnlyHint": True},
    ),
    Tool(
        name="create_comment",
        description="Add a comment to an issue.",
        input_schema=schema(("id", "text"), id={"type": "integer"}, text={"type": "string"}),
    ),
    Tool(name="report", description="A report as text that is JSON.", input_schema=schema()),
    Tool(name="screenshot", description="A picture of the board.", input_schema=schema()),
    Tool(name="greet", description="A greeting, as plain text.", input_schema=schema(name={"type": "string"})),
)


def list_issues(arguments: JsonObject) -> JsonObject:
    found = [issue for issue in ISSUES if arguments.get("open") in {None, issue["open"]}]
    return structured({"items": list(found[: int(str(arguments.get("limit", 500)))])})


def get_issue(arguments: JsonObject) -> JsonObject:
    number = int(str(arguments["id"]))
    return structured(ISSUES[number - 1]) if number <= 500 else text(f"404 no issue {number}", isError=True)


def create_comment(arguments: JsonObject) -> JsonObject:
    return text("403 Resource not accessible", isError=True) if arguments["id"] == 27 else text("created")


ANSWERS: dict[str, Callable[[JsonObject], JsonObject]] = {
    "list_issues": list_issues,
    "get_issue": get_issue,
    "create_comment": create_comment,
    "report": lambda _: text('{"open": 334, "closed": 166}'),
    "screenshot": lambda _: {"content": [{"type": "image", "data": PNG, "mimeType": "image/png"}]},
    "greet": lambda arguments: text(f"Hello, {arguments.get('name', 'world')}!"),
    "read": lambda _: text("line one\nline two\n"),
}


@dataclass
class Upstream:
    """Two servers in this process, ``tracker`` and ``my-files``; every call that reaches them is kept.

    A test may answer a tool itself: ``upstream.answers["tracker_greet"] = …``.
    """

    calls: list[tuple[str, JsonObject]] = field(default_factory=list)
    answers: dict[str, Callable[[JsonObject], Awaitable[JsonObject]]] = field(default_factory=dict)

    async def __call__(self, call: ToolCall) -> JsonObject:
        self.calls.append((call.entry.identifier, call.arguments))
        if call.entry.identifier in self.answers:
            return await self.answers[call.entry.identifier](call.arguments)
        if call.entry.name in ANSWERS:
            return ANSWERS[call.entry.name](call.arguments)
        raise UpstreamError("no connection", server=call.entry.server_id, tool=call.entry.name, code="unreachable")


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    files = (
        Tool(name="read", description="Read a file.", input_schema=schema(("path",), path={"type": "string"})),
        Tool(name="broken", description="Never answers well.", input_schema=schema()),
    )
    return Catalog.build(
        [
            ServerTools(id="tracker", name="Tracker", tools=TOOLS),
            ServerTools(id="my-files", name="Files", tools=files),
            ServerTools(id="down", name="Down", status="error"),
        ]
    )


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxConfig(workers=2)) as opened:
        yield opened


@pytest.fixture
async def engine(sandbox: Sandbox) -> AsyncIterator[Engine]:
    async with Engine(sandbox, limits=EngineLimits(run=Limits(cpu_s=1.0, wall_s=20.0))) as opened:
        yield opened


@pytest.fixture
def run(engine: Engine, catalog: Catalog, upstream: Upstream) -> Callable[[str], Awaitable[Answer]]:
    """Run a program over the catalog and return its answer."""

    async def run_program(source: str) -> Answer:
        return await engine.code(source, catalog=catalog, invoker=upstream)

    return run_program
