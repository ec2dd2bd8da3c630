"""One request to an upstream while it is under way: its clock, and the client on whose behalf it is made."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from portal.upstream._relay import Relay
from portal.wire import (
    LOG_LEVELS,
    LOG_MESSAGE,
    PROGRESS,
    PROMPTS_CHANGED,
    RESOURCE_UPDATED,
    RESOURCES_CHANGED,
    TOOLS_CHANGED,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal._conversation import Conversation
    from portal.upstream._background import Background
    from portal.wire import RequestId
    from typegen import JsonObject

OF_NO_REQUEST: Final = frozenset({TOOLS_CHANGED, PROMPTS_CHANGED, RESOURCES_CHANGED, RESOURCE_UPDATED})
"""Notifications that concern everybody, on whichever stream they come."""
RENEW_S: Final = 0.01
"""A clock that was set so recently is not set again: a flood of messages must not cost a timer each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a request may be silent (``idle_s``) and take in all (``total_s``), the time a person is asked apart."""

    idle_s: float | None = None
    total_s: float | None = None


class Exchange:
    """A request under way. Whatever comes in between goes through it; ``scope`` ends it when its time is over."""

    __slots__ = (
        *("asks", "conversation", "method", "on_notification", "request_id", "scope"),
        *("_asked_at", "_asking", "_idle_until", "_relay", "_tasks", "_timeouts", "_total_until", "has_been_heard"),
    )

    def __init__(
        self,
        request_id: RequestId,
        method: str,
        *,
        timeouts: Timeouts,
        tasks: Background,
        conversation: Conversation | None = None,
        on_notification: Callable[[str, JsonObject], None] | None = None,
    ) -> None:
        self.request_id = request_id
        self.method = method
        self.conversation = conversation
        self.on_notification = on_notification
        self.asks: set[anyio.CancelScope] = set()
        self.has_been_heard = False
        self._timeouts = timeouts
        self._tasks = tasks
        self._relay: Relay | None = None
        self._asking = 0
        self._asked_at = 0.0
        now = time.monotonic()
        self._total_until = math.inf if timeouts.total_s is None else now + timeouts.total_s
        self._idle_until = math.inf if timeouts.idle_s is None else now + timeouts.idle_s
        self.scope = anyio.CancelScope(deadline=min(self._total_until, self._idle_until))

    def heard(self) -> None:
        """Note a sign of life: from now on counts how long the request may be silent."""
        self.has_been_heard = True
        if self._timeouts.idle_s is None or self._asking:
            return
        until = time.monotonic() + self._timeouts.idle_s
        if until - self._idle_until >= RENEW_S:
            self._idle_until = until
            self.scope.deadline = min(self._total_until, until)

    def take_notification(self, method: str, params: JsonObject) -> bool:
        """Take a notification that came with this request; return whether it was this request's affair."""
        self.heard()
        if self.on_notification is not None:
            self.on_notification(method, params)
            return True
        conversation = self.conversation
        if conversation is None or method in OF_NO_REQUEST:
            return method == PROGRESS
        if method == PROGRESS:
            if conversation.wants_progress:
                self._relayed(conversation).progress(params)
        elif method != LOG_MESSAGE or _is_wanted(params.get("level"), conversation.log_level):
            self._relayed(conversation).notify(method, params)
        return True

    async def ask(self, conversation: Conversation, method: str, params: JsonObject) -> JsonObject:
        """Ask the client; the clock stands still meanwhile."""
        if not self._asking:
            self._asked_at = time.monotonic()
            self.scope.deadline = math.inf
        self._asking += 1
        try:
            return await conversation.ask(method, params)
        finally:
            self._asking -= 1
            if not self._asking:
                self._total_until += time.monotonic() - self._asked_at
                self._idle_until = -math.inf  # whatever it was: it counts anew
                self.scope.deadline = self._total_until
                self.heard()

    def timeout_message(self) -> str:
        """Say in a phrase which time was over, and how long it was."""
        idle_s, total_s = self._timeouts.idle_s, self._timeouts.total_s
        if total_s is not None and (idle_s is None or self._total_until <= self._idle_until):
            return f"did not answer within {total_s:g} s"
        return f"{'sent nothing more for' if self.has_been_heard else 'did not answer within'} {idle_s or 0:g} s"

    async def finish(self) -> None:
        """Hand to the client what was said before the answer."""
        if self._relay is not None:
            await self._relay.finish()

    def close(self) -> None:
        """End what still runs on this request's behalf."""
        for scope in self.asks:
            scope.cancel()

    def _relayed(self, conversation: Conversation) -> Relay:
        if self._relay is None:
            self._relay = Relay(conversation, self._tasks)
        return self._relay


def _is_wanted(level: object, least: str | None) -> bool:
    if least is None or not isinstance(level, str):
        return False
    return level not in LOG_LEVELS or least not in LOG_LEVELS or LOG_LEVELS.index(level) >= LOG_LEVELS.index(least)
