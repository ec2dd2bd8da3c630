"""Code mode in a program of one's own: providers and a sandbox, without a server or a portal."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from engine._catalog import Catalog, ServerTools
from engine._code_tool import code_tool
from engine._engine import Engine
from engine._provider import call_provider
from sandbox import Sandbox, SandboxConfig
from typegen import declare_module

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from engine._answer import Answer
    from engine._call import ToolCall
    from engine._limits import EngineLimits
    from engine._provider import Provider
    from typegen import JsonObject

ToolForm: TypeAlias = Literal["mcp", "anthropic", "openai", "openai_chat"]
"""Whose API a tool definition is written for; ``openai`` is the Responses API, ``openai_chat`` Chat Completions."""

_FORMS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "mcp": lambda tool: tool,
    "anthropic": lambda tool: {
        "name": tool["name"],
        "description": tool["description"],
        "input_schema": tool["inputSchema"],
    },
    "openai": lambda tool: {"type": "function", **_function(tool)},
    "openai_chat": lambda tool: {"type": "function", "function": _function(tool)},
}


class CodeMode:
    """Runs programs over the tools of some providers. It works inside ``async with``.

    Without ``sandbox`` it opens one of its own. The tools are listed once, on entering.
    """

    def __init__(
        self, *providers: Provider, limits: EngineLimits | None = None, sandbox: Sandbox | None = None
    ) -> None:
        self._providers = {provider.id: provider for provider in providers}
        if len(self._providers) != len(providers):
            raise ValueError("two providers have the same id: give each one of its own")
        self._limits = limits
        self._sandbox = sandbox
        self._stack = AsyncExitStack()
        self._open: tuple[Engine, Catalog] | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            sandbox = self._sandbox
            if sandbox is None:
                sandbox = await stack.enter_async_context(Sandbox(SandboxConfig()))
            engine = await stack.enter_async_context(Engine(sandbox, limits=self._limits))
            servers = [
                ServerTools(id=provider.id, tools=tuple(await provider.list_tools()))
                for provider in self._providers.values()
            ]
            self._open = engine, Catalog.build(servers)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._open = None
        return await self._stack.__aexit__(kind, error, trace)

    async def run(self, program: str, *, resume: str | None = None) -> Answer:
        """Run one program, as a model wrote it, and return what to answer the model.

        A failing program is an answer with ``is_error``; nothing is raised for it. ``resume`` is the id of a failed run
        whose finished calls are not to be made again. Raises ``UnknownRunError`` when nothing is kept of it.
        """
        engine, catalog = self._opened()
        return await engine.code(program, catalog=catalog, invoker=self._call, resume=resume)

    def types(self) -> str:
        """Return the TypeScript declarations of all tools: the text of a ``.d.ts`` file."""
        _, catalog = self._opened()
        return declare_module([(entry.identifier, entry.tool) for entry in catalog.tools.values()])

    def tool(self, form: ToolForm = "mcp") -> JsonObject:
        """Return the definition of the tool ``code`` to offer to a model; ``run`` takes what the model gives it.

        It names the providers and tells the workflow, in at most 450 tokens whatever the number of tools.
        """
        return _FORMS[form](code_tool(self._providers))

    async def _call(self, call: ToolCall) -> JsonObject:
        return await call_provider(self._providers[call.entry.server_id], call.entry.name, call.arguments)

    def _opened(self) -> tuple[Engine, Catalog]:
        if self._open is None:
            raise RuntimeError("code mode is not open: use it inside `async with CodeMode(tools) as code_mode`")
        return self._open


def _function(tool: JsonObject) -> JsonObject:
    return {"name": tool["name"], "description": tool["description"], "parameters": tool["inputSchema"]}
