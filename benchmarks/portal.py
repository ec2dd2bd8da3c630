"""What the portal costs beside plain proxies: a call that passes through, a program, a long list, an idle session.

Every server is a process of its own, asked over raw sockets by a load generator in another one. CPU is the time that
the server's process was on a processor, so that neighbours on the machine count little; latencies and rates are as
found. Rounds go over all servers in turn, and the median of the rounds is printed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks._catalogs import LARGE, definitions, large_tools
from benchmarks._packages import environment
from benchmarks._processes import HERE, Load, Sample, Served, serving
from benchmarks._section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

FASTMCP: Final = "4.1.2"
ERAS: Final = {"modern": "2026-07-28", "legacy": "2025-11-25"}
UPSTREAMS: Final = (("modern", "json"), ("modern", "events"), ("legacy", "json"))
"""The era of an upstream, and how it answers: servers of the SDK do so with events, unless they are told otherwise."""
CLIENTS: Final = (1, 16)
ROUNDS: Final = 3
CALLS: Final = {"upstream": 800, "Portico": 800, "SDK proxy": 400, "FastMCP proxy": 200}
"""Calls a round: enough for a percent of CPU time, and some seconds for the slowest."""
PROGRAMS: Final = 150
LISTS: Final = {"Portico": 60, "SDK server": 6}
PARALLEL: Final = 20
SESSIONS: Final = 1_000
SETTLE_S: Final = 30.0
TEXT: Final = {"text": "hello"}
CODE: Final = "?codemode=search_and_execute"


def run() -> Section:
    """Measure everything."""
    fastmcp = environment("fastmcp-proxy", f"fastmcp=={FASTMCP}", "uvloop", "httptools")
    with Load() as load, TemporaryDirectory() as folder:
        proxied = {upstream: _proxied(load, upstream, fastmcp, Path(folder)) for upstream in UPSTREAMS}
        programs = _programs(load, Path(folder))
        lists = _lists(load, Path(folder))
        sessions = _sessions(load, Path(folder))
    text = "\n".join([*_proxied_table(proxied), "", *programs, "", *lists, "", *sessions])
    return Section(title="Portal", text=text)


@contextmanager
def _portal(upstream: Served, folder: Path, load: Load) -> Iterator[Served]:
    """Serve a portal of one upstream, ready when its tools are listed."""
    place = folder / f"portal-{upstream.pid}"
    place.mkdir(exist_ok=True)
    config = place / "portico.yaml"
    config.write_text(f"servers:\n  - {{id: up, url: '{upstream.url}'}}\n")
    env = {**os.environ, "PORTICO_DATA_DIR": str(place)}
    command = (sys.executable, "-m", "portico", "serve", "--config", config, "--port", "0", "--json")
    with serving(*command, env=env) as server:
        _wait_for(load, server, "up_echo")
        yield server


def _wait_for(load: Load, server: Served, tool: str) -> None:
    """Wait until a call of ``tool`` is answered, which a portal does when its upstream is ready."""
    until = time.monotonic() + SETTLE_S
    while not load.answers(server, {"name": tool, "arguments": TEXT}):
        if time.monotonic() > until:
            raise RuntimeError(f"{server.url} does not answer {tool}")
        time.sleep(0.2)


def _proxied(load: Load, kind: tuple[str, str], fastmcp: Path, folder: Path) -> dict[tuple[str, int], Sample]:
    era, answers = kind
    with ExitStack() as stack:
        upstream = stack.enter_context(serving(sys.executable, HERE / "_load_upstream.py", era, answers))
        servers = {
            "upstream": (upstream, "echo"),
            "Portico": (stack.enter_context(_portal(upstream, folder, load)), "up_echo"),
            "SDK proxy": (
                stack.enter_context(serving(sys.executable, HERE / "_sdk_proxy.py", era, upstream.url)),
                "echo",
            ),
            "FastMCP proxy": (
                stack.enter_context(serving(fastmcp, HERE / "_fastmcp_proxy.py", era, upstream.url)),
                "echo",
            ),
        }
        found: dict[tuple[str, int], list[Sample]] = {}
        for _ in range(ROUNDS):
            for clients in CLIENTS:
                for name, (server, tool) in servers.items():
                    sample = load.measure(
                        server, era=era, params={"name": tool, "arguments": TEXT}, count=CALLS[name], clients=clients
                    )
                    found.setdefault((name, clients), []).append(sample)
    return {key: Sample.median(samples) for key, samples in found.items()}


def _programs(load: Load, folder: Path) -> list[str]:
    with (
        serving(sys.executable, HERE / "_load_upstream.py", "modern") as upstream,
        _portal(upstream, folder, load) as portal,
    ):
        one = {"name": "code", "arguments": {"code": 'return await codemode.up_echo({text: "hello"})'}}
        calls = f'Array.from({{length: {PARALLEL}}}, () => codemode.up_slow({{text: ""}}))'
        many = {"name": "code", "arguments": {"code": f"return (await Promise.all({calls})).length"}}
        direct, program, slow, parallel = [], [], [], []
        for _ in range(ROUNDS):
            direct.append(load.measure(portal, era="modern", params={"name": "up_echo", "arguments": TEXT}, count=400))
            program.append(load.measure(portal, era="modern", params=one, query=CODE, count=PROGRAMS))
            slow.append(
                load.measure(portal, era="modern", params={"name": "up_slow", "arguments": TEXT}, count=2 * PARALLEL)
            )
            parallel.append(load.measure(portal, era="modern", params=many, query=CODE, count=20))
    added_ms = statistics.median(p.median_ms - d.median_ms for p, d in zip(program, direct, strict=True))
    sequence = f"{PARALLEL} calls of 20 ms each, one after the other ({PARALLEL} times the median of one)"
    sequence_ms = PARALLEL * Sample.median(slow).median_ms
    parallel_ms = Sample.median(parallel).median_ms
    return [
        "| case | median ms |",
        "|---|---|",
        f"| a call, proxied | {Sample.median(direct).median_ms:.2f} |",
        f"| a `code` call with that call in it | {Sample.median(program).median_ms:.2f} |",
        f"| the difference | {added_ms:.2f} |",
        f"| {sequence} | {sequence_ms:.0f} |",
        f"| a program with these {PARALLEL} calls at once | {parallel_ms:.0f} |",
        "",
        f"The program is {sequence_ms / parallel_ms:.1f} times as fast as the calls one after the other would be.",
    ]


def _lists(load: Load, folder: Path) -> list[str]:
    tools = folder / "tools.json"
    listed = [tool for tools in definitions(large_tools()).values() for tool in tools]
    tools.write_text(json.dumps(listed))
    with (
        serving(sys.executable, HERE / "_load_upstream.py", "modern", "json", tools) as upstream,
        _portal(upstream, folder, load) as portal,
        serving(sys.executable, HERE / "_sdk_proxy.py", "modern", upstream.url) as sdk,
    ):
        found: dict[str, list[Sample]] = {"Portico": [], "SDK server": []}
        for _ in range(ROUNDS):
            for name, server in (("Portico", portal), ("SDK server", sdk)):
                found[name].append(
                    load.measure(server, era="modern", method="tools/list", params={}, count=LISTS[name])
                )
    median = {name: Sample.median(samples) for name, samples in found.items()}
    ratio = median["SDK server"].cpu_ms / median["Portico"].cpu_ms
    size = median["Portico"].size / 2**20
    return [
        f"`tools/list` of {LARGE:,} tools ({size:.1f} MiB), which the SDK's server has in memory:",
        "",
        "| server | CPU ms a list | median ms |",
        "|---|---|---|",
        *(f"| {name} | {sample.cpu_ms:.2f} | {sample.median_ms:.1f} |" for name, sample in median.items()),
        "",
        f"The SDK's server takes {ratio:.0f} times the CPU.",
    ]


def _sessions(load: Load, folder: Path) -> list[str]:
    with (
        serving(sys.executable, HERE / "_load_upstream.py", "legacy") as upstream,
        _portal(upstream, folder, load) as portal,
    ):
        with load.sessions(portal, 20):
            pass  # what a process makes for its first sessions is not what sessions cost
        time.sleep(1)
        memory = [portal.memory_bytes()]
        for _ in range(2):
            with load.sessions(portal, SESSIONS):
                time.sleep(1)
                memory.append(portal.memory_bytes())
            time.sleep(1)
    first, again = ((held - memory[0]) / SESSIONS / 1024 for held in memory[1:])
    text = f"{SESSIONS:,} idle sessions, each with its standing stream: {first:.0f} KiB each; with as many again, after"
    return [f"{text} the first have gone without ending theirs: {again:.0f} KiB for each pair."]


def _proxied_table(proxied: dict[tuple[str, str], dict[tuple[str, int], Sample]]) -> list[str]:
    lines = [
        "A call that passes through, of a tool that answers at once. Every proxy holds one connected client to the",
        "upstream; FastMCP's is handed that client, because by default it connects anew for every call:",
        "",
        "| MCP | the upstream answers with | server | clients | CPU ms a call | of Portico's | calls/s | median ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (era, answers), found in proxied.items():
        for clients in CLIENTS:
            own = found["Portico", clients].cpu_ms
            for name in CALLS:
                sample = found[name, clients]
                ratio = "" if name == "upstream" else f"{sample.cpu_ms / own:.1f}"
                lines.append(
                    f"| {ERAS[era]} | {answers} | {name} | {clients} "
                    f"| {sample.cpu_ms:.3f} | {ratio} | {sample.per_s:.0f} | {sample.median_ms:.2f} |"
                )
    return lines
