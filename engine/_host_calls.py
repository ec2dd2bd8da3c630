"""The host's side of ``codemode.*``: each host call of one run becomes a tool call or one of the built-in methods."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, ClassVar

import orjson

from engine._blocks import as_block
from engine._call import ToolCall
from engine._errors import CallError, UpstreamError
from engine._json_text import json_text
from engine._quote import quoted_part
from engine._records import CallFact
from engine._surface import BUILTINS, TOOL_ERROR
from engine._unwrap import unwrap
from sandbox import Rejection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from engine._call import Invoker
    from engine._catalog import Catalog, CatalogTool
    from engine._journal import Journal
    from engine._learned import LearnedView
    from sandbox import HostCall, RunClock
    from typegen import JsonObject, JsonValue

SEARCH_LIMIT = 8
"""Declarations in one search answer: about 1,000 tokens, enough to choose from."""
SEARCH_LIMIT_MAX = 50
QUERIES_AT_ONCE = 20
"""Queries of one search that are looked at."""
_NAMES_MAX = 50
_EMPTY_SEARCHES_TOLD = 3
_QUERY_CHARS_TOLD = 80


class HostCalls:
    """Answers the host calls of one run over one catalog.

    ``clock`` is that of the run on its way, and ``has_shortened_types`` whether a declaration that it got left
    something out. What the program emits is kept until the run ends, up to ``max_emitted_bytes`` of it as JSON. The
    catalog alone decides what exists: a name outside it is unknown, whatever the guest believes.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        invoker: Invoker,
        run_id: str,
        journal: Journal,
        learned: LearnedView,
        find_result: Callable[[str], Awaitable[bytes]],
        max_emitted_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._invoker = invoker
        self._run_id = run_id
        self.clock: RunClock | None = None
        self._journal = journal
        self._learned = learned
        self._unwrapped: set[str] = set()
        self._find_result = find_result
        self._max_emitted_bytes = max_emitted_bytes
        self._emitted_bytes = 0
        self.calls: list[CallFact] = []
        self.emitted: list[JsonObject] = []
        self.has_shortened_types = False
        self.empty_searches: list[str] = []

    async def answer(self, call: HostCall) -> bytes:
        """Answer one host call with JSON text. Raises ``Rejection``, which the guest throws as a JavaScript error."""
        try:
            builtin = self._BUILTINS.get(call.method)
            if builtin is not None:
                return await builtin(self, call)
            return await self._tool(call.method, _arguments(call), turn=call.turn)
        except (CallError, UpstreamError) as error:
            raise _rejection_of(error) from error

    async def call(self, name: str, arguments: JsonObject) -> bytes:
        """Call one tool, without a program, as one call of a program would. Raises ``Rejection`` likewise."""
        try:
            _check_writable(name, arguments)
            return await self._tool(name, [arguments], turn=0)
        except (CallError, UpstreamError) as error:
            raise _rejection_of(error) from error

    async def _tool(self, name: str, arguments: list[JsonValue], *, turn: int) -> bytes:
        entry = self._entry(name)
        value = unwrap(await self._call_tool(entry, _only_argument(entry, arguments), turn), entry)
        self._unwrapped.add(entry.identifier)
        asyncio.get_running_loop().call_soon(self._learned.learn, entry, value)  # while the program goes on with it
        return _text_of(value, entry)

    def returned(self) -> Iterator[tuple[CatalogTool, JsonValue]]:
        """Yield what the tools of this run returned, as the program got it, the last one first."""
        for entry, result in self._journal.results():
            if entry.identifier in self._unwrapped:
                yield entry, unwrap(result, entry)

    def _declaration(self, entry: CatalogTool, *, depth: int | None = None) -> str:
        declaration = self._catalog.declaration(entry, learned=self._learned, depth=depth)
        self.has_shortened_types = self.has_shortened_types or not declaration.complete
        return declaration.text

    def _entry(self, name: str) -> CatalogTool:
        """Return the tool that ``name`` means. Raises ``CallError`` with the nearest names."""
        entry = self._catalog.find(name)
        if entry is not None:
            return entry
        message = self._catalog.unknown_tool_message(name)
        raise CallError(message, fields={"tool": name, "code": "unknown_tool"})

    async def _call_tool(self, entry: CatalogTool, arguments: JsonObject, turn: int) -> JsonObject:
        """Check the arguments, let the call leave through the invoker, and note how it went."""
        findings = self._catalog.argument_check(entry).findings(arguments)
        if findings:
            raise CallError(
                f"{entry.identifier}: {'; '.join(findings)}\n{self._declaration(entry)}",
                fields=_invalid(entry),
            )
        earlier = self._journal.replay(entry, arguments)
        if earlier is not None:
            self.calls.append(self._fact(entry, "replayed"))
            self._journal.note(entry, arguments, earlier)
            return earlier
        fact = self._fact(entry, "error")
        self.calls.append(fact)
        result = await self._invoker(
            ToolCall(
                entry=entry,
                arguments=arguments,
                run_id=self._run_id,
                index=len(self.calls),
                turn=turn,
                clock=self.clock,
            )
        )
        if result.get("isError") is not True:
            fact.status = "ok"
            self._journal.note(entry, arguments, result)
        return result

    def _fact(self, entry: CatalogTool, status: str) -> CallFact:
        return CallFact(identifier=entry.identifier, status=status, is_read_only=entry.is_read_only)

    async def _raw(self, call: HostCall) -> bytes:
        """``codemode.raw(name, args)``: the untouched MCP result, errors included."""
        name, *rest = _arguments(call) or [None]
        if not isinstance(name, str):
            raise _misuse("raw(name, args)", "takes the tool's name as text")
        entry = self._entry(name)
        return _text_of(await self._call_tool(entry, _only_argument(entry, rest), call.turn), entry)

    async def _search(self, call: HostCall) -> bytes:
        """``codemode.search(query | queries[], {server?, limit?})``: the best tools, each with its declaration."""
        queries, options = [*_arguments(call), None, None][:2]
        if isinstance(queries, str):
            queries = [queries]
        if not isinstance(queries, list) or not queries or not all(isinstance(query, str) for query in queries):
            raise _misuse('search("what you need")', "takes a text or a list of texts")
        server, limit = _search_options(options)
        if server is not None and server not in {known.id for known in self._catalog.servers}:
            known_ids = ", ".join(known.id for known in self._catalog.servers)
            raise CallError(f"search: no server {quoted_part(server)!r}. Servers: {known_ids}", name="TypeError")
        wanted = [str(query) for query in queries[:QUERIES_AT_ONCE]]
        await self._catalog.prepare_search()
        found = self._catalog.search(wanted, server=server, limit=limit)
        if not found and len(self.empty_searches) < _EMPTY_SEARCHES_TOLD:
            near = self._catalog.nearest(wanted[0])
            alike = f"; names that look alike: {', '.join(near)}" if near else ""
            self.empty_searches.append(f"no tool matches {', '.join(map(_told, wanted))}{alike}")
        return orjson.dumps(
            [
                {
                    "name": entry.identifier,
                    "server": entry.server_id,
                    "description": entry.tool.description,
                    "declaration": self._declaration(entry),
                }
                for entry in found
            ]
        )

    async def _describe(self, call: HostCall) -> bytes:
        """``codemode.describe(name | names[], {depth?})``: the TypeScript declarations, as text."""
        names, options = [*_arguments(call), None, None][:2]
        if isinstance(names, str):
            names = [names]
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise _misuse('describe("tool_name", {depth})', "takes a tool's name or a list of names")
        depth = options.get("depth") if isinstance(options, dict) else None
        if not (depth is None or (isinstance(depth, int) and depth >= 1)):
            raise _misuse('describe("tool_name", {depth})', "takes depth as a number of at least 1")
        entries = [self._entry(str(name)) for name in names[:_NAMES_MAX]]
        return orjson.dumps("\n\n".join(self._declaration(entry, depth=depth) for entry in entries))

    async def _servers(self, _call: HostCall) -> bytes:
        """``codemode.servers()``: every server of this portal and how it is."""
        return orjson.dumps(
            [
                {"id": server.id, "name": server.name or server.id, "tools": len(server.tools), "status": server.status}
                for server in self._catalog.servers
            ]
        )

    async def _emit(self, call: HostCall) -> bytes:
        """``codemode.emit(block)``: adds a content block, or a text, to the answer."""
        block, *_ = _arguments(call) or [None]
        if isinstance(block, str):
            block = {"type": "text", "text": block}
        if not isinstance(block, dict):
            raise _misuse('emit({type: "image", data, mimeType})', "takes a text or a content block")
        is_text = block.get("type") == "text" and isinstance(block.get("text"), str)
        content = dict(block) if is_text else as_block(block)
        if content is None:
            raise _misuse(
                'emit({type: "image", data, mimeType})',
                "takes {type: image | audio | file, data (base64), mimeType}, a resource, or {type: text, text}",
            )
        emitted_bytes = self._emitted_bytes + len(orjson.dumps(content))
        if emitted_bytes > self._max_emitted_bytes:
            message = f"emit: one run may emit {self._max_emitted_bytes} bytes in all; emit what the answer needs"
            raise CallError(message, name="RangeError")
        self._emitted_bytes = emitted_bytes
        self.emitted.append(content)
        return b"null"

    async def _result(self, call: HostCall) -> bytes:
        """``codemode.result(run)``: the whole result of an earlier run whose answer was cut."""
        run_id, *_ = _arguments(call) or [None]
        if not isinstance(run_id, str):
            raise _misuse('result("r7k2")', "takes the id of an earlier run")
        return await self._find_result(run_id)

    _BUILTINS: ClassVar[Mapping[str, Callable[[HostCalls, HostCall], Awaitable[bytes]]]] = dict(
        zip(BUILTINS, (_raw, _search, _describe, _servers, _emit, _result), strict=True)
    )


def _arguments(call: HostCall) -> list[JsonValue]:
    arguments: list[JsonValue] = orjson.loads(call.args)
    return arguments


def _rejection_of(error: CallError | UpstreamError) -> Rejection:
    """Return what the guest throws for what a call failed by."""
    if isinstance(error, CallError):
        return Rejection(error.message, name=error.name, fields=error.fields)
    fields = {"server": error.server, "tool": error.tool, "code": error.code, "data": _readable(error.data)}
    return Rejection(error.message, name=TOOL_ERROR, fields=fields)


def _check_writable(name: str, arguments: JsonObject) -> None:
    """Refuse arguments that a program could not have sent: too deep, or a number of thousands of digits."""
    try:
        json_text(arguments)
    except ValueError as error:
        raise CallError(
            f"{name}: the arguments cannot be passed on: {error}", fields={"code": "invalid_arguments"}
        ) from error


def _readable(data: JsonValue) -> JsonValue:
    """Return the data of an error as JSON can carry it; None for what it cannot."""
    try:
        readable: JsonValue = orjson.loads(json_text(data))
    except ValueError:
        return None
    return readable


def _text_of(result: JsonValue, entry: CatalogTool) -> bytes:
    try:
        return json_text(result)
    except ValueError as error:
        message = f"the result cannot be passed on: {error}"
        raise UpstreamError(message, server=entry.server_id, tool=entry.name, code="unreadable_result") from error


def _only_argument(entry: CatalogTool, arguments: list[JsonValue]) -> JsonObject:
    """Return the one object that a tool takes; nothing and ``null`` count as an empty one."""
    first = arguments[0] if arguments else None
    if first is None and len(arguments) <= 1:
        return {}
    if isinstance(first, dict) and len(arguments) == 1:
        return first
    raise CallError(
        f"{entry.identifier}: takes one object of named arguments, as in {entry.identifier}({{ … }})",
        fields=_invalid(entry),
    )


def _invalid(entry: CatalogTool) -> JsonObject:
    return {"server": entry.server_id, "tool": entry.name, "code": "invalid_arguments"}


def _search_options(options: JsonValue) -> tuple[str | None, int]:
    if options is None:
        return None, SEARCH_LIMIT
    if not isinstance(options, dict):
        raise _misuse('search("…", {server, limit})', "takes its options as an object")
    server, limit = options.get("server"), options.get("limit", SEARCH_LIMIT)
    if not (server is None or isinstance(server, str)) or not isinstance(limit, int) or limit < 1:
        raise _misuse('search("…", {server, limit})', "takes server as text and limit as a number of at least 1")
    return server, min(limit, SEARCH_LIMIT_MAX)


def _told(query: str) -> str:
    """Quote a query for the answer."""
    return json.dumps(query[:_QUERY_CHARS_TOLD]) + ("…" if len(query) > _QUERY_CHARS_TOLD else "")


def _misuse(form: str, what: str) -> CallError:
    return CallError(f"codemode.{form} {what}", name="TypeError")
