"""How a sandbox is built."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from sandbox._bounds import Bounds

if TYPE_CHECKING:
    from pathlib import Path

Isolation: TypeAlias = Literal["shared", "user", "run"]

DEFAULT_RUNS_PER_WORKER = 500  # each waiting run maps about 10 areas of memory, of 65,530 that a process may have
DEFAULT_WORKER_BYTES = 2 * 2**30  # twice as many waiting isolates, of 1.7 MiB mapped, or 16 full ones
_MIN_WORKERS = 2  # one may be inside a long turn
_GROWTH = 3  # workers that may come on top, for each
MIN_WORKER_BYTES = 2**28  # the interpreter, wasmtime and a few isolates


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How a sandbox is built. Raises ``ValueError`` when a number makes no sense.

    ``workers=None`` means one a core and at least two. More are added while these are held up, up to ``max_workers``
    (``None``: four for each). ``worker_bytes`` caps the data of one worker process.
    ``cache_dir=None`` means a folder of the user's own. With ``require_isolation`` the sandbox refuses to open where
    neither Landlock nor seccomp confines its workers.

    Each run has an isolate of its own; ``isolation`` says who shares a process. ``shared``: anybody. ``user``: a worker
    serves one user and is replaced before the next. ``run``: each run has a process, forked from a template that never
    meets a program. ``bounds`` are what runs may use together.
    """

    workers: int | None = None
    max_workers: int | None = None
    runs_per_worker: int = DEFAULT_RUNS_PER_WORKER
    worker_bytes: int = DEFAULT_WORKER_BYTES
    cache_dir: Path | None = None
    require_isolation: bool = False
    isolation: Isolation = "shared"
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if (self.workers or 1) < 1 or self.runs_per_worker < 1 or (self.max_workers or 1) < 1:
            raise ValueError("workers, max_workers and runs_per_worker must be at least 1")
        if self.isolation not in get_args(Isolation):
            raise ValueError(f"isolation must be one of {', '.join(get_args(Isolation))}, not {self.isolation!r}")
        if self.worker_bytes < MIN_WORKER_BYTES:
            raise ValueError("worker_bytes must be at least 256 MiB")

    @property
    def base_workers(self) -> int:
        """``workers``, or what that is on this machine."""
        return self.workers or max(_MIN_WORKERS, os.cpu_count() or 1)

    @property
    def most_workers(self) -> int:
        """``max_workers``, or what that is on this machine."""
        return max(self.base_workers, self.max_workers or self.base_workers * (1 + _GROWTH))
