"""The control socket: who is answered and what, and that nothing said through it harms the portal."""
# ruff: noqa: ANN401 -- a server's configuration has fields of any kind

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import sys
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from portal import _control as control
from portal._config import Config
from portal._control import ask_status, ask_sync, serve_control
from portal._curation import Wording
from portal._secret import Secret
from portal._server_config import BearerAuth, HeadersAuth, ServerConfig
from portal.upstream import Fleet
from tests.portal.conftest import until
from tests.portal.upstream.conftest import PATIENCE_S, serving_scripted
from tests.portal.upstream.offering import SCHEMA, Offering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import SocketStream

TOKEN = "a-token-of-the-upstream"


def sockets(folder: Path) -> list[Path]:
    return list(folder.glob("portal-*.sock"))


@asynccontextmanager
async def running(folder: Path, offering: Offering | None = None, **fields: Any) -> AsyncIterator[tuple[Config, Fleet]]:
    """A fleet of one server, ``up``, that can be asked through the socket in ``folder``."""
    async with serving_scripted((offering or Offering.of(None)).scripted) as url:
        server = ServerConfig(id="up", url=url, **{"auth": BearerAuth(token=Secret(TOKEN)), **fields})
        config = Config(servers=(server, ServerConfig(id="off", command="cat", enabled=False)), data_dir=folder)
        async with Fleet(config.servers) as fleet, anyio.create_task_group() as tasks:
            await fleet.wait_settled(PATIENCE_S)
            before = set(sockets(folder))
            tasks.start_soon(serve_control, config, fleet)
            await until(lambda: not set(sockets(folder)) <= before)
            yield config, fleet
            tasks.cancel_scope.cancel()


async def set_after(wait_s: float, event: anyio.Event) -> None:
    await anyio.sleep(wait_s)
    event.set()


async def said_to(folder: Path, line: bytes) -> bytes:
    """Return everything that the portal answers to a line, until it closes the connection."""
    async with await anyio.connect_unix(sockets(folder)[0]) as stream:
        await stream.send(line)
        told = bytearray()
        with anyio.fail_after(PATIENCE_S):
            async for data in stream:
                told += data
    return bytes(told)


async def test_a_command_learns_what_the_portal_knows(tmp_path: Path) -> None:
    async with running(tmp_path) as (config, fleet):
        report = await ask_status(config)
        known = fleet.status()

    assert report is not None
    assert (report.pid, tuple(one.status for one in report.servers)) == (os.getpid(), known)
    assert [(status.id, status.status, status.tools) for status in known] == [("up", "ready", 1)]


async def test_a_command_has_the_portal_list_its_servers_anew(tmp_path: Path) -> None:
    offering = Offering.of(None)
    async with running(tmp_path, offering) as (config, fleet):
        offering.lists["tools/list"].append({"name": "new", "inputSchema": SCHEMA})
        none = await ask_sync(config, [])
        report = await ask_sync(config, ["up"])
        tools = list(fleet.listing("up").tools)

    assert none is not None
    assert none.servers == ()
    assert report is not None
    assert [(one.status.id, one.changed, one.failure) for one in report.servers] == [("up", ("tools",), None)]
    assert tools == ["echo", "new"]


async def test_why_a_list_could_not_be_read_is_told(tmp_path: Path) -> None:
    offering = Offering.of(None)
    async with running(tmp_path, offering) as (config, _):
        offering.scripted.answers["tools/list"] = lambda asked: asked.error(-32603, "out of order")
        report = await ask_sync(config, ["up"])

    assert report is not None
    assert "out of order" in str(report.servers[0].failure)


async def test_a_portal_with_another_credential_server_store_or_version_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as (config, _):
        up, off = config.servers
        others = [replace(up, auth=BearerAuth(token=Secret("another"))), replace(up, max_answer_mb=3)]
        reports = [await ask_status(replace(config, servers=(other, off))) for other in others]
        reports.append(await ask_status(Config(servers=(up,), data_dir=tmp_path)))
        reports.append(await ask_status(replace(config, store=Secret("sqlite:///other.db"))))
        same = await ask_status(replace(config, port=1))
        monkeypatch.setattr(control, "VERSION", "another")
        reports.append(await ask_status(config))

    assert reports == [None] * 5
    assert same is not None


async def test_a_configuration_may_hold_what_is_no_text(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "name": "caf\udce9",
        "auth": HeadersAuth(headers={"x-key": Secret("caf\xe9")}),
        "tools": Wording(rename={"echo": "say"}),
    }
    async with running(tmp_path, **fields) as (config, fleet):
        report = await ask_status(config)
        known = fleet.status()

    assert report is not None
    assert tuple(one.status for one in report.servers) == known
    assert known[0].name == "caf\udce9"


async def test_several_portals_of_one_configuration_list_their_servers_anew(tmp_path: Path) -> None:
    offering = Offering.of(None)
    async with (
        running(tmp_path, offering) as (config, fleet),
        Fleet(config.servers) as beside,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(serve_control, config, beside)
        await until(lambda: len(sockets(tmp_path)) == 2)
        await beside.wait_settled(PATIENCE_S)
        offering.lists["prompts/list"].clear()
        report = await ask_sync(config, ["up"])
        prompts = [one.listing("up").offers.prompts for one in (fleet, beside)]
        tasks.cancel_scope.cancel()

    assert report is not None
    assert report.servers[0].changed == ("prompts",)
    assert prompts == [(), ()]


async def test_without_a_portal_nobody_answers(tmp_path: Path) -> None:
    (tmp_path / "portal-0.sock").write_text("no socket")

    assert await ask_status(Config(data_dir=tmp_path)) is None
    assert await ask_sync(Config(data_dir=tmp_path / "none"), []) is None


@pytest.mark.parametrize("said", [b"", b"\n\n"], ids=["nothing", "that it is at work"])
async def test_a_portal_that_has_stopped_is_not_waited_for(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE_S", 0.2)

    async def say(stream: SocketStream) -> None:
        async with stream:
            if said:
                await stream.send(said)
            await anyio.sleep_forever()

    config = Config(data_dir=tmp_path)
    stopped = await anyio.create_unix_listener(tmp_path / "portal-0.sock")
    async with stopped, anyio.create_task_group() as tasks:
        tasks.start_soon(stopped.serve, say)
        with anyio.fail_after(PATIENCE_S):
            reports = [await ask_status(config), await ask_sync(config, [])]
        tasks.cancel_scope.cancel()

    assert reports == [None, None]


async def test_a_portal_beside_one_that_has_stopped_is_heard_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(tmp_path / "portal-0.sock"))
        stopped.listen()
        async with running(tmp_path) as (config, _):
            with anyio.fail_after(control.PATIENCE_S):
                report = await ask_status(config)

    assert report is not None


async def test_a_portal_that_is_at_work_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE_S", 0.5)
    monkeypatch.setattr(control, "BEAT_S", 0.05)
    offering = Offering.of(None)
    async with running(tmp_path, offering) as (config, _), anyio.create_task_group() as tasks:
        offering.holds["tools/list"] = anyio.Event()
        offering.lists["tools/list"].clear()
        tasks.start_soon(set_after, 1.5, offering.holds["tools/list"])
        report = await ask_sync(config, ["up"])

    assert report is not None
    assert report.servers[0].changed == ("tools",)


async def test_the_status_of_a_server_is_told_when_it_is_known(tmp_path: Path) -> None:
    offering = Offering.of(None)
    offering.holds["tools/list"] = anyio.Event()
    async with serving_scripted(offering.scripted) as url:
        config = Config(servers=(ServerConfig(id="up", url=url),), data_dir=tmp_path)
        async with Fleet(config.servers) as fleet, anyio.create_task_group() as tasks:
            tasks.start_soon(serve_control, config, fleet)
            await until(lambda: bool(sockets(tmp_path)) and offering.listed["tools/list"] == 1)
            before = fleet.status()[0].status
            tasks.start_soon(set_after, 0.3, offering.holds["tools/list"])
            report = await ask_status(config)
            tasks.cancel_scope.cancel()

    assert before == "waiting"
    assert report is not None
    assert report.servers[0].status.status == "ready"


async def test_a_command_that_goes_takes_its_question_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "QUESTIONS", 1)
    monkeypatch.setattr(control, "BEAT_S", 0.05)
    offering = Offering.of(None)
    async with running(tmp_path, offering) as (config, _):
        offering.holds["tools/list"] = anyio.Event()
        with anyio.move_on_after(1) as impatient:
            await ask_sync(config, ["up"])
        with anyio.fail_after(PATIENCE_S):
            report = await ask_status(config)
        offering.holds["tools/list"].set()

    assert impatient.cancelled_caught
    assert report is not None


@pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors in /proc")
async def test_a_portal_without_a_descriptor_left_answers_when_there_is_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control, "_ACCEPT_AGAIN_S", 0.1)
    async with running(tmp_path) as (config, _):
        (path,) = sockets(tmp_path)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with ExitStack() as descriptors:
            command = descriptors.enter_context(socket.socket(socket.AF_UNIX))
            most = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
            while (descriptor := os.dup(command.fileno())) <= most:  # fills the gaps below
                descriptors.callback(os.close, descriptor)
            descriptors.callback(os.close, descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor + 1, hard))
            descriptors.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            command.connect(str(path))
            await until(lambda: "a command could not be heard" in caplog.text)
        report = await ask_status(config)

    assert "Too many open files" in caplog.text
    assert report is not None


async def test_the_sockets_of_others_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as (config, _):
        another = os.getuid() + 1
        monkeypatch.setattr(os, "getuid", lambda: another)
        report = await ask_status(config)

    assert report is None


async def test_a_folder_that_is_gone_at_the_end_is_no_failure(tmp_path: Path) -> None:
    async with running(tmp_path / "data"):
        (tmp_path / "data").rename(tmp_path / "moved")
        (tmp_path / "data").touch()


async def test_only_the_user_can_open_the_socket_and_it_goes_with_the_portal(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with running(folder):
        (path,) = sockets(folder)
        modes = [stat.S_IMODE(where.stat().st_mode) for where in (path, folder)]

    assert modes == [0o600, 0o700]
    assert sockets(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a socket has no other name")
async def test_the_folder_may_have_any_length(tmp_path: Path) -> None:
    async with running(tmp_path / ("long" * 50)) as (config, _):
        report = await ask_status(config)

    assert report is not None


async def test_what_a_killed_portal_left_is_removed_and_what_just_begins_is_not(tmp_path: Path) -> None:
    for name, age_s in (("portal-0.sock", 3_600), ("portal-1.sock", 0)):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / name))
        made = (tmp_path / name).stat().st_mtime - age_s
        os.utime(tmp_path / name, (made, made))
    (tmp_path / "portal-notes.sock").write_text("no socket")
    os.utime(tmp_path / "portal-notes.sock", (made - 3_600, made - 3_600))
    async with running(tmp_path) as (config, _):
        left = {path.name for path in sockets(tmp_path)}
        async with running(tmp_path) as (other, _):
            beside = await ask_status(other)
            report = await ask_status(config)

    assert "portal-0.sock" not in left
    assert {"portal-1.sock", "portal-notes.sock"} <= left
    assert report is not None
    assert beside is not None, "two portals in one folder"


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"\xff\n",
        b"[" * 10**5 + b"\n",
        b'{"ask": "status"}\n',
        b'{"ask": "status", "configuration": 1}\n',
    ],
)
async def test_what_is_no_question_gets_nothing(line: bytes, tmp_path: Path) -> None:
    async with running(tmp_path) as (config, _):
        told = await said_to(tmp_path, line)
        report = await ask_status(config)

    assert json.loads(told) == {"pid": os.getpid(), "servers": None}
    assert report is not None


async def test_unknown_questions_and_servers_get_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as (config, _):
        fingerprint = control._fingerprint(config)
        questions: list[dict[str, object]] = [
            {"ask": "more"},
            {"ask": "sync", "servers": ["none"]},
            {"ask": "sync", "servers": 3},
        ]
        lines = [json.dumps({**question, "configuration": fingerprint}).encode() + b"\n" for question in questions]
        told = [json.loads(await said_to(tmp_path, line))["servers"] for line in lines]

    assert told == [None] * 3


async def test_who_says_too_much_or_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_QUESTION_BYTES", 1_000)
    monkeypatch.setattr(control, "PATIENCE_S", 0.5)
    async with running(tmp_path) as (config, _):
        nothing = [await said_to(tmp_path, said) for said in (b"half a question", b"x" * 10_000)]
        report = await ask_status(config)

    assert nothing == [b"", b""]
    assert report is not None


async def test_no_answer_holds_a_credential(tmp_path: Path) -> None:
    async with running(tmp_path) as (config, _):
        question = {"ask": "status", "configuration": control._fingerprint(config)}
        told = await said_to(tmp_path, json.dumps(question).encode() + b"\n")

    assert json.loads(told)["servers"]
    assert TOKEN.encode() not in told


async def test_where_no_socket_can_be_made_the_portal_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    (tmp_path / "file").touch()

    async with Fleet(()) as fleet:
        await serve_control(Config(data_dir=tmp_path / "file"), fleet)

    assert "commands cannot ask this portal how its servers are: no socket in" in caplog.text
    assert "File exists" in caplog.text
