"""A sealed process has nothing left but its memory and the descriptors that it was born with.

Each test seals a process as a worker is sealed and lets it try what a program that had broken out would try.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import IsolationLayer, probe_isolation
from sandbox._seal import bootstrap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are those of Linux")

ATTEMPTS = {
    "read a file": "open('/etc/hostname').read()",
    "write a file": "open('/tmp/planted', 'w').write('x')",
    "list a folder": "os.listdir('/')",
    "read its own environment in /proc": "open('/proc/self/environ').read()",
    "make a TCP socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "make a UNIX socket": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
    "start a process": "os.posix_spawn('/bin/true', ['true'], {})",
    "fork": "os.fork()",
    "replace itself": "os.execv('/bin/true', ['true'])",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "make a pipe": "os.pipe()",
    "start a thread": "threading.Thread(target=int).start()",
    "make memory executable": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "raise its own limits": "resource.setrlimit(resource.RLIMIT_CORE, (1, 1))",
    "become another user": "os.setuid(1)",
    "change its root": "os.chroot('/')",
}


REFUSALS = {"PermissionError", "RuntimeError", "ValueError"}  # Python names the same EPERM differently


def attempt(code: str) -> str:
    """Seal a process, let it try ``code``, and return what came of it."""
    program = (
        "import mmap, os, resource, socket, threading, sandbox._seal as seal\n"
        "seal.seal_before_threads(data_bytes=2**30)\n"
        "seal.seal_after_threads()\n"
        f"try:\n    {code}\n"
        "except (OSError, RuntimeError, ValueError, MemoryError) as error:\n"
        "    os.write(1, type(error).__name__.encode())\n"
        "else:\n    os.write(1, b'allowed')\n"
    )
    command = bootstrap("_seal:report_layers")
    command[command.index("-c") + 1] = command[command.index("-c") + 1].partition("from sandbox")[0] + program
    done = subprocess.run(command, env={}, capture_output=True, timeout=30, check=False, text=True)
    return done.stdout or done.stderr


@pytest.fixture(scope="module")
def layers() -> dict[str, IsolationLayer]:
    return {layer.name: layer for layer in probe_isolation()}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_sealed_process_cannot(layers: dict[str, IsolationLayer], name: str) -> None:
    if not layers["seccomp"].is_active:
        pytest.skip(f"seccomp: {layers['seccomp'].detail}")

    result = attempt(ATTEMPTS[name])

    assert result in REFUSALS, result


def test_a_sealed_process_can_still_compute_and_wait() -> None:
    result = attempt("bytearray(2**20); threading.Event().wait(0.001)")

    assert result == "allowed"


def test_a_sealed_process_cannot_have_more_data_than_its_limit() -> None:
    result = attempt("bytearray(2**30 + 2**20)")

    assert result == "MemoryError"


def test_the_probe_names_every_layer_and_why_one_is_missing(layers: dict[str, IsolationLayer]) -> None:
    missing = [layer.detail for layer in layers.values() if not layer.is_active]

    assert list(layers) == ["rlimits", "namespaces", "no-new-privileges", "capabilities", "landlock", "seccomp"]
    assert all(detail.startswith("not ") for detail in missing)


def test_the_probe_leaves_this_process_as_it_was() -> None:
    probe_isolation()

    assert list(Path("/").iterdir())
