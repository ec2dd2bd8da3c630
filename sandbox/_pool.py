"""The sandbox: a pool of sealed workers, and one run at a time through one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from sandbox._calls import HostCallHandler
    from sandbox._capabilities import Capabilities
    from sandbox._clock import RunClock
    from sandbox._limits import Limits
    from sandbox._outcome import Outcome
    from sandbox._seal import IsolationLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """How a sandbox is built. ``workers=None`` means one a core, at least two; ``cache_dir=None`` a private default."""

    workers: int | None = None
    cache_dir: Path | None = None
    require_isolation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker process: the runs that it holds, and whether it has been inside one turn for long."""

    pid: int
    runs: int
    is_in_long_turn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStatus:
    """The sandbox at this moment: ``layers`` are those of the workers, as the last one to start reported them."""

    workers: tuple[WorkerStatus, ...]
    active_runs: int
    waiting_runs: int
    layers: tuple[IsolationLayer, ...]


class Sandbox:
    """A pool of worker processes that run programs; open it with ``async with``."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self._config = config or SandboxConfig()

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def execute(
        self,
        source: str,
        *,
        limits: Limits,
        capabilities: Capabilities,
        on_call: HostCallHandler,
        clock: RunClock | None = None,
        seed: bytes | None = None,
    ) -> Outcome:
        """Run one program to its end, in a fresh isolate, and say what it came to."""
        raise NotImplementedError

    def status(self) -> SandboxStatus:
        """Report the workers, the runs and the isolation layers at this moment."""
        raise NotImplementedError
