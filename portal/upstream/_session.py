"""One open session with an upstream, and the one place that uses names which the SDK calls private.

Requests go out through the SDK's dispatcher as plain JSON and results come back as plain JSON: fields that the SDK does
not know survive, and nothing is validated twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import anyio
from mcp import Client, MCPError
from mcp.shared.inbound import mcp_param_headers
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from portal._errors import (
    UpstreamFailure,
    UpstreamMisbehaved,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from portal.upstream._http import EXCHANGE, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcp.shared.dispatcher import CallOptions, ProgressFnT

    from typegen import JsonObject, JsonValue

LIST_PAGES: Final = 1_000
"""A server that pages without end is stopped here: at 50 tools a page, 50,000 tools."""
SDK_HTTP_ERROR: Final = "Server returned an error response"
"""What the SDK puts in place of a status of 400 or more whose body is no JSON-RPC error."""
SESSION_GONE: Final = frozenset({"Session terminated", "Session not found"})
"""The SDK's own words for a 404 on a session, and those of its server."""


class SessionLost(Exception):  # noqa: N818 -- an event that the owner of a session answers, not an error of anybody's
    """Raised when the upstream no longer knows this session, so that a request on it had no effect."""


class Loss:
    """Whether, and why, a session has ended by itself; and whether there is reason to find out."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.suspicion = anyio.Event()
        self.cause = ""

    def note(self, cause: str) -> None:
        """Say that the session is over; the first cause counts."""
        if not self.event.is_set():
            self.cause = cause
            self.event.set()


class UpstreamSession:
    """A session that is open. ``loss`` tells when it ends by itself."""

    def __init__(self, client: Client, *, server_id: str, loss: Loss) -> None:
        self._session = client.session
        self._client = client
        self._server_id = server_id
        self._last_failure: str | None = None
        self.loss = loss
        self.protocol_version = client.protocol_version

    @property
    def is_modern(self) -> bool:
        """Whether the upstream speaks MCP 2026-07-28, which has no session of its own."""
        return self.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def announces_tool_changes(self) -> bool:
        """Whether the upstream says that it announces a changed tool list."""
        tools = self._client.server_capabilities.tools
        return tools is not None and bool(tools.list_changed)

    @property
    def has_tools(self) -> bool:
        """Whether the upstream says that it has tools."""
        return self._client.server_capabilities.tools is not None

    async def watch_tool_changes(self, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` for each announcement on a subscription; return when the stream ends.

        Only for MCP 2026-07-28 (subscriptions/listen); the versions before it announce without being asked.
        """
        async with self._client.listen(tools_list_changed=True) as events:
            async for _ in events:
                on_change()

    async def check(self, *, timeout_s: float) -> None:
        """Ask for a sign of life, and note the loss of the session when none comes."""
        try:
            await self.request("server/discover" if self.is_modern else "ping", {}, timeout_s=timeout_s)
        except SessionLost:
            pass  # noted already
        except UpstreamRefused:
            pass  # an answer all the same
        except UpstreamFailure as failure:
            self.loss.note(self._last_failure or failure.message)

    async def list_tools(self, *, timeout_s: float) -> list[JsonValue]:
        """Return every tool definition as the upstream sends it, all pages. Raises ``UpstreamFailure``."""
        tools: list[JsonValue] = []
        cursor: JsonValue = None
        seen: set[str] = set()
        for _ in range(LIST_PAGES):
            page = await self.request("tools/list", {"cursor": cursor} if cursor else {}, timeout_s=timeout_s)
            listed = page.get("tools")
            if not isinstance(listed, list):
                message = f"{self._server_id} answered tools/list without tools"
                raise UpstreamMisbehaved(message, upstream=self._server_id)
            tools.extend(listed)
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return tools
            if cursor in seen:
                break
            seen.add(cursor)
        raise UpstreamMisbehaved(f"{self._server_id} pages its tools without an end", upstream=self._server_id)

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, JsonValue],
        *,
        timeout_s: float,
        header_paths: Mapping[tuple[str, ...], str],
        on_progress: ProgressFnT | None = None,
    ) -> JsonObject:
        """Call a tool and return its result as it came. Raises ``UpstreamFailure`` or ``SessionLost``."""
        headers = mcp_param_headers(header_paths, arguments) if header_paths and self.is_modern else {}
        params: JsonObject = {"name": name, "arguments": dict(arguments)}
        return await self.request("tools/call", params, timeout_s=timeout_s, headers=headers, on_progress=on_progress)

    async def request(
        self,
        method: str,
        params: JsonObject,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        on_progress: ProgressFnT | None = None,
    ) -> JsonObject:
        """Send one request and return its result as it came. Raises ``UpstreamFailure`` or ``SessionLost``."""
        options: CallOptions = {"timeout": timeout_s}
        message = {"method": method, "params": params}
        self._session._stamp(message, options)  # noqa: SLF001 -- version, client info and headers of the era
        if headers:
            options.setdefault("headers", {}).update(headers)
        if on_progress is not None:
            options["on_progress"] = on_progress
        exchange = Exchange()
        token = EXCHANGE.set(exchange)
        try:
            dispatcher = self._session._dispatcher  # noqa: SLF001 -- the typed send drops fields it does not know
            result = await dispatcher.send_raw_request(method, cast("JsonObject", message["params"]), options)
        except MCPError as error:
            raise self._failure(error, exchange, timeout_s) from error
        finally:
            EXCHANGE.reset(token)
        return cast("JsonObject", result)

    def _failure(self, error: MCPError, exchange: Exchange, timeout_s: float) -> UpstreamFailure | SessionLost:
        server = self._server_id
        if exchange.is_too_large:
            return UpstreamMisbehaved(f"{server} sent {exchange.failure}, which is too much", upstream=server)
        if exchange.is_timeout or (error.code == REQUEST_TIMEOUT and exchange.failure is None):
            return UpstreamTimeout(f"{server} did not answer within {timeout_s:g} s", upstream=server)
        if exchange.failure is not None or error.code == CONNECTION_CLOSED:
            if exchange.failure is None and exchange.status is None:
                self.loss.note("the connection closed")
            else:  # one HTTP exchange of many: the others may be well
                self._last_failure = exchange.failure
                self.loss.suspicion.set()
            return UpstreamUnavailable(f"the connection to {server} broke before it answered", upstream=server)
        if exchange.status == 404 and error.code == INVALID_REQUEST and error.message in SESSION_GONE:
            self.loss.note("the server no longer knows the session")
            return SessionLost()
        if exchange.status is not None and exchange.status >= 400 and error.message == SDK_HTTP_ERROR:
            return _http_refusal(server, exchange.status)
        return UpstreamRefused(error.message, upstream=server, code=error.code, data=error.data)


def _http_refusal(server: str, status: int) -> UpstreamFailure:
    if status in {401, 403}:
        message = f"{server} refused the portal's credential (HTTP {status}); an administrator has to renew it"
        return UpstreamRefused(message, upstream=server, code=status)
    is_retryable = status >= 500 or status in {408, 425, 429}
    advice = "; try again later" if is_retryable else ""
    return UpstreamRefused(
        f"{server} answered with HTTP {status}{advice}", upstream=server, code=status, retryable=is_retryable
    )
