"""What runs may use, how long an answer may be, and how long the store keeps what may go."""

from __future__ import annotations

from dataclasses import dataclass

from portal._errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What one run may use, how long an answer may be, and what the runs of one user, and all, may use together.

    A user's ``user_cpu_s`` are for each minute. ``total_memory_mb`` is ``None`` for half of the machine's memory.
    """

    run_cpu_s: float = 10.0  # a program that composes tools needs milliseconds; ten seconds is a loop gone wrong
    run_wall_s: float = 300.0  # the longest that common clients wait for one tool call
    memory_mb: int = 64  # room for some 20 MB of JSON from tools, parsed
    calls: int = 1_000  # pages through 100,000 items; stops a loop that never ends
    concurrent_calls: int = 16  # what an upstream meant for one user stands
    answer_chars: int = 24_000  # about 6,000 tokens; Claude Code cuts a tool's answer at 25,000 tokens
    user_runs: int = 32  # several agents with a handful of programs each
    user_waiting: int = 64  # more of one user's programs than anybody waits for
    user_cpu_s: float = 60.0  # one core all the time: half of a small machine
    user_memory_mb: int = 1_024  # sixteen programs that are full; most hold a hundredth of that
    total_runs: int = 2_000  # most of them wait for an upstream; each is 130 KB then
    total_memory_mb: int | None = None

    def __post_init__(self) -> None:
        ranges = {
            "run_cpu_s": (0.01, 3_600),
            "run_wall_s": (0.01, 86_400),
            "memory_mb": (8, 1_024),  # an isolate has no more, see sandbox.Limits
            "calls": (1, 1_000_000),
            "concurrent_calls": (1, 1_000),
            "answer_chars": (200, 10_000_000),
            "user_runs": (1, 10_000),
            "user_waiting": (0, 10_000),
            "user_cpu_s": (1, 86_400),
            "user_memory_mb": (64, 1_000_000),
            "total_runs": (1, 6_000),
            "total_memory_mb": (256, 10_000_000),
        }
        for key, (least, most) in ranges.items():
            value = getattr(self, key)
            if value is not None and not least <= value <= most:
                raise ConfigError(f"limits.{key} must be between {least} and {most}.", key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionConfig:
    """How long the store keeps what may go."""

    logs_days: int = 30  # records of calls and runs: a month to look back over
    results_minutes: int = 15  # results and finished calls of runs: an agent's next few turns

    def __post_init__(self) -> None:
        ranges = {"logs_days": (1, 36_500), "results_minutes": (1, 1_440)}
        for key, (least, most) in ranges.items():
            if not least <= getattr(self, key) <= most:
                raise ConfigError(f"retention.{key} must be between {least} and {most}.", key=key)
