"""What runs may use, how long an answer may be, and how long the store keeps what may go."""

from __future__ import annotations

from dataclasses import dataclass

from portal._errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What one run may use, and how long an answer may be."""

    run_cpu_s: float = 10.0  # a program that composes tools needs milliseconds; ten seconds is a loop gone wrong
    run_wall_s: float = 300.0  # the longest that common clients wait for one tool call
    memory_mb: int = 64  # room for some 20 MB of JSON from tools, parsed
    calls: int = 1_000  # pages through 100,000 items; stops a loop that never ends
    concurrent_calls: int = 16  # what an upstream meant for one user stands
    answer_chars: int = 24_000  # about 6,000 tokens; Claude Code cuts a tool's answer at 25,000 tokens

    def __post_init__(self) -> None:
        ranges = {
            "run_cpu_s": (0.01, 3_600),
            "run_wall_s": (0.01, 86_400),
            "memory_mb": (8, 4_096),
            "calls": (1, 1_000_000),
            "concurrent_calls": (1, 1_000),
            "answer_chars": (200, 10_000_000),
        }
        for key, (least, most) in ranges.items():
            if not least <= getattr(self, key) <= most:
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
