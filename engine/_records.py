"""What is known of a finished run: facts for the log and the answer, never arguments or results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typegen import JsonObject


@dataclass(slots=True, kw_only=True)
class CallFact:
    """One tool call of a run: ``status`` is ``ok``, ``error``, or ``replayed`` when an earlier run had completed it.

    A call that is on its way counts as an ``error`` until it has its result.
    """

    identifier: str
    status: str
    is_read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One finished run. ``status`` is ``ok``, or the name of the error that ended it."""

    run_id: str
    source_sha256: str
    status: str
    duration_s: float
    cpu_s: float
    memory_bytes: int
    answer_chars: int
    calls: tuple[CallFact, ...]

    def as_json(self) -> JsonObject:
        """Return the record as one JSON object, calls counted by tool."""
        by_tool: dict[str, int] = {}
        calls_ok = 0
        for call in self.calls:
            by_tool[call.identifier] = by_tool.get(call.identifier, 0) + 1
            calls_ok += call.status == "ok"
        return {
            "run": self.run_id,
            "source_sha256": self.source_sha256,
            "status": self.status,
            "duration_ms": round(self.duration_s * 1000, 1),
            "cpu_ms": round(self.cpu_s * 1000, 1),
            "memory_bytes": self.memory_bytes,
            "answer_chars": self.answer_chars,
            "calls": len(self.calls),
            "calls_ok": calls_ok,
            "tools": {**by_tool},
        }
