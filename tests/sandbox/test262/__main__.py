"""``make test262 TEST262=folder``: a sample of test262, each test in a fresh isolate; the failures may only get fewer.

The sample is the same for every checkout: tests are ordered by a hash of their path. After every 50 a program of
somebody else's runs in the same workers and must find nothing changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from sandbox import Sandbox, SandboxConfig
from tests.sandbox.test262._case import cases_of
from tests.sandbox.test262._program import CANARY, SINGS, Harness, execute, run_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.sandbox.test262._case import Case

SEED = "portico"
SAMPLE = 2_000
FAILURES = Path(__file__).parent / "failures.txt"
_FOLDERS = ("language", "built-ins", "annexB")  # the host has no Intl, and staging is not the standard yet
_BATCH = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sample and compare it with the list; return the exit status."""
    parser = argparse.ArgumentParser(prog="make test262", description="Run a sample of test262 in isolates.")
    parser.add_argument("checkout", type=Path, help="a checkout of tc39/test262; nothing is fetched")
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"how many test files ({SAMPLE})")
    parser.add_argument("--failures", type=Path, default=FAILURES, help="the list of known failures")
    options = parser.parse_args(arguments)
    if not (options.checkout / "harness" / "assert.js").is_file():
        parser.error(f"{options.checkout} is no checkout of test262: it has no harness/assert.js")
    paths = sample(options.checkout, options.sample)
    cases = [case for path in paths for case in cases_of(options.checkout, path)]
    failed = anyio.run(run_all, options.checkout, cases)
    skipped = len(paths) - len({case.path for case in cases})
    print(f"{len(cases)} runs of {len(paths)} tests ({skipped} skipped): {len(failed)} failed.")  # noqa: T201
    return compare(options.failures, [case.name for case in cases], failed)


def sample(checkout: Path, count: int) -> list[str]:
    """Return ``count`` test files, the same for everyone, in an order of their own."""
    folder = checkout / "test"
    paths = (path.relative_to(folder).as_posix() for name in _FOLDERS for path in (folder / name).rglob("*.js"))
    return sorted(paths, key=lambda path: hashlib.sha256(f"{SEED}:{path}".encode()).digest())[:count]


async def run_all(checkout: Path, cases: Sequence[Case]) -> dict[str, str]:
    """Run every case; return what failed, with why. Raises ``RuntimeError`` when a test changed what others find."""
    harness, failed = Harness(checkout), dict[str, str]()
    async with Sandbox(SandboxConfig(workers=os.cpu_count() or 1)) as sandbox:

        async def run(case: Case) -> None:
            async with room:
                reason = await run_case(sandbox, harness, case)
            if reason is not None:
                failed[case.name] = reason

        room = anyio.CapacityLimiter(os.cpu_count() or 1)
        for start in range(0, len(cases), _BATCH):
            async with anyio.create_task_group() as tasks:
                for case in cases[start : start + _BATCH]:
                    tasks.start_soon(run, case)
            outcome = await execute(sandbox, CANARY)
            if outcome.value != SINGS:
                raise RuntimeError(f"after {cases[start].name} and those after it a fresh isolate finds {outcome}")
    return failed


def compare(file: Path, ran: Iterable[str], failed: Mapping[str, str]) -> int:
    """Say what is new, and what has to go from the list; return 0 when nothing is either.

    Where there is no list yet, the failures become it.
    """
    if not file.exists():
        file.write_text("".join(f"{name}\n" for name in sorted(failed)))
        for name in sorted(failed):
            print(f"{name}\n     {failed[name]}")  # noqa: T201
        print(f"There was no list of failures: {file} is one now. Read it before you keep it.")  # noqa: T201
        return 0
    known = set(file.read_text().splitlines())
    new = sorted(set(failed) - known)
    mended = sorted(known & set(ran) - set(failed))
    for name in new:
        print(f"new: {name}\n     {failed[name]}")  # noqa: T201
    for name in mended:
        print(f"passes now; take it off the list: {name}")  # noqa: T201
    kinds = Counter(reason.partition(":")[0] for reason in failed.values())
    print("Failures by kind: " + (", ".join(f"{kind} {count}" for kind, count in kinds.most_common(8)) or "none"))  # noqa: T201
    return 1 if new or mended else 0


if __name__ == "__main__":
    sys.exit(main())
