"""Signals to a portal's process: which end it, and what they do before it serves and after."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SYNC_SIGNAL: Final[signal.Signals | None] = getattr(signal, "SIGUSR1", None)
"""Has a portal that serves list its servers again."""
_HANG_UP: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)


def end_signals() -> list[signal.Signals]:
    """The signals that end a portal, SIGINT aside: SIGTERM, and that of a terminal which closes, unless by ``nohup``
    the portal is to outlive it."""
    if _HANG_UP is None or signal.getsignal(_HANG_UP) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, _HANG_UP]


def ignore(number: signal.Signals) -> None:
    """Have this process do nothing on a signal, from the main thread."""
    signal.signal(number, _nothing)


def ignore_sync_signal() -> None:
    """Have the signal do nothing where it would end the process; a portal that serves takes it over."""
    if SYNC_SIGNAL is not None and threading.current_thread() is threading.main_thread():
        ignore(SYNC_SIGNAL)


@contextmanager
def given_back() -> Iterator[None]:
    """When the block ends, have the signals do what they did before it."""
    if threading.current_thread() is not threading.main_thread():  # signals come nowhere else
        yield
        return
    numbers = [*end_signals(), *([SYNC_SIGNAL] if SYNC_SIGNAL is not None else [])]
    former = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            if handler is not None:  # else it was set by a program in C, and there is nothing to set
                signal.signal(number, handler)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """In place of SIG_IGN, which every process that this one starts would have too."""
