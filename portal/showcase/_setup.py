"""The configuration that is shown: the demo tracker, git on one repository, and the time of day."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from portal._config import Config
from portal._errors import ConfigError
from portal._server_config import ServerConfig

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS: Final = {
    "mcp_server_git": "mcp-server-git",
    "mcp_server_time": "mcp-server-time",
    "bpe_openai": "bpe-openai",
}


def demo_config(*, repository: Path, port: int | None) -> Config:
    """Describe a portal on loopback with three upstreams: in process, and two programs of PyPI over stdio.

    Raises ``ConfigError`` when a program that it needs is not installed or ``repository`` is no folder.
    """
    missing = [distribution for module, distribution in _PROGRAMS.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(f"the demo needs {', '.join(missing)}: install them with `pip install 'portico[demo]'`.")
    if not repository.is_dir():
        raise ConfigError(f"{repository} is not a folder: name a Git repository with --repository.")
    base = Config.from_env(port=port)
    return replace(base, portals=(), servers=(*base.servers, *_programs(repository)))


def is_repository(folder: Path) -> bool:
    """Whether this folder is the top of a Git repository."""
    is_bare = (folder / "HEAD").is_file() and (folder / "objects").is_dir()
    return is_bare or (folder / ".git").exists()


def _programs(repository: Path) -> tuple[ServerConfig, ...]:
    # Run by module with this very interpreter: found wherever the environment is, on the PATH or not.
    python = sys.executable
    # Without a history there, the server would not start for this folder alone; its tools then answer with an error.
    confined = ("--repository", str(repository)) if is_repository(repository) else ()
    return (
        ServerConfig(
            id="repo",
            name="Git (mcp-server-git)",
            command=python,
            args=("-m", "mcp_server_git", *confined),
        ),
        ServerConfig(
            id="time",
            name="Time (mcp-server-time)",
            command=python,
            args=("-m", "mcp_server_time", "--local-timezone", "UTC"),
        ),
    )
