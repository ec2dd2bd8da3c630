"""Tokens are counted as o200k does, without a network."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from portal._tokens import count_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    # Published with OpenAI's cookbook, "How to count tokens with tiktoken".
    [("", 0), ("antidisestablishmentarianism", 6), ("2 + 2 = 4", 7), ("お誕生日おめでとう", 8)],
)
def test_a_text_counts_its_tokens(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


def test_what_looks_like_a_special_token_is_counted_as_text() -> None:
    assert count_tokens("<|endoftext|>") > 1


def test_a_text_past_the_library_s_limit_is_counted_whole() -> None:
    assert count_tokens("word " * 300_000) == pytest.approx(300_000, abs=5)


def test_the_ranks_come_inside_the_installed_package() -> None:
    """Counting must work where no download is possible: the library reads files of its own only."""
    found = find_spec("bpe_openai")

    assert found is not None
    assert list(Path(found.origin or "").parent.glob("data/*o200k*"))
