"""What a client and a server say to each other arrives as it was said, or is an error of its own request at once."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest

from portal import PortalConfig, PortalServer, Rules
from tests.portal.clients.conftest import JSON, PATIENCE_S, events, modern_request, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.portal.clients.conftest import RawAt, RawClient
    from tests.portal.conftest import PortalAt, StdioServer

OpenClient: TypeAlias = "Callable[..., AbstractAsyncContextManager[RawClient]]"

BEYOND = 123456789012345678901234567890
OLD = "2025-11-25"
RESULT = '{"jsonrpc":"2.0","id":ID,"result":{"content":[],"structuredContent":%s}}'
QUESTION = '{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"m","requestedSchema":%s}}'
NOTE = (
    '{"jsonrpc":"2.0","method":"notifications/message","params":'
    '{"_meta":{"io.modelcontextprotocol/subscriptionId":ID},"level":"error","data":%s}}'
)
ASKS: JSON = {"elicitation": {}}


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.fixture
def client(portal_at: PortalAt, raw_client: RawAt, stdio_server: StdioServer) -> OpenClient:
    """Open a raw client of a portal with the server ``bytewise.py``."""

    @asynccontextmanager
    async def opened(
        capabilities: JSON | None = None, *, tools: Rules | None = None, call_timeout_s: float = PATIENCE_S
    ) -> AsyncIterator[RawClient]:
        server = stdio_server("bytewise.py", session="client", call_timeout_s=call_timeout_s)
        portals = (PortalConfig(servers=(PortalServer(id="child", tools=tools or Rules()),)),)
        async with portal_at(server, portals=portals) as (_, origin), raw_client(origin) as raw:
            await raw.begin(OLD, capabilities)
            yield raw

    return opened


def said(**arguments: object) -> JSON:
    return request("tools/call", {"name": "child_say", "arguments": arguments})


def heard(answer: JSON) -> Any:  # noqa: ANN401 -- JSON
    return json.loads(answer["result"]["content"][0]["text"])


async def next_message(found: AsyncIterator[JSON]) -> JSON:
    while not (event := await anext(found)).get("data"):
        pass  # the first event of a stream holds its id alone
    message: JSON = json.loads(event["data"])
    return message


async def test_integers_beyond_64_bits_cross_both_ways(client: OpenClient) -> None:
    async with client() as raw:
        up = heard((await raw.post(said(n=BEYOND, m=2**64))).json())
        down = (await raw.post(said(line=RESULT % f'{{"n":{BEYOND},"m":{2**64}}}'))).json()

    assert up["arguments"] == {"n": BEYOND, "m": 2**64}
    assert down["result"]["structuredContent"] == {"n": BEYOND, "m": 2**64}


async def test_an_id_beyond_64_bits_is_answered_with_itself(client: OpenClient) -> None:
    async with client() as raw:
        listed = (await raw.post(request("tools/list", {}, BEYOND))).json()
        refused = (await raw.post({**request("tools/list", {}, BEYOND), "params": 1})).json()

    assert (listed["id"], refused["id"]) == (BEYOND, BEYOND)


async def test_half_an_emoji_of_a_client_does_not_cost_its_message(client: OpenClient) -> None:
    async with client() as raw:
        answer = await raw.post(json.dumps(said(s="a\ud83d")).encode())

    assert heard(answer.json())["arguments"] == {"s": "a?"}


@pytest.mark.parametrize("value", ["1e400", "NaN", "-Infinity", nested(2000)], ids=["1e400", "NaN", "inf", "deep"])
async def test_a_line_that_is_no_json_fails_the_request_that_it_answers_at_once(
    client: OpenClient,
    value: str,
) -> None:
    async with client(call_timeout_s=600) as raw:
        with anyio.fail_after(PATIENCE_S):
            answer = (await raw.post(said(line=RESULT % f'{{"n":{value}}}'))).json()
            after = (await raw.post(said(n=1))).json()

    assert answer["result"]["isError"] is True
    assert "no message of MCP" in answer["result"]["content"][0]["text"]
    assert heard(after)["arguments"] == {"n": 1}


@pytest.mark.parametrize("levels", [200, 300, 500, 600, 1000])
@pytest.mark.parametrize("place", ["arguments", "_meta"])
async def test_what_a_client_nests_deep_is_passed_on_or_refused(
    client: OpenClient,
    levels: int,
    place: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    params = {"name": "child_say", "arguments": {}, place: {"deep": "VALUE"}}
    body = json.dumps(request("tools/call", params)).replace('"VALUE"', nested(levels))
    async with client() as raw:
        answer = (await raw.post(body.encode())).json()

    if levels > 510:
        assert answer["error"]["message"] == "A message is nested at most 512 levels deep"
    else:
        assert heard(answer)[place]["deep"] == json.loads(nested(levels))
    assert "Traceback" not in caplog.text


async def test_capabilities_that_are_nested_deep_cost_nothing(client: OpenClient) -> None:
    async with client({"elicitation": json.loads(nested(300))}) as raw:
        answer = (await raw.post(said(n=1))).json()

    assert heard(answer)["arguments"] == {"n": 1}


@pytest.mark.parametrize("levels", [1_000, 2_000])
async def test_a_question_that_is_nested_too_deep_is_refused_to_its_server(
    client: OpenClient,
    levels: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        async with client(ASKS, call_timeout_s=600) as raw:
            answer = (await raw.post(said(ask=QUESTION % nested(levels)))).text

    text = json.loads(answer.partition("data: ")[2].strip() or answer)
    assert "nested too deep" in heard(text)["error"]["message"]
    assert heard(text)["id"] == "q"
    assert "Traceback" not in caplog.text


async def test_a_notification_that_is_nested_too_deep_is_left_out(
    client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with client() as raw:
        answer = (await raw.post(said(line=NOTE % nested(1_000) + "\n" + RESULT % '{"n":1}'))).text

    assert '"structuredContent":{"n":1}' in answer
    assert "a notification cannot be passed on" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("levels", [200, 600, 1_000, 2_000])
async def test_the_server_hears_of_an_answer_that_cannot_be_passed_on(client: OpenClient, levels: int) -> None:
    async with client(ASKS, call_timeout_s=600) as raw, raw.stream("POST", said(ask=QUESTION % "{}")) as response:
        found = events(response)
        with anyio.fail_after(PATIENCE_S):
            question = await next_message(found)
            answer = json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": "VALUE"})
            taken = await raw.post(answer.replace('"VALUE"', nested(levels)).encode())
            result = heard(await next_message(found))

    assert taken.status_code == 202
    assert result["id"] == "q"
    assert ("error" in result) == (levels > 510)


async def test_a_servers_own_error_code_of_0_stays_0(client: OpenClient) -> None:
    async with client() as raw:
        answer = (await raw.post(said(line='{"jsonrpc":"2.0","id":ID,"error":{"code":0,"message":"plain"}}'))).json()

    assert answer["error"] == {"code": 0, "message": "plain"}


@pytest.mark.parametrize("value", [[1, None], 0, "", False], ids=str)
async def test_structured_content_that_an_older_client_does_not_know_becomes_text(
    client: OpenClient,
    value: object,
) -> None:
    """MCP 2026-07-28, tools, Structured Content: its JSON should be a text as well."""
    body, headers = modern_request("tools/call", said(line=RESULT % json.dumps(value))["params"])
    async with client() as raw:
        older = (await raw.post(said(line=RESULT % json.dumps(value)))).json()["result"]
        del raw.headers["mcp-session-id"]
        modern = (await raw.post(body, headers)).json()["result"]

    assert older == {"content": [{"type": "text", "text": json.dumps(value, separators=(",", ":"))}]}
    assert (modern["content"], modern["structuredContent"]) == ([], value)


async def test_structured_content_that_cannot_be_written_is_left_out_for_an_older_client(client: OpenClient) -> None:
    async with client() as raw:
        answer = (await raw.post(said(line=RESULT % f"[{nested(1_000)}]"))).json()

    assert answer["result"] == {"content": []}


async def test_structured_content_that_is_a_text_already_is_not_said_twice(client: OpenClient) -> None:
    line = '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"one"}],"structuredContent":[1]}}'
    async with client() as raw:
        answer = (await raw.post(said(line=line))).json()

    assert answer["result"] == {"content": [{"type": "text", "text": "one"}]}


async def test_params_of_a_call_that_nobody_here_knows_go_on(client: OpenClient) -> None:
    """But not ``task``: who declares no tasks ignores it (MCP 2025-11-25, tasks, Capability Negotiation)."""
    body = said(n=1)
    body["params"] |= {"later": {"x": 1}, "task": {"ttl": 1}, "requestState": "s"}
    async with client() as raw:
        up = heard((await raw.post(body)).json())

    assert up["later"] == {"x": 1}
    assert {"task", "requestState"}.isdisjoint(up)


async def test_no_param_goes_on_that_the_user_was_not_asked_about(client: OpenClient) -> None:
    body = said(n=1)
    body["params"]["later"] = {"x": 1}
    async with client(ASKS, tools=Rules(ask=("say",))) as raw, raw.stream("POST", body) as response:
        found = events(response)
        with anyio.fail_after(PATIENCE_S):
            question = await next_message(found)
            await raw.post({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {}}})
            up = heard(await next_message(found))

    assert up["arguments"] == {"n": 1}
    assert "later" not in up
