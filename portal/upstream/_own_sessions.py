"""Which calls share a session with an upstream: the rule of each server, and what tells one session from another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from portal._conversation import ASKING_CAPABILITIES
from portal.wire import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portal._server_config import ServerConfig
    from typegen import JsonObject, JsonValue

Rule: TypeAlias = Literal["shared", "user", "client", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a call is made for: a user, and the client session, where the client's protocol version has sessions.

    ``capabilities`` are what the client declared (MCP, ``ClientCapabilities``).
    """

    user: str
    client: str | None = None
    capabilities: Mapping[str, JsonValue] = field(default_factory=dict, compare=False)

    @property
    def owner(self) -> str:
        """The name under which this caller's own sessions are known: the client's, else the user's."""
        return f"client:{self.client}" if self.client is not None else self.user_owner

    @property
    def user_owner(self) -> str:
        """The name under which sessions are known that all clients of this user share."""
        return f"user:{self.user}"

    def owns(self, owner: str | None) -> bool:
        """Whether the session of ``owner`` is this caller's, alone or with the user's other clients."""
        return owner in {self.owner, self.user_owner}


class Users:
    """Whom a process has served since it started, as far as it matters: nobody, one user alone, or several."""

    def __init__(self) -> None:
        self._first: str | None = None
        self.are_several = False

    def meet(self, user: str) -> None:
        """Take note of a user."""
        if self._first is None:
            self._first = user
        self.are_several = self.are_several or user != self._first

    def are_only(self, user: str) -> bool:
        """Whether ``user`` has been met, and nobody else."""
        return self._first == user and not self.are_several


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKey:
    """What tells one session with a server from another: whose it is, and what was declared when it was opened."""

    server_id: str
    owner: str
    capabilities: bytes


def session_rule(config: ServerConfig) -> Rule:
    """Say who shares a session: what the configuration says, else one a user where the server is per user.

    Else one process or one credential that the operator gave serves everybody; but ``auto`` for a server with a url,
    where a client that can be asked gets a session of its own if the server's protocol version needs one for that.
    """
    if config.session is not None:
        return config.session
    if config.per_user:
        return "user"
    return "auto" if config.url is not None else "shared"


def own_key(config: ServerConfig, caller: Caller, *, is_modern: bool | None) -> OwnKey | None:
    """Name the session through which ``caller`` calls this server; None for the shared one.

    Servers of MCP 2026-07-28 (``is_modern``) are told with each request what the client can do, so that nothing of it
    belongs to the session. But a client with a session of its own is asked in the midst of its requests, which many a
    server knows to do in the older era only: it is given a session with the server in that era, where there is one.
    """
    rule = session_rule(config)
    can = interactive(caller)
    match rule:
        case "shared":
            return None
        case "auto":
            if not can or (is_modern is not False and caller.client is None):
                return None
            owner = caller.owner
        case "user":
            owner = caller.user_owner
        case "client":
            owner = caller.owner
    declared = b"" if is_modern and caller.client is None else encode(can, sorts_keys=True)
    return OwnKey(server_id=config.id, owner=owner, capabilities=declared)


def interactive(caller: Caller) -> JsonObject:
    """Return those capabilities of ``caller`` that a server may act upon by asking; no other needs an own session."""
    return {name: caller.capabilities[name] for name in ASKING_CAPABILITIES if name in caller.capabilities}
