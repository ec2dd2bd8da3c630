"""Real MCP servers, from npm and PyPI, and one portal over all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance._clients import Inspector, McpRemote, RealClient, SdkClient
from tests.acceptance._running import RunningPortal, free_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import JsonObject

NOTES = 24  # more than the default limit of concurrent calls, so that some of them queue


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of JSON notes, each with an owner and points, and one file that is not JSON."""
    folder = tmp_path_factory.mktemp("notes")
    for number in range(NOTES):
        note = {"id": number, "owner": ("ada", "grace", "linus")[number % 3], "points": number}
        (folder / f"note-{number:02}.json").write_text(json.dumps(note))
    (folder / "broken.json").write_text("{not json")
    return folder


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository of three commits, whose messages name the notes they are about."""
    folder = tmp_path_factory.mktemp("repository")
    identity = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"}
    environ = os.environ | identity | {name.replace("AUTHOR", "COMMITTER"): value for name, value in identity.items()}

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, env=environ, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    for number in (3, 5, 8):
        (folder / "file.txt").write_text(f"{number}\n")
        git("add", ".")
        git("commit", "--message", f"Close note {number}")
    return folder


@pytest.fixture(scope="session")
def everything_url(node: Path, node_modules: Path) -> Iterator[str]:
    """server-everything from npm, over Streamable HTTP."""
    port = free_port()
    program = node_modules / "@modelcontextprotocol/server-everything/dist/index.js"
    with subprocess.Popen(
        [node, program, "streamableHttp"], env=os.environ | {"PORT": str(port)}, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            heard = next((line for line in server.stderr if "listening" in line), None)
            assert heard is not None, "server-everything ended before it listened"
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def servers(
    everything_url: str,
    notes: Path,
    repository: Path,
    node: Path,
    node_modules: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[JsonObject]:
    """The four upstreams as a configuration names them: one over HTTP, two from npm and one from PyPI over stdio."""
    npm = node_modules / "@modelcontextprotocol"
    memory = tmp_path_factory.mktemp("memory") / "memory.jsonl"
    return [
        {"id": "everything", "url": everything_url},
        {"id": "files", "command": str(node), "args": [str(npm / "server-filesystem/dist/index.js"), str(notes)]},
        {
            "id": "memory",
            "command": str(node),
            "args": [str(npm / "server-memory/dist/index.js")],
            "env": {"MEMORY_FILE_PATH": str(memory)},
        },
        {
            "id": "git",
            "command": str(Path(sys.executable).parent / "mcp-server-git"),
            "args": ["--repository", str(repository)],
        },
    ]


@pytest.fixture(scope="session")
def portal(servers: list[JsonObject], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """One running portal over the four servers, shared by the tests of this folder."""
    with serving({"servers": [*servers]}, tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture(
    params=[
        "sdk-legacy",
        "sdk-auto",
        "inspector-legacy",
        "inspector-auto",
        "inspector-modern",
        "mcp-remote-legacy",
        "mcp-remote-auto",
    ]
)
def client(request: pytest.FixtureRequest, node: Path, node_modules: Path) -> RealClient:
    """Each real client in each era that it can be asked to speak."""
    clients: dict[str, RealClient] = {
        "sdk-legacy": SdkClient(mode="legacy"),
        "sdk-auto": SdkClient(mode="auto"),
        "inspector-legacy": Inspector(era="legacy", node=node, node_modules=node_modules),
        "inspector-auto": Inspector(era="auto", node=node, node_modules=node_modules),
        "inspector-modern": Inspector(era="modern", node=node, node_modules=node_modules),
        "mcp-remote-legacy": McpRemote(mode="legacy", node=node, node_modules=node_modules),
        "mcp-remote-auto": McpRemote(mode="auto", node=node, node_modules=node_modules),
    }
    return clients[request.param]
