"""How one upstream is, why, and since when."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal._errors import UpstreamFailure
    from portal.upstream._offers import Change

Status: TypeAlias = Literal["waiting", "ready", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """How one upstream is. ``cause`` is for people: why it is in error; ``code`` the JSON-RPC or HTTP code with it.

    ``retryable`` says whether it may mend by itself, ``since`` is a Unix time in seconds. ``tools`` and its like count
    what is listed, by an upstream in error from its last list. ``is_code_mode`` tells that its few tools stand for
    others, so that programs would call programs.
    """

    id: str
    name: str
    transport: str
    status: Status
    tools: int
    cause: str | None
    since: float
    retryable: bool
    protocol_version: str | None = None
    prompts: int = 0
    resources: int = 0
    code: int | None = None
    is_code_mode: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """How an upstream is after it was asked to list everything anew.

    ``changed`` is what became different of its lists, sorted; ``failure`` says why one of them could not be read.
    """

    status: ServerStatus
    changed: tuple[Change, ...]
    failure: str | None


class Health:
    """The state of one upstream; ``on_change`` is called when it is another.

    ``settled`` is set unless an attempt is under way that somebody may wait for: after ``wait`` and ``look_again``.
    """

    def __init__(self, *, on_change: Callable[[], None]) -> None:
        self.status: Status = "waiting"
        self.cause: str | None = None
        self.code: int | None = None
        self.is_retryable = True
        self.since = time.time()
        self.settled = anyio.Event()
        self._on_change = on_change

    def wait(self) -> None:
        """Nothing is known: an attempt is under way, or a session was lost and is opened again."""
        self.look_again()
        self._set("waiting", None, None, is_retryable=True)

    def look_again(self) -> None:
        """Find out how it is now; what is known stays until then, and who waits already waits for the same."""
        if self.settled.is_set():
            self.settled = anyio.Event()

    def ready(self) -> None:
        """All is well."""
        self._set("ready", None, None, is_retryable=True)
        self.settled.set()

    def fail(self, failure: UpstreamFailure, cause: str) -> bool:
        """It does not work; return whether that is news."""
        is_news = (self.status, self.cause) != ("error", cause)
        self._set("error", cause, failure.code, is_retryable=failure.is_retryable)
        self.settled.set()
        return is_news

    def _set(self, status: Status, cause: str | None, code: int | None, *, is_retryable: bool) -> None:
        before = (self.status, self.cause, self.code, self.is_retryable)
        if status != self.status:
            self.since = time.time()
        self.status, self.cause, self.code, self.is_retryable = status, cause, code, is_retryable
        if before != (status, cause, code, is_retryable):
            self._on_change()
