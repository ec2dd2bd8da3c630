"""The process that outlives a portal by a moment, and ends the children that it left behind. Started by its path.

It reads ``+GROUP`` and ``-GROUP`` a line, process groups that came and went, from a pipe that only the portal holds.
The pipe ends with the portal, however that ended; what is left then gets a moment to see that its own input has ended.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_S = 2.0


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    groups = {group for group in groups if _signal(group, 0)}
    if groups:
        time.sleep(GRACE_S)
    for group in groups:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
