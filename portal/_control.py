"""The control socket: through it, a command asks the portal that runs here how its servers are, or to list them anew.

A connection is one question, a line of JSON, and its answer. Until that is there an empty line says each second that it
is worked on; a command that goes takes its question along. The socket lies in the data folder, and only its user can
open it. A portal answers commands with its own servers and store, credentials included: what others would find out of
theirs is not what this portal knows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import socket
import stat
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from portal._secret import Secret
from portal._version import VERSION
from portal.upstream import ServerStatus, Synced
from portal.wire import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from anyio.abc import SocketListener, SocketStream

    from portal._config import Config
    from portal.upstream import Fleet
    from typegen import JsonObject, JsonValue

logger = logging.getLogger("portico.portal")

PATIENCE_S: Final = 5.0
"""How long one end waits for a line of the other."""
BEAT_S: Final = 1.0
QUESTIONS: Final = 16
"""As many are answered at once; others wait in the socket."""
MAX_QUESTION_BYTES: Final = 2**18
MAX_ANSWER_BYTES: Final = 2**24
_NAMES: Final = "portal-*.sock"
_MODE: Final = 0o600
_LEFT_OVER_S: Final = 60.0  # a socket of a portal that just starts refuses too, for a moment
_ACCEPT_AGAIN_S: Final = 1.0
_LONGEST_ADDRESS: Final = 100  # the kernel takes 103 bytes on some systems, 107 on Linux
_ENDED: Final = (OSError, anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound)
"""What reading from a process and writing to it raises that ends, is late (``TimeoutError``) or says too much."""
_NOT_UNDERSTOOD: Final = (ValueError, TypeError, KeyError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalReport:
    """What the portal of process ``pid`` says of its servers; only those just listed have changes and failures."""

    pid: int
    servers: tuple[Synced, ...]


async def serve_control(config: Config, fleet: Fleet) -> None:
    """Answer commands until cancelled. Where no socket can be made, say so in the log and return."""
    path = config.data_dir / _NAMES.replace("*", secrets.token_hex(4))
    unnamed = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left_over(path.parent)
        with _address(unnamed) as address:
            listener = await anyio.create_unix_listener(address, mode=_MODE)
        async with listener:
            unnamed.rename(path)  # now that somebody listens: who finds the name can ask
            await _accept(listener, fleet, fingerprint=_fingerprint(config))
    except OSError as error:
        reason = error.strerror or str(error)
        logger.info("commands cannot ask this portal how its servers are: no socket in %s: %s", path.parent, reason)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


async def ask_status(config: Config) -> PortalReport | None:
    """Ask the portal that runs here with these servers how they are, once it has tried each. None where there is none.

    Of several portals the first to answer is heard.
    """
    reports = await _ask(config, {"ask": "status"}, is_one_enough=True)
    return reports[0] if reports else None


async def ask_sync(config: Config, server_ids: Sequence[str]) -> PortalReport | None:
    """Have the portal list these servers anew, and ask how they are then. None likewise.

    Of several portals each does so, and one is heard.
    """
    reports = await _ask(config, {"ask": "sync", "servers": list(server_ids)}, is_one_enough=False)
    return reports[0] if reports else None


async def _ask(config: Config, question: JsonObject, *, is_one_enough: bool) -> list[PortalReport]:
    line = encode({**question, "configuration": _fingerprint(config)}) + b"\n"
    reports: list[PortalReport] = []

    async def ask(path: Path) -> None:
        # What does not answer has just ended, or hangs; what answers in another way is of another version.
        with contextlib.suppress(*_ENDED, *_NOT_UNDERSTOOD):
            answer = json.loads(await _answer_of(path, line))
            if answer["servers"] is not None:
                reports.append(PortalReport(pid=answer["pid"], servers=tuple(map(_synced, answer["servers"]))))
                if is_one_enough:
                    tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for path in _sockets(config.data_dir):
            tasks.start_soon(ask, path)
    return reports


async def _answer_of(path: Path, line: bytes) -> bytes:
    with anyio.fail_after(PATIENCE_S), _address(path) as address:
        stream = await anyio.connect_unix(address)
    async with stream:
        received = BufferedByteReceiveStream(stream)
        with anyio.fail_after(PATIENCE_S):
            await stream.send(line)
        answer = b""
        while not answer:
            with anyio.fail_after(PATIENCE_S):
                answer = await received.receive_until(b"\n", MAX_ANSWER_BYTES)
        return answer


async def _accept(listener: SocketListener, fleet: Fleet, *, fingerprint: str) -> None:
    free = anyio.Semaphore(QUESTIONS)

    async def serve(stream: SocketStream) -> None:
        try:
            await _serve_one(stream, fleet, fingerprint=fingerprint)
        finally:
            free.release()

    async with anyio.create_task_group() as tasks:
        while True:
            await free.acquire()
            try:
                stream = await listener.accept()
            except anyio.BrokenResourceError as error:  # no descriptor left, for instance: that passes
                logger.warning("a command could not be heard: %s", error.__cause__)
                free.release()
                await anyio.sleep(_ACCEPT_AGAIN_S)
            else:
                tasks.start_soon(serve, stream)


async def _serve_one(stream: SocketStream, fleet: Fleet, *, fingerprint: str) -> None:
    async def beat() -> None:
        with contextlib.suppress(*_ENDED):
            while True:
                await anyio.sleep(BEAT_S)
                with anyio.fail_after(PATIENCE_S):
                    await stream.send(b"\n")
        tasks.cancel_scope.cancel()

    try:
        async with stream:
            with anyio.fail_after(PATIENCE_S):
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", MAX_QUESTION_BYTES)
            answer: list[JsonValue] | None = None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(beat)
                answer = await _answer(line, fleet, fingerprint=fingerprint)
                tasks.cancel_scope.cancel()
            with anyio.fail_after(PATIENCE_S):
                await stream.send(encode({"pid": os.getpid(), "servers": answer}) + b"\n")
    except _ENDED as error:
        logger.debug("a command went without its answer: %s", type(error).__name__)
    except Exception:
        # A mistake of ours over one question must not end the portal; it is logged with its trace.
        logger.exception("a command could not be answered")


async def _answer(line: bytes, fleet: Fleet, *, fingerprint: str) -> list[JsonValue] | None:
    """Return what was asked for; None for a question with another configuration, or none that is understood."""
    try:
        question = json.loads(line)
        asked, server_ids = question["ask"], question.get("servers", [])
        if not secrets.compare_digest(str(question["configuration"]), fingerprint):
            return None
        if asked == "status":
            await fleet.wait_settled()
            return [asdict(Synced(status=status, changed=(), failure=None)) for status in fleet.status()]
        if asked == "sync":
            return [asdict(synced) for synced in await fleet.sync(*server_ids)] if server_ids else []
    except _NOT_UNDERSTOOD:
        pass
    return None


def _synced(told: dict[str, Any]) -> Synced:
    status = ServerStatus(**told["status"])
    return Synced(status=status, changed=tuple(told["changed"]), failure=told["failure"])


def _fingerprint(config: Config) -> str:
    """A hash of what decides which servers there are, what a connection to them finds, and where that is kept."""
    content = json.dumps([VERSION, config.servers, config.store], default=_plain, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"a {type(value).__name__} in a configuration")


def _sockets(folder: Path) -> Iterator[Path]:
    """Yield the sockets of this user's portals; who else can write to the folder must not speak for one."""
    for path in folder.glob(_NAMES):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid():
                yield path


def _remove_left_over(folder: Path) -> None:
    """Remove the sockets of portals that were killed."""
    for path in _sockets(folder):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe, _address(path) as address:
            probe.setblocking(False)
            try:
                probe.connect(address)
            except ConnectionRefusedError:
                if time.time() - path.stat().st_mtime > _LEFT_OVER_S:
                    path.unlink()


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """Name a socket for the kernel, which takes a short name only: where that is possible, by its open folder."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS or sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
