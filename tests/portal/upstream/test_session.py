"""A session with an upstream in either era: what is sent, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal._errors import UpstreamRefused, UpstreamUnavailable
from portal._server_config import ServerConfig
from portal.upstream import _negotiation
from portal.upstream._connect import http_candidates, open_session
from tests.portal.upstream.conftest import HELLO, PATIENT, Client, Scripted, calling, serving_scripted

if TYPE_CHECKING:
    from tests.portal.upstream.conftest import JSON, Answering, Asked, Opened

ODD: JSON = {"content": [{"type": "hologram", "depth": 3}], "com.example/x": [1, None], "_meta": {"com.example/t": 1}}


async def streamed(asked: Asked) -> None:
    await asked.stream()
    await asked.event({"id": asked.id, "result": ODD})


async def plain(asked: Asked) -> None:
    await asked.result(ODD)


@pytest.mark.parametrize("version", [None, "2025-11-25", "2024-11-05"])
@pytest.mark.parametrize("answer", [plain, streamed])
async def test_a_result_comes_back_as_it_was_sent(opened: Opened, version: str | None, answer: object) -> None:
    scripted = Scripted({"tools/call": answer}, version)  # type: ignore[dict-item]  # one of the two above
    async with opened(scripted) as session:
        result = await calling(session)

    assert result == ODD
    assert session.protocol_version == (version or "2026-07-28")


async def test_a_modern_request_says_who_asks_and_for_whom(opened: Opened) -> None:
    """MCP 2026-07-28, basic: per-request protocol fields; transports: standard headers."""
    scripted = Scripted({"tools/call": plain})
    client = Client(capabilities={"sampling": {}}, log_level="warning")
    async with opened(scripted) as session:
        await calling(session, "größe", conversation=client, headers={"Mcp-Param-Region": "eu"})
        await calling(session)
    first, second = scripted.of("tools/call")

    meta = first.message["params"]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {"sampling": {}}
    assert meta["io.modelcontextprotocol/logLevel"] == "warning"
    assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "portico"
    assert (first.headers["mcp-method"], first.headers["mcp-name"]) == ("tools/call", "=?base64?Z3LDtsOfZQ==?=")
    assert first.headers["mcp-param-region"] == "eu"
    assert first.headers["mcp-protocol-version"] == "2026-07-28"
    assert second.message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}
    assert "io.modelcontextprotocol/logLevel" not in second.message["params"]["_meta"]


async def test_a_request_of_a_handshake_session_carries_its_id_and_nothing_of_the_other_era(opened: Opened) -> None:
    scripted = Scripted({"tools/call": plain}, "2025-06-18")
    params: JSON = {"name": "echo", "_meta": {"io.modelcontextprotocol/logLevel": "debug", "com.example/kept": 1}}
    async with opened(scripted, capabilities={"roots": {}}) as session:
        await session.request("tools/call", params, timeouts=PATIENT)
    (hello,), (call,) = scripted.of("initialize"), scripted.of("tools/call")

    assert hello.message["params"]["capabilities"] == {"roots": {}}
    assert call.headers["mcp-session-id"] == "the-session"
    assert call.headers["mcp-protocol-version"] == "2025-06-18"
    assert "mcp-method" not in call.headers
    assert set(call.message["params"]["_meta"]) == {"com.example/kept", "progressToken"}
    assert scripted.methods()[-1] == "DELETE"


async def test_no_header_says_more_than_the_protocol_needs(opened: Opened) -> None:
    scripted = Scripted({"tools/call": plain})
    async with opened(scripted) as session:
        await calling(session)
    names = set(scripted.of("tools/call")[0].headers)

    assert names == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
        *("mcp-protocol-version", "mcp-method", "mcp-name"),
    }


async def test_arguments_of_megabytes_arrive_whole(opened: Opened) -> None:
    text = "x" * (3 * 2**20)
    scripted = Scripted({"tools/call": plain})
    async with opened(scripted) as session:
        await session.request("tools/call", {"name": "echo", "arguments": {"text": text}}, timeouts=PATIENT)

    assert scripted.of("tools/call")[0].message["params"]["arguments"]["text"] == text


@pytest.mark.parametrize(
    "refusal",
    [lambda asked: asked.reply(400), lambda asked: asked.error(-32600, "Not a request", status=400)],
)
async def test_a_server_that_takes_no_notification_is_opened_all_the_same(opened: Opened, refusal: Answering) -> None:
    scripted = Scripted({"tools/call": plain}, "2025-03-26")
    scripted.answers["notifications/initialized"] = refusal
    async with opened(scripted) as session:
        assert await calling(session) == ODD


async def test_a_server_that_insists_on_an_older_version_gets_it(opened: Opened) -> None:
    async def strict(asked: Asked) -> None:
        if asked.message["params"]["protocolVersion"] == "2025-03-26":
            about: JSON = {
                "protocolVersion": "2025-03-26",
                "capabilities": {},
                "serverInfo": {"name": "s", "version": "1"},
            }
            await asked.result(about)
        else:
            await asked.error(-32602, "Unsupported protocol version", {"supported": ["2024-11-05", "2025-03-26"]})

    async with opened(Scripted({"initialize": strict}, "2025-03-26")) as session:
        assert session.protocol_version == "2025-03-26"


@pytest.mark.parametrize("version", ["1.0", "2027-01-01"])
async def test_a_version_that_nobody_knows_is_refused_by_its_name(opened: Opened, version: str) -> None:
    with pytest.raises(UpstreamUnavailable, match=f"it speaks MCP {version}") as failure:
        async with opened(Scripted(version=version)):
            pass

    assert not failure.value.is_retryable


async def test_a_server_that_answers_nothing_but_a_handshake_is_opened(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_negotiation, "PROBE_S", 0.05)
    ignored = Scripted({"server/discover": lambda asked: asked.until_gone(), "tools/call": plain}, "2024-11-05")
    async with opened(ignored) as session:
        result = await calling(session)

    assert result == ODD


async def test_a_server_that_hangs_up_on_all_but_a_handshake_is_opened(opened: Opened) -> None:
    async def hang_up(asked: Asked) -> None:
        asked.writer.transport.abort()

    async with opened(Scripted({"server/discover": hang_up, "tools/call": plain}, "2025-06-18")) as session:
        result = await calling(session)

    assert result == ODD


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_what_both_eras_would_meet_is_met_once_by_a_session_that_begins_with_the_handshake(status: int) -> None:
    scripted = Scripted({"initialize": lambda asked: asked.reply(status)})
    async with serving_scripted(scripted) as url:
        with pytest.raises(UpstreamUnavailable) as failure:
            async with open_session(
                ServerConfig(id="up", url=url),
                capabilities={},
                on_notification=lambda *_: None,
                is_handshake_first=True,
            ):
                pass

    assert failure.value.code == status
    assert scripted.methods() == ["initialize"]


async def test_a_slow_server_that_knows_no_handshake_is_opened(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_negotiation, "PROBE_S", 0.05)

    async def slow(asked: Asked) -> None:
        await scripted.reached("initialize")
        await asked.result({"supportedVersions": ["2026-07-28"], "capabilities": {}})

    scripted = Scripted({"server/discover": slow})
    async with opened(scripted) as session:
        assert session.is_modern


async def test_an_error_keeps_its_code_and_data_whatever_the_status(opened: Opened) -> None:
    async def refuse(asked: Asked) -> None:
        await asked.error(-32021, "needs elicitation", {"requiredCapabilities": {"elicitation": {}}}, status=400)

    async with opened(Scripted({"tools/call": refuse})) as session:
        with pytest.raises(UpstreamRefused) as refusal:
            await calling(session)

    assert (refusal.value.code, refusal.value.message) == (-32021, "needs elicitation")
    assert refusal.value.data == {"requiredCapabilities": {"elicitation": {}}}


async def test_an_interim_result_passes_as_it_came(opened: Opened) -> None:
    """MCP 2026-07-28, multi round-trip requests."""
    interim: JSON = {
        "resultType": "input_required",
        "inputRequests": {"q": {"method": "roots/list"}},
        "requestState": "s",
    }

    async def ask_back(asked: Asked) -> None:
        await asked.result(interim if "inputResponses" not in asked.message["params"] else HELLO)

    async with opened(Scripted({"tools/call": ask_back})) as session:
        first = await calling(session)
        more: JSON = {"name": "echo", "inputResponses": {"q": {"roots": []}}, "requestState": "s"}
        second = await session.request("tools/call", more, timeouts=PATIENT)

    assert first == interim
    assert second == HELLO


async def test_a_subscription_brings_what_comes_on_it_until_it_ends(opened: Opened) -> None:
    async def subscribed(asked: Asked) -> None:
        await asked.stream()
        await asked.event({"method": "notifications/subscriptions/acknowledged", "params": {}})
        await asked.event({"method": "notifications/tools/list_changed", "params": {"n": 1}})
        await asked.event({"id": asked.id, "result": {}})

    scripted = Scripted({"subscriptions/listen": subscribed})
    heard: list[tuple[str, JSON]] = []
    elsewhere: list[tuple[str, JSON]] = []
    async with opened(scripted, heard=elsewhere) as session:
        await session.listen({"toolsListChanged": True}, lambda method, params: heard.append((method, params)))

    assert scripted.of("subscriptions/listen")[0].message["params"]["notifications"] == {"toolsListChanged": True}
    assert [method for method, _ in heard] == [
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
    ]
    assert elsewhere == []


async def test_a_check_of_a_server_that_is_gone_notes_the_loss(opened: Opened) -> None:
    scripted = Scripted(version="2025-11-25")
    async with opened(scripted) as session:
        await session.check(timeout_s=5)
        is_lost = session.loss.event.is_set()
        scripted.answers["ping"] = lambda asked: asked.until_gone()
        await session.check(timeout_s=0.1)

    assert not is_lost
    assert session.loss.cause == "no sign of life within 0.1 s"


def test_the_path_says_what_is_tried_and_in_which_order() -> None:
    def tried(url: str, **fields: str) -> list[str]:
        return [f"{kind} {at.raw_path_qs}" for kind, at in http_candidates(ServerConfig(id="up", url=url, **fields))]  # type: ignore[arg-type]  # a transport

    assert tried("http://a/mcp") == ["http /mcp"]
    assert tried("http://a/sse/") == ["sse /sse/"]
    assert tried("http://a/x?k=1") == ["http /x?k=1", "sse /x?k=1", "http /x/mcp?k=1", "sse /x/sse?k=1"]
    assert tried("http://a/") == ["http /", "sse /", "http /mcp", "sse /sse"]
    assert tried("http://a/mcp", transport="sse") == ["sse /mcp"]
