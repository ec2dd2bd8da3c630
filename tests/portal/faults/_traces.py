"""What this process, or another one, holds at a moment: tasks, sockets, children, memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import anyio

SETTLE_S = 10.0
"""A bound on liveness: everything is let go of within a second or two on a machine of one's own."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What this process holds: tasks of its loop, sockets and other descriptors, children."""

    tasks: int
    descriptors: int
    children: int

    def within(self, other: Traces, *, kept: int) -> bool:
        """Whether there is no more than ``other`` held, beside ``kept`` connections that wait for the next request."""
        return (
            self.tasks <= other.tasks
            and self.descriptors <= other.descriptors + 2 * kept  # both of their ends are in this process
            and self.children <= other.children
        )


def traces() -> Traces:
    """Look at this process; tasks of upstreams that a test serves do not count: one is for each connection."""
    children = sum(_children_of(thread) for thread in Path("/proc/self/task").iterdir())
    tasks = [task for task in asyncio.all_tasks() if "serving_scripted" not in repr(task.get_coro())]
    return Traces(tasks=len(tasks), descriptors=len(list(Path("/proc/self/fd").iterdir())), children=children)


def _children_of(thread: Path) -> int:
    try:
        return len((thread / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return 0


async def until_gone(before: Traces, *, kept: int = 0) -> None:
    """Wait until no more is held than before."""
    with anyio.move_on_after(SETTLE_S):
        while not traces().within(before, kept=kept):  # noqa: ASYNC110 -- what is waited for is the end of others' tasks
            await anyio.sleep(0.02)
    assert traces().within(before, kept=kept), (before, traces())


def resident_bytes(pid: int | str = "self") -> int:
    """Return the memory of a process that is its own, without pages of files."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024
