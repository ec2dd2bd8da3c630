"""Where the kernel isolates nothing, a sandbox that must be isolated does not open; and what else a worker is without.

The kernel is this one, with the system calls refused that install the layers: as in a container that forbids them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox import IsolationLayer, IsolationUnavailable
from sandbox._seal import check_isolation

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent.parent
CALLS = {"seccomp": 317, "landlock": 444, "unshare": 272}  # x86-64

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="the numbers are those of x86-64 Linux"
)

REFUSING = """
import ctypes, errno, json, struct, sys
import anyio
from sandbox import IsolationUnavailable, Limits, Capabilities, Sandbox, SandboxConfig

def refuse(numbers):
    code = struct.pack("<HBBI", 0x20, 0, 0, 0)  # load the number of the system call
    for at, number in enumerate(numbers):
        code += struct.pack("<HBBI", 0x15, len(numbers) - at, 0, number)
    code += struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000) + struct.pack("<HBBI", 0x06, 0, 0, 0x00050000 | errno.ENOSYS)
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    assert libc.prctl(38, ctypes.c_ulong(1), zero, zero, zero) == 0
    program = Program(len(code) // 8, code)
    assert libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(program), zero, zero) == 0, ctypes.get_errno()

async def main():
    try:
        async with Sandbox(SandboxConfig(workers=1, require_isolation=sys.argv[2] == "required")) as sandbox:
            outcome = await sandbox.execute(
                "6 * 7", limits=Limits(), capabilities=Capabilities(), on_call=None, owner="ann"
            )
            active = [layer.name for layer in sandbox.status().layers if layer.is_active]
            print(json.dumps({"value": outcome.value.decode(), "active": active}))
    except IsolationUnavailable as error:
        print(json.dumps({"refused": str(error)}))

refuse(json.loads(sys.argv[1]))
anyio.run(main)
"""


def open_without(calls: Sequence[str], isolation: str) -> dict[str, object]:
    """Open a sandbox where the kernel refuses ``calls``, and return what came of it."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSING, json.dumps([CALLS[call] for call in calls]), isolation],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_a_sandbox_that_must_be_isolated_does_not_open_where_nothing_confines_its_workers() -> None:
    result = open_without(["seccomp", "landlock"], "required")

    assert "isolation is required" in str(result["refused"])
    assert "Function not implemented" in str(result["refused"])


@pytest.mark.parametrize("missing", ["seccomp", "landlock"])
def test_either_confining_layer_is_enough(missing: str) -> None:
    result = open_without([missing], "required")

    assert result["value"] == "42"
    assert missing not in str(result["active"])


def test_on_loopback_a_sandbox_opens_with_what_there_is() -> None:
    result = open_without(["seccomp", "landlock", "unshare"], "optional")

    assert result == {"value": "42", "active": ["rlimits", "no-new-privileges", "capabilities"]}


def test_what_confines_is_said_by_the_layer_itself() -> None:
    layers = [
        IsolationLayer(name=name, is_active=False, detail="not available: no") for name in ("landlock", "seccomp")
    ]
    others = IsolationLayer(name="namespaces", is_active=True, detail="a network of its own")

    with pytest.raises(IsolationUnavailable, match="landlock is not available: no; seccomp"):
        check_isolation([*layers, others], is_required=True)
    check_isolation(layers, is_required=False)
