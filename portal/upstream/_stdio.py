"""The stdio transport to an upstream: one child process in a process group of its own.

A message is bounded before it is parsed, the child's standard error goes to the log, why it ended is known, and nothing
of its process group stays behind.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import anyio

from portal._errors import UpstreamUnavailable
from portal.upstream._child_log import REST_S, ChildLog
from portal.upstream._duplex import DuplexChannel
from portal.upstream._failures import TransportFailure, too_large
from portal.upstream._lines import LineReader, TooLong
from portal.upstream._parsing import read_messages
from portal.upstream._warden import WARDEN
from portal.wire import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import ByteReceiveStream, Process

    from portal._server_config import ServerConfig
    from portal.upstream._channel import Loss
    from portal.upstream._inbound import Inbound
    from portal.wire import Message

logger = logging.getLogger("portico.upstream")

INHERITED: Final = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""What a child sees of the portal's own environment, where the portal's credentials are."""
EXIT_GRACE_S: Final = 2.0
"""How long a child may take to end after its input closed, and again after SIGTERM."""
NOT_TAKING: Final = "the process takes no more messages"
EXIT_WAIT_S: Final = 0.5
"""How long the end of a child whose output has ended is waited for."""
POLL_S: Final = 0.01
"""``Process.wait`` also waits for the pipes, which a grandchild may hold open; so the exit is polled."""
STDERR_LINES: Final = 20
"""What is kept of standard error to say why a child ended."""
STDERR_LINE_BYTES: Final = 4 * 2**10
"""A line that becomes longer before it ends is logged in pieces."""


@dataclass(slots=True)
class ChildOutcome:
    """Why a child ended: set when it has, with the last lines it wrote to standard error."""

    returncode: int | None = None
    failure: str | None = None
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=STDERR_LINES))

    def describe(self) -> str:
        """Say in a phrase why the child ended, for the operator."""
        if self.failure is not None:
            return self.failure
        if self.returncode is None:
            return "the process closed its output"
        how = f"with code {self.returncode}" if self.returncode >= 0 else f"by {signal.Signals(-self.returncode).name}"
        last = next((line for line in reversed(self.last_lines) if line.strip()), "")
        return f"the process ended {how}" + (f": {last.strip()[:300]}" if last else "")


@asynccontextmanager
async def stdio_channel(
    config: ServerConfig, outcome: ChildOutcome, *, inbound: Inbound, loss: Loss
) -> AsyncIterator[DuplexChannel]:
    """Start the child and yield the way to it; end its whole process group on leaving."""
    process = await _start(config)
    # No await between the start and the task group: a cancellation there would leave the child behind.
    stdin = _Stdin(process)
    channel = DuplexChannel(stdin.send, inbound=inbound, loss=loss, server_id=config.id)
    stdin.on_end = lambda: channel.end(NOT_TAKING)

    with WARDEN.watching(process.pid):
        async with anyio.create_task_group() as pumps:
            log = ChildLog(config.id, pumps)
            lines = LineReader(lambda: _limit(config, inbound))
            pumps.start_soon(_read_messages, process, channel, lines, outcome, log)
            pumps.start_soon(_log_stderr, process, outcome, log)
            try:
                yield channel
            finally:
                # Shielded, with every wait bounded: a cancelled owner must still end the child.
                with anyio.CancelScope(shield=True):
                    await _stop(process)
                    outcome.returncode = process.returncode
                pumps.cancel_scope.cancel()


class _Stdin:
    """The child's standard input: one message a line, none begun before the last one is taken."""

    def __init__(self, process: Process) -> None:
        self.on_end: Callable[[], None] = lambda: None
        self._process = process
        self._taking = anyio.Lock()

    async def send(self, message: Message) -> None:
        line = encode(message) + b"\n"
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 -- open_process was asked for pipes
        async with self._taking:
            try:
                # All of it is handed over before the wait begins, so that a cancellation leaves no half of a line.
                await stdin.send(line)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
                # A session that takes nothing is over, although the child may still be there.
                self.on_end()
                raise TransportFailure(NOT_TAKING, kind="unsent") from None


async def _start(config: ServerConfig) -> Process:
    command = [config.command or "", *config.args]
    env = _inherited() | {name: value.reveal() for name, value in config.env.items()}
    try:
        return await anyio.open_process(command, env=env, cwd=config.cwd, start_new_session=True)
    except FileNotFoundError:
        missing = await _missing(config)
        raise UpstreamUnavailable(missing, upstream=config.id, retryable=False) from None
    except PermissionError:
        message = f"the command {config.command!r} may not be executed"
        raise UpstreamUnavailable(message, upstream=config.id, retryable=False) from None
    except OSError as error:
        message = f"the command {config.command!r} could not be started: {error.strerror}"
        raise UpstreamUnavailable(message, upstream=config.id) from None


async def _missing(config: ServerConfig) -> str:
    """Say what was not found, the folder or the program, and what to do."""
    if config.cwd and not await anyio.Path(config.cwd).is_dir():
        return f"the folder {config.cwd!r} was not found: make it, or correct cwd"
    command = config.command or ""
    if len(command.split()) > 1:
        return f"the command {command!r} was not found: put what follows the program under args"
    return f"the command {command!r} was not found: install it, or write its full path"


def _inherited() -> dict[str, str]:
    # An exported shell function would be run by the child's shell.
    return {name: os.environ[name] for name in INHERITED if not os.environ.get(name, "()").startswith("()")}


async def _read_messages(
    process: Process, channel: DuplexChannel, lines: LineReader, outcome: ChildOutcome, log: ChildLog
) -> None:
    """Hand over each line of standard output as a message, until it ends or nobody can say whose answer is too long."""
    assert process.stdout is not None  # noqa: S101 -- open_process was asked for pipes
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for chunk in process.stdout:
            before = log.left_out
            for line in lines.feed(chunk):
                if isinstance(line, TooLong):
                    what = "an answer" if line.is_answer else "a message"
                    failure = too_large(line.limit_bytes, declared_bytes=line.size_bytes, what=what)
                    log.write(logging.WARNING, f"it sent {failure.phrase}, which is too much")
                    if line.request_id is not None:
                        channel.refuse(failure, line.request_id)
                    elif line.is_answer:
                        outcome.failure = f"it sent {failure.phrase}, which is too much"
                        channel.end(failure.phrase, too_large=True)
                        return
                else:
                    _take(line, channel, log)
            await log.rest(before)
    with anyio.move_on_after(EXIT_WAIT_S):  # its end says more than that of its output
        await _has_ended(process, EXIT_WAIT_S)
        await anyio.sleep(REST_S + POLL_S)  # and so do its last lines, which are read meanwhile
    outcome.returncode = process.returncode
    channel.end(outcome.describe())


def _limit(config: ServerConfig, inbound: Inbound) -> int:
    """Return how long a message may be now: a list is longer than an answer, and a line does not say what it is."""
    return max(config.max_list_bytes, config.max_answer_bytes) if inbound.awaits_list else config.max_answer_bytes


def _take(line: bytes, channel: DuplexChannel, log: ChildLog) -> None:
    if not line.strip():
        return
    try:
        messages = read_messages(line)
    except TransportFailure as failure:
        if channel.refuse_unread(line, failure):
            log.write(logging.WARNING, f"it sent a message that cannot be read: {failure.phrase}")
        else:
            # Servers print banners on standard output; MCP forbids it, and no message is lost by going on.
            log.write(logging.WARNING, "a line on its standard output is not JSON-RPC and was ignored")
        return
    for message in messages:
        channel.take(message)


async def _log_stderr(process: Process, outcome: ChildOutcome, log: ChildLog) -> None:
    assert process.stderr is not None  # noqa: S101 -- open_process was asked for pipes
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        async for lines in _lines(process.stderr):
            outcome.last_lines.extend(lines)
            before = log.left_out
            for line in lines:
                log.write(logging.INFO, line)
            if process.returncode is None:
                await log.rest(before)


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[list[str]]:
    """Yield the lines of ``stream`` as they come, without their ends; one that is too long for the log in pieces."""
    pending = b""
    async for chunk in stream:
        *complete, pending = (pending + chunk).split(b"\n")
        while len(pending) > STDERR_LINE_BYTES:
            complete.append(pending[:STDERR_LINE_BYTES])
            pending = pending[STDERR_LINE_BYTES:]
        yield [line.decode("utf-8", "replace").rstrip("\r") for line in complete]
    if pending:
        yield [pending.decode("utf-8", "replace")]


async def _stop(process: Process) -> None:
    """End the child as MCP says (basic/lifecycle, shutdown): close its input, wait, SIGTERM, wait, SIGKILL.

    What is left of its process group is killed too, also when the child itself went willingly.
    """
    if process.stdin is not None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await process.stdin.aclose()
    if not await _has_ended(process, EXIT_GRACE_S):
        _signal_group(process.pid, signal.SIGTERM)
        await _has_ended(process, EXIT_GRACE_S)
    _signal_group(process.pid, signal.SIGKILL)
    if not await _has_ended(process, EXIT_GRACE_S):
        logger.warning("process %d did not end after SIGKILL; it is left to the system", process.pid)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.aclose()
    _close_transport(process)


async def _has_ended(process: Process, within_s: float) -> bool:
    with anyio.move_on_after(within_s):
        while process.returncode is None:  # noqa: ASYNC110 -- see POLL_S
            await anyio.sleep(POLL_S)
    return process.returncode is not None


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _close_transport(process: Process) -> None:
    """Close asyncio's transport of the child, which otherwise stays open while a descendant holds a pipe."""
    close = getattr(getattr(getattr(process, "_process", None), "_transport", None), "close", None)
    if callable(close):
        with suppress(PermissionError):
            close()
