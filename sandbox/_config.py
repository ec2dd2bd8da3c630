"""How a sandbox is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_RUNS_PER_WORKER = 500  # each waiting run maps about 10 areas of memory, of 65,530 that a process may have
DEFAULT_WORKER_BYTES = 2 * 2**30  # that many idle isolates of 1.7 MiB, or 16 of the default size, all full
MIN_WORKER_BYTES = 2**28  # the interpreter, wasmtime and a few isolates


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How a sandbox is built. Raises ``ValueError`` when a number makes no sense.

    ``workers=None`` means one a core and at least two. More are added while all are inside long turns, up to
    ``max_workers`` (``None``: four for each). ``worker_bytes`` caps the data of one worker process.
    ``cache_dir=None`` means a folder of the user's own. With ``require_isolation`` the sandbox refuses to open where
    neither Landlock nor seccomp confines its workers.
    """

    workers: int | None = None
    max_workers: int | None = None
    runs_per_worker: int = DEFAULT_RUNS_PER_WORKER
    worker_bytes: int = DEFAULT_WORKER_BYTES
    cache_dir: Path | None = None
    require_isolation: bool = False

    def __post_init__(self) -> None:
        if (self.workers or 1) < 1 or self.runs_per_worker < 1 or (self.max_workers or 1) < 1:
            raise ValueError("workers, max_workers and runs_per_worker must be at least 1")
        if self.worker_bytes < MIN_WORKER_BYTES:
            raise ValueError("worker_bytes must be at least 256 MiB")
