"""Run untrusted JavaScript: each program in a fresh QuickJS isolate in WebAssembly, in a sealed worker process.

``async with Sandbox(SandboxConfig()) as sandbox`` keeps a pool of workers; ``await sandbox.execute(source, ...)`` runs
one program to its end, hands its host calls to a handler, and returns an ``Outcome``: a program's failure is a result,
and only a failure of the sandbox itself is raised. Knows nothing of tools or of MCP: only bytes of JSON text cross.
"""

from __future__ import annotations

from sandbox._analysis import CallSite, ProgramFacts, SourceFinding
from sandbox._bounds import Bounds
from sandbox._calls import HostCall, HostCallHandler, Rejection
from sandbox._capabilities import Capabilities
from sandbox._clock import RunClock
from sandbox._config import Isolation, SandboxConfig
from sandbox._errors import (
    CallLimitExceeded,
    CpuLimitExceeded,
    GuestError,
    HostError,
    IsolationUnavailable,
    LimitExceeded,
    MemoryLimitExceeded,
    OutputLimitExceeded,
    Overloaded,
    ProgramError,
    ProgramSyntaxError,
    ProtocolError,
    RunCancelled,
    SandboxClosed,
    SandboxError,
    SourceTooLarge,
    StackFrame,
    StackLimitExceeded,
    UnsettledPromise,
    WallLimitExceeded,
    WorkerLost,
)
from sandbox._json import JsonObject, JsonValue
from sandbox._limits import Limits
from sandbox._outcome import LogLine, Outcome, UnawaitedCall, UnhandledRejection, Usage
from sandbox._pool import Sandbox
from sandbox._seal import IsolationLayer, probe_isolation
from sandbox._status import SandboxStatus, WorkerStatus

__all__ = [
    "Bounds",
    "CallLimitExceeded",
    "CallSite",
    "Capabilities",
    "CpuLimitExceeded",
    "GuestError",
    "HostCall",
    "HostCallHandler",
    "HostError",
    "Isolation",
    "IsolationLayer",
    "IsolationUnavailable",
    "JsonObject",
    "JsonValue",
    "LimitExceeded",
    "Limits",
    "LogLine",
    "MemoryLimitExceeded",
    "Outcome",
    "OutputLimitExceeded",
    "Overloaded",
    "ProgramError",
    "ProgramFacts",
    "ProgramSyntaxError",
    "ProtocolError",
    "Rejection",
    "RunCancelled",
    "RunClock",
    "Sandbox",
    "SandboxClosed",
    "SandboxConfig",
    "SandboxError",
    "SandboxStatus",
    "SourceFinding",
    "SourceTooLarge",
    "StackFrame",
    "StackLimitExceeded",
    "UnawaitedCall",
    "UnhandledRejection",
    "UnsettledPromise",
    "Usage",
    "WallLimitExceeded",
    "WorkerLost",
    "WorkerStatus",
    "probe_isolation",
]
