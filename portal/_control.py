"""The control socket: through it, a command asks the portal that runs here how its servers are, or to list them anew.

A connection is one question and its answer, each a line of JSON. The socket lies in the data folder and only the user
can open it. A portal answers commands with its own configuration, credentials included: what another one would find
out of these servers is not what this portal knows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from portal._secret import Secret
from portal._version import VERSION
from portal.upstream import ServerStatus, Synced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from anyio.abc import SocketStream

    from portal._config import Config
    from portal.upstream import Fleet
    from typegen import JsonObject

logger = logging.getLogger("portico.portal")

ASK_S: Final = 5.0
"""How long the other end may take over its question, or over an answer that needs no server."""
MAX_QUESTION_BYTES: Final = 2**18
MAX_ANSWER_BYTES: Final = 2**24
_NAMES: Final = "portal-*.sock"
_MODE: Final = 0o600
_LEFT_OVER_S: Final = 60.0  # a socket of a portal that just starts refuses too, for a moment
_LONGEST_ADDRESS: Final = 100  # the kernel takes 103 bytes on some systems, 107 on Linux


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalReport:
    """What the portal of process ``pid`` says of its servers; only those just listed have changes and failures."""

    pid: int
    servers: tuple[Synced, ...]


async def serve_control(config: Config, fleet: Fleet) -> None:
    """Answer commands until cancelled. Where no socket can be made, say so in the log and return."""
    path = config.data_dir / _NAMES.replace("*", secrets.token_hex(4))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_left_over(path.parent)
        with _address(path) as address:
            listener = await anyio.create_unix_listener(address, mode=_MODE)
    except OSError as error:
        reason = error.strerror or str(error)
        logger.info("commands cannot ask this portal how its servers are: no socket in %s: %s", path.parent, reason)
        return
    try:
        async with listener:
            await listener.serve(partial(_serve_one, fingerprint=_fingerprint(config), fleet=fleet))
    finally:
        path.unlink(missing_ok=True)


async def ask_status(config: Config) -> PortalReport | None:
    """Ask the portal that runs here with this configuration how its servers are. None where there is none."""
    reports = await _ask(config, {"ask": "status"}, patience_s=ASK_S)
    return reports[0] if reports else None


async def ask_sync(config: Config, server_ids: Sequence[str]) -> PortalReport | None:
    """Have the portal list these servers anew, and ask how they are then; of several, each does and one is heard."""
    reports = await _ask(config, {"ask": "sync", "servers": list(server_ids)}, patience_s=math.inf)
    return reports[0] if reports else None


async def _ask(config: Config, question: JsonObject, *, patience_s: float) -> list[PortalReport]:
    line = _line({**question, "configuration": _fingerprint(config)})
    reports: list[PortalReport] = []
    for path in sorted(config.data_dir.glob(_NAMES)):
        # What does not answer has just ended, and what answers in another way is of another version.
        with (
            contextlib.suppress(*_ENDED, ValueError, TypeError, KeyError),
            anyio.move_on_after(patience_s),
            _address(path) as address,
        ):
            async with await anyio.connect_unix(address) as stream:
                await stream.send(line)
                answer = json.loads(await BufferedByteReceiveStream(stream).receive_until(b"\n", MAX_ANSWER_BYTES))
            if answer["servers"] is not None:
                reports.append(PortalReport(pid=answer["pid"], servers=tuple(map(_synced, answer["servers"]))))
    return reports


async def _serve_one(stream: SocketStream, *, fingerprint: str, fleet: Fleet) -> None:
    try:
        async with stream:
            with anyio.fail_after(ASK_S):
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", MAX_QUESTION_BYTES)
            answer = await _answer(line, fingerprint=fingerprint, fleet=fleet)
            with anyio.fail_after(ASK_S):
                await stream.send(_line({"pid": os.getpid(), "servers": answer}))
    except (*_ENDED, TimeoutError) as error:
        logger.debug("a command went without its answer: %s", type(error).__name__)
    except Exception:
        # A mistake of ours over one question must not end the portal; it is logged with its trace.
        logger.exception("a command could not be answered")


async def _answer(line: bytes, *, fingerprint: str, fleet: Fleet) -> list[JsonObject] | None:
    """Return what was asked for; None for a question with another configuration, or none that is understood."""
    try:
        question = json.loads(line)
        asked, server_ids = question["ask"], question.get("servers", [])
        if not secrets.compare_digest(str(question["configuration"]), fingerprint):
            return None
        if asked == "status":
            return [asdict(Synced(status=status, changed=(), failure=None)) for status in fleet.status()]
        if asked == "sync":
            return [asdict(synced) for synced in await fleet.sync(*server_ids)] if server_ids else []
    except (ValueError, TypeError, KeyError):
        pass
    return None


def _synced(told: dict[str, Any]) -> Synced:
    status = ServerStatus(**told["status"])
    return Synced(status=status, changed=tuple(told["changed"]), failure=told["failure"])


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message).encode() + b"\n"  # of the standard library: names and causes may not be Unicode


def _fingerprint(config: Config) -> str:
    """A hash of the configured servers with everything that decides what a connection to them finds."""
    content = json.dumps([VERSION, *config.servers], default=_plain, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"a {type(value).__name__} in a configuration")


def _remove_left_over(folder: Path) -> None:
    """Remove the sockets of portals that were killed."""
    for path in folder.glob(_NAMES):
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


_ENDED: Final = (OSError, anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound)
"""What reading from and writing to a process raises that ends, or that says more than it may."""
