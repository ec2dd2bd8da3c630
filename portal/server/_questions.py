"""An upstream's questions (MCP 2026-07-28, ``input_required``) put to a client of any era, and answered upstream."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import ClientCannot, UpstreamMisbehaved, UpstreamRefused
from portal.server._rounds import INPUT_REQUIRED
from portal.wire import ASKED_METHODS, INTERNAL_ERROR, RpcError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from portal._conversation import Conversation
    from typegen import JsonObject, JsonValue

    Send: TypeAlias = Callable[[JsonObject], Awaitable[JsonObject]]

MAX_ROUNDS: Final = 16
"""An upstream that asks again and again would hold a call for ever."""
URL_ELICITATION_REQUIRED: Final = -32042


async def answered(send: Send, conversation: Conversation, *, server_id: str, shows_pages: bool) -> JsonObject:
    """Send a request upstream, round after round, until it has a result that asks nothing.

    ``send`` gets what goes upstream beside the usual params. An error that wants pages visited first (-32042, MCP
    2025-11-25) becomes a round too with ``shows_pages``, for clients that do not know that error; where they cannot be
    shown a page, or the user declines, it stays an error. Raises ``UpstreamFailure``.
    """
    carried: JsonObject = {}
    for _ in range(MAX_ROUNDS):
        try:
            result = await send(carried)
        except UpstreamRefused as refusal:
            if not (shows_pages and await _visited(refusal, conversation)):
                raise
            carried = {}
            continue
        if result.get("resultType") != INPUT_REQUIRED:
            return result
        carried = await _round(result, conversation, server_id=server_id)
    raise UpstreamMisbehaved(f"{server_id} asks without an end", upstream=server_id)


async def _round(result: JsonObject, conversation: Conversation, *, server_id: str) -> JsonObject:
    asked = result.get("inputRequests")
    questions = (
        {key: question for key, question in asked.items() if isinstance(question, dict)}
        if isinstance(asked, dict)
        else {}
    )
    responses: JsonObject = {}
    failures: list[UpstreamRefused] = []

    async def ask(key: str, question: JsonObject) -> None:
        try:
            responses[key] = await _ask(question, conversation, server_id=server_id)
        except UpstreamRefused as failure:
            failures.append(failure)

    async with anyio.create_task_group() as tasks:
        for key, question in questions.items():
            tasks.start_soon(ask, key, question)
    if failures:
        raise failures[0]
    carried: JsonObject = {"inputResponses": responses} if responses else {}
    return {**carried, "requestState": result["requestState"]} if "requestState" in result else carried


async def _ask(question: JsonObject, conversation: Conversation, *, server_id: str) -> JsonObject:
    method, given = question.get("method"), question.get("params")
    params: JsonObject = given if isinstance(given, dict) else {}
    if not isinstance(method, str) or method not in ASKED_METHODS:
        raise UpstreamRefused(f"{server_id} asks something that MCP does not know", upstream=server_id)
    if params.get("mode") == "url" and "elicitationId" not in params:
        # MCP 2025-11-25 has an id in each; 2026-07-28 ignores it.
        params = {**params, "elicitationId": secrets.token_hex(8)}
    try:
        return await conversation.ask(method, params)
    except ClientCannot as refusal:
        message = f"{server_id} asks something of the user or the client ({method}): {refusal}"
        raise UpstreamRefused(message, upstream=server_id) from refusal
    except RpcError as error:
        message = f"{server_id} asked the client ({method}), which answered: {error.message}"
        raise UpstreamRefused(message, upstream=server_id, code=INTERNAL_ERROR) from error


async def _visited(refusal: UpstreamRefused, conversation: Conversation) -> bool:
    """Ask the user to visit the pages that an upstream wants visited first; return whether all were agreed to."""
    pages = _pages(refusal)
    if not pages:
        return False
    agreed = 0
    for page in pages:
        # The answer of this era is about agreeing to go there; the next try tells whether all is done.
        params = {key: value for key, value in page.items() if key != "elicitationId"}
        try:
            answer = await conversation.ask("elicitation/create", {**params, "mode": "url"})
        except (ClientCannot, RpcError):
            return False
        agreed += answer.get("action") == "accept"
    return agreed == len(pages)


def _pages(refusal: UpstreamRefused) -> list[JsonObject]:
    listed: JsonValue = None
    if refusal.code == URL_ELICITATION_REQUIRED and isinstance(refusal.data, dict):
        listed = refusal.data.get("elicitations")
    return [page for page in listed if isinstance(page, dict)] if isinstance(listed, list) else []


def pages_of(refusal: UpstreamRefused) -> list[str]:
    """Return the ids of the pages that an upstream wants visited first, by which it will say that it is done."""
    return [page_id for page in _pages(refusal) if isinstance(page_id := page.get("elicitationId"), str)]
