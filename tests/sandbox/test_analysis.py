"""What is known of a program before it runs, and a process that hostile text may crash at will."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from sandbox import CallSite, ProgramFacts, Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(scope="module")
async def reader() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxConfig(workers=1)) as opened:
        yield opened


def known(value: object) -> dict[str, object]:
    return {"known": value}


async def test_each_call_is_found_with_its_place_and_its_literal_arguments(reader: Sandbox) -> None:
    facts = await reader.analyse(
        "const é = 1; await host.a_b({ n: -1, list: [true, null], text: 'it\\'s', free: é });\n  host['c d'](...xs)",
        namespace="host",
    )

    first, second = facts.calls
    assert (first.method, first.line, first.column) == ("a_b", 1, 20)
    assert first.arguments == (
        {
            "members": {"n": known(-1), "list": known([True, None]), "text": known("it's"), "free": {}},
            "is_whole": True,
        },
    )
    assert second == CallSite(method="c d", line=2, column=3, arguments=({},), misuse=None)


@pytest.mark.parametrize(
    "source",
    [
        "(host => host.a())({})",
        "const { host } = other; host.a()",
        "for (const host of list) host.a()",
        "let host = 1; host.a()",
        "host = other; host.a()",
        "function host() {} host.a()",
        "async ({ host }) => host.a()",
        "try {} catch (host) { host.a() }",
        "import host from 'x'; host.a()",
        "const [host] = list; host.a()",
        "function f(host: any) { host.a() }",
    ],
)
async def test_a_program_that_gives_the_name_another_meaning_has_no_calls(reader: Sandbox, source: str) -> None:
    assert (await reader.analyse(source, namespace="host")).calls == ()


async def test_plain_javascript_has_nothing_to_erase(reader: Sandbox) -> None:
    source = "const f = (a, b = 1) => a?.b ? { c: a } : b; class A { #x = 1; static y }"
    facts = await reader.analyse(source, namespace="h")

    assert facts == ProgramFacts()


async def test_erased_text_keeps_every_position(reader: Sandbox) -> None:
    source = "const a: Map<string,\n  number> = new Map(); // ü\nconst b = (a as any)!.size;"
    erased = (await reader.analyse(source, namespace="h")).erased

    assert erased == "const a             \n          = new Map(); // ü\nconst b = (a       ) .size;"


@pytest.mark.parametrize(
    "hostile",
    ["a<" * 32_000, "(" * 64_000, "`${" * 20_000, "{" * 60_000, "[" * 64_000, "\0" * 1_000, "\ud800", "x as " * 12_000],
    ids=["generics", "parentheses", "templates", "braces", "brackets", "nul", "lone surrogate", "casts"],
)
async def test_hostile_text_is_read_within_a_second_or_not_at_all(reader: Sandbox, hostile: str) -> None:
    """Probe 39: no text reaches a parser in the portal, and none stops the next program from being read."""
    await reader.analyse(hostile, namespace="host")
    after = await reader.analyse(f"host.a({len(hostile)})", namespace="host")

    assert [call.method for call in after.calls] == ["a"]


async def test_a_text_that_is_too_long_has_no_facts(reader: Sandbox) -> None:
    just_right = await reader.analyse("host.a()" + " " * 65_528, namespace="host")
    too_long = await reader.analyse("host.a()" + " " * 65_529, namespace="host")

    assert len(just_right.calls) == 1
    assert too_long == ProgramFacts()


async def test_a_killed_analyst_is_replaced(reader: Sandbox) -> None:
    await reader.analyse("host.a(1)", namespace="host")
    pid = reader.status().analyst_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    unread = await reader.analyse("host.a(2)", namespace="host")
    read = await reader.analyse("host.a(3)", namespace="host")

    assert unread == ProgramFacts()
    assert len(read.calls) == 1
    assert reader.status().analyst_pid != pid
