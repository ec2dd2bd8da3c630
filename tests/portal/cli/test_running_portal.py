"""``portico servers`` where a portal runs with the same configuration: it says what that one knows."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

from tests.portal.cli.conftest import line, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import Portico

STARTED = "started"
# Says in a file of its folder that it was started, and lists the tools whose names stand in another.
COUNTED_SERVER = f"""\
import pathlib, sys
import anyio, mcp_types
from mcp.server import Server
from mcp.server.stdio import stdio_server

FOLDER = pathlib.Path(sys.argv[1])
with (FOLDER / "{STARTED}").open("a") as started:
    started.write("x")

async def list_tools(context, params):
    names = (FOLDER / "tools").read_text().split()
    return mcp_types.ListToolsResult(tools=[mcp_types.Tool(name=n, input_schema={{"type": "object"}}) for n in names])

async def main():
    server = Server("counted", on_list_tools=list_tools)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())

anyio.run(main)
"""


def configure(folder: Path) -> Path:
    (folder / "counted.py").write_text(COUNTED_SERVER)
    (folder / "tools").write_text("one")
    arguments = json.dumps([str(folder / "counted.py"), str(folder)])
    config = folder / "portico.yaml"
    config.write_text(
        "servers:\n"
        f"  - {{id: counted, command: {json.dumps(sys.executable)}, args: {arguments}}}\n"
        "  - {id: gone, command: no-such-command-anywhere}\n"
        "data_dir: data\n"
    )
    return config


def test_servers_are_asked_of_the_portal_that_runs_and_of_themselves_without_one(
    tmp_path: Path, portico: Portico
) -> None:
    config = configure(tmp_path)
    listed = ("servers", "--config", str(config), "--json")
    sync = ("servers", "sync", "counted", "--config", str(config), "--json")
    with serving("--config", str(config), "--json") as process:
        line(process)
        portico(*sync)  # which waits until the portal knows them
        asked, again = portico(*listed), portico(*listed)
        (tmp_path / "tools").write_text("one two")
        synced = portico(*sync)
        table = portico("servers", "--config", str(config))
        while_it_ran = (tmp_path / STARTED).read_text()
        process.send_signal(signal.SIGTERM)
        process.wait()
    alone = portico(*listed)

    told = json.loads(asked.out)
    assert [(one["id"], one["status"], one["tools"]) for one in told] == [("counted", "ready", 1), ("gone", "error", 0)]
    assert (asked.code, again.out) == (2, asked.out), "the same moments, too"
    assert f"by the portal that runs here (process {process.pid})" in asked.err
    assert "no-such-command-anywhere" in told[1]["cause"]
    assert (synced.code, json.loads(synced.out)[0]["changed"]) == (0, ["tools"])
    assert table.out.splitlines()[1].split()[4] == "2"
    assert while_it_ran == "x", "the portal's own child, and no other"
    assert "by the portal" not in alone.err
    assert json.loads(alone.out)[0]["tools"] == 2
    assert (tmp_path / STARTED).read_text() == "xx"


def test_a_list_that_cannot_be_read_is_said_and_is_a_failure(tmp_path: Path, portico: Portico) -> None:
    config = configure(tmp_path)
    sync = ("servers", "sync", "counted", "--config", str(config))
    with serving("--config", str(config), "--json") as process:
        line(process)
        portico(*sync)
        (tmp_path / "tools").unlink()
        table, as_json = portico(*sync), portico(*sync, "--json")

    assert table.code == as_json.code == 1
    assert "counted could not be listed: " in table.err
    (told,) = json.loads(as_json.out)
    assert (told["status"], told["changed"]) == ("ready", [])
    assert told["failure"]


def test_a_portal_that_is_stopped_holds_no_command_up(tmp_path: Path, portico: Portico) -> None:
    config = configure(tmp_path)
    with serving("--config", str(config), "--json") as process:
        line(process)
        portico("servers", "sync", "counted", "--config", str(config))
        process.send_signal(signal.SIGSTOP)
        done = portico("servers", "sync", "counted", "--config", str(config))

    assert done.code == 0
    assert "by the portal" not in done.err
    assert (tmp_path / STARTED).read_text() == "xx"
