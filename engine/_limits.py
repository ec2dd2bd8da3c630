"""The engine's own limits, beside those of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox import Limits

ANSWER_CHARS = 24_000
"""About 6,000 tokens: what clients show without cutting, and the figure that peers chose."""
LOG_CHARS = 6_000
"""A quarter of an answer: the console helps to read a result and never hides it."""
KEPT_RESULT_S = 15 * 60.0
"""Long enough for an agent to come back for the rest in its next few turns."""
KEPT_RESULT_BYTES = 64 * 2**20
"""All kept results of one process together; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLimits:
    """What one run may use and what one answer may hold."""

    run: Limits = field(default_factory=Limits)
    answer_chars: int = ANSWER_CHARS
    log_chars: int = LOG_CHARS
    kept_result_s: float = KEPT_RESULT_S
    kept_result_bytes: int = KEPT_RESULT_BYTES

    def __post_init__(self) -> None:
        """Refuse limits under which no answer could be given."""
        for name in ("answer_chars", "log_chars", "kept_result_bytes"):
            if getattr(self, name) < 256:
                raise ValueError(f"{name} must be at least 256")
        if self.kept_result_s <= 0:
            raise ValueError("kept_result_s must be positive")
