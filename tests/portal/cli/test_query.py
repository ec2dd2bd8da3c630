"""``portico query`` prints exactly what an agent gets."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from mcp import Client
from mcp_types import TextContent

from portal import ServerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import Portico
    from tests.portal.conftest import PortalAt

QUERY_MODE = "?optimize_context=search_and_execute"


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ((), {}),
        (("--limit", "2", "--server", "tracker"), {"limit": 2, "server": "tracker"}),
        (("--detail", "names"), {"detail": "names"}),
        (("--detail", "schemas", "--limit", "1"), {"detail": "schemas", "limit": 1}),
    ],
)
async def test_the_text_is_that_of_the_tool_query(
    portico: Portico, portal_at: PortalAt, options: tuple[str, ...], arguments: dict[str, object]
) -> None:
    tracker = ServerConfig(id="tracker", name="Tracker", transport="demo")
    async with portal_at(tracker) as (_, origin), Client(f"{origin}/mcp{QUERY_MODE}", cache=None) as client:
        told = await client.call_tool("query", {"query": "open an issue", **arguments})

    done = await anyio.to_thread.run_sync(partial(portico, "query", "open an issue", *options))

    block = told.content[0]
    assert isinstance(block, TextContent)
    assert (done.code, done.out) == (0, f"{block.text}\n")


def test_programs_get_the_text_as_json(portico: Portico) -> None:
    done = portico("query", "/^tracker_list_people$/", "--json")

    assert "tracker_list_people(" in json.loads(done.out)["text"]


def test_a_query_that_nothing_answers_says_so(portico: Portico) -> None:
    done = portico("query", "bake a chocolate cake")

    assert (done.code, done.out.split(".")[0]) == (0, "No tool matches 'bake a chocolate cake'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", "--server", "traker"), "no server 'traker'. Servers: portal, tracker"),
        (("x", "--detail", "everything"), "names, types and schemas"),
        (("/(/",), "/(/ is no regular expression"),
        (("x", "--limit", "0"), "--limit"),
    ],
)
def test_bad_input_is_said_in_a_sentence_and_exits_with_2(
    portico: Portico, arguments: tuple[str, ...], words: str
) -> None:
    done = portico("query", *arguments)

    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_server_that_is_away_is_named_and_the_others_answer(
    tmp_path: Path, portico: Portico, time_server: str
) -> None:
    (tmp_path / "portico.yaml").write_text(f"servers:\n  - {time_server}\n  - {{id: gone, command: no-such-program}}\n")

    done = portico("query", "current time", "--config", "portico.yaml", "--limit", "1")

    assert done.code == 2
    assert "clock_get_current_time(" in done.out
    assert "portico: without gone: " in done.err
