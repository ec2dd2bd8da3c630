"""Requests of MCP 2026-07-28 that wait in the portal while their client answers what they asked.

That version has no requests from a server to a client: what must be known is the result of a round, and the client
sends its request again with the answers. Work that cannot be begun anew for that, such as a program whose third call
asks, goes on here between the rounds. Where nothing was begun, nothing is kept: see ``Rounds``.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from portal._conversation import require_declared
from portal._errors import ClientCannot
from portal.server._sealed_state import STATE_S, refused_state
from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from typing import TypeAlias

    from anyio.abc import TaskGroup

    from portal._conversation import Conversation
    from typegen import JsonObject, JsonValue

    Work: TypeAlias = Callable[[Conversation], Awaitable[JsonObject]]

logger = logging.getLogger("portico.portal")

QUIET_S: Final = 0.05
"""A round is answered when no question was added for so long: those of one ``Promise.all`` come together."""
LONGEST_QUIET_S: Final = 0.5
MAX_PER_USER: Final = 16
"""Half of the programs that a user may have under way at once: forgotten questions stop no new program."""
MAX_IN_ALL: Final = 1024
MAX_BYTES_PER_USER: Final = 16 * 2**20
"""The params of one user's waiting requests; beyond either limit the oldest ones are given up."""


@dataclass(slots=True)
class _Question:
    method: str
    params: JsonObject
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: JsonObject | None = None

    def as_json(self) -> JsonObject:
        return {"method": self.method, "params": self.params} if self.params else {"method": self.method}


class Suspended:
    """One request on its way through the portal, over as many rounds as it asks. A ``Conversation``."""

    def __init__(self, *, user: str) -> None:
        self.id = secrets.token_hex(16)
        self.user = user
        self.size = 0
        self.scope = anyio.CancelScope()
        self._client: Conversation | None = None
        self._open: dict[str, _Question] = {}
        self._asked = 0
        self._changed = anyio.Event()
        self._collected = anyio.Event()
        self._result: JsonObject | None = None
        self._error: Exception | None = None
        self._is_done = False
        self.capabilities: Mapping[str, JsonValue] = {}
        self.log_level: str | None = None
        self.wants_progress = False

    @property
    def is_attended(self) -> bool:
        """Whether the client waits for an answer at this moment."""
        return self._client is not None

    async def work(self, work: Work) -> None:
        """Do the work to its end, and keep what came of it until the client has it."""
        try:
            with self.scope:
                try:
                    self._result = await work(self)
                except Exception as error:  # noqa: BLE001 -- raised again in the client's own request
                    self._error = error
                self._settle()
                await self._collected.wait()
        finally:
            if not self._is_done:  # given up, or the portal stops
                self._error = refused_state()
                self._settle()

    async def attend(self, client: Conversation, answers: JsonObject) -> JsonObject | None:
        """Take the answers of a round, wait, and return the result; None when there are questions.

        Raises what the work raised. A client that goes away meanwhile ends the work.
        """
        if self.is_attended:
            raise RpcError(INVALID_PARAMS, "This requestState is being answered by another request")
        self._take(answers)
        self._client = client
        self.capabilities, self.log_level = client.capabilities, client.log_level
        self.wants_progress = client.wants_progress
        self.scope.deadline = math.inf
        try:
            await self._next_round()
        except anyio.get_cancelled_exc_class():
            self.scope.cancel()
            raise
        finally:
            self._client = None
        if not self._is_done:
            self.scope.deadline = time.monotonic() + STATE_S
            return None
        self._collected.set()
        if self._error is not None:
            raise self._error
        return self._result or {}

    def questions(self) -> JsonObject:
        """Return what is to be answered, by key."""
        return {key: question.as_json() for key, question in self._open.items()}

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Ask in the next round, and wait for the answer however long the client takes within ``STATE_S``."""
        require_declared(self.capabilities, method, params)
        if self._is_done:
            raise ClientCannot("the request has been answered, so that its client can no longer be asked")
        self._asked += 1
        key = f"q{self._asked}"
        question = self._open[key] = _Question(method, params)
        self._wake()
        try:
            await question.answered.wait()
        finally:
            self._open.pop(key, None)
        return question.answer or {}

    async def report_progress(self, report: JsonObject) -> None:
        """Tell the client, if it listens at the moment."""
        if self._client is not None:
            await self._client.report_progress(report)

    async def notify(self, method: str, params: JsonObject) -> None:
        """Tell the client likewise."""
        if self._client is not None:
            await self._client.notify(method, params)

    def _take(self, answers: JsonObject) -> None:
        wrong = [key for key, answer in answers.items() if not isinstance(answer, dict)]
        if wrong:
            raise RpcError(INVALID_PARAMS, f"inputResponses.{wrong[0][:40]} is not an object")
        for key, answer in answers.items():
            question = self._open.pop(key, None)
            if question is not None and isinstance(answer, dict):
                question.answer = answer
                question.answered.set()

    async def _next_round(self) -> None:
        """Wait for the end, or for questions and a quiet moment after the last of them."""
        while not self._is_done and not self._open:
            await self._change()
        with anyio.move_on_after(LONGEST_QUIET_S):
            while not self._is_done:
                with anyio.move_on_after(QUIET_S) as quiet:
                    await self._change()
                if quiet.cancelled_caught and self._open:
                    return
        while not self._is_done and not self._open:  # answered or given up while it was quiet
            await self._change()

    async def _change(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()

    def _settle(self) -> None:
        self._is_done = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()


class SuspendedRequests:
    """The suspended requests of one portal. They work while ``running`` is open."""

    def __init__(self) -> None:
        self._kept: dict[str, Suspended] = {}
        self._tasks: TaskGroup | None = None

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep requests while the block is open; leaving ends those that wait."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    def begin(self, work: Work, *, user: str) -> Suspended:
        """Begin the work of a request; ``attend`` it at once."""
        if self._tasks is None:
            raise RuntimeError("the portal is not open")
        suspended = Suspended(user=user)
        self._kept[suspended.id] = suspended
        self._tasks.start_soon(self._work, suspended, work)
        return suspended

    def suspend(self, suspended: Suspended, *, size: int) -> None:
        """Keep a request whose params have ``size`` bytes until its client comes back, within the limits."""
        suspended.size = size
        self._give_up_oldest(suspended.user)

    def find(self, suspended_id: JsonValue, *, user: str) -> Suspended:
        """Return the request with this id. Raises ``RpcError`` when this user has none."""
        found = self._kept.get(suspended_id) if isinstance(suspended_id, str) else None
        if found is None or found.user != user:
            raise refused_state()
        return found

    async def _work(self, suspended: Suspended, work: Work) -> None:
        try:
            await suspended.work(work)
        finally:
            del self._kept[suspended.id]

    def _give_up_oldest(self, user: str) -> None:
        """Give up the requests that have waited longest for their clients, down to the limits."""
        waiting = [kept for kept in self._kept.values() if not kept.is_attended]
        own = [kept for kept in waiting if kept.user == user]
        size = sum(kept.size for kept in own)
        while len(own) > MAX_PER_USER or size > MAX_BYTES_PER_USER:
            oldest = own.pop(0)
            oldest.scope.cancel()
            size -= oldest.size
        if len(waiting) > MAX_IN_ALL:
            waiting[0].scope.cancel()
