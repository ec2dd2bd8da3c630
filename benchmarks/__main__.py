"""Run every benchmark and write benchmarks/RESULTS.md; ``python -m benchmarks search`` runs one and only prints it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks._measure import machine, pace_ms

RESULTS = Path(__file__).parent / "RESULTS.md"
BENCHMARKS = ("isolate", "search", "context", "typegen", "tasks", "portal")
"""Modules of this package in the order of the page; each has a ``run`` that returns a ``Section``."""


PACE = """\
A million additions in Python took {least:.0f} to {most:.0f} ms, before, between and after the sections. Where these
differ much, others used the processors too, and times of different sections, or of different runs, compare badly."""


def main(names: list[str]) -> int:
    """Measure and print; write the page where everything was measured, because its figures belong to one run."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)  # noqa: T201
        return 2
    paces_ms, sections = [pace_ms()], list[str]()
    for name in names or BENCHMARKS:
        print(f"Measuring: {name} ...", file=sys.stderr, flush=True)  # noqa: T201
        section = import_module(f"benchmarks.{name}").run()
        sections += [f"## {section.title}", "", section.text, ""]
        paces_ms.append(pace_ms())
    pace = PACE.format(least=min(paces_ms), most=max(paces_ms))
    page = ["# Results", "", f"Written by `make bench`. {machine()}.", "", pace, "", *sections]
    print("\n".join(page))  # noqa: T201
    if not names:
        RESULTS.write_text("\n".join(page))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
