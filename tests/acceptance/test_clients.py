"""Real MCP clients list and call through a running portal: in each protocol era, with and without code mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance._clients import RealClient
    from tests.acceptance._running import RunningPortal

PROGRAM = """async () => {
  const sums = await Promise.all([1, 2, 3].map(n => codemode.everything_get_sum({ a: n, b: n })));
  return sums.length + " sums, the last: " + sums.at(-1);
}"""


async def test_in_code_mode_a_client_sees_one_tool_and_runs_a_program_with_it(
    client: RealClient, portal: RunningPortal
) -> None:
    async with client.connect(portal.code_mode_url) as session:
        tools = await session.tools()
        answer = await session.call("code", {"code": PROGRAM})

    assert tools == ["code"]
    assert answer == "3 sums, the last: The sum of 3 and 3 is 6."


async def test_without_an_option_a_client_sees_every_tool_and_calls_one(
    client: RealClient, portal: RunningPortal
) -> None:
    async with client.connect(portal.url) as session:
        tools = await session.tools()
        answer = await session.call("everything_get-sum", {"a": 2, "b": 3})

    assert {"everything_get-sum", "files_read_text_file", "memory_read_graph", "git_git_log"} <= set(tools)
    assert "portal_list_servers" in tools
    assert "code" not in tools
    assert answer == "The sum of 2 and 3 is 5."
