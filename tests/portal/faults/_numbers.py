"""The faults by number: what happens to the portal, and which of them wait for what is not built."""

from __future__ import annotations

from typing import Final

import pytest

FAULTS: Final = {
    1: "a hundred upstreams, thirty of them dead",
    2: "an upstream that accepts and never answers",
    3: "one that hangs when it is greeted, or listed",
    4: "an answer of 100 MB",
    5: "an event of 100 MB, and a byte now and then",
    6: "a list of 22 MB",
    7: "answers that are none",
    8: "an upstream that starts again",
    9: "a connection that is reset after the request",
    10: "announcements in bursts, and with every list",
    11: "an announcement while it is listed",
    12: "an upstream that comes and goes",
    13: "certificates that expired or are another's, names that moved",
    14: "progress without measure",
    15: "a thousand requests to one slow upstream",
    16: "a question to a client that is gone",
    17: "a thousand sessions, half of them never ended",
    18: "a stop under load",
    19: "a kill under load",
    20: "two replicas without stickiness",
    21: "clients that go away in the midst of their calls",
    22: "cancellations of everything that can be named",
    23: "streams that are cut again and again",
    24: "a thousand clients that come back at once",
    25: "a client that reads slowly",
    26: "what no client sends",
}
"""Those of upstreams, clients and sessions; 27 to 42 are of identity, storage and workers."""

DEFERRED: Final = {
    20: "sessions live in one process: there are no replicas yet that could share them",
}
"""Numbers without a test, with the reason."""

fault = pytest.mark.fault
"""``@fault(7)`` marks the test of fault 7."""
