"""Context beside peers: what lists, searches and whole flows cost in tokens, and how long finding a tool takes."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from benchmarks._catalogs import definitions, large_tools, listing_of, real_servers
from benchmarks._examples import example_arguments
from benchmarks._packages import environment
from benchmarks._query_sets import summary
from benchmarks._section import Section
from engine import Catalog, Engine, code_tool
from portal._tokens import count_tokens
from portal.context._ledger import compact, definition
from portal.context._lists import definitions_in, mode_costs
from portal.server import Mode
from sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import CatalogTool, Detail, JsonObject, ToolCall
    from portal.server import Listing

Json = dict[str, Any]  # what the peer wrote
Flow = tuple["tuple[Step, ...]", "tuple[Step, ...]"]  # in code mode, and with query and execute

_FASTMCP = "fastmcp[code-mode]==4.1.2"
_QUERIES = 500
_PEER_FLOWS = 15  # each of its searches takes more than a second
_STARTS = 7
_SEED = 20261121


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a flow: the tokens that the model writes and reads for it, and how long it took."""

    tokens: int
    seconds: float


def run() -> Section:
    """Measure lists, queries, flows and times."""
    by_server = definitions(large_tools())
    large = listing_of(by_server)
    github = listing_of({"github": by_server["github"]})
    asked = _requests(large.catalog)
    lists = anyio.run(_real_costs)
    flows, skipped = anyio.run(_flows, large, asked)
    peer = _peer(large, asked)
    text = "\n".join(
        [
            _METHOD,
            "",
            *_lists(
                [("big-2594", mode_costs(large, _ENCODING)), ("GitHub REST", mode_costs(github, _ENCODING)), *lists]
            ),
            "",
            _independence(),
            "",
            *_queries(large.catalog, asked),
            "",
            *_flow_table(flows, peer),
            "",
            _how_many(flows, skipped),
            "",
            *_times(by_server, large.catalog, asked, flows, peer),
        ]
    )
    return Section(title="Context", text=text)


_ENCODING = "o200k_base"
_METHOD = """\
Tokens are o200k. big-2594 is GitHub's REST description (npm `@octokit/openapi`, 1,223 operations) and the first 1,371
operations of the AWS services ec2, s3, iam, lambda and rds (PyPI `botocore`); the ten real servers are those of the
tests, started with dummy credentials. "definitions" counts name, description and input schema of each tool as compact
JSON, as model APIs take them; "whole list" the JSON of `tools/list`, output schemas and annotations included."""


def _requests(catalog: Catalog) -> list[tuple[str, CatalogTool]]:
    """Return the first sentence of 500 operations with each operation, chosen once and for all by a seed."""
    asked = [(summary(entry.tool.description), entry) for entry in catalog.tools.values()]
    usable = [(text, entry) for text, entry in asked if text]
    random.Random(_SEED).shuffle(usable)  # noqa: S311 - a choice that stays the same
    return usable[:_QUERIES]


async def _real_costs() -> list[tuple[str, Sequence[Any]]]:
    async with real_servers() as portal:
        return [("ten real servers", mode_costs(portal.listing(), _ENCODING))]


def _lists(costs: Sequence[tuple[str, Sequence[Any]]]) -> list[str]:
    lines = [
        "| catalog | mode | tools | definitions | smaller | whole list | smaller |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, modes in costs:
        plain = modes[0]
        for mode in modes:
            if not mode.tools:  # no description from a registry says that its operation only reads
                continue
            smaller = f"{plain.tokens / mode.tokens:,.1f} x", f"{plain.whole / mode.whole:,.1f} x"
            figures = f"{mode.tools:,} | {mode.tokens:,} | {smaller[0]} | {mode.whole:,} | {smaller[1]}"
            lines.append(f"| {name} | {mode.name} | {figures} |")
    return lines


def _how_many(flows: Sequence[Flow], skipped: int) -> str:
    return (
        f"{len(flows)} flows of ours ({skipped} tools left out whose schema no made-up arguments satisfy), the "
        f"first {_PEER_FLOWS} of them for FastMCP."
    )


def _independence() -> str:
    few, many = _large_code_list(10), _large_code_list(10_000)
    if few != many:
        raise AssertionError("the list of code mode depends on the tools")
    servers = [f"server-{number}" for number in range(500)]
    most = count_tokens(definition(code_tool(servers)))
    return (
        f"Code mode lists {count_tokens(few)} tokens with 10 tools of two servers and the same text with 10,000; "
        f"{most} with 500 servers."
    )


def _large_code_list(count: int) -> str:
    tools: list[JsonObject] = [
        {"name": f"tool_{number}", "inputSchema": {"type": "object"}} for number in range(count // 2)
    ]
    listing = listing_of({"github": tools, "aws": tools})
    return "".join(definition(tool) for tool in definitions_in(listing, Mode.CODE))


def _queries(catalog: Catalog, asked: Sequence[tuple[str, CatalogTool]]) -> list[str]:
    lines = [
        f"What `query` answers over big-2594 to the first sentences of {len(asked)} operations:",
        "",
        "| detail | median tokens | 95th percentile | most |",
        "|---|---:|---:|---:|",
    ]
    engine = Engine(Sandbox())
    details: tuple[Detail, ...] = ("names", "types", "schemas")
    for detail in details:
        tokens = [count_tokens(engine.query(text, catalog=catalog, detail=detail)) for text, _ in asked]
        lines.append(f"| {detail} | {statistics.median(tokens):,.0f} | {_p95(tokens):,.0f} | {max(tokens):,} |")
    return lines


async def _flows(listing: Listing, asked: Sequence[tuple[str, CatalogTool]]) -> tuple[list[Flow], int]:
    """Search, describe and call: in code mode, and with the tools query and execute."""
    catalog = listing.catalog
    flows: list[Flow] = []
    skipped = 0
    async with Sandbox(SandboxConfig(workers=1)) as sandbox, Engine(sandbox) as engine:

        async def program(source: str) -> Step:
            started = time.perf_counter()
            answer = await engine.code(source, catalog=catalog, invoker=_stub)
            seconds = time.perf_counter() - started
            if answer.is_error:
                raise AssertionError(answer.text)
            return Step(tokens=_call_tokens("code", {"code": source}, answer.text), seconds=seconds)

        for text, entry in asked:
            arguments = example_arguments(entry)
            if catalog.argument_check(entry).findings(arguments):
                skipped += 1
                continue
            given, name = compact(arguments), entry.identifier
            in_code = (
                await program(f"codemode.search({json.dumps(text)})"),
                await program(f"codemode.describe({json.dumps(name)})"),
                await program(f"codemode.{name}({given})"),
            )
            started = time.perf_counter()
            told = engine.query(text, catalog=catalog)
            asked_s = time.perf_counter() - started
            called = await engine.execute(name, arguments, catalog=catalog, invoker=_stub)
            in_query = (
                Step(tokens=_call_tokens("query", {"query": text}, told), seconds=asked_s),
                Step(
                    tokens=_call_tokens("execute", {"tool": name, "arguments": arguments}, called.text),
                    seconds=time.perf_counter() - started - asked_s,
                ),
            )
            flows.append((in_code, in_query))
    return flows, skipped


async def _stub(_call: ToolCall) -> JsonObject:
    return {"content": [{"type": "text", "text": '{"ok":true}'}]}


def _call_tokens(tool: str, arguments: JsonObject, answer: str) -> int:
    return count_tokens(compact({"name": tool, "arguments": arguments})) + count_tokens(answer)


def _peer(listing: Listing, asked: Sequence[tuple[str, CatalogTool]]) -> Json:
    checks = listing.catalog.argument_check
    wanted = [(text, entry, example_arguments(entry)) for text, entry in asked]
    usable = [one for one in wanted if not checks(one[1]).findings(one[2])][:_PEER_FLOWS]
    flows = [{"query": text, "tool": entry.name, "arguments": arguments} for text, entry, arguments in usable]
    tools = [one for listed in definitions(large_tools()).values() for one in listed]
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "asked.json"), Path(folder, "answers.json")
        source.write_bytes(orjson.dumps({"tools": tools, "flows": flows}))
        script = Path(__file__).with_name("_fastmcp_peer.py")
        subprocess.run([environment("fastmcp-peer", _FASTMCP), script, source, target], check=True)  # noqa: S603 - as written here
        found: Json = json.loads(target.read_text())
        return found


def _peer_steps(peer: Json) -> list[tuple[Step, ...]]:
    return [
        tuple(
            Step(tokens=count_tokens(compact(step["written"])) + count_tokens(step["read"]), seconds=step["seconds"])
            for step in flow
        )
        for flow in peer["flows"]
    ]


def _flow_table(flows: Sequence[Flow], peer: Json) -> list[str]:
    lines = [
        "A whole flow over big-2594: what the model is given, writes and reads to find a tool by the first sentence of",
        "its description, see how it is called, and call it once.",
        "",
        "| way | definitions | search | describe | execute | all, median | 95th percentile |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    listing = listing_of({"github": [], "aws": []})
    code, query = (_given(definitions_in(listing, mode)) for mode in (Mode.CODE, Mode.QUERY))
    ours = [in_code for in_code, _ in flows]
    lines.append(_flow_row("Portico, code mode", code, ours))
    in_query = [(found, _NOTHING, called) for _, (found, called) in flows]
    lines.append(_flow_row("Portico, query and execute", query, in_query))
    theirs = _peer_steps(peer)
    first = f"the first {len(theirs)} flows"
    lines.append(_flow_row(f"Portico, code mode, {first}", code, ours[: len(theirs)]))
    lines.append(_flow_row(f"FastMCP {peer['version']} CodeMode, {first}", _given(peer["list"]), theirs))
    return lines


def _given(tools: Sequence[JsonObject]) -> int:
    return sum(count_tokens(definition(tool)) for tool in tools)


_NOTHING = Step(tokens=0, seconds=0.0)


def _flow_row(name: str, given: int, flows: Sequence[tuple[Step, ...]]) -> str:
    steps = [statistics.median(step.tokens for step in column) for column in zip(*flows, strict=True)]
    whole = [given + sum(step.tokens for step in flow) for flow in flows]
    shown = " | ".join(f"{tokens:,.0f}" for tokens in steps)
    return f"| {name} | {given:,} | {shown} | {statistics.median(whole):,.0f} | {_p95(whole):,.0f} |"


def _times(
    by_server: dict[str, list[JsonObject]],
    catalog: Catalog,
    asked: Sequence[tuple[str, CatalogTool]],
    flows: Sequence[Flow],
    peer: Json,
) -> list[str]:
    starts = _cold_starts(by_server)
    read, named, indexed = zip(*starts, strict=True)
    theirs = list(zip(*_peer_steps(peer), strict=True))
    ours = list(zip(*(in_code for in_code, _ in flows), strict=True))
    engine = Engine(Sandbox())
    queries = []
    for text, _ in asked:
        started = time.perf_counter()
        engine.query(text, catalog=catalog)
        queries.append(time.perf_counter() - started)
    return [
        "| time over big-2594 | samples | median ms | 95th percentile ms |",
        "|---|---:|---:|---:|",
        _time_row("cached schemas, 16 MB of JSON, parsed and checked", read),
        _time_row("a catalog and a listing of them", named),
        _time_row("the index, at the first search", indexed),
        _time_row("all three", [sum(one) for one in starts]),
        _time_row("a warm query, answered with declarations", queries),
        _time_row("the same as a program: codemode.search in a fresh isolate", [step.seconds for step in ours[0]]),
        _time_row("codemode.describe in a fresh isolate", [step.seconds for step in ours[1]]),
        _time_row("one tool call in a fresh isolate", [step.seconds for step in ours[2]]),
        _time_row(f"FastMCP {peer['version']}: search", [step.seconds for step in theirs[0]]),
        _time_row(f"FastMCP {peer['version']}: get_schema", [step.seconds for step in theirs[1]]),
        _time_row(f"FastMCP {peer['version']}: execute with one call", [step.seconds for step in theirs[2]]),
    ]


def _cold_starts(by_server: dict[str, list[JsonObject]]) -> list[list[float]]:
    """Return what reading, naming and indexing took in each of several fresh processes."""
    with TemporaryDirectory() as folder:
        source = Path(folder, "cached.json")
        source.write_bytes(orjson.dumps(by_server))
        command = [sys.executable, "-m", "benchmarks._cold_start", str(source)]
        return [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - as written here
            for _ in range(_STARTS)
        ]


def _time_row(name: str, seconds: Sequence[float]) -> str:
    return f"| {name} | {len(seconds)} | {statistics.median(seconds) * 1e3:,.1f} | {_p95(seconds) * 1e3:,.1f} |"


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]
