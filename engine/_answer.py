"""What an agent gets back from a run: one text, then the content blocks that the program returned or emitted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from engine._blocks import BlockCollector, may_hold_blocks
from engine._cut import cut_text, cut_value
from engine._failure import failure_text
from engine._quote import quoted_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine._catalog import Catalog, CatalogTool
    from engine._limits import EngineLimits
    from engine._records import CallFact, RunRecord
    from sandbox import LogLine, Outcome
    from typegen import JsonObject, JsonValue

_PLACES_SHOWN = 5
_CUTS_SHOWN = 10
_FOUND_KEYS = {"name", "server", "description", "declaration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back to the client: ``blocks`` are MCP content blocks, the text first; ``run`` is what is recorded."""

    text: str
    blocks: tuple[JsonObject, ...]
    is_error: bool
    run: RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerText:
    """The parts of an answer's text, its notes, the blocks beside it, and what of the value was left out."""

    parts: tuple[str, ...]
    notes: tuple[str, ...]
    media: tuple[JsonObject, ...]
    left_out: tuple[str, ...]

    def text(self, *, kept_as: str | None) -> str:
        """Return the whole text, which promises the rest of a cut value where that is ``kept_as`` a run's result."""
        notes = self.notes
        if self.left_out:
            rest = f'all of it: codemode.result("{kept_as}")' if kept_as else "the rest is not kept: return less"
            told = [*self.left_out[:_CUTS_SHOWN], *(["…"] if len(self.left_out) > _CUTS_SHOWN else [])]
            notes = (f"cut: {'; '.join(told)}; {rest}", *notes)
        return "\n".join([*self.parts, *map("[{}]".format, notes)])


def write_answer(
    outcome: Outcome,
    *,
    source: str,
    catalog: Catalog,
    calls: Sequence[CallFact],
    returned: Callable[[], Iterable[tuple[CatalogTool, JsonValue]]],
    emitted: Sequence[JsonObject],
    notes: Sequence[str],
    limits: EngineLimits,
) -> AnswerText:
    """Write the answer of a finished run.

    The value comes first: a returned string as it is, found tools as TypeScript, anything else as compact JSON. Then
    the console under ``--- logs``, then notes in brackets. With no value the console is the answer. Text that the
    program emitted stands above it all, in the room that the rest leaves.
    """
    collector = BlockCollector()
    emitted_texts: list[str] = []
    for block in emitted:
        if block["type"] == "text":
            emitted_texts.append(str(block["text"]))
        else:
            collector.blocks.append(block)
    emitted_text = "\n".join(emitted_texts)
    parts: list[str] = []
    notes = [*notes, *_notes(outcome)]
    value_left_out: list[str] = []
    logs = _log_text(outcome.logs, limits.log_chars) if outcome.logs else ""
    if outcome.error is not None:
        parts.append(failure_text(outcome.error, source=source, catalog=catalog, returned=returned()))
        parts.extend(calls_text(calls))
    elif outcome.value is not None:
        room = max(limits.answer_chars - len(logs) - len(emitted_text), limits.answer_chars // 2)
        text, value_left_out = _value_text(outcome.value, collector, room)
        parts.append(text)
    elif logs:
        # With no value the console is the answer, so it needs no heading.
        parts.append(logs)
        logs = ""
    elif not (emitted or collector.blocks):
        notes.insert(0, "no result: the program returned undefined; return a value, or print one with console.log")
    if logs:
        parts.append(f"--- logs\n{logs}")
    if emitted_text:
        cut = cut_text(emitted_text, max(0, limits.answer_chars - sum(map(len, parts))))
        parts.insert(0, str(cut.value))
        notes.extend(f"cut: {left_out} of the text that was emitted" for left_out in cut.left_out)
    return AnswerText(
        parts=tuple(parts), notes=tuple(notes), media=tuple(collector.blocks), left_out=tuple(value_left_out)
    )


def lost_text(calls: Sequence[CallFact]) -> str:
    """Write the answer of a run whose isolate was lost through no fault of the program."""
    return "\n".join(["Stopped: the isolate was lost; the program may be sent again.", *calls_text(calls)])


def resume_text(run_id: str) -> str:
    """Say how to send the corrected program."""
    return f'Send the fix with resume "{run_id}": finished calls are not sent again.'


def calls_text(calls: Sequence[CallFact]) -> list[str]:
    """Say how many calls completed and which changes were already made; nothing where no call was made."""
    if not calls:
        return []
    completed = [call for call in calls if call.status == "ok"]
    replayed = sum(call.status == "replayed" for call in calls)
    failed = len(calls) - len(completed) - replayed
    line = f"{len(completed)} {'call' if len(completed) == 1 else 'calls'} ok"
    line += f", {failed} failed" if failed else ""
    line += f", {replayed} answered from the earlier run" if replayed else ""
    changes = Counter(call.identifier for call in completed if not call.is_read_only)
    made = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in changes.items())
    return [f"{line}. Changes made: {made or 'none'}."]


def _value_text(value: bytes, collector: BlockCollector, room: int) -> tuple[str, list[str]]:
    """Return the text of a value within ``room`` characters, and what was left out."""
    is_text = value.startswith(b'"')
    if not is_text and not may_hold_blocks(value) and b'"declaration"' not in value and len(value) <= room:
        return value.decode(), []
    parsed: JsonValue = collector.take_from(orjson.loads(value))
    if not isinstance(parsed, str):
        found = _found_tools(parsed)
        if found is None:
            cut = cut_value(parsed, room)
            return orjson.dumps(cut.value).decode(), cut.left_out
        parsed = found
    cut = cut_text(parsed, room)
    return str(cut.value), cut.left_out


def _found_tools(value: JsonValue) -> str | None:
    """Return the declarations of a search result as TypeScript; None where ``value`` is none."""
    entries = value if isinstance(value, list) else [value]
    if not entries:
        return None
    declarations = []
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != _FOUND_KEYS or not isinstance(entry["declaration"], str):
            return None
        declarations.append(entry["declaration"])
    return "\n\n".join(declarations)


def _log_text(lines: Sequence[LogLine], room: int) -> str:
    """Return the console lines; when they are too long, their head and their tail, where errors usually are."""
    texts = [line.text if line.level in {"log", "info"} else f"[{line.level}] {line.text}" for line in lines]
    if sum(len(text) + 1 for text in texts) <= room:
        return "\n".join(texts)
    head, head_used = _lines_within(texts, room // 2)
    tail, _ = _lines_within(list(reversed(texts[len(head) :])), room - head_used)
    left_out = len(texts) - len(head) - len(tail)
    if not head and not tail:
        return f"{texts[0][:room]}… [cut: {sum(map(len, texts)) - room} more characters of logs]"
    return "\n".join([*head, f"[cut: {left_out} of {len(texts)} log lines]", *reversed(tail)])


def _lines_within(texts: Sequence[str], room: int) -> tuple[list[str], int]:
    kept: list[str] = []
    used = 0
    for text in texts:
        if used + len(text) + 1 > room:
            break
        kept.append(text)
        used += len(text) + 1
    return kept, used


def _notes(outcome: Outcome) -> list[str]:
    """Say what the program forgot: calls and errors that nobody waited for, timers that never fired."""
    notes = []
    if outcome.unawaited_count:
        places = _places(
            [(f"codemode.{quoted_part(call.method)}", call.line, call.column) for call in outcome.unawaited]
        )
        notes.append(f"not awaited: {places}; the calls finished, but write await to use what they return")
    for rejection in outcome.unhandled[:_PLACES_SHOWN]:
        where = _place(rejection.line, rejection.column)
        who = f"codemode.{quoted_part(rejection.method)}: " if rejection.method else ""
        notes.append(f"unhandled error{where}: {who}{_bounded(rejection.message)}")
    if len(outcome.unhandled) > _PLACES_SHOWN:
        notes.append(f"and {len(outcome.unhandled) - _PLACES_SHOWN} more unhandled errors")
    if outcome.dropped_timers:
        count = outcome.dropped_timers
        notes.append(f"{count} {'timer' if count == 1 else 'timers'} never fired: the program ended first; await them")
    return notes


def _places(found: Sequence[tuple[str, int | None, int | None]]) -> str:
    shown = [f"{name}{_place(line, column)}" for name, line, column in found[:_PLACES_SHOWN]]
    more = len(found) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _place(line: int | None, column: int | None) -> str:
    return f" at {line}:{column}" if line is not None else ""


def _bounded(text: str) -> str:
    return quoted_part(text, 500)
