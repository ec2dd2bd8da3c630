"""Landlock: the kernel refuses this process every file, every TCP connection, and signals to others.

Sources: landlock(7), linux/landlock.h; each right is asked for only where the kernel's version of the interface has it.
"""

from __future__ import annotations

import ctypes
import os

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same on every architecture
_ASK_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # interface version -> number of file rights, as bits from 0
_ALL_TCP = 0b11  # bind, connect: since version 4
_ALL_SCOPES = 0b11  # abstract UNIX sockets, signals: since version 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def restrict() -> int:
    """Give up every right that the kernel can take, for this thread and those it starts; return the version.

    Raises ``OSError`` when the kernel has no Landlock or it is not enabled; needs no_new_privs.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = _call(libc, _CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION))
    bits = max(count for since, count in _FILE_RIGHTS.items() if since <= version)
    ruleset = _Ruleset(
        files=(1 << bits) - 1,
        network=_ALL_TCP if version >= 4 else 0,
        scopes=_ALL_SCOPES if version >= 6 else 0,
    )
    # An older kernel refuses a larger structure only when the part it does not know is not zero.
    descriptor = _call(
        libc, _CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(ctypes.sizeof(ruleset)), ctypes.c_uint32(0)
    )
    try:
        _call(libc, _RESTRICT_SELF, ctypes.c_int(descriptor), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)
    return version


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
