"""What all runs of a sandbox may use together, and those of one user."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

DEFAULT_RUNS = 2_000  # each waits in about 10 areas of memory; a worker holds 500
DEFAULT_USER_RUNS = 32  # several agents with a handful of programs each
DEFAULT_WAITING = 1_000  # what a waiting run costs is its source
DEFAULT_USER_WAITING = 64
DEFAULT_WAIT_S = 15.0  # with the time that a run then computes, well within the 45 s after which an agent is told
DEFAULT_USER_CPU_S = 60.0  # a minute's use of one core, which is half of a small machine
DEFAULT_CPU_WINDOW_S = 60.0
DEFAULT_USER_MEMORY_BYTES = 2**30  # sixteen programs of the default limit, all full; most hold a hundredth of that
MEMORY_SHARE = 0.5  # of the machine: the rest is for the portal and whatever runs beside it
MIN_MEMORY_BYTES = 256 * 2**20
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What runs may use together. Raises ``ValueError`` that names the field when a number makes no sense.

    ``user_...`` hold for each user, and not for runs of nobody in particular (``owner=""``). ``runs`` have begun and
    are not over, waits for host calls included; past them runs wait, ``waiting`` of them for ``wait_s``, and past that
    they are refused. Processor time is what a user may use in any ``cpu_window_s`` in the long run, and up to twice
    that in one. Memory is what isolates have grown to, or may grow to in their first turn; ``None`` is half of the
    machine's.
    """

    runs: int = DEFAULT_RUNS
    user_runs: int = DEFAULT_USER_RUNS
    waiting: int = DEFAULT_WAITING
    user_waiting: int = DEFAULT_USER_WAITING
    wait_s: float = DEFAULT_WAIT_S
    cpu_s: float | None = None
    user_cpu_s: float = DEFAULT_USER_CPU_S
    cpu_window_s: float = DEFAULT_CPU_WINDOW_S
    memory_bytes: int | None = None
    user_memory_bytes: int = DEFAULT_USER_MEMORY_BYTES

    def __post_init__(self) -> None:
        for field in fields(self):
            low = MIN_MEMORY_BYTES if field.name == "memory_bytes" else _LEAST.get(field.name, 1)
            value = getattr(self, field.name)
            if value is not None and not value >= low:
                raise ValueError(f"{field.name} must be at least {low:g}, not {value!r}")

    @property
    def total_memory_bytes(self) -> int:
        """``memory_bytes``, or what that is on this machine."""
        return self.memory_bytes or max(MIN_MEMORY_BYTES, int(machine_memory_bytes() * MEMORY_SHARE))


_LEAST = {"waiting": 0, "user_waiting": 0, "wait_s": 0.0, "cpu_s": 0.01, "user_cpu_s": 0.01, "cpu_window_s": 0.01}


def machine_memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or its container's where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)
