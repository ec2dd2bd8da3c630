"""Reading what a guest hands over: host calls, console lines and the end of a run, as JSON text.

The text is untrusted: a guest may have corrupted its own memory. Whatever is not as agreed raises ``ProtocolError``.
Large members are cut out of their record as they are and never parsed here. That is safe in a record that is as agreed:
the names around them stand there unescaped, as they cannot stand inside a JSON string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import orjson

from sandbox._calls import HostCall
from sandbox._causes import MEMORY_MESSAGE, STACK_MESSAGE
from sandbox._errors import (
    CallLimitExceeded,
    GuestError,
    LimitExceeded,
    MemoryLimitExceeded,
    OutputLimitExceeded,
    ProgramError,
    ProgramSyntaxError,
    ProtocolError,
    SourceTooLarge,
    StackFrame,
    StackLimitExceeded,
)
from sandbox._outcome import LogLine, UnawaitedCall, UnhandledRejection

if TYPE_CHECKING:
    from sandbox._json import JsonObject, JsonValue

_MAX_HEAD_BYTES = 64 * 2**10  # a method's name and a position; anything longer is no call
_VALUE, _AFTER_VALUE = b'{"value":', b',"unhandled":['
_NOTHING_ELSE = b',"unhandled":[],"unawaited_calls":[],"unawaited":0,"dropped_timers":0}'
_MAX_SOURCE_LINE = 500  # characters; the whole program may be one line
_MAX_POSITION = 2**31 - 1
_MAX_LISTED = 100  # of unhandled rejections, unawaited calls and stack frames

# By the limit's name: the error, and what to say where the engine's own words ("out of memory") do not say what to do.
_LIMIT_ERRORS: dict[str, tuple[type[LimitExceeded], str]] = {
    "memory_bytes": (MemoryLimitExceeded, MEMORY_MESSAGE),
    "stack_bytes": (StackLimitExceeded, STACK_MESSAGE),
    "source_bytes": (SourceTooLarge, ""),
    "call_bytes": (CallLimitExceeded, ""),
    "call_depth": (CallLimitExceeded, ""),
    "calls": (CallLimitExceeded, ""),
    "log_bytes": (OutputLimitExceeded, ""),
    "result_bytes": (OutputLimitExceeded, ""),
}


def read_call(record: bytes, *, turn: int = 1) -> HostCall:
    """Return the host call of a record ``{"id", "method", "args", "line"?, "column"?}`` that came in ``turn``."""
    head, begins, rest = record.partition(b',"args":')
    args, ends, tail = rest.rpartition(b',"line":') if not rest.endswith(b"]}") else (rest[:-1], b"", b"")
    if not begins or not args or len(head) > _MAX_HEAD_BYTES:
        raise ProtocolError("an isolate sent a host call without arguments")
    call = _read_object(head + ends + tail if ends else head + b"}")
    call_id, method = call.get("id"), call.get("method")
    if not isinstance(call_id, int) or isinstance(call_id, bool) or not isinstance(method, str):
        raise ProtocolError("an isolate sent a host call without an id or a method")
    return HostCall(
        id=call_id,
        method=method,
        args=args,
        line=_position(call, "line"),
        column=_position(call, "column"),
        turn=turn,
    )


def read_log(record: bytes) -> LogLine:
    """Return the console line of a record ``{"level", "text"}``."""
    line = _read_object(record)
    return LogLine(level=_text(line, "level"), text=_text(line, "text"))


class EndRecord:
    """The end of a run: ``{"value"? or "error"?, "unhandled", "unawaited_calls", "unawaited", "dropped_timers"}``."""

    def __init__(self, record: bytes, *, source: bytes = b"") -> None:
        self.value: bytes | None = None
        self.error: GuestError | None = None
        self.unhandled: tuple[UnhandledRejection, ...] = ()
        self.unawaited: tuple[UnawaitedCall, ...] = ()
        self.unawaited_count = self.dropped_timers = 0
        if record.startswith(_VALUE) and record.endswith(_NOTHING_ELSE):  # as most are
            self.value = record[len(_VALUE) : -len(_NOTHING_ELSE)]
            if not self.value:
                raise ProtocolError("an isolate sent an end without its value")
            return
        if record.startswith(_VALUE):
            self.value, _, rest = record[len(_VALUE) :].rpartition(_AFTER_VALUE)
            if not self.value:
                raise ProtocolError("an isolate sent an end without its value")
            record = b"{" + _AFTER_VALUE[1:] + rest
        end = _read_object(record)
        error = end.get("error")
        self.error = _read_error(error, source) if isinstance(error, dict) else None
        self.unhandled = tuple(
            UnhandledRejection(
                name=_text(item, "name") or "Error",
                message=_text(item, "message"),
                line=_position(item, "line"),
                column=_position(item, "column"),
                method=_text(item, "method") or None,
            )
            for item in _objects(end, "unhandled")
        )
        self.unawaited = tuple(
            UnawaitedCall(method=_text(item, "method"), line=_position(item, "line"), column=_position(item, "column"))
            for item in _objects(end, "unawaited_calls")
        )
        self.unawaited_count = _count(end, "unawaited")
        self.dropped_timers = _count(end, "dropped_timers")


def _read_error(error: JsonObject, source: bytes) -> GuestError:
    name, message = _text(error, "name") or "Error", _text(error, "message")
    line, column = _position(error, "line"), _position(error, "column")
    limit = error.get("limit")
    if isinstance(limit, str) and limit in _LIMIT_ERRORS:  # the guest's word: the program's own fields are in "fields"
        kind, own_message = _LIMIT_ERRORS[limit]
        most, used = _number(error, "max") or 0, _number(error, "used")
        text = own_message.format(max=most) if own_message else message
        return kind(text, limit=limit, max=most, used=used, line=line, column=column)
    if error.get("is_syntax") is True:
        return ProgramSyntaxError(message, line=line, column=column, source_line=_source_line(source, line))
    fields = error.get("fields")
    frames = tuple(
        StackFrame(function=_text(frame, "function"), line=at, column=_position(frame, "column") or 1)
        for frame in _objects(error, "frames")
        if (at := _position(frame, "line")) is not None
    )
    return ProgramError(
        message,
        name=name,
        line=line,
        column=column,
        fields=fields if isinstance(fields, dict) else {},
        frames=frames,
    )


def _source_line(source: bytes, line: int | None) -> str:
    lines = source.split(b"\n", line)[:line] if line else []
    return lines[-1].decode(errors="replace").strip("\r")[:_MAX_SOURCE_LINE] if line and len(lines) == line else ""


def _read_object(text: bytes) -> JsonObject:
    try:
        value = cast("JsonValue", orjson.loads(text))
    except orjson.JSONDecodeError as error:  # nesting that is too deep is one as well
        raise ProtocolError("an isolate sent a record that is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError("an isolate sent a record that is not an object")
    return value


def _objects(record: JsonObject, name: str) -> list[JsonObject]:
    items = record.get(name)
    return [item for item in items[:_MAX_LISTED] if isinstance(item, dict)] if isinstance(items, list) else []


def _text(record: JsonObject, name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _number(record: JsonObject, name: str) -> float | None:
    value = record.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _position(record: JsonObject, name: str) -> int | None:
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_POSITION:
        return value
    return None


def _count(record: JsonObject, name: str) -> int:
    return _position(record, name) or 0
