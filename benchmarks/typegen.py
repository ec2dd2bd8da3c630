"""Declarations beside peers: their tokens, and how long one takes."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio
import orjson

from benchmarks._catalogs import definitions, large_tools, real_servers
from benchmarks._packages import NODE, npm_packages
from benchmarks._section import Section
from portal._tokens import count_tokens
from typegen import DEFAULT_TOKEN_BUDGET, Tool
from typegen._declare import _Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine import JsonObject

_PEERS = ("@cloudflare/codemode@0.5.6", "json-schema-to-typescript@16.0.0")
_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The declarations of every tool of a catalog, and the seconds that each run over all of them took."""

    texts: tuple[str, ...]
    seconds: tuple[float, ...]
    failed: int = 0


def run() -> Section:
    """Declare two catalogs with every generator."""
    large = [tool for _, tool in large_tools()]
    real = anyio.run(_real_tools)
    listed = [one for by in definitions(large_tools()).values() for one in by]
    lines = []
    for name, tools, sent in (("big-2594", large, listed), ("ten real servers", real, _definitions(real))):
        raw = sum(count_tokens(orjson.dumps(one).decode()) for one in sent)
        lines += [
            f"**{name}**: {len(tools):,} tools, {raw:,} tokens as their servers list them",
            "",
            "| generator | tokens | a tool, median | 95th percentile | ms a tool | failed |",
            "|---|---:|---:|---:|---:|---:|",
            *(_row(label, declared, len(tools)) for label, declared in _every_way(tools, sent).items()),
            "",
        ]
    return Section(title="Declarations", text="\n".join([_METHOD, "", *lines]))


_METHOD = f"""\
Tokens are o200k, of input and result types together with the descriptions that a generator keeps. Ours holds a budget
of {DEFAULT_TOKEN_BUDGET} tokens a tool and names what it folds; "whole" is without a budget. "schemas only" has neither
method nor description of the tool. Times are medians of {_RUNS} runs over all tools (one run of
json-schema-to-typescript), each tool by itself and none from a cache."""


def _every_way(tools: Sequence[Tool], sent: Sequence[JsonObject]) -> dict[str, Declared]:
    ours = {"Portico": _ours(tools, DEFAULT_TOKEN_BUDGET), "Portico, whole": _ours(tools, None)}
    return ours | _peers(sent)


def _ours(tools: Sequence[Tool], budget: int | None) -> Declared:
    seconds = []
    texts: list[str] = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        # What `declare` does when its cache does not know the tool.
        texts = [_Sketch(tool, f"s_{tool.name}", budget, None, has_output=True).finish().text for tool in tools]
        seconds.append(time.perf_counter() - started)
    return Declared(texts=tuple(texts), seconds=tuple(seconds))


def _peers(sent: Sequence[JsonObject]) -> dict[str, Declared]:
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "tools.json"), Path(folder, "answers.json")
        source.write_bytes(orjson.dumps(sent))
        script = Path(__file__).with_name("_typegen_peers.mjs")
        command = [NODE, script, npm_packages("typegen-peers", *_PEERS), source, target]
        subprocess.run(command, check=True)  # noqa: S603 - as written here
        answers = json.loads(target.read_text())
    return {
        name: Declared(texts=tuple(one["texts"]), seconds=tuple(one["seconds"]), failed=one["failed"])
        for name, one in answers.items()
    }


def _row(label: str, declared: Declared, count: int) -> str:
    tokens = [count_tokens(text) for text in declared.texts]
    slow = statistics.quantiles(tokens, n=20, method="inclusive")[-1]
    each_ms = statistics.median(declared.seconds) * 1e3 / count
    figures = f"{sum(tokens):,} | {statistics.median(tokens):,.0f} | {slow:,.0f} | {each_ms:.2f} | {declared.failed}"
    return f"| {label} | {figures} |"


async def _real_tools() -> list[Tool]:
    async with real_servers() as portal:
        return [entry.tool for entry in portal.catalog().tools.values() if entry.server_id != "portal"]


def _definitions(tools: Sequence[Tool]) -> list[JsonObject]:
    (listed,) = definitions([("real", tool) for tool in tools]).values()
    return listed
