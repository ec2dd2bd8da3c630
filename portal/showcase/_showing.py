"""What one showing found out: every figure in it was measured while it ran."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portal.context import Bill
    from typegen import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRun:
    """The job in code mode: what the two programs answered, and what the portal says of the second run."""

    found: str
    answer: JsonObject
    run: JsonObject
    duration_s: float
    bill: Bill


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectRun:
    """The job by direct tool calls."""

    answer: JsonObject
    duration_s: float
    bill: Bill


def figures(url: str, code: CodeRun, direct: DirectRun) -> JsonObject:
    """Put what was measured into one JSON object, for programs."""
    return {
        "url": url,
        "answer": code.answer,
        "same_answer": code.answer == direct.answer,
        "found": code.found,
        "run": code.run,
        "code_mode": _way(code.bill, code.duration_s),
        "direct_calls": _way(direct.bill, direct.duration_s),
    }


def _way(cost: Bill, duration_s: float) -> JsonObject:
    return {**asdict(cost), "context": cost.context, "duration_ms": round(duration_s * 1000, 1)}
