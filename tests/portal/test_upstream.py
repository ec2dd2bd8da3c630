"""One upstream: opened in any era and over any transport, kept, synced, lost and found again."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest
from starlette.responses import PlainTextResponse

from portal._errors import UpstreamFailure, UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from portal._secret import Secret
from portal._server_config import BearerAuth, HeadersAuth, ServerConfig
from portal.upstream import Upstream
from tests.portal.conftest import PATIENCE_S, is_running, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from tests.portal.conftest import HttpServer, Serving, StdioServer, Upstreamed


@asynccontextmanager
async def connected(config: ServerConfig) -> AsyncIterator[Upstream]:
    """Run the upstream's owner; the block starts when its first attempt has succeeded or failed."""
    upstream = Upstream(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upstream.run)
        with anyio.fail_after(PATIENCE_S):
            await upstream.wait_settled()
            yield upstream
        upstream.stop()


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", None])
async def test_an_http_upstream_of_any_era_is_listed_and_called(
    upstream: Upstreamed, serving: Serving, version: str | None
) -> None:
    upstream.version = version
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        result = await up.call("echo", {"text": "hi"})

    assert up.status.protocol_version == (version or "2026-07-28")
    assert list(up.tools) == ["echo"]
    assert result["content"] == [{"type": "text", "text": "echo {'text': 'hi'}"}]


@pytest.mark.parametrize("path", ["/sse", "/", "/events"])
@pytest.mark.parametrize("version", ["2024-11-05", None])
async def test_an_upstream_that_speaks_http_with_sse_is_found_out(
    upstream: Upstreamed, serving_sse: Serving, path: str, version: str | None
) -> None:
    """MCP 2025-11-25, transports, backwards compatibility: POST first, and GET where that is refused."""
    upstream.version = version
    auth = BearerAuth(token=Secret("s3cret"))
    async with (
        serving_sse(upstream, path=path) as url,
        connected(ServerConfig(id="up", url=url, auth=auth)) as up,
    ):
        result = await up.call("echo", {"n": 1})

    assert result["content"] == [{"type": "text", "text": "echo {'n': 1}"}]
    assert all(headers["authorization"] == "Bearer s3cret" for headers in upstream.headers)


async def test_a_stdio_upstream_is_listed_and_called(stdio_server: StdioServer) -> None:
    async with connected(stdio_server("tools.py")) as up:
        result = await up.call("add", {"a": 2, "b": 3})

    assert {"add", "environment", "process", "leave"} == set(up.tools)
    assert result["structuredContent"] == {"result": 5}


async def test_the_demo_is_an_upstream_in_process() -> None:
    async with connected(ServerConfig(id="tracker", transport="demo")) as up:
        status = up.status

    assert status.status == "ready"
    assert status.tools >= 10


async def test_a_result_arrives_as_it_was_sent_with_fields_that_nobody_knows(
    upstream: Upstreamed, serving: Serving
) -> None:
    sent = {
        "content": [
            {"type": "hologram", "text": "x", "depth": 3},
            {"type": "text", "text": "t", "vendor": {"a": None}},
        ],
        "structuredContent": {"a": None, "n": 1.0},
        "com.example/extra": [1, 2],
        "_meta": {"com.example/trace": "t1"},
    }
    upstream.offer("odd", sent)
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        result = await up.call("odd", {})

    assert {key: result[key] for key in ("content", "structuredContent", "com.example/extra")} == {
        key: sent[key] for key in ("content", "structuredContent", "com.example/extra")
    }
    assert isinstance(result["_meta"], dict)
    assert result["_meta"]["com.example/trace"] == "t1"


async def test_every_page_of_tools_is_listed(upstream: Upstreamed, serving: Serving) -> None:
    for number in range(25):
        upstream.offer(f"tool_{number}")
    upstream.page_size = 10
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        names = list(up.tools)

    assert names == ["echo", *(f"tool_{number}" for number in range(25))]
    assert upstream.lists == 3


async def test_an_invalid_tool_is_left_out_and_the_others_stay(
    upstream: Upstreamed, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.definitions["bad"] = {"name": "bad", "inputSchema": "none"}
    upstream.definitions["worse"] = {"name": "worse", "inputSchema": {"type": "array"}}
    upstream.offer("good", outputSchema={"type": "array", "items": {"type": "string"}}, icons=[{"src": "data:,"}])
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        tools = up.tools

    assert list(tools) == ["echo", "good"]
    assert "'bad'" in caplog.text
    assert tools["good"].modern == upstream.definitions["good"]
    assert tools["good"].handshake is not None
    assert "outputSchema" not in tools["good"].handshake


@pytest.mark.parametrize("version", ["2025-11-25", None])
async def test_a_burst_of_announcements_costs_two_more_lists_at_most_and_loses_none(
    upstream: Upstreamed, serving: Serving, version: str | None
) -> None:
    upstream.version = version
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        await until(lambda: bool(upstream.connections or upstream.bus._listeners))
        for number in range(200):
            upstream.offer(f"late_{number}")
            await upstream.announce()
        await until(lambda: "late_199" in up.tools)

    assert upstream.lists <= 1 + 2


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (BearerAuth(token=Secret("s3cret-token")), {"authorization": "Bearer s3cret-token"}),
        (HeadersAuth(headers={"X-Api-Key": Secret("s3cret-key")}), {"x-api-key": "s3cret-key"}),
    ],
)
async def test_the_credential_is_sent_with_every_request(
    upstream: Upstreamed, serving: Serving, auth: BearerAuth | HeadersAuth, expected: dict[str, str]
) -> None:
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url, auth=auth)) as up:
        await up.call("echo", {})

    assert len(upstream.headers) >= 3
    assert all(expected.items() <= headers.items() for headers in upstream.headers)


async def test_the_credential_does_not_follow_a_redirect_to_another_origin(
    upstream: Upstreamed, serving: Serving, http_server: HttpServer
) -> None:
    """MCP 2025-11-25, authorization: a client must not send its token anywhere but to the server it is for."""
    async with serving(upstream) as other:

        async def redirecting(scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("", 307, {"location": other})(scope, receive, send)

        async with http_server(redirecting) as port:
            config = ServerConfig(id="up", url=f"http://127.0.0.1:{port}/mcp", auth=BearerAuth(token=Secret("s3cret")))
            async with connected(config) as up:
                status = up.status

    assert status.status == "error"
    assert upstream.headers == []


async def test_an_error_of_the_upstream_is_raised_as_it_is(upstream: Upstreamed, serving: Serving) -> None:
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        with pytest.raises(UpstreamRefused) as refusal:
            await up.call("nothing", {})

    assert (refusal.value.message, refusal.value.data) == ("no tool nothing", {"hint": "list first"})
    assert refusal.value.code == -32602


async def test_a_call_that_takes_too_long_is_a_timeout_and_is_cancelled_upstream(
    upstream: Upstreamed, serving: Serving
) -> None:
    upstream.holds["echo"] = anyio.Event()
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url, call_timeout_s=0.5)) as up:
        with pytest.raises(UpstreamTimeout, match=r"did not answer within 0\.5 s"):
            await up.call("echo", {})
        await upstream.cancelled.wait()


async def test_a_cancelled_call_is_cancelled_upstream(upstream: Upstreamed, serving: Serving) -> None:
    upstream.holds["echo"] = anyio.Event()
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(up.call, "echo", {})
            await upstream.entered.wait()
            tasks.cancel_scope.cancel()
        await upstream.cancelled.wait()


@pytest.mark.parametrize("version", ["2025-11-25", None])
async def test_an_upstream_that_restarts_is_found_again_by_the_next_call(
    upstream: Upstreamed, serving: Serving, free_port: int, version: str | None
) -> None:
    """FIELD C.5: a session lost on redeploy is initialised anew, and the user notices nothing."""
    upstream.version = version
    async with connected(ServerConfig(id="up", url=f"http://127.0.0.1:{free_port}/mcp")) as up:
        before = up.status.status
        async with serving(upstream, port=free_port):
            await until(lambda: up.status.status == "ready")
            await up.call("echo", {"n": 1})
        async with serving(upstream, port=free_port):
            result = await up.call("echo", {"n": 2})

    assert before == "error"
    assert result["content"] == [{"type": "text", "text": "echo {'n': 2}"}]
    assert [arguments for _, arguments in upstream.calls] == [{"n": 1}, {"n": 2}]


async def test_a_call_whose_fate_is_unknown_is_not_repeated(upstream: Upstreamed, serving: Serving) -> None:
    upstream.breaks = "echo"
    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:
        with pytest.raises(UpstreamUnavailable, match="the connection to up broke before it answered"):
            await up.call("echo", {})

    assert sum(headers.get("mcp-name") == "echo" for headers in upstream.headers) == 1


@pytest.mark.parametrize(
    ("breaking", "failure"),
    [("broken", "the connection to up broke"), ("huge", r"17\.0 MiB \(more than 16 MiB\), which is too much")],
)
async def test_one_broken_exchange_leaves_the_others_on_the_session_alone(
    upstream: Upstreamed, serving: Serving, breaking: str, failure: str
) -> None:
    upstream.offer("broken")
    upstream.breaks = "broken"
    upstream.offer("huge", {"content": [{"type": "text", "text": "x" * (17 * 2**20)}]})
    upstream.offer("slow")
    upstream.holds["slow"] = anyio.Event()
    results: list[object] = []

    async with serving(upstream) as url, connected(ServerConfig(id="up", url=url)) as up:

        async def call() -> None:
            results.append(await up.call("slow", {}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await upstream.entered.wait()
            with pytest.raises(UpstreamFailure, match=failure):
                await up.call(breaking, {})
            await up.call("echo", {})
            upstream.holds["slow"].set()
        status = up.status

    assert len(results) == 1
    assert status.status == "ready"


async def test_an_upstream_that_went_away_is_in_error_soon_after_a_call_found_out(
    upstream: Upstreamed, serving: Serving, free_port: int
) -> None:
    async with connected(ServerConfig(id="up", url=f"http://127.0.0.1:{free_port}/mcp")) as up:
        async with serving(upstream, port=free_port):
            await until(lambda: up.status.status == "ready")
        with pytest.raises(UpstreamUnavailable):
            await up.call("echo", {})
        await until(lambda: up.status.status == "error")
        status = up.status

    assert "no connection" in (status.cause or "")
    assert list(up.tools) == ["echo"]


async def test_nothing_listening_is_an_error_with_its_cause(free_port: int) -> None:
    async with connected(ServerConfig(id="up", url=f"http://127.0.0.1:{free_port}/mcp")) as up:
        status = up.status

    assert (status.status, status.retryable) == ("error", True)
    assert status.cause is not None
    assert "no connection" in status.cause


@pytest.mark.parametrize(
    ("answer", "cause", "is_retryable"),
    [
        (PlainTextResponse("no", 403), "HTTP 403 Forbidden: it refuses the credential; check auth", False),
        (PlainTextResponse("no", 401), "HTTP 401 Unauthorized: it refuses the credential; check auth", False),
        (PlainTextResponse("gone", 404), "HTTP 404 Not Found: no MCP endpoint at this address", False),
        (PlainTextResponse("oops", 500), "HTTP 500 Internal Server Error", True),
        (PlainTextResponse("<html>hello</html>", media_type="text/html"), "does not speak MCP", True),
    ],
)
async def test_what_speaks_no_mcp_is_an_error_with_its_cause(
    http_server: HttpServer, answer: ASGIApp, cause: str, is_retryable: bool
) -> None:
    async with (
        http_server(answer) as port,
        connected(ServerConfig(id="up", url=f"http://127.0.0.1:{port}/mcp")) as up,
    ):
        status = up.status

    assert (status.status, status.retryable) == ("error", is_retryable)
    assert cause in (status.cause or "")


async def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time(http_server: HttpServer) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    async with http_server(silent) as port:
        config = ServerConfig(id="up", url=f"http://127.0.0.1:{port}/mcp", connect_timeout_s=0.5)
        async with connected(config) as up:
            status = up.status

    assert status.cause == "no MCP session within 0.5 s"


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        (ServerConfig(id="up", command="no-such-command"), "the command 'no-such-command' was not found: install it"),
        (ServerConfig(id="up", command="npx -y foo"), "put what follows the program under args"),
        (ServerConfig(id="up", command="cat", cwd="/no-dir"), "the folder '/no-dir' was not found: make it, or"),
    ],
)
async def test_a_command_or_folder_that_is_not_there_is_an_error_that_names_it(
    config: ServerConfig, cause: str
) -> None:
    async with connected(config) as up:
        status = up.status

    assert cause in (status.cause or "")
    assert status.retryable is False


async def test_a_child_that_ends_says_why(stdio_server: StdioServer) -> None:
    async with connected(stdio_server("broken.py")) as up:
        status = up.status

    assert status.cause == "the process ended with code 2: missing API key"


async def test_a_child_that_ends_at_the_question_for_its_version_is_started_once_more_and_not_asked_again(
    stdio_server: StdioServer, tmp_path: Path
) -> None:
    """As the servers of rmcp do: ``ExpectedInitializeRequest``."""
    starts = tmp_path / "starts"
    async with connected(stdio_server("strict.py", str(starts))) as up:
        before = (up.status.status, up.status.protocol_version, starts.read_text().count("started"))
        with pytest.raises(UpstreamUnavailable):
            await up.call("leave", {})
        await until(lambda: starts.read_text().count("started") == 3)
        await until(lambda: up.status.status == "ready")
        count = starts.read_text().count("started")

    assert before == ("ready", "2025-06-18", 2)
    assert count == 3


async def test_a_child_that_dies_under_a_call_fails_it_and_is_started_again(stdio_server: StdioServer) -> None:
    async with connected(stdio_server("tools.py")) as up:
        first = (await up.call("process", {}))["structuredContent"]
        with pytest.raises(UpstreamUnavailable):
            await up.call("leave", {})
        second = (await up.call("process", {}))["structuredContent"]

    assert first != second


async def test_a_child_gets_a_clean_environment_with_what_is_configured(
    stdio_server: StdioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTICO_TOKEN", "the portal's own")
    async with connected(stdio_server("tools.py", env={"API_KEY": Secret("k-123456")})) as up:
        environment = (await up.call("environment", {}))["structuredContent"]

    assert isinstance(environment, dict)
    assert environment["API_KEY"] == "k-123456"
    assert "PORTICO_TOKEN" not in environment


async def test_no_process_of_a_childs_family_outlives_it(stdio_server: StdioServer, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with connected(stdio_server("family.py", str(pids))) as up:
        status = up.status
    family = [int(pid) for pid in pids.read_text().split()]
    with anyio.fail_after(PATIENCE_S):
        await until(lambda: not any(is_running(pid) for pid in family))

    assert status.status == "ready"
