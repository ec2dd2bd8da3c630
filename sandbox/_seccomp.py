"""A seccomp filter that leaves a worker the system calls of waiting, memory and its own socket, and nothing else.

The filter is classic BPF, built by hand: a list of allowed numbers, everything else fails with ``EPERM``. A worker has
its code and its descriptors by the time it is installed, so nothing that opens, connects, starts or maps code remains.
Sources: seccomp(2), linux/seccomp.h, linux/filter.h; the numbers are those of the kernel's own tables.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass

_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1  # every thread of the process gets the filter, or none
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_GREATER_OR_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _THIRD_ARGUMENT_AT = 0, 4, 16 + 2 * 8  # offsets in struct seccomp_data
_X32_BIT = 0x40000000
_PROT_EXEC = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Architecture:
    audit: int
    seccomp: int
    without_code: tuple[int, ...]  # mmap and mprotect: refused when they would make memory executable
    allowed: tuple[int, ...]
    forking: tuple[int, ...]  # what a template needs as well: its children give it up


# Hottest first: the kernel walks the list. Each line is one purpose.
_X86_64 = _Architecture(
    audit=0xC000003E,
    seccomp=317,
    without_code=(9, 10),  # mmap, mprotect
    allowed=(
        *(202, 45, 44, 7, 271),  # futex, recvfrom, sendto, poll, ppoll: wait and talk
        *(11, 28, 12, 25, 324),  # munmap, madvise, brk, mremap, membarrier: memory
        *(0, 1, 20, 46, 47, 3),  # read, write, writev, sendmsg, recvmsg, close: descriptors that it has
        *(228, 229, 96, 230, 35, 24, 98),  # clock_gettime, clock_getres, gettimeofday, clock_nanosleep, nanosleep, ...
        *(13, 14, 15, 131, 219, 200, 234),  # rt_sigaction, rt_sigprocmask, rt_sigreturn, sigaltstack, ..., tgkill
        *(39, 186, 318, 334, 273, 60, 231),  # getpid, gettid, getrandom, rseq, set_robust_list, exit, exit_group
    ),
    # clone, clone3, wait4, kill, getppid, prctl, prlimit64, seccomp: start a process or a thread, end it, seal it
    forking=(56, 435, 61, 62, 110, 157, 302, 317),
)
_AARCH64 = _Architecture(
    audit=0xC00000B7,
    seccomp=277,
    without_code=(222, 226),
    allowed=(
        *(98, 207, 206, 73),
        *(215, 233, 214, 216, 283),
        *(63, 64, 66, 211, 212, 57),
        *(113, 114, 169, 115, 101, 124, 165),
        *(134, 135, 139, 132, 128, 130, 131),
        *(172, 178, 278, 293, 99, 93, 94),
    ),
    forking=(220, 435, 260, 129, 173, 167, 261, 277),
)
_ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64}


def install(*, may_fork: bool = False) -> None:
    """Install the filter in every thread of this process, for good. Raises ``OSError``; needs no_new_privs.

    With ``may_fork`` the process may start others and seal them, by this function too: filters add up.
    """
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise OSError(errno.ENOSYS, f"no filter is written for {platform.machine()}")
    program = _program(architecture, may_fork=may_fork)
    code = ctypes.create_string_buffer(program, len(program))
    filter_program = _FilterProgram(length=len(program) // 8, code=ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        ctypes.c_long(architecture.seccomp),
        ctypes.c_uint(_SET_MODE_FILTER),
        ctypes.c_uint(_FLAG_TSYNC),
        ctypes.byref(filter_program),
    )
    if result:
        number = ctypes.get_errno() or errno.EAGAIN  # a positive result is a thread that could not be synchronised
        raise OSError(number, os.strerror(number))


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def _program(architecture: _Architecture, *, may_fork: bool) -> bytes:
    """Return the instructions: a load and a jump for each number, then the ends that they jump to."""
    allowed = architecture.allowed + (architecture.forking if may_fork else ())
    checks: list[tuple[int, int, str | None, str | None]] = [
        (_LOAD_WORD, _ARCHITECTURE_AT, None, None),
        (_JUMP_IF_EQUAL, architecture.audit, None, "kill"),  # another architecture has other numbers
        (_LOAD_WORD, _NUMBER_AT, None, None),
        (_JUMP_IF_GREATER_OR_EQUAL, _X32_BIT, "refuse", None),
        *((_JUMP_IF_EQUAL, number, "allow", None) for number in allowed),
        *((_JUMP_IF_EQUAL, number, "code", None) for number in architecture.without_code),
    ]
    ends = [
        (_RETURN, 0, _REFUSE),  # reached by falling through: the number is not in the list
        (_LOAD_WORD, 0, _THIRD_ARGUMENT_AT),
        (_JUMP_IF_SET, 1, _PROT_EXEC),  # jumps over the next
        (_RETURN, 0, _ALLOW),
        (_RETURN, 0, _REFUSE),
        (_RETURN, 0, _KILL_PROCESS),
    ]
    targets = {"refuse": 0, "code": 1, "allow": 3, "kill": 5}
    instructions: list[bytes] = []
    for at, (operation, value, if_true, if_false) in enumerate(checks):
        distances = [0 if target is None else len(checks) - at - 1 + targets[target] for target in (if_true, if_false)]
        instructions.append(struct.pack("<HBBI", operation, *distances, value))
    instructions += (struct.pack("<HBBI", operation, jump, 0, value) for operation, jump, value in ends)
    return b"".join(instructions)
