"""The conformance suite of MCP: run against one address, and what it found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.acceptance._running import first_line, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_TIMEOUT_S = 240.0  # it takes three seconds; machines that run the tests do other things too
SCENARIO_TIMEOUT_MS = "60000"
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One published version of the suite, and what of it is run. ``package`` is its name in package.json."""

    package: str
    arguments: tuple[str, ...]

    def run(self, url: str, *, node: Path, node_modules: Path, folder: Path) -> Findings:
        """Run against ``url`` and read what the suite wrote down, check by check."""
        program = node_modules / self.package / "dist" / "index.js"
        command: list[str | Path] = [node, program, "server", "--url", url, "--output-dir", folder, *self.arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, cwd=folder)
        results = {file: json.loads(file.read_text()) for file in folder.glob("server-*/checks.json")}
        assert results, done.stdout + done.stderr
        checks = [(_scenario(file), check) for file, found in results.items() for check in found]
        unscored = done.stdout.partition("Not scored")[2]
        return Findings(
            exit_code=done.returncode,
            passed=sum(check["status"] == "SUCCESS" for _, check in checks),
            failed={
                (scenario, check["id"]): str(check.get("errorMessage"))
                for scenario, check in checks
                if check["status"] == "FAILURE"
            },
            unscored=frozenset(re.findall(r"^ +\S ([a-z0-9-]+) \(", unscored, re.MULTILINE)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one run of the suite found: ``failed`` says why, by scenario and check."""

    exit_code: int
    passed: int
    failed: dict[tuple[str, str], str]
    unscored: frozenset[str]


ACTIVE = Suite(package="conformance-stable", arguments=())
"""The suite that is published as the latest: 40 checks of the versions up to 2025-11-25."""
REQUIREMENTS = {
    revision: Suite(
        package="conformance-next", arguments=("--requirements", revision, "--timeout", SCENARIO_TIMEOUT_MS)
    )
    for revision in ("2025-11-25", "2026-07-28")
}
"""The suite to come, with what each revision of the specification requires."""


@contextmanager
def fixture_server(log: Path) -> Iterator[str]:
    """Serve the server that the suite asks for, until the block ends; gives its URL."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "tests.acceptance.conformance._fixture", str(port)]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            first_line(process, log)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


def _scenario(file: Path) -> str:
    # server-<scenario>-<time>, where the time begins with a year
    return re.sub(r"^server-|-20\d\d-\d\d-\d\dT.*$", "", file.parent.name)
