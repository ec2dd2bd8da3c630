"""What one run may use: each limit with its default and the reason for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

DEFAULT_CPU_S = 10.0  # composing a few thousand results takes well under one; a loop that hangs is stopped soon
DEFAULT_WALL_S = 300.0  # slow upstreams answer within a minute each; clients rarely wait longer than this in all
DEFAULT_MEMORY_BYTES = 64 * 2**20  # some hundred times the largest tool answer a program usually holds
DEFAULT_SOURCE_BYTES = 256 * 2**10  # a long program of a model is 20 KiB; parsing time grows with this
DEFAULT_CALL_BYTES = 4 * 2**20  # a file of a few MiB fits in one call's arguments
DEFAULT_CALL_DEPTH = 100  # deeper JSON breaks recursive parsers on the far side
DEFAULT_CALLS = 1_000  # a loop over every item of a few lists; a runaway loop ends here
DEFAULT_CONCURRENT_CALLS = 16  # as many as a browser would open to a handful of hosts; the rest queue
DEFAULT_LOG_BYTES = 256 * 2**10  # several times what any answer shows of it
DEFAULT_RESULT_BYTES = 8 * 2**20  # kept on the host and cut for the answer; must cross a socket in milliseconds

STACK_BYTES = 768 * 2**10  # fixed: JS_STACK_BYTES of the guest, where it is said why; a trap past it names the same
MIN_MEMORY_BYTES = 2 * 2**20  # the snapshot's own values are 0.3 MiB of it, and a small program needs little more
MAX_MEMORY_BYTES = 1 * 2**30  # a worker's own data limit is twice this
# Linear memory beyond the JavaScript heap that `memory_bytes` limits: the snapshot, the stack, the allocator's losses,
# and what crosses (an answer of 32 MiB on its way in is one copy here and one on the heap).
MEMORY_BESIDE_HEAP_BYTES = 48 * 2**20
MAX_TEXT_BYTES = 64 * 2**20  # one frame carries any of these whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use. Raises ``ValueError`` that names the field when a value makes no sense.

    ``wall_s`` counts waits for host calls, but no time during which the run's clock is paused.
    ``call_bytes`` bounds the arguments of one host call, and ``call_depth`` their nesting. Those of calls without an
    answer yet may have ``memory_bytes`` together: they wait outside the isolate.
    """

    cpu_s: float = DEFAULT_CPU_S
    wall_s: float = DEFAULT_WALL_S
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    source_bytes: int = DEFAULT_SOURCE_BYTES
    call_bytes: int = DEFAULT_CALL_BYTES
    call_depth: int = DEFAULT_CALL_DEPTH
    calls: int = DEFAULT_CALLS
    concurrent_calls: int = DEFAULT_CONCURRENT_CALLS
    log_bytes: int = DEFAULT_LOG_BYTES
    result_bytes: int = DEFAULT_RESULT_BYTES

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))


_RANGES: dict[str, tuple[float, float]] = {
    "cpu_s": (0.001, 86_400),
    "wall_s": (0.001, 7 * 86_400),
    "memory_bytes": (MIN_MEMORY_BYTES, MAX_MEMORY_BYTES),
    "source_bytes": (1, MAX_TEXT_BYTES),
    "call_bytes": (2, MAX_TEXT_BYTES),
    "call_depth": (1, 1_000),
    "calls": (0, 1_000_000),
    "concurrent_calls": (1, 10_000),
    "log_bytes": (0, MAX_TEXT_BYTES),
    "result_bytes": (1, MAX_TEXT_BYTES),
}


def _check(name: str, value: float) -> None:
    low, high = _RANGES[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number, not {value!r}")
    if not name.endswith("_s") and not isinstance(value, int):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, not {value:g}")
