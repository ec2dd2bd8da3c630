"""The engine's own limits, beside those of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox import Limits

ANSWER_CHARS = 24_000
"""About 6,000 tokens: what clients show without cutting, and the figure that peers chose."""
LOG_CHARS = 6_000
"""A quarter of an answer: the console helps to read a result and never hides it."""
KEPT_S = 15 * 60.0
"""Long enough for an agent to come back for the rest, or with the fix, in its next few turns."""
KEPT_BYTES = 64 * 2**20
"""All kept runs of one process together; the oldest go first."""
KEPT_RUN_BYTES = 16 * 2**20
"""The completed calls of one failed run: a few hundred large tool answers."""
BACKGROUND_AFTER_S = 45.0
"""Common clients cut a tool call at 60 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What one run may use, what one answer may hold, and what is kept of a run afterwards."""

    run: Limits = field(default_factory=Limits)
    answer_chars: int = ANSWER_CHARS
    log_chars: int = LOG_CHARS
    kept_s: float = KEPT_S
    kept_bytes: int = KEPT_BYTES
    kept_run_bytes: int = KEPT_RUN_BYTES
    background_after_s: float = BACKGROUND_AFTER_S

    def __post_init__(self) -> None:
        """Refuse limits under which no answer could be given."""
        for name in ("answer_chars", "log_chars", "kept_bytes", "kept_run_bytes"):
            if getattr(self, name) < 200:
                raise ValueError(f"{name} must be at least 200, not {getattr(self, name)}")
        for name in ("kept_s", "background_after_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
