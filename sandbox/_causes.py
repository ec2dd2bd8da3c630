"""The error of a run that ended without an end record, by its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox._errors import (
    CpuLimitExceeded,
    GuestError,
    HostError,
    MemoryLimitExceeded,
    ProgramError,
    ProtocolError,
    StackLimitExceeded,
    UnsettledPromise,
    WorkerLost,
)
from sandbox._frames import Cause
from sandbox._limits import STACK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox._limits import Limits
    from sandbox._transcript import Transcript

MEMORY_MESSAGE = "the program needed more than {max} bytes of memory; keep fewer results at a time, or less of each"
_ALMOST = 0.95  # of its processor time: what is left over is what the watchdog measured otherwise
STACK_MESSAGE = "calls, or the nesting of something parsed or written, went too deep; look for recursion without an end"


def error_of(cause: Cause, limits: Limits, transcript: Transcript) -> GuestError | HostError:
    """Return the error: the program's for what it did, ours for the rest."""
    return _ERRORS[cause](limits, transcript)


def _cpu(limits: Limits, transcript: Transcript) -> GuestError:
    used_s = transcript.cpu_us / 1e6
    message = f"the program used its {limits.cpu_s:g} s of processor time; look for a loop that does not end"
    if used_s < limits.cpu_s * _ALMOST:  # its turn was stopped by the clock
        message = f"the machine is busy, and the program computed for too long on the clock, in {used_s:.1f} s of"
        message += " processor time; look for a loop that does not end, or compute less at a time"
    return CpuLimitExceeded(message, limit="cpu_s", max=limits.cpu_s, used=used_s)


def _memory(limits: Limits, _: Transcript) -> GuestError:
    return MemoryLimitExceeded(
        MEMORY_MESSAGE.format(max=limits.memory_bytes),
        limit="memory_bytes",
        max=limits.memory_bytes,
    )


def _stack(_limits: Limits, _: Transcript) -> GuestError:
    return StackLimitExceeded(STACK_MESSAGE, limit="stack_bytes", max=STACK_BYTES)


def _unsettled(_limits: Limits, _: Transcript) -> GuestError:
    return UnsettledPromise(
        "the program waits for a promise that nothing can settle: no host call and no timer is left"
    )


def _trap(_limits: Limits, _: Transcript) -> GuestError:
    return ProgramError("the JavaScript engine stopped on an internal error", name="InternalError")


def _protocol(_limits: Limits, _: Transcript) -> HostError:
    return ProtocolError("an isolate broke the protocol")


def _worker(_limits: Limits, transcript: Transcript) -> HostError:
    return WorkerLost("a worker process could not go on with the run", calls=transcript.calls)


_ERRORS: dict[Cause, Callable[[Limits, Transcript], GuestError | HostError]] = {
    Cause.CPU: _cpu,
    Cause.MEMORY: _memory,
    Cause.STACK: _stack,
    Cause.UNSETTLED: _unsettled,
    Cause.TRAP: _trap,
    Cause.PROTOCOL: _protocol,
    Cause.WORKER: _worker,
    Cause.STOPPED: _worker,  # a run that was stopped is followed by nobody; one that is had been stopped in error
}
