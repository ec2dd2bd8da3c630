"""Ten real servers at once, of three protocol eras, from npm and PyPI: all of them listed, and one tool of each called.

The servers want nothing from outside: where one needs a token, a browser or the network, its own error counts.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance._running import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import JsonObject
    from tests.acceptance._clients import RealClient
    from tests.acceptance._running import RunningPortal

ROOT = Path(__file__).parents[2]
TOOLS_OF = {
    "everything": 13,
    "files": 14,
    "memory": 9,
    "git": 12,
    "thinking": 1,
    "github": 26,
    "browser": 25,
    "time": 2,
    "fetch": 1,
    "sqlite": 6,
}
"""How many tools the pinned versions list."""

CALLS: dict[str, tuple[JsonObject, str]] = {
    "everything_get-sum": ({"a": 2, "b": 3}, "The sum of 2 and 3 is 5."),
    "files_list_allowed_directories": ({}, "Allowed directories"),
    "memory_read_graph": ({}, "entities"),
    "git_git_log": ({"repo_path": ".", "max_count": 1}, "Close note 8"),
    "thinking_sequentialthinking": (
        {"thought": "One", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
        "thoughtHistoryLength",
    ),
    "github_search_repositories": ({"query": "portico"}, ""),  # it has no token, and no way out
    "browser_browser_tabs": ({"action": "list"}, ""),  # it has no browser
    "time_get_current_time": ({"timezone": "Europe/Vienna"}, "Europe/Vienna"),
    "fetch_fetch": ({"url": "http://127.0.0.1:9/"}, "fetch"),  # nothing listens there, and it says so
    "sqlite_list_tables": ({}, "[]"),
}
"""A call of one tool of each, and what its answer has to contain."""


@pytest.fixture(scope="module")
def portal_of_ten(
    servers: list[JsonObject],
    repository: Path,
    node: Path,
    node_modules: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningPortal]:
    """A running portal over all ten."""
    npm, programs = node_modules / "@modelcontextprotocol", Path(sys.executable).parent
    database = tmp_path_factory.mktemp("sqlite") / "data.db"
    more: list[JsonObject] = [
        {"id": "thinking", "command": str(node), "args": [str(npm / "server-sequential-thinking/dist/index.js")]},
        {"id": "github", "command": str(node), "args": [str(npm / "server-github/dist/index.js")]},
        {
            "id": "browser",
            "command": str(node),
            "args": [str(node_modules / "@playwright/mcp/cli.js"), "--headless", "--executable-path", "/nonexistent"],
        },
        {"id": "time", "command": str(programs / "mcp-server-time")},
        {"id": "fetch", "command": str(programs / "mcp-server-fetch"), "args": ["--ignore-robots-txt"]},
        {
            "id": "sqlite",
            "command": str(ROOT / ".venv/sqlite-server/bin/mcp-server-sqlite"),
            "args": ["--db-path", str(database)],
        },
    ]
    with serving({"servers": [*servers, *more]}, tmp_path_factory.mktemp("ten")) as running:
        yield running


@pytest.mark.parametrize("client", ["sdk-legacy", "sdk-auto", "inspector-auto", "mcp-remote-auto"], indirect=True)
async def test_ten_servers_are_listed_whole_and_each_answers_a_call(
    client: RealClient, portal_of_ten: RunningPortal, repository: Path
) -> None:
    async with client.connect(portal_of_ten.url) as session:
        tools = await session.tools()
        answers = {
            name: await session.call(
                name, {**given, **({"repo_path": str(repository)} if "repo_path" in given else {})}
            )
            for name, (given, _) in CALLS.items()
        }

    assert {server: sum(name.startswith(f"{server}_") for name in tools) for server in TOOLS_OF} == TOOLS_OF
    assert {name: answer for name, answer in answers.items() if not answer or CALLS[name][1] not in answer} == {}


def test_the_ten_speak_three_eras_of_the_protocol(portal_of_ten: RunningPortal) -> None:
    log = portal_of_ten.log.read_text()

    assert {version for version in ("2024-11-05", "2025-11-25", "2026-07-28") if f"MCP {version}" in log} == {
        "2024-11-05",
        "2025-11-25",
        "2026-07-28",
    }
