"""A program in a fresh isolate: ours beside those of others, in one run; where the targets are, and what came out."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import anyio

from benchmarks._isolate_inside import SIZES, Inside
from benchmarks._isolate_peers import PEERS, Absent, measure, measure_kernels
from benchmarks._isolate_through import Through, first_runs, serve_starts
from benchmarks._isolation_levels import isolation_levels
from benchmarks._measure import HEAD, Row
from benchmarks._section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAMPLES = 2_000
_LEVEL_SAMPLES = 300
_FASTEST = "one host call, through the worker"
_METHOD = """\
A sample makes an isolate, runs a program in it with one awaited host call, and throws it away; one after the other, so
that a worker has time to make its spares. Through the worker means from the portal's process to a sealed process and
back, twice: once for the program, once for the call. Processor time is that of all processes together; inside the
worker it includes making and closing the isolate, which the samples do not. Peers are driven by the smallest program
that their documentation has for this, each in its own process, after one another."""


def run() -> Section:
    """Measure ours, then each peer, then the kernels."""
    ours = anyio.run(_ours, backend_options={"use_uvloop": True})
    levels = anyio.run(lambda: isolation_levels(count=_LEVEL_SAMPLES), backend_options={"use_uvloop": True})
    inside = Inside()
    spares = [inside.run_with_spare(_SAMPLES), inside.run_without_spare(_SAMPLES)]
    trips = [inside.round_trip(name, 1_000 if name != "1 MB" else 200) for name in SIZES]
    starts = [first_runs(30), serve_starts(10)]
    peers = {peer.name: measure(peer) for peer in PEERS}
    lines = [
        _METHOD,
        "",
        HEAD,
        *(row.as_markdown() for row in (*ours.rows, *spares)),
        *(row.as_markdown() for row in peers.values() if isinstance(row, Row)),
        "",
        *_ratios(ours.rows[1], peers),
        "",
        HEAD,
        *(row.as_markdown() for row in (*trips, *ours.trips, *starts)),
        "",
        *ours.remarks,
        "",
        "The same program at each level of isolation:",
        "",
        HEAD,
        *(row.as_markdown() for row in levels),
        "",
        *_kernel_table(inside.kernels()),
    ]
    return Section(title="Isolates", text="\n".join(lines))


class _Ours:
    """What was measured through the workers."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.trips: list[Row] = []
        self.remarks: list[str] = []


async def _ours() -> _Ours:
    ours = _Ours()
    async with Through.open() as through:
        ours.rows = [
            await through.sample("an expression, through the worker", "1 + 1", _SAMPLES),
            await through.sample(_FASTEST, "await host.echo(1)", _SAMPLES),
            await through.sample_without_spares("one host call, through the worker, no spare that fits", _SAMPLES),
        ]
        ours.trips = [
            await through.round_trips("100 B", runs=100, calls=100),
            await through.round_trips("10 KB", runs=100, calls=20),
            await through.round_trips("1 MB", runs=10, calls=10),
        ]
    ours.remarks += ["| workers | runs at once | runs a second | processor ms a run |", "|---:|---:|---:|---:|"]
    for workers in (1, 2, 3):
        for at_once in (2, 16):
            async with Through.open(workers=workers) as through:
                await through.rate(_SAMPLES // 4, at_once=at_once)
                rates = [await through.rate(_SAMPLES, at_once=at_once) for _ in range(3)]
            per_second, cpu_s = sorted(rates)[1]
            ours.remarks.append(f"| {workers} | {at_once} | {per_second:,.0f} | {cpu_s * 1e3:.3f} |")
    async with Through.open(workers=1, runs_per_worker=1_100) as through:
        await through.rate(100, at_once=2)
        each = await through.waiting_pss_bytes(1_000)
    ours.remarks += ["", f"Each of 1,000 programs that wait on a host call holds {each / 1024:,.0f} KiB (PSS)."]
    return ours


def _ratios(ours: Row, peers: Mapping[str, Row | Absent]) -> list[str]:
    lines = [
        "| peer | times as long as ours, one host call through the worker | the aim |",
        "|---|---:|---:|",
    ]
    absent = []
    for peer in PEERS:
        row = peers[peer.name]
        if isinstance(row, Absent):
            absent.append(f"{row.name} could not be measured: {row.reason}")
            continue
        aim = "" if peer.faster is None else f"{peer.faster:g}"
        lines.append(f"| {peer.name} | {row.median_ms / ours.median_ms:,.1f} | {aim} |")
    return [*lines, "", *absent] if absent else lines


def _kernel_table(ours: Mapping[str, list[float]]) -> list[str]:
    others = measure_kernels()
    measured = {name: one for name, one in others.items() if not isinstance(one, Absent)}
    lines = [
        "Five kernels of JavaScript, each run in a fresh context; the median of ten, in milliseconds:",
        "",
        f"| kernel | Portico | {' | '.join(measured)} |",
        f"|---|{'---:|' * (1 + len(measured))}",
    ]
    for kernel, samples in ours.items():
        figures = [samples, *(one[kernel] for one in measured.values())]
        lines.append(f"| {kernel} | {' | '.join(f'{statistics.median(each) * 1e3:,.2f}' for each in figures)} |")
    lines += [f"{one.name} could not be measured: {one.reason}" for one in others.values() if isinstance(one, Absent)]
    return lines
