"""Namespaces: the process gets a network without any interface, and System V objects and names of its own.

Sources: unshare(2), user_namespaces(7). A user namespace comes first, because it is what an unprivileged process may
make; it maps nobody, so that whatever is owned by this user outside is owned by nobody inside.
"""

from __future__ import annotations

import ctypes
import os

_NEW_USER, _NEW_NETWORK, _NEW_IPC, _NEW_HOST_NAME = 0x10000000, 0x40000000, 0x08000000, 0x04000000


def enter() -> None:
    """Put this process, which must have one thread, into namespaces of its own. Raises ``OSError``."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(ctypes.c_int(_NEW_USER | _NEW_NETWORK | _NEW_IPC | _NEW_HOST_NAME)):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
