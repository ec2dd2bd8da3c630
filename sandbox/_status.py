"""What a sandbox tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox._config import Isolation
    from sandbox._seal import IsolationLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker process: the runs that it holds, and whether it has been inside one turn for long."""

    pid: int
    runs: int
    is_in_long_turn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStatus:
    """The sandbox at this moment; ``waiting_runs`` have no worker yet, ``layers`` are those of the newest worker.

    ``lost_workers`` ended by themselves or were killed, since the start; ``refused_runs`` were to come back later.
    ``module_path`` is the compiled guest, and ``is_module_kept`` whether that is a cache for the next start too.
    ``analyst_pid`` is the process that reads programs before they run; None before the first and after a crash.
    """

    isolation: Isolation
    workers: tuple[WorkerStatus, ...]
    lost_workers: int
    active_runs: int
    waiting_runs: int
    refused_runs: int
    layers: tuple[IsolationLayer, ...]
    module_path: Path
    is_module_kept: bool
    analyst_pid: int | None
