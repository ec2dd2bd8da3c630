"""How the garbage collector works in a process that serves: not over what lives as long as the process."""

from __future__ import annotations

import gc


def spare_collector() -> None:
    """Leave what there is now, modules above all, out of every later collection; do so when starting is over.

    The thresholds stay: with larger ones the sessions of clients that have gone took a third more memory until they
    were collected, for 3 % of the processor time of a call.
    """
    gc.freeze()
