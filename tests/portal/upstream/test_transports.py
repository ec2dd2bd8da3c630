"""The transports without HTTP: processes that misbehave, and servers in this process."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
import pytest
from mcp.server import Server

from portal._errors import UpstreamFailure, UpstreamMisbehaved, UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from portal._server_config import ServerConfig
from portal.upstream._connect import open_session
from portal.upstream._exchange import Timeouts
from portal.upstream._lines import LineReader, TooLong
from tests.portal.conftest import UPSTREAMS, until
from tests.portal.upstream.conftest import PATIENCE_S, PATIENT, Client, calling

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from portal.upstream._session import UpstreamSession
    from tests.portal.upstream.conftest import JSON

OK = {"ok": True}


@asynccontextmanager
async def hostile(
    heard: list[tuple[str, JSON]] | None = None,
    **fields: Any,  # noqa: ANN401 -- fields of the configuration
) -> AsyncIterator[UpstreamSession]:
    def hear(method: str, params: JSON) -> None:
        if heard is not None:
            heard.append((method, params))

    config = ServerConfig(id="up", command=sys.executable, args=(str(UPSTREAMS / "hostile.py"),), **fields)
    with anyio.fail_after(PATIENCE_S):
        async with open_session(config, capabilities={}, on_notification=hear) as session:
            yield session


@pytest.mark.parametrize("name", ["huge", "huge_with_its_id_last"])
async def test_an_answer_that_is_too_large_costs_its_own_call(name: str) -> None:
    """SECURITY 4.2, fault 4."""
    async with hostile(max_answer_mb=2) as session:
        with pytest.raises(UpstreamMisbehaved, match=r"5\.0 MiB \(more than 2 MiB\), which is too much"):
            await calling(session, name)
        result = await calling(session)
        is_lost = session.loss.event.is_set()

    assert result == OK
    assert not is_lost


async def test_an_answer_that_is_too_large_and_too_late_costs_nothing() -> None:
    async with hostile(max_answer_mb=2) as session:
        with pytest.raises(UpstreamTimeout):
            await calling(session, "late", timeouts=Timeouts(idle_s=0.1))
        result = await calling(session)
        is_lost = session.loss.event.is_set()

    assert result == OK
    assert not is_lost


async def test_the_fate_of_calls_is_unknown_when_nobody_can_say_whose_answer_was_too_large() -> None:
    failures: list[UpstreamFailure] = []

    async def call(name: str) -> None:
        with pytest.raises(UpstreamFailure) as failure:
            await calling(session, name)
        failures.append(failure.value)

    async with hostile(max_answer_mb=2) as session:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "silent")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(call, "nobodys")
        cause = session.loss.cause

    assert [failure.is_outcome_unknown for failure in failures] == [True, True]
    assert "more than 2 MiB" in cause


async def test_a_list_may_be_longer_than_an_answer_here_too() -> None:
    async with hostile(max_answer_mb=2, max_list_mb=6) as session:
        result = await session.request("tools/list", {}, timeouts=PATIENT)

    assert len(str(result)) > 5 * 2**20


async def test_output_without_an_end_is_passed_over_until_the_time_is_over() -> None:
    """SECURITY 4.2, fault 5."""
    async with hostile(max_answer_mb=2) as session:
        with pytest.raises(UpstreamTimeout):
            await calling(session, "endless", timeouts=Timeouts(idle_s=0.5))


@pytest.mark.parametrize("name", ["banner", "twice"])
async def test_what_is_no_answer_to_anybody_is_passed_over(name: str) -> None:
    async with hostile() as session:
        results = [await calling(session, name), await calling(session)]

    assert results == [OK, OK]


async def test_a_call_to_a_process_is_given_up_there_too() -> None:
    heard: list[tuple[str, JSON]] = []
    async with hostile(heard) as session:
        with pytest.raises(UpstreamTimeout):
            await calling(session, "hang", timeouts=Timeouts(idle_s=0.1))
        await until(lambda: bool(heard))

    assert heard[0][1]["method"] == "notifications/cancelled"
    assert heard[0][1]["params"] == {"requestId": heard[0][1]["of"]}


async def test_a_process_that_takes_nothing_more_ends_the_session() -> None:
    async with hostile() as session:
        await calling(session, "deaf")
        with pytest.raises(UpstreamUnavailable):
            await calling(session)
        await session.loss.event.wait()

    assert session.loss.cause == "the process takes no more messages"


@pytest.mark.parametrize("size", [1, 5, 64])
def test_lines_are_read_alike_however_the_bytes_are_cut(size: int) -> None:
    stream = b"one\n\n" + b'{"id":7,"result":"' + b"x" * 2000 + b'"}\ntwo\nrest'
    reader, lines = LineReader(lambda: 1000), []
    for start in range(0, len(stream), size):
        lines += reader.feed(stream[start : start + size])

    assert lines == [b"one", b"", TooLong(2020, 1000, 7), b"two"]


@pytest.mark.parametrize(
    ("begin", "end", "request_id", "is_answer"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"x":"', b'"}}', 7, True),
        (b'{ "id" : 7, "jsonrpc": "2.0", "error": {"x": "', b'"} }', 7, True),
        (b'{"jsonrpc":"2.0","result":{"x":"', b'"},"id":7}', 7, True),
        (b'{"result":{"x":"', b'"},"id":7,"jsonrpc":"2.0"}', 7, True),
        (b'{"result":{"x":"', b'","id":7}}', None, True),
        (b'{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"x":"', b'"}}', None, False),
        (b'{"jsonrpc":"2.0","method":"sampling/createMessage","params":{"x":"', b'"},"id":7}', None, False),
        (b'{"jsonrpc":"2.0","id":"a-7","method":"roots/list","params":{"x":"', b'"}}', None, False),
        (b'{"jsonrpc":"2.0","method":"notifications/message","params":{"x":"', b'"}}', None, False),
        (b'{"what":"', b'","id":7}', None, True),
        (b"x", b"", None, True),
    ],
)
def test_the_ends_of_a_line_that_is_too_long_say_whose_answer_it_is(
    begin: bytes, end: bytes, request_id: int | None, is_answer: bool
) -> None:
    """Also that it is none: the ids of a server's own requests are not those of ours."""
    line = begin + b"x" * 1_000 + end

    assert LineReader(lambda: 10).feed(line + b"\n") == [TooLong(len(line), 10, request_id, is_answer=is_answer)]


def test_an_id_within_an_answer_is_not_taken_for_its_own() -> None:
    (line,) = LineReader(lambda: 10).feed(b'{"result":{"rows":[],"id":7}}\n')

    assert line == TooLong(29, 10, None)


@pytest.mark.parametrize("name", ["asks_much", "tells_much"])
async def test_a_message_that_answers_nobody_and_is_too_large_costs_nothing(name: str) -> None:
    async with hostile(max_answer_mb=2) as session:
        results = [await calling(session, name), await calling(session)]
        is_lost = session.loss.event.is_set()

    assert results == [OK, OK]
    assert not is_lost


class InProcess:
    """A server of the SDK whose one tool does what a test wants."""

    def __init__(self) -> None:
        self.entered = anyio.Event()
        self.cancelled = anyio.Event()

    def build(self) -> Server[dict[str, object]]:
        return Server("here", version="1", on_list_tools=self._list, on_call_tool=self._call)

    async def _list(self, _ctx: object, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[])

    async def _call(self, ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:  # noqa: ANN401 -- the SDK's
        self.entered.set()
        if params.name == "hang":
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled.set()
        if params.name == "fail":
            raise RuntimeError("a secret of the server")
        await ctx.session.report_progress(1, 2, "half")
        return types.CallToolResult(content=[])


@pytest.fixture
async def here(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[InProcess, UpstreamSession]]:
    """A session with a server in this process, in the place of the demo."""
    server = InProcess()
    monkeypatch.setattr("portal.demo.build_server", server.build)
    config = ServerConfig(id="up", transport="demo")
    async with open_session(config, capabilities={}, on_notification=lambda *_: None) as session:
        yield server, session


async def test_a_server_in_this_process_reports_progress(here: tuple[InProcess, UpstreamSession]) -> None:
    client = Client(wants_progress=True)
    result = await calling(here[1], conversation=client)

    assert result["content"] == []
    assert client.progress == [{"progress": 1, "total": 2, "message": "half"}]


async def test_a_call_in_this_process_is_cancelled_with_its_caller(here: tuple[InProcess, UpstreamSession]) -> None:
    server, session = here
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(calling, session, "hang")
        await server.entered.wait()
        tasks.cancel_scope.cancel()

    assert server.cancelled.is_set()


async def test_a_call_in_this_process_has_its_time(here: tuple[InProcess, UpstreamSession]) -> None:
    with pytest.raises(UpstreamTimeout):
        await calling(here[1], "hang", timeouts=Timeouts(idle_s=0.05))

    assert here[0].cancelled.is_set()


async def test_a_mistake_in_a_server_of_this_process_is_kept_in_the_log(
    here: tuple[InProcess, UpstreamSession], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UpstreamRefused, match="Internal server error"):
        await calling(here[1], "fail")

    assert "a secret of the server" in caplog.text
