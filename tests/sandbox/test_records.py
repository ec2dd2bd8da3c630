"""What a guest hands over is read strictly: a guest may have corrupted its own memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import CallLimitExceeded, MemoryLimitExceeded, ProgramError, ProgramSyntaxError, ProtocolError
from sandbox._records import EndRecord, read_call, read_log

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def dumped(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@given(method=st.text(), arguments=st.lists(JSON, max_size=3))
def test_the_arguments_of_a_call_are_cut_off_as_they_are(method: str, arguments: list[object]) -> None:
    call = read_call(dumped({"id": 3, "method": method, "args": arguments, "line": 4, "column": 5}))

    assert (call.id, call.method, call.line, call.column) == (3, method, 4, 5)
    assert call.args == dumped(arguments)


@given(value=JSON, message=st.text())
def test_the_value_of_a_run_is_cut_off_as_it_is(value: object, message: str) -> None:
    unhandled = [{"name": "Error", "message": message, "line": 1}]

    end = EndRecord(dumped({"value": value, "unhandled": unhandled, "dropped_timers": 2}))

    assert end.value == dumped(value)
    assert [(each.message, each.line) for each in end.unhandled] == [(message, 1)]
    assert end.dropped_timers == 2


NOT_CALLS = (
    b"",
    b"{}",
    b"[]",
    b"nonsense",
    b'{"id":1}',
    b'{"id":"1","method":"a","args":[]}',
    b'{"id":1,"method":7,"args":[]}',
    b'{"id":true,"method":"a","args":[]}',
    b"[" * 100_000,
    b'{"id":1,"method":"\xff","args":[]}',
    b'{"id":' + b"9" * 5_000 + b',"method":"a","args":[]}',
    b'{"id":1,"method":"' + b"a" * 70_000 + b'","args":[]}',
)


@pytest.mark.parametrize("record", NOT_CALLS)
def test_a_record_that_is_no_call_breaks_the_protocol(record: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_call(record)


@given(record=st.binary(max_size=80) | JSON.map(dumped))
def test_nothing_that_a_guest_sends_fails_in_another_way(record: bytes) -> None:
    for read in (read_call, read_log, EndRecord):
        try:
            read(record)
        except ProtocolError:
            continue


def test_a_limit_error_that_nothing_caught_has_the_type_of_its_limit() -> None:
    memory = EndRecord(
        dumped({"error": {"name": "LimitError", "limit": "memory_bytes", "max": 9, "used": 10, "message": "m"}})
    )
    calls = EndRecord(
        dumped({"error": {"name": "LimitError", "limit": "calls", "max": 1, "used": 2, "message": "m", "line": 3}})
    )

    assert isinstance(memory.error, MemoryLimitExceeded)
    assert isinstance(calls.error, CallLimitExceeded)
    assert (calls.error.limit, calls.error.max, calls.error.used, calls.error.line) == ("calls", 1, 2, 3)


def test_a_thrown_error_keeps_its_name_its_fields_and_its_stack() -> None:
    frame = {"function": "main", "line": 2, "column": 3}
    end = EndRecord(
        dumped(
            {
                "error": {
                    "name": "ToolError",
                    "message": "no",
                    "line": 2,
                    "column": 3,
                    "fields": {"code": 404},
                    "frames": [frame],
                }
            }
        )
    )

    assert isinstance(end.error, ProgramError)
    assert (end.error.name, end.error.fields, end.error.frames[0].function) == ("ToolError", {"code": 404}, "main")
    assert end.value is None


def test_a_program_that_does_not_parse_is_shown_with_its_line() -> None:
    record = dumped({"error": {"name": "SyntaxError", "message": "m", "line": 2, "column": 5, "is_syntax": True}})

    error = EndRecord(record, source=b"let a;\nlet 1;\nlet b;").error

    assert isinstance(error, ProgramSyntaxError)
    assert (error.line, error.column, error.source_line) == (2, 5, "let 1;")


@given(arguments=st.lists(JSON, max_size=2))
def test_a_call_without_a_position_is_read_too(arguments: list[object]) -> None:
    call = read_call(dumped({"id": 1, "method": "a", "args": arguments}))

    assert (call.args, call.line) == (dumped(arguments), None)


@given(value=JSON)
def test_an_end_with_nothing_but_its_value_is_read_alike(value: object) -> None:
    rest = {"unhandled": [], "unawaited_calls": [], "unawaited": 0, "dropped_timers": 0}

    end = EndRecord(dumped({"value": value, **rest}))

    assert end.value == dumped(value)
    assert (end.error, end.unhandled, end.unawaited, end.unawaited_count, end.dropped_timers) == (None, (), (), 0, 0)


def test_an_end_without_its_value_breaks_the_protocol() -> None:
    for record in (
        b'{"value":,"unhandled":[],"unawaited_calls":[],"unawaited":0,"dropped_timers":0}',
        b'{"value":,"unhandled":[],"unawaited_calls":[],"unawaited":1,"dropped_timers":0}',
    ):
        with pytest.raises(ProtocolError):
            EndRecord(record)
