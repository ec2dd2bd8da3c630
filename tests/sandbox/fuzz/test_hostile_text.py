"""Text that is written to break a parser, through the type stripper and the reader of calls.

What they say of it may be nothing at all; but what is erased keeps every place, and the process that reads goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORDS = (
    "const let async await function class interface type enum declare namespace abstract as satisfies is asserts keyof "
    "infer readonly public override import export default host host.a_b host['c'] x y T any number this new return "
    "yield of in typeof 1 's' \"q\" /re/g \\u0041"
)
SIGNS = "( ) { } [ ] < > << >> => = : ? ?. ! ; , ... | & @ # `t${ }` /* */ //"
ODD = ("\n", "\r\n", "\u2028", "\u00e9", "\U0001f600", "\ufeff", "\0")
TOKENS = [*WORDS.split(" "), *SIGNS.split(" "), *ODD]
TEXT = st.one_of(
    st.lists(st.sampled_from(TOKENS), max_size=60).map(" ".join),
    st.lists(st.sampled_from(TOKENS), max_size=60).map("".join),
    st.text(max_size=200),
    st.builds(lambda token, count: token * count, st.sampled_from(TOKENS), st.integers(1, 3_000)),
)


@pytest.fixture(scope="module")
async def reader() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxConfig(workers=1)) as opened:
        yield opened


@settings(max_examples=400, deadline=None)
@given(text=TEXT)
async def test_whatever_is_erased_keeps_every_place_and_every_finding_has_one(reader: Sandbox, text: str) -> None:
    facts = await reader.analyse(text, namespace="host")

    lines = text.encode("utf-8", "replace").decode().split("\n")
    if facts.erased is not None:
        assert [len(line) for line in facts.erased.split("\n")] == [len(line) for line in lines]
    places = [(call.line, call.column) for call in facts.calls]
    places += [(finding.line, finding.column) for finding in facts.refused]
    for line, column in places:
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


@settings(max_examples=150, deadline=None)
@given(text=TEXT)
async def test_what_is_erased_is_blanked_and_nothing_else_changes(reader: Sandbox, text: str) -> None:
    """A semicolon may stand where a type was: it keeps what was before from what comes after."""
    read = text.encode("utf-8", "replace").decode()
    erased = (await reader.analyse(text, namespace="host")).erased

    if erased is not None:
        assert len(erased) == len(read)
        assert all(after in {before, " ", ";"} for before, after in zip(read, erased, strict=True))
