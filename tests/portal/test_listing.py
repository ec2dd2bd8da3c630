"""Names in list mode."""

from __future__ import annotations

import pytest

from portal.server import MAX_NAME_CHARS, listed_name


@pytest.mark.parametrize("length", [MAX_NAME_CHARS - 1, MAX_NAME_CHARS])
def test_a_name_up_to_the_limit_is_kept(length: int) -> None:
    tool = "t" * (length - len("up_"))

    assert listed_name("up", tool) == f"up_{tool}"


def test_a_longer_name_is_shortened_with_a_hash_and_keeps_its_server() -> None:
    one, two = (listed_name("my-server", "x" * 60 + end) for end in "12")

    assert len(one) == len(two) == MAX_NAME_CHARS
    assert one != two
    assert one.startswith("my-server_xxx")


def test_the_longest_server_id_leaves_room_for_the_tool() -> None:
    name = listed_name("s" * 32, "get_the_quarterly_report")

    assert name.startswith(f"{'s' * 32}_get_the_")
