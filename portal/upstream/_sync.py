"""Keeping what an upstream offers in step with it: listed when a session opens, when it says so, on demand, in time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import orjson

from portal._errors import UpstreamFailure, UpstreamMisbehaved, UpstreamRefused, UpstreamUnavailable
from portal.upstream._breaker import jittered
from portal.upstream._channel import SessionLost
from portal.upstream._exchange import Timeouts
from portal.upstream._offers import ANSWER_FIELDS, KINDS, METHODS, Change, Kind, Offers
from portal.wire import METHOD_NOT_FOUND, PROMPTS_CHANGED, RESOURCES_CHANGED, TOOLS_CHANGED
from typegen import JsonObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portal._server_config import ServerConfig
    from portal.upstream._session import UpstreamSession
    from typegen import JsonValue

logger = logging.getLogger("portico.upstream")

LIST_TIMEOUT_S: Final = 60.0
"""How long a server may take over one page of a list; the longest list measured came in seconds."""
ASIDE_TIMEOUT_S: Final = 10.0
"""How long it may take over prompts, resources and templates: its tools need not wait for those any longer."""
PAGES: Final = 1_000
"""A server that pages without end is stopped here: at 50 items a page, 50,000."""
QUIET_S: Final = 0.1
"""Announcements that come closer together than this are one; a change is listed as much later."""
MAX_QUIET_S: Final = 1.0
RESYNC_S: Final = 1.0
"""The least time between two refreshes: a server that announces a change with every list is not listed without end."""
FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 60.0
EVERY_S: Final = 2 * 3600.0
"""Servers that announce nothing are listed anew this often, with jitter."""

CHANGED_LISTS: Final[dict[str, frozenset[Kind]]] = {
    TOOLS_CHANGED: frozenset({"tools"}),
    PROMPTS_CHANGED: frozenset({"prompts"}),
    RESOURCES_CHANGED: frozenset({"resources", "templates"}),
}
"""What to list again after each announcement."""
_CAPABILITIES: Final[dict[Kind, str]] = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "templates": "resources",
}

Keep: TypeAlias = Callable[[JsonObject], Awaitable[None]]
"""Keeps what a server listed until the next start; does not raise for what it cannot keep."""


class Sync:
    """``offers`` of one upstream. ``on_change`` is called with what became different, ``keep`` with everything."""

    def __init__(
        self,
        config: ServerConfig,
        *,
        on_change: Callable[[frozenset[Change]], None] = lambda _: None,
        keep: Keep | None = None,
    ) -> None:
        self.offers = Offers()
        self._config = config
        self._on_change = on_change
        self._keep = keep
        self._kept: Offers | None = None
        self._dirty: set[Kind] = set()
        self._wake = anyio.Event()
        self._asked = 0
        self._answered = 0
        self._failure: UpstreamFailure | None = None
        self._progress = anyio.Event()
        self._is_warned = False
        self._opened_for = 0
        self._failures: dict[Kind, UpstreamFailure] = {}

    def restore(self, kept: JsonObject) -> None:
        """Offer what was kept at an earlier start until the upstream lists its own."""
        self.offers = self._kept = Offers.of(kept, upstream=self._config.id)

    def mark(self, kinds: Iterable[Kind] = KINDS) -> None:
        """Have these lists read again; saying so often costs at most two reads more."""
        self._dirty.update(kinds)
        if self._dirty:
            self._wake.set()

    async def ask(self) -> None:
        """Have everything read again, and wait until it was and is kept. Raises ``UpstreamFailure``."""
        self._asked += 1
        ticket = self._asked
        self.mark()
        while self._answered < ticket:
            await self._progress.wait()
        if self._failure is not None:
            raise self._failure

    def give_up(self, failure: UpstreamFailure) -> None:
        """Tell those who asked that there is no session to list anything on."""
        self._answer(self._asked, failure)

    async def open(self, session: UpstreamSession) -> None:
        """Read everything from a session that was just opened. Raises ``UpstreamFailure`` or ``SessionLost``.

        Only the tools must be had; a list beside them that fails is left as it was.
        """
        self._opened_for, self._dirty, self._wake = self._asked, set(), anyio.Event()
        about = Offers.of(_about(session), upstream=self._config.id)
        listed, failures = await self._list_all(session, KINDS)
        if "tools" in failures:
            raise failures["tools"]
        self._failures = failures
        self._take(await self._read(self.offers.saying(about), listed))

    async def run(self, session: UpstreamSession) -> None:
        """Read again what changed, for as long as the session lasts. Announcements are taken together."""
        asked, failures, retry_s, next_at = self._opened_for, self._failures, FIRST_RETRY_S, -math.inf
        while True:
            await self._store()
            self._answer(asked, next(iter(failures.values()), None))
            again = _worth_trying(failures)
            wait_s = jittered(EVERY_S)
            if again:
                after_s = max(failures[kind].retry_after_s or 0.0 for kind in again)
                wait_s = max(jittered(retry_s), min(after_s, LAST_RETRY_S))
            retry_s = min(retry_s * 2, LAST_RETRY_S) if again else FIRST_RETRY_S
            await anyio.sleep_until(next_at)
            with anyio.move_on_after(wait_s) as patience:
                await self._wake.wait()
            if again or patience.cancelled_caught:
                self.mark(again or KINDS)
            await self._quiet()
            asked, kinds = self._asked, frozenset(self._dirty)
            self._dirty.clear()
            next_at = time.monotonic() + RESYNC_S
            try:
                listed, failures = await self._list_all(session, kinds)
            except SessionLost:
                self._dirty.update(kinds)
                return
            self._take(await self._read(self.offers, listed))

    async def _quiet(self) -> None:
        """Wait for a moment without announcements."""
        with anyio.move_on_after(MAX_QUIET_S):
            while self._wake.is_set():
                self._wake = anyio.Event()
                with anyio.move_on_after(QUIET_S):
                    await self._wake.wait()
        self._wake = anyio.Event()

    async def _list_all(
        self, session: UpstreamSession, kinds: frozenset[Kind]
    ) -> tuple[dict[Kind, list[JsonValue]], dict[Kind, UpstreamFailure]]:
        """List these kinds at once, those that the server has. Raises ``SessionLost``; other failures are returned."""
        listed: dict[Kind, list[JsonValue]] = {}
        failures: dict[Kind, UpstreamFailure] = {}
        losses: list[SessionLost] = []

        async def read(kind: Kind) -> None:
            try:
                listed[kind] = await self._list(session, kind)
            except SessionLost as lost:
                losses.append(lost)
            except UpstreamRefused as refusal:
                if kind != "tools" and refusal.code == METHOD_NOT_FOUND:
                    listed[kind] = []  # many a server has resources and no templates
                else:
                    failures[kind] = refusal
            except UpstreamFailure as failure:
                failures[kind] = failure

        async with anyio.create_task_group() as tasks:
            for kind in kinds:
                if _CAPABILITIES[kind] in session.capabilities:
                    tasks.start_soon(read, kind)
                else:
                    listed[kind] = []
        if losses:
            raise losses[0]
        for kind, failure in failures.items():
            logger.warning("%s: its %s could not be listed: %s", self._config.id, kind, failure.message)
        return listed, failures

    async def _list(self, session: UpstreamSession, kind: Kind) -> list[JsonValue]:
        """Return every definition as the server sends it, all pages; a connection that breaks is tried once more."""
        longest_s = LIST_TIMEOUT_S if kind == "tools" else ASIDE_TIMEOUT_S
        timeout_s = min(longest_s, self._config.call_timeout_s)
        list_pages = partial(_pages, session, kind, Timeouts(idle_s=timeout_s, total_s=timeout_s), self._config)
        try:
            return await list_pages()
        except UpstreamUnavailable:
            return await list_pages()

    async def _read(self, offers: Offers, listed: dict[Kind, list[JsonValue]]) -> Offers:
        for kind, definitions in listed.items():
            offers = await offers.with_list(kind, definitions, upstream=self._config.id)
        return offers

    def _take(self, offers: Offers) -> None:
        changes = offers.changes_since(self.offers)
        self.offers = offers
        if offers.is_code_mode and not self._is_warned:
            self._is_warned = True
            logger.warning(
                "%s: its tools (%s) are those of a code mode of its own, so that programs would call programs; "
                "if it is a portal, add ?codemode=off to its url",
                self._config.id,
                ", ".join(offers.tools),
            )
        if changes:
            self._on_change(changes)

    async def _store(self) -> None:
        if self._keep is not None and self._kept is not self.offers:
            self._kept = self.offers
            await self._keep(self.offers.as_json())

    def _answer(self, asked: int, failure: UpstreamFailure | None) -> None:
        if asked > self._answered:
            self._answered, self._failure = asked, failure
            self._progress.set()
            self._progress = anyio.Event()


def announced(capabilities: JsonObject) -> frozenset[Kind]:
    """Return the lists whose changes a server with these capabilities announces."""
    said: dict[Kind, JsonValue] = {kind: capabilities.get(name) for kind, name in _CAPABILITIES.items()}
    return frozenset(kind for kind, about in said.items() if isinstance(about, dict) and about.get("listChanged"))


def _worth_trying(failures: Mapping[Kind, UpstreamFailure]) -> list[Kind]:
    """Return what to list again soon: not what a server refuses to list, beside its tools."""
    return [kind for kind, failure in failures.items() if kind == "tools" or not isinstance(failure, UpstreamRefused)]


async def _pages(session: UpstreamSession, kind: Kind, timeouts: Timeouts, config: ServerConfig) -> list[JsonValue]:
    listed: list[JsonValue] = []
    cursor: JsonValue = None
    seen: set[str] = set()
    received_bytes = 0
    for _ in range(PAGES):
        page = await session.request(METHODS[kind], {"cursor": cursor} if cursor else {}, timeouts=timeouts)
        items = page.get(ANSWER_FIELDS[kind])
        if not isinstance(items, list):
            raise UpstreamMisbehaved(f"{config.id} answered {METHODS[kind]} without {kind}", upstream=config.id)
        listed.extend(items)
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str) or not cursor:
            return listed
        if cursor in seen:
            break
        seen.add(cursor)
        received_bytes += _size(items)
        if received_bytes > config.max_list_bytes:
            message = f"{config.id} lists more than {config.max_list_mb} MiB of {kind}: raise its max_list_mb"
            raise UpstreamMisbehaved(message, upstream=config.id)
    raise UpstreamMisbehaved(f"{config.id} pages its {kind} without an end", upstream=config.id)


def _size(items: list[JsonValue]) -> int:
    try:
        return len(orjson.dumps(items))
    except TypeError:  # integers beyond 64 bits: the transport's own bound on a message holds
        return 0


def _about(session: UpstreamSession) -> JsonObject:
    return {
        "capabilities": session.capabilities,
        "serverInfo": session.server_info,
        "instructions": session.instructions,
        "protocolVersion": session.protocol_version,
    }
