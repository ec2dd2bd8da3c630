"""Runs kept for a while after they ended: results for ``codemode.result``, completed calls for ``resume``."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine._journal import KeptCall

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without characters that models and people confuse."""
_SPELLED = bytes(ord(_ALPHABET[byte % len(_ALPHABET)]) for byte in range(256))
_ID_LENGTH = 5
"""28 million ids: two runs of one owner within a quarter of an hour practically never share one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """What is kept of a run: its ``value`` as JSON text, or the text of its ``failure``, and its completed calls."""

    value: bytes | None = None
    failure: str | None = None
    calls: tuple[KeptCall, ...] = ()

    @property
    def size_bytes(self) -> int:
        """How much of a quota it takes."""
        held = len(self.value or b"") + len(self.failure or "")
        return held + sum(len(call.arguments) + len(call.result) for call in self.calls)


class RunStore(Protocol):
    """Where kept runs live. A run belongs to its owner: under another owner's name its id finds nothing."""

    async def keep(self, owner: str, run_id: str, run: KeptRun) -> bool:
        """Keep ``run`` for a while; False when it does not fit."""
        ...

    async def find(self, owner: str, run_id: str) -> KeptRun | None:
        """Return a kept run, or None when it was never kept, has expired or is somebody else's."""
        ...


class MemoryRunStore:
    """Keeps runs in this process, the newest ``max_bytes`` of them, each for ``keep_s`` seconds."""

    def __init__(self, *, max_bytes: int, keep_s: float) -> None:
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._kept: OrderedDict[tuple[str, str], tuple[float, KeptRun]] = OrderedDict()
        self._bytes = 0

    async def keep(self, owner: str, run_id: str, run: KeptRun) -> bool:
        """Keep ``run``; the oldest go when it needs their room."""
        if run.size_bytes > self._max_bytes:
            return False
        self._drop(owner, run_id)
        self._kept[owner, run_id] = (time.monotonic() + self._keep_s, run)
        self._bytes += run.size_bytes
        while self._bytes > self._max_bytes or next(iter(self._kept.values()))[0] <= time.monotonic():
            self._drop(*next(iter(self._kept)))
        return True

    async def find(self, owner: str, run_id: str) -> KeptRun | None:
        """Return a run of ``owner`` that has not expired."""
        expires_at, run = self._kept.get((owner, run_id), (0.0, None))
        return run if expires_at > time.monotonic() else None

    def _drop(self, owner: str, run_id: str) -> None:
        dropped = self._kept.pop((owner, run_id), None)
        if dropped is not None:
            self._bytes -= dropped[1].size_bytes


def new_run_id() -> str:
    """Return a short random id, as in ``r7k2mq``."""
    return "r" + os.urandom(_ID_LENGTH).translate(_SPELLED).decode()
