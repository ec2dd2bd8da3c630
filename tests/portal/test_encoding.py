"""What is read and written as JSON on either side: exactly, and never deeper than it can be passed on."""

from __future__ import annotations

import pytest

from portal.wire import RpcError, decode, encode, read

BEYOND = 123456789012345678901234567890
ANSWER = b'{"jsonrpc":"2.0","id":7,"result":{"a":%b}}'


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, BEYOND, -BEYOND, 10**300])
def test_integers_of_any_size_are_read_and_written_as_they_are(number: int) -> None:
    text = b'{"n":[%d]}' % number

    assert read(text) == {"n": [number]}
    assert isinstance(read(text)["n"][0], int)  # type: ignore[index,call-overload]
    assert encode(read(text)) == text


def test_long_digits_elsewhere_change_nothing() -> None:
    assert read(b'{"pi":0.00012345678901234567,"s":"12345678901234567890123"}') == {
        "pi": 0.00012345678901234567,
        "s": "12345678901234567890123",
    }


@pytest.mark.parametrize("text", [b'{"n":1e400}', b'{"n":NaN}', b'{"n":Infinity}', b'{"n":1e400,"s":"\\ud83d"}'])
def test_what_is_no_number_of_json_is_not_read(text: bytes) -> None:
    with pytest.raises(ValueError, match="line 1"):
        read(text)


def test_half_an_emoji_of_a_client_costs_nothing_but_itself() -> None:
    assert decode(b'{"s":"a\\ud83d","whole":"\\ud83d\\ude00","n":%d}' % BEYOND) == {
        "s": "a?",
        "whole": "\U0001f600",
        "n": BEYOND,
    }


@pytest.mark.parametrize(("levels", "is_taken"), [(511, True), (512, True), (513, False), (1000, False), (5000, False)])
def test_a_client_may_nest_512_levels(levels: int, *, is_taken: bool) -> None:
    if is_taken:
        assert encode(decode(nested(levels))) == nested(levels)
    else:
        with pytest.raises(RpcError, match=r"512 levels|nested too deep"):
            decode(nested(levels))


def test_a_wide_message_is_not_a_deep_one() -> None:
    text = b'{"a":[' + b",".join([b"[{}]"] * 1_000) + b"]}"

    assert encode(decode(text)) == text


@pytest.mark.parametrize("levels", [600, 1000, 5000])
def test_an_answer_that_is_nested_too_deep_is_read_as_an_error(levels: int) -> None:
    answer = decode(ANSWER % nested(levels))

    assert isinstance(answer, dict)
    assert answer["id"] == 7
    assert "cannot be taken" in answer["error"]["message"]  # type: ignore[index,call-overload,operator]


def test_what_nests_too_deep_to_be_written_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        encode(read(nested(1020)))


def test_keys_are_sorted_also_where_it_is_written_slowly() -> None:
    assert encode({"b": 2**64, "a": 1}, sorts_keys=True) == b'{"a":1,"b":18446744073709551616}'
