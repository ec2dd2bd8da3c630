"""The answers to host calls are read as JSON.parse reads them, and what goes out is written as JSON.stringify does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox._errors import ProtocolError
from tests.sandbox._isolates import CLOCK_US, SEED, make_setup

if TYPE_CHECKING:
    from tests.sandbox._isolates import Host

TEXT = st.text(max_size=8)  # no lone surrogate: those are tested below
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def answered(host: Host, answer: bytes, source: str = "await host.get()") -> object:
    """Return the value of a program whose one host call is answered with this text."""
    isolate = host.isolate()
    try:
        isolate.start(make_setup(), source.encode(), clock_us=CLOCK_US, seed=SEED)
        turn = isolate.settle(b'[{"id":1,"ok":true,"value":%b}]' % answer, clock_us=CLOCK_US)
    finally:
        isolate.close()
    assert turn.end is not None
    record = json.loads(turn.end)
    assert "error" not in record, record["error"]
    return record.get("value")


@settings(deadline=None)
@given(value=JSON, is_ascii=st.booleans(), indent=st.sampled_from([None, 1]))
def test_an_answer_comes_back_as_it_was(host: Host, value: object, is_ascii: bool, indent: int | None) -> None:
    answer = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()

    given_back = answered(host, answer)

    assert as_in_javascript(given_back) == as_in_javascript(value)


@settings(deadline=None)
@given(value=JSON)
def test_an_answer_is_what_the_engine_parses(host: Host, value: object) -> None:
    text = json.dumps(value)
    source = f"JSON.stringify(await host.get()) === JSON.stringify(JSON.parse({json.dumps(text)}))"

    assert answered(host, text.encode(), source) is True


@pytest.mark.parametrize("special", ['"', "\\", "\n", "\x1f", "\x7f", "\x80", "é", "\u2028", "😀"])
def test_a_special_character_at_any_place_of_a_text_comes_back(host: Host, special: str) -> None:
    texts = [f"{'x' * before}{special}{'y' * behind}" for before in range(18) for behind in (0, 1, 7, 8, 9)]

    given_back = answered(host, json.dumps(texts, ensure_ascii=False).encode())

    assert given_back == texts


def test_names_that_are_alike_in_length_and_ends_are_told_apart(host: Host) -> None:
    names = [f"a{middle:03}z" for middle in range(300)] + ["", "a", "b", "\u00e9", "a\nz", "0", "__proto__"]
    rows = [{name: number for number, name in enumerate(names)}, dict.fromkeys(reversed(names), -1)]

    given_back = answered(host, json.dumps(rows, ensure_ascii=False).encode())

    assert given_back == rows


@pytest.mark.parametrize(
    ("answer", "source", "expected"),
    [
        (rb'"\ud83d\ude00 \u00e9 \/ \b\f\n\r\t\"\\"', "await host.get()", '\U0001f600 é / \b\f\n\r\t"\\'),
        (rb'"\ud800x"', "(await host.get()).charCodeAt(0)", 0xD800),
        ('{"Ã©": 1, "é": 2}'.encode(), "const o = await host.get(); [o['\u00e9'], o['\u00c3\u00a9']]", [2, 1]),
        (b'{"a": 1, "b": 2, "a": 3}', "JSON.stringify(await host.get())", '{"a":3,"b":2}'),
        (b'{"b": 1, "1": 2, "0": 3}', "Object.keys(await host.get())", ["0", "1", "b"]),
        (b'{"b": 1, "1": 2, "0": 3}', "Object.entries(await host.get())", [["0", 3], ["1", 2], ["b", 1]]),
        (
            b'{"__proto__": {"x": 1}}',
            "const o = await host.get(); [o.x === undefined, Object.keys(o)]",
            [True, ["__proto__"]],
        ),
        (b'{"toJSON": 1, "a": 2}', "await host.get()", {"toJSON": 1, "a": 2}),
        (b"-0", "Object.is(await host.get(), -0)", True),
        (b"[1E2, 1e-7, 12345678901, 0.1, -5, 1e21]", "(await host.get()).join()", "100,1e-7,12345678901,0.1,-5,1e+21"),
        (b"[" * 190 + b"]" * 190, "JSON.stringify(await host.get()).length", 380),
        (b"[" * 400 + b"]" * 400, "JSON.stringify(await host.get()).length", 800),
        (b" \t\r\n[ ] ", "await host.get()", []),
    ],
)
def test_an_answer_of_any_spelling_is_read(host: Host, answer: bytes, source: str, expected: object) -> None:
    assert answered(host, answer, source) == expected


@pytest.mark.parametrize(
    "answer",
    [b"", b"01", b"1.", b".5", b"+1", b"1e", b"nul", b"[1,]", b'{"a"}', b'{"a":1,}', b"{a:1}", b"'a'", b'"a', b'"\x01"',
     rb'"\x41"', rb'"\u12g4"', b"[1", b"1 2", b"\xff", b"{\"a\":1]", b'"\\', b"[[[1,2],[3]", b"-"],
)  # fmt: skip
def test_an_answer_that_is_no_json_breaks_the_protocol(host: Host, answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        answered(host, answer)


def test_an_object_that_changes_while_it_is_written_is_written_as_it_was_listed(host: Host) -> None:
    source = """
        const row = { first: 1, second: { toJSON() { delete row.third; row.fourth = 4; row.fifth = 5; return "changed" } },
            third: 3, fourth: 0 };
        const other = { a: { get x() { other.b = "later"; return 1 } }, b: "before", hidden: 1 };
        Object.defineProperty(other, "hidden", { enumerable: false });
        [row, other]
    """  # noqa: E501 - the program's own lines

    written = host.run(source).value

    assert written == [{"first": 1, "second": "changed", "fourth": 4}, {"a": {"x": 1}, "b": "later"}]


def as_in_javascript(value: object) -> object:
    """Return a value as JavaScript has it: one kind of number, and minus zero written as zero."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) + 0.0
    if isinstance(value, list):
        return [as_in_javascript(item) for item in value]
    if isinstance(value, dict):
        return {name: as_in_javascript(item) for name, item in value.items()}
    return value
