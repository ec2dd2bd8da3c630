"""What can be known of a program before it runs, and the portal's side of the process that finds it out."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import anyio

from sandbox import _frames as frames
from sandbox._errors import WorkerLost
from sandbox._fair_lock import FairLock
from sandbox._frames import FrameError, FrameReader, Kind
from sandbox._spawn import end_process, read_ready, spawn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sandbox._child import ChildProcess
    from sandbox._json import JsonObject, JsonValue

_log = logging.getLogger("sandbox")

MOST_SOURCE_BYTES = 64 * 2**10
"""A longer program is run unread: hostile text of this size takes the parser a second, of four times it a minute."""
_ANSWER_WITHIN_S = 1.0
_DATA_BYTES = 512 * 2**20
_GOODBYE_S = 0.2
"""It ends by itself when its socket closes, unless it is inside a text that it cannot get through."""
_KEPT_ANSWERS = 256
_READ_BYTES = 256 * 2**10


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSite:
    """One call of a namespace method. ``arguments`` are literals as ``sandbox._call_sites`` describes them.

    ``misuse`` is what is done to the promise itself where it should have been awaited, as in ``.items``; else None.
    """

    method: str
    line: int
    column: int
    arguments: tuple[JsonObject, ...]
    misuse: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFinding:
    """Something in a program that cannot run as it is, with what to write instead."""

    message: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFacts:
    """What is certain of a program without running it.

    ``erased`` is the program with erasable TypeScript blanked out, every position kept; None when it holds none.
    ``refused`` names TypeScript that cannot be erased. ``calls`` is empty where the program gives the namespace's name
    another meaning, and where nothing could be found out.
    """

    erased: str | None = None
    refused: tuple[SourceFinding, ...] = ()
    calls: tuple[CallSite, ...] = ()


class Analyst:
    """One process that reads programs, started when first needed and again when it was lost.

    It answers one request at a time, of one user after the other; a program that it cannot read in time has no facts.
    """

    def __init__(self) -> None:
        self._lock = FairLock()
        self._process: ChildProcess | None = None
        self._socket: socket.socket | None = None
        self._frames = FrameReader()
        self._requests = 0
        self._kept: OrderedDict[tuple[str, str], ProgramFacts] = OrderedDict()

    def waiting(self, owner: str) -> int:
        """Return how many programs of a user wait to be read."""
        return self._lock.waiting(owner)

    def known(self, source: str, namespace: str) -> ProgramFacts | None:
        """Return the facts of a program that has been read lately."""
        facts = self._kept.get((source, namespace))
        if facts is not None:
            self._kept.move_to_end((source, namespace))
        return facts

    async def analyse(
        self, source: str, namespace: str, *, owner: str = "", on_use: Callable[[float], None] = lambda _: None
    ) -> ProgramFacts:
        """Read ``source`` and return its facts, which are ``known`` from then on for a while.

        ``on_use`` is told how many seconds of processor time reading it took.
        """
        payload = source.encode("utf-8", "replace")
        if len(payload) > MOST_SOURCE_BYTES:
            return ProgramFacts()
        try:
            async with self._lock.held_for(owner):
                answer = await self._ask(frames.encode_analyse(namespace.encode(), payload))
            facts = _facts(answer)
            on_use(_cpu_s(answer))
        except (WorkerLost, FrameError) as error:
            on_use(_ANSWER_WITHIN_S)  # most likely: it did not get through the program
            _log.warning("a program could not be read before its run: %s", error)
            return ProgramFacts()
        self._kept[source, namespace] = facts
        while len(self._kept) > _KEPT_ANSWERS:
            self._kept.popitem(last=False)
        return facts

    @property
    def pid(self) -> int | None:
        """The process id; None while there is none."""
        return None if self._process is None else self._process.pid

    async def aclose(self) -> None:
        """End the process."""
        process, connection = self._process, self._socket
        self._process = self._socket = None
        if process is not None and connection is not None:
            await end_process(process, connection, wait_s=_GOODBYE_S)

    async def _connect(self) -> socket.socket:
        if self._socket is None:
            self._frames = FrameReader()
            self._process, connection = await spawn("_analyst:main", str(_DATA_BYTES))
            try:
                await read_ready(connection)
            except BaseException:
                await end_process(self._process, connection, wait_s=0)
                raise
            self._socket = connection
        return self._socket

    async def _ask(self, payload: bytes) -> JsonObject:
        """Send one request and return its answer; a process that does not answer in time is ended."""
        connection = await self._connect()
        self._requests = self._requests % 2**31 + 1
        is_answered = False
        try:
            with anyio.fail_after(_ANSWER_WITHIN_S):
                await _send(connection, frames.encode(Kind.ANALYSE, self._requests, payload))
                answer = await self._receive(connection)
            is_answered = True
        except TimeoutError:
            raise WorkerLost(f"its analysis took longer than {_ANSWER_WITHIN_S:g} s") from None
        except OSError as error:
            raise WorkerLost(f"the analyst process died: {error}") from error
        finally:
            if not is_answered:
                with anyio.CancelScope(shield=True):  # bounded: the process is killed
                    await self.aclose()
        return answer

    async def _receive(self, connection: socket.socket) -> JsonObject:
        while True:
            await anyio.wait_readable(connection)
            data = connection.recv(_READ_BYTES)
            if not data:
                raise WorkerLost("the analyst process died")
            for kind, number, payload in self._frames.feed(data):
                if kind != Kind.ANALYSIS or number != self._requests:
                    raise FrameError(f"unexpected kind {kind} for request {number}")
                try:
                    answer: JsonObject = json.loads(payload)
                except (ValueError, RecursionError) as error:
                    raise FrameError("an analysis is not JSON") from error
                return answer


async def _send(connection: socket.socket, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        try:
            view = view[connection.send(view) :]
        except BlockingIOError:
            await anyio.wait_writable(connection)


def _facts(answer: JsonObject) -> ProgramFacts:
    """Read an answer; one that is not of its form has no facts."""
    try:
        calls = [] if answer["rebinds"] else [_site(call) for call in cast("list[JsonObject]", answer["calls"])]
        refused = [_finding(entry) for entry in cast("list[JsonObject]", answer["refused"])]
        erased = answer["erased"]
    except (KeyError, TypeError, ValueError) as error:
        raise FrameError("an analysis is not of its form") from error
    return ProgramFacts(erased=erased if isinstance(erased, str) else None, refused=tuple(refused), calls=tuple(calls))


def _cpu_s(answer: JsonObject) -> float:
    try:
        cpu_s = _number(answer["cpu_us"]) / 1e6
    except (KeyError, TypeError) as error:
        raise FrameError("an analysis does not say what it took") from error
    return min(max(0.0, cpu_s), _ANSWER_WITHIN_S)


def _site(call: JsonObject) -> CallSite:
    misuse = call["misuse"]
    return CallSite(
        method=str(call["method"]),
        line=_number(call["line"]),
        column=_number(call["column"]),
        arguments=tuple(cast("list[JsonObject]", call["arguments"])),
        misuse=misuse if isinstance(misuse, str) else None,
    )


def _finding(entry: JsonObject) -> SourceFinding:
    return SourceFinding(message=str(entry["message"]), line=_number(entry["line"]), column=_number(entry["column"]))


def _number(value: JsonValue) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value
