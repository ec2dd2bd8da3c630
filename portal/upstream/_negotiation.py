"""Which protocol version an upstream speaks: MCP 2026-07-28 where it does, else the handshake of those before."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import UpstreamUnavailable
from portal._version import VERSION
from portal.upstream._channel import SessionLost
from portal.upstream._exchange import Exchange, Timeouts
from portal.upstream._failures import TransportFailure
from portal.wire import (
    CAPABILITIES_KEY,
    CLIENT_INFO_KEY,
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    LOG_LEVEL_KEY,
    MODERN_VERSION,
    SERVER_INFO_KEY,
    UNSUPPORTED_VERSION,
    VERSION_KEY,
    RpcError,
    notification_message,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portal.upstream._background import Background
    from portal.upstream._channel import Channel
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.upstream")

CLIENT_INFO: Final[JsonObject] = {"name": "portico", "version": VERSION}
PROBE_S: Final = 10.0
"""A server that answers nothing but ``initialize`` is asked that after so long; a late answer still counts."""
_DECISIVE: Final = frozenset({401, 403, 405, 429, 503})
"""Statuses of a probe that say all that the handshake would be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What came of it: the version, and what the server says of itself.

    ``ends_when_probed`` says of a command that it lives only when it is met with the handshake.
    """

    version: str
    capabilities: JsonObject = field(default_factory=dict)
    server_info: JsonObject = field(default_factory=dict)
    instructions: str | None = None
    ends_when_probed: bool = False


def era_meta(capabilities: Mapping[str, JsonValue], *, log_level: str | None = None) -> dict[str, JsonValue]:
    """Return what every request of MCP 2026-07-28 says of the client in its ``_meta``."""
    meta: dict[str, JsonValue] = {
        VERSION_KEY: MODERN_VERSION,
        CLIENT_INFO_KEY: CLIENT_INFO,
        CAPABILITIES_KEY: dict(capabilities),
    }
    if log_level is not None:
        meta[LOG_LEVEL_KEY] = log_level
    return meta


def era_headers(method: str, name: str | None = None) -> dict[str, str]:
    """Return the headers of a request of MCP 2026-07-28 besides those of its arguments."""
    headers = {"mcp-protocol-version": MODERN_VERSION, "mcp-method": method}
    return headers if name is None else {**headers, "mcp-name": name}


async def negotiate(
    channel: Channel,
    *,
    server_id: str,
    capabilities: Mapping[str, JsonValue],
    tasks: Background,
    ids: Iterator[int],
    is_handshake_first: bool = False,
) -> Agreed:
    """Agree on a version. Raises ``RpcError``, ``SessionLost``, ``TransportFailure`` or ``UpstreamUnavailable``.

    Whatever is no proof of MCP 2026-07-28 leads to the handshake, but for what that would meet too: a server that
    cannot be reached or refuses the credential, or one that names versions of which none is known here. With
    ``is_handshake_first`` a server that speaks both eras is met in the older one, as it would be by the client that the
    session is for.
    """
    talk = _Talk(channel, tasks, ids)
    agreed = None
    if is_handshake_first:
        try:
            agreed = await _handshake(talk, server_id, capabilities)
        except TransportFailure as failure:
            if _is_decisive(failure):
                raise
        except (RpcError, UpstreamUnavailable):
            pass  # a server of 2026-07-28 alone
    if agreed is None:
        agreed = await _probed(talk, server_id, capabilities)
    channel.settle(agreed.version, is_modern=agreed.version == MODERN_VERSION)
    if agreed.version != MODERN_VERSION:
        try:
            await channel.notify(notification_message("notifications/initialized", None))
        except TransportFailure as failure:
            if failure.kind != "status":  # a server that does not like notifications may answer requests all the same
                raise
            logger.warning("%s: answered HTTP %s to notifications/initialized", server_id, failure.status)
        except RpcError as error:
            logger.warning("%s: refused notifications/initialized: %s", server_id, error.message[:300])
        channel.listen()
    return agreed


async def _probed(talk: _Talk, server_id: str, capabilities: Mapping[str, JsonValue]) -> Agreed:
    """Ask whether the server speaks MCP 2026-07-28, and say hello where it does not."""
    probing = _Probe()

    async def probe() -> None:
        try:
            probing.result = await talk.request(
                "server/discover", {"_meta": era_meta({})}, headers=era_headers("server/discover")
            )
        except (RpcError, TransportFailure, SessionLost) as error:
            probing.error = error
        probing.done.set()

    agreed: Agreed | None = None
    async with anyio.create_task_group() as racing:
        racing.start_soon(probe)
        with anyio.move_on_after(PROBE_S):
            await probing.done.wait()
        if not probing.done.is_set():
            agreed = await _first_of(talk, probing, server_id, capabilities)
        racing.cancel_scope.cancel()
    return agreed or probing.verdict(server_id) or await _handshake(talk, server_id, capabilities)


class _Talk:
    """Requests before there is a session; their time is bounded by that of the connection attempt."""

    def __init__(self, channel: Channel, tasks: Background, ids: Iterator[int]) -> None:
        self._channel = channel
        self._tasks = tasks
        self._ids = ids

    async def request(self, method: str, params: JsonObject, *, headers: Mapping[str, str] | None = None) -> JsonObject:
        exchange = Exchange(next(self._ids), method, timeouts=Timeouts(), tasks=self._tasks)
        return await self._channel.request(exchange, params, headers=headers or {})


class _Probe:
    """The question whether a server speaks MCP 2026-07-28, and its answer once there is one."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.result: JsonObject | None = None
        self.error: Exception | None = None

    def verdict(self, server_id: str) -> Agreed | None:
        """Return what was agreed on; None when the handshake has to tell. Raises what the handshake would meet too."""
        error = self.error
        if isinstance(error, TransportFailure) and _is_decisive(error):
            raise error
        if isinstance(error, RpcError) and error.code == UNSUPPORTED_VERSION:
            supported = _supported(error)
            if supported and not set(supported) & set(HANDSHAKE_VERSIONS):
                raise _no_common_version(server_id, supported)
        if self.result is None:
            return None
        versions = self.result.get("supportedVersions")
        if not isinstance(versions, list) or MODERN_VERSION not in versions:
            return None
        meta = self.result.get("_meta")
        info = self.result.get("serverInfo") or (meta.get(SERVER_INFO_KEY) if isinstance(meta, dict) else None)
        return _agreed(MODERN_VERSION, self.result, info)


async def _first_of(talk: _Talk, probing: _Probe, server_id: str, capabilities: Mapping[str, JsonValue]) -> Agreed:
    """Try the handshake while the probe may still be answered: a process that starts slowly has read both."""
    found: list[Agreed] = []
    failed: list[Exception] = []
    async with anyio.create_task_group() as racing:

        async def shake() -> None:
            try:
                found.append(await _handshake(talk, server_id, capabilities))
            except (RpcError, TransportFailure, UpstreamUnavailable) as error:
                failed.append(error)
                await probing.done.wait()  # it may be a modern server, which knows no handshake
            racing.cancel_scope.cancel()

        racing.start_soon(shake)
        await probing.done.wait()
        modern = probing.verdict(server_id)
        if modern is not None:
            found.append(modern)
            racing.cancel_scope.cancel()
    if not found:
        raise failed[0]
    return found[0]


async def _handshake(talk: _Talk, server_id: str, capabilities: Mapping[str, JsonValue]) -> Agreed:
    """Say hello in the newest version that has a handshake, and in an older one where the server insists."""
    candidates = list(reversed(HANDSHAKE_VERSIONS))
    while True:
        asked = candidates.pop(0)
        params: JsonObject = {
            "protocolVersion": asked,
            "capabilities": dict(capabilities),
            "clientInfo": CLIENT_INFO,
        }
        try:
            result = await talk.request("initialize", params)
        except RpcError as error:
            if not candidates or not _is_about_version(error):
                raise
            supported = _supported(error)
            if supported:
                candidates = [version for version in candidates if version in supported]
                if not candidates:
                    raise _no_common_version(server_id, supported) from error
            continue
        version = result.get("protocolVersion")
        if version not in HANDSHAKE_VERSIONS or not isinstance(version, str):
            raise _no_common_version(server_id, [str(version)[:40]])
        return _agreed(version, result, result.get("serverInfo"))


def _agreed(version: str, result: JsonObject, info: JsonValue) -> Agreed:
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return Agreed(
        version=version,
        capabilities=capabilities if isinstance(capabilities, dict) else {},
        server_info=info if isinstance(info, dict) else {},
        instructions=instructions if isinstance(instructions, str) else None,
    )


def _is_about_version(error: RpcError) -> bool:
    return error.code == UNSUPPORTED_VERSION or (error.code == INVALID_PARAMS and "version" in error.message.lower())


def _is_decisive(failure: TransportFailure) -> bool:
    # A server of before may answer what it does not know in any way, and hang up on it.
    return failure.status in _DECISIVE if failure.kind == "status" else failure.kind in {"unsent", "too_large"}


def _supported(error: RpcError) -> list[str]:
    listed = error.data.get("supported") if isinstance(error.data, dict) else None
    return [version for version in listed if isinstance(version, str)] if isinstance(listed, list) else []


def _no_common_version(server_id: str, versions: list[str]) -> UpstreamUnavailable:
    spoken = ", ".join(version[:40] for version in versions[:5])
    message = f"it speaks MCP {spoken}, and Portico {HANDSHAKE_VERSIONS[0]} to {MODERN_VERSION}"
    return UpstreamUnavailable(message, upstream=server_id, retryable=False)
