"""Sealing a worker process: what the kernel takes away from it before it meets any program.

Each layer is best effort, tried for real once it is in place, and reported; none needs a privilege. Together they leave
a process that can compute, wait, and talk over the one socket that it was born with.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import _landlock, _namespaces, _seccomp
from sandbox._errors import IsolationUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NAMESPACES = "namespaces"
LANDLOCK = "landlock"
SECCOMP = "seccomp"
_CONFINING = frozenset({LANDLOCK, SECCOMP})

_NICENESS = 5  # the portal answers first when both want the processor
_DESCRIPTORS = 16  # those it has, and room for the wait on one of them; poll() counts against this as well
_PROBE_TIMEOUT_S = 20.0
_SET_NO_NEW_PRIVS = 38  # prctl(2)
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationLayer:
    """One layer of a worker's isolation by its kernel; ``detail`` says what it does, or why it is not active."""

    name: str
    is_active: bool
    detail: str

    @property
    def is_confining(self) -> bool:
        """Whether it alone keeps a program that has broken out from files and network."""
        return self.name in _CONFINING


def seal_before_threads(*, data_bytes: int) -> list[IsolationLayer]:
    """Apply the layers that a thread inherits from the one that starts it. No file can be opened afterwards."""
    return [
        _layer("rlimits", f"{data_bytes >> 20} MiB of data, no core file, no growing file", lambda: _limit(data_bytes)),
        # Before capabilities are dropped, which a new user namespace gives, and while there is one thread.
        _layer(NAMESPACES, "a network without interfaces, and nobody's rights outside", _namespaces.enter),
        _layer("no-new-privileges", "set-uid programs give nothing", _forbid_new_privileges),
        _layer("capabilities", "dropped, also for root", _drop_capabilities),
        _layer(LANDLOCK, "no file, no TCP, no signal to another process", _restrict_files),
    ]


def seal_after_threads() -> list[IsolationLayer]:
    """Apply the layers that cover every thread there is. No thread or process can be started afterwards."""
    with contextlib.suppress(OSError, ValueError):  # beside the filter, which refuses the same
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # only now: it counts threads too
    return [_layer(SECCOMP, "an allow-list of system calls: no open, connect, exec, clone or new code", _filter_calls)]


def seal_template() -> list[IsolationLayer]:
    """Apply the filter of a process that forks others, each of which calls ``seal_after_threads``."""
    return [_layer("template-seccomp", "the same allow-list, and starting processes", _filter_template_calls)]


def check_isolation(layers: Iterable[IsolationLayer], *, is_required: bool) -> None:
    """Raise ``IsolationUnavailable`` when isolation is required and no layer of these confines a process."""
    confining = [layer for layer in layers if layer.is_confining]
    if is_required and not any(layer.is_active for layer in confining):
        why = "; ".join(f"{layer.name} is {layer.detail}" for layer in confining)
        raise IsolationUnavailable(f"isolation is required, and this kernel gives workers none: {why}")


def bootstrap(entry: str, *arguments: str, packages: str | None = None) -> list[str]:
    """Return the command that runs ``entry`` (``module:function``) of this package in a bare interpreter.

    ``-I -S`` keep the environment, the user's folders and ``.pth`` files out; the package is registered as an empty
    one, so that only the modules that the entry needs are imported. ``packages`` is a folder that others come from.
    """
    module, function = entry.split(":")
    code = (
        "import sys, types\n"
        "package = types.ModuleType('sandbox')\n"
        "package.__path__ = [sys.argv[1]]\n"
        f"sys.path += {[] if packages is None else [packages]!r}\n"
        "sys.modules['sandbox'] = package\n"
        f"from sandbox.{module} import {function}\n"
        f"{function}(*sys.argv[2:])\n"
    )
    return [sys.executable, "-I", "-S", "-c", code, str(Path(__file__).resolve().parent), *arguments]


def probe_isolation() -> tuple[IsolationLayer, ...]:
    """Report the layers that a worker on this machine gets, by sealing a process and trying what it must not do.

    Raises ``OSError`` when the process cannot be started or says nothing sensible.
    """
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
        bootstrap("_seal:report_layers"), env={}, cwd="/", capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
    )
    try:
        return tuple(IsolationLayer(**layer) for layer in json.loads(done.stdout))
    except (TypeError, ValueError) as error:
        raise OSError(f"the probe of isolation ended with {done.returncode}") from error


def report_layers() -> None:
    """Seal this process as a worker is sealed and print the layers; the entry of the probe."""
    layers = seal_before_threads(data_bytes=2**30) + seal_after_threads()
    os.write(1, json.dumps([asdict(layer) for layer in layers]).encode())


def _layer(name: str, detail: str, apply: Callable[[], None]) -> IsolationLayer:
    if sys.platform != "linux":
        return IsolationLayer(name=name, is_active=False, detail=f"not written for {sys.platform}")
    try:
        apply()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        return IsolationLayer(name=name, is_active=False, detail=f"not available: {reason}")
    return IsolationLayer(name=name, is_active=True, detail=detail)


def _limit(data_bytes: int) -> None:
    os.nice(_NICENESS)
    # Not RLIMIT_AS: WebAssembly memories reserve far more address space than they ever use.
    for kind, most in (
        (resource.RLIMIT_DATA, data_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
    ):
        try:
            resource.setrlimit(kind, (most, most))
        except ValueError as error:  # a lower hard limit is already in force
            if resource.getrlimit(kind)[1] > most:
                raise OSError(errno.EPERM, "a resource limit could not be set") from error


def _forbid_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), "prctl refused")


def _drop_capabilities() -> None:
    number = _CAPSET.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"not written for {os.uname().machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if libc.syscall(ctypes.c_long(number), header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset refused")


def _restrict_files() -> None:
    _landlock.restrict()
    _expect_refusal(lambda: os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY)), "a folder could still be opened")


def _filter_calls() -> None:
    _seccomp.install()
    _expect_refusal(lambda: socket.socket().close(), "a socket could still be made")
    _expect_refusal(lambda: os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY)), "a folder could still be opened")


def _filter_template_calls() -> None:
    _seccomp.install(may_fork=True)
    _expect_refusal(lambda: socket.socket().close(), "a socket could still be made")


def _expect_refusal(attempt: Callable[[], None], finding: str) -> None:
    with contextlib.suppress(PermissionError):
        attempt()
        raise OSError(errno.EINVAL, f"accepted by the kernel, yet {finding}")
