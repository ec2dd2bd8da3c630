"""Results kept on the host for a while, so that a cut answer is never lost: ``codemode.result(run)``."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Without characters that models and people confuse."""
_ID_LENGTH = 4


@dataclass(frozen=True, slots=True)
class _Kept:
    value: bytes
    expires_at: float


class KeptResults:
    """The JSON results of recent runs of this process, bound to their owner, within a quota.

    An id is useless to any other owner: it is looked up under the owner's name and nowhere else.
    """

    def __init__(self, *, max_bytes: int, keep_s: float) -> None:
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._bytes = 0

    def new_run_id(self, owner: str) -> str:
        """Return a short id that no kept result of ``owner`` has."""
        while True:
            run_id = "r" + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
            if (owner, run_id) not in self._kept:
                return run_id

    def keep(self, owner: str, run_id: str, value: bytes) -> bool:
        """Keep ``value`` (JSON text); False when it alone exceeds the quota."""
        if len(value) > self._max_bytes:
            return False
        self._kept[owner, run_id] = _Kept(value, time.monotonic() + self._keep_s)
        self._bytes += len(value)
        self._drop_excess()
        return True

    def find(self, owner: str, run_id: str) -> bytes | None:
        """Return the kept result, or None when it was never kept, has expired or belongs to somebody else."""
        kept = self._kept.get((owner, run_id))
        return kept.value if kept is not None and kept.expires_at > time.monotonic() else None

    def _drop_excess(self) -> None:
        now = time.monotonic()
        while self._kept:
            key, oldest = next(iter(self._kept.items()))
            if self._bytes <= self._max_bytes and oldest.expires_at > now:
                return
            del self._kept[key]
            self._bytes -= len(oldest.value)
