"""The stdio transport to an upstream: one child process in a process group of its own.

Unlike the SDK's transport this one bounds a message before it is parsed, sends the child's standard error to the log,
knows why the child ended, and leaves nothing of its process group behind.
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
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

from portal._errors import UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import ByteReceiveStream, Process
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.client._transport import TransportStreams

    from portal._server_config import ServerConfig

logger = logging.getLogger("portico.upstream")

MAX_MESSAGE_BYTES: Final = 16 * 2**20
"""One JSON-RPC message; twice the largest result that a run may hold."""
EXIT_GRACE_S: Final = 2.0
"""How long a child may take to end after its input closed, and again after SIGTERM, as the SDK grants it."""
FLUSH_S: Final = 0.5
"""How long a message that was already accepted may take to reach the child when the session closes."""
POLL_S: Final = 0.01
"""``Process.wait`` also waits for the pipes, which a grandchild may hold open; so the exit is polled."""
STDERR_LINES: Final = 20
"""What is kept of standard error to say why a child ended."""
STDERR_LINE_BYTES: Final = 4 * 2**10
"""A longer line is cut in the log."""


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
async def stdio_transport(config: ServerConfig, outcome: ChildOutcome) -> AsyncIterator[TransportStreams]:
    """Start the child and yield the streams of messages from and to it; end its whole process group on leaving."""
    process = await _start(config)
    # No await between the start and the task group: a cancellation there would leave the child behind.
    from_child_send, from_child = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_child, to_child_receive = anyio.create_memory_object_stream[SessionMessage](0)
    flushed = anyio.Event()

    async with anyio.create_task_group() as pumps:
        pumps.start_soon(_read_messages, process, from_child_send, config.id, outcome)
        pumps.start_soon(_write_messages, process, to_child_receive, from_child_send, flushed)
        pumps.start_soon(_log_stderr, process, config.id, outcome)
        try:
            yield from_child, to_child
        finally:
            # Shielded, with every wait bounded: a cancelled owner must still end the child.
            with anyio.CancelScope(shield=True):
                from_child.close()
                to_child.close()
                with anyio.move_on_after(FLUSH_S):
                    await flushed.wait()
                await _stop(process)
                outcome.returncode = process.returncode
            pumps.cancel_scope.cancel()
    for stream in (from_child_send, to_child_receive):
        stream.close()


async def _start(config: ServerConfig) -> Process:
    command = [config.command or "", *config.args]
    env = get_default_environment() | {name: value.reveal() for name, value in config.env.items()}
    try:
        return await anyio.open_process(command, env=env, cwd=config.cwd, start_new_session=True)
    except FileNotFoundError:
        where = f"the folder {config.cwd!r}" if config.cwd and not await anyio.Path(config.cwd).is_dir() else ""
        missing = where or f"the command {config.command!r}"
        raise UpstreamUnavailable(
            f"{missing} was not found: install it, or write its full path", upstream=config.id, retryable=False
        ) from None
    except PermissionError:
        message = f"the command {config.command!r} may not be executed"
        raise UpstreamUnavailable(message, upstream=config.id, retryable=False) from None
    except OSError as error:
        message = f"the command {config.command!r} could not be started: {error.strerror}"
        raise UpstreamUnavailable(message, upstream=config.id) from None


async def _read_messages(
    process: Process,
    out: MemoryObjectSendStream[SessionMessage | Exception],
    server_id: str,
    outcome: ChildOutcome,
) -> None:
    """Hand over each line of standard output as a message, until it ends or a line is too long."""
    assert process.stdout is not None  # noqa: S101 -- open_process was asked for pipes
    lines = BufferedByteReceiveStream(process.stdout)
    async with out:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                try:
                    line = await lines.receive_until(b"\n", MAX_MESSAGE_BYTES)
                except anyio.IncompleteRead:
                    return
                except anyio.DelimiterNotFound:
                    outcome.failure = f"it sent a message of more than {MAX_MESSAGE_BYTES} bytes"
                    logger.warning("%s: %s; its session is closed", server_id, outcome.failure)
                    return
                if (message := _parse(line, server_id)) is not None:
                    await out.send(message)


def _parse(line: bytes, server_id: str) -> SessionMessage | None:
    if not line.strip():
        return None
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValidationError:
        # Servers print banners on standard output; MCP forbids it, and no message is lost by going on.
        logger.warning("%s: a line on its standard output is not JSON-RPC and was ignored", server_id)
        return None


async def _write_messages(
    process: Process,
    messages: MemoryObjectReceiveStream[SessionMessage],
    from_child: MemoryObjectSendStream[SessionMessage | Exception],
    flushed: anyio.Event,
) -> None:
    assert process.stdin is not None  # noqa: S101 -- open_process was asked for pipes
    try:
        async with messages:
            async for message in messages:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send(text.encode() + b"\n")
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        # The child reads no more: end the session rather than let each request wait for its timeout.
        await from_child.aclose()
    finally:
        flushed.set()


async def _log_stderr(process: Process, server_id: str, outcome: ChildOutcome) -> None:
    assert process.stderr is not None  # noqa: S101 -- open_process was asked for pipes
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        async for line in _lines(process.stderr):
            outcome.last_lines.append(line)
            logger.info("%s: %s", server_id, line)


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[str]:
    """Yield the lines of ``stream`` without their ends; a line too long for the log comes in pieces."""
    pending = b""
    async for chunk in stream:
        *complete, pending = (pending + chunk).split(b"\n")
        while len(pending) > STDERR_LINE_BYTES:
            complete.append(pending[:STDERR_LINE_BYTES])
            pending = pending[STDERR_LINE_BYTES:]
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if pending:
        yield pending.decode("utf-8", "replace")


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
