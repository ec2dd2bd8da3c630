"""Run every benchmark and write benchmarks/RESULTS.md; ``python -m benchmarks search`` runs one and only prints it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from benchmarks._measure import machine

RESULTS = Path(__file__).parent / "RESULTS.md"
BENCHMARKS = ("isolate", "search", "context", "typegen", "tasks", "portal")
"""Modules of this package in the order of the page; each has a ``run`` that returns a ``Section``."""


def main(names: list[str]) -> int:
    """Measure and print; write the page where everything was measured, because its figures belong to one run."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)  # noqa: T201
        return 2
    page = ["# Results", "", f"Written by `make bench`. {machine()}.", ""]
    for name in names or BENCHMARKS:
        print(f"Measuring: {name} ...", file=sys.stderr, flush=True)  # noqa: T201
        section = import_module(f"benchmarks.{name}").run()
        page += [f"## {section.title}", "", section.text, ""]
    print("\n".join(page))  # noqa: T201
    if not names:
        RESULTS.write_text("\n".join(page))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
