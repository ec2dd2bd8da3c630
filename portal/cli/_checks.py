"""The checks of ``portico doctor``, each a line: what was looked at, how it is, and what to do."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from portal._errors import StoreError
from portal.cli._output import plural
from portal.cli._session import opened
from portal.store import schema_version
from sandbox import Capabilities, Limits, Sandbox, SandboxConfig, SandboxError

if TYPE_CHECKING:
    from portal._config import Config
    from portal.upstream import ServerStatus
    from sandbox import HostCall, SandboxStatus

State: TypeAlias = Literal["ok", "weak", "broken"]

ISOLATION_WORDS: Final = {
    "shared": "an isolate for each run, workers shared by all users",
    "user": "an isolate for each run, a worker for one user at a time",
    "run": "an isolate and a process for each run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line; what is ``weak`` works, with less protection."""

    subject: str
    state: State
    detail: str


def check_machine(config: Config) -> list[Check]:
    """The platform, the versions, and how the portal listens."""
    is_reference = sys.platform == "linux" and platform.machine() in {"x86_64", "AMD64"}
    where = f"{platform.system()} {platform.release()} {platform.machine()}"
    advice = "" if is_reference else ": it runs, and x86-64 Linux is the platform for users you do not trust"
    listening = f"{config.host}:{config.port}"
    guard = "asks for PORTICO_TOKEN" if config.token is not None else "no sign-in, this machine only"
    return [
        Check(subject="platform", state="ok" if is_reference else "weak", detail=where + advice),
        Check(subject="python", state="ok", detail=platform.python_version()),
        *(_package(name) for name in ("portico", "wasmtime", "mcp")),
        Check(subject="listening", state="ok", detail=f"{listening}, {guard}"),
    ]


def _package(name: str) -> Check:
    try:
        return Check(subject=name, state="ok", detail=version(name))
    except PackageNotFoundError:
        return Check(subject=name, state="weak", detail="not installed; used from a folder on the path")


async def check_sandbox(config: Config) -> list[Check]:
    """One program really run, and the isolation that the workers have."""
    started_at = time.perf_counter()
    try:
        async with Sandbox(SandboxConfig(workers=1, isolation=config.isolation)) as sandbox:
            opened_at = time.perf_counter()
            outcome = await sandbox.execute(
                "6 * 7", limits=Limits(), capabilities=Capabilities(), on_call=_refuse_call, seed=None
            )
            done_at = time.perf_counter()
            status = sandbox.status()
    except (SandboxError, OSError) as error:
        return [Check(subject="sandbox", state="broken", detail=f"{type(error).__name__}: {error}")]
    times = f"worker ready in {(opened_at - started_at) * 1e3:.0f} ms, first run {(done_at - opened_at) * 1e3:.1f} ms"
    works = outcome.value == b"42"
    checks = [
        Check(subject="sandbox", state="ok", detail=times)
        if works
        else Check(subject="sandbox", state="broken", detail=f"6 * 7 gave {outcome.value!r}: {outcome.error}")
    ]
    checks.append(_cache(status))
    checks += _isolation(status, is_loopback=config.is_loopback)
    return checks


def _isolation(status: SandboxStatus, *, is_loopback: bool) -> list[Check]:
    """Say which layers hold, and how runs are kept apart.

    A missing layer is a weakness; without any that confines a process the portal does not start beyond loopback.
    """
    is_confined = any(layer.is_active and layer.is_confining for layer in status.layers)
    missing: State = "weak" if is_loopback or is_confined else "broken"
    return [
        *(
            Check(subject=f"isolation: {layer.name}", state="ok" if layer.is_active else missing, detail=layer.detail)
            for layer in status.layers
        ),
        Check(subject="isolation: runs", state="ok", detail=ISOLATION_WORDS[status.isolation]),
    ]


def _cache(status: SandboxStatus) -> Check:
    if not status.is_module_kept:
        detail = "the folder portico in the user's cache cannot be used: every start compiles the guest anew"
        return Check(subject="cache", state="weak", detail=detail)
    size = status.module_path.stat().st_size / 2**20
    return Check(subject="cache", state="ok", detail=f"{status.module_path} ({size:.1f} MiB)")


async def _refuse_call(call: HostCall) -> bytes:
    raise LookupError(call.method)


async def check_store(config: Config) -> Check:
    """Where the store is, its schema, and whether it can be written; one that is not there yet stays so."""
    location = config.store_url
    try:
        version = await schema_version(location)
    except StoreError as error:
        return Check(subject="store", state="broken", detail=str(error))
    if location.path is not None:
        there = next(path for path in (location.path, *location.path.parents) if path.exists())
        folder = there.parent if version is not None else there
        if not folder.is_dir() or not all(os.access(path, os.W_OK) for path in (there, folder)):
            detail = f"{location} cannot be written: check {there}, its owner and its permissions"
            return Check(subject="store", state="broken", detail=detail)
    if version is None:
        return Check(subject="store", state="ok", detail=f"{location}, not there yet: a portal makes it when it starts")
    return Check(subject="store", state="ok", detail=f"{location}, schema {version}")


async def check_servers(config: Config) -> list[Check]:
    """Each server, connected to; or why the store does not open, without which nothing is served."""
    try:
        async with opened(config) as portal:
            checks = [_server(status) for status in portal.fleet.status()]
    except StoreError as error:
        return [Check(subject="store", state="broken", detail=str(error))]
    off = [
        Check(subject=f"server {server.id}", state="ok", detail="off by configuration")
        for server in config.servers
        if not server.enabled
    ]
    return [*checks, *off]


def _server(status: ServerStatus) -> Check:
    subject = f"server {status.id}"
    if status.status == "ready":
        era = f", MCP {status.protocol_version}" if status.protocol_version else ""
        return Check(subject=subject, state="ok", detail=f"{status.transport}, {plural(status.tools, 'tool')}{era}")
    return Check(subject=subject, state="broken", detail=status.cause or "did not answer in time")
