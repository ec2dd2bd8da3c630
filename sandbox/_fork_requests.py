"""What the portal asks of a template of workers, and what it is told: a few bytes each, over the template's socket."""

from __future__ import annotations

import struct

REQUEST = struct.Struct("<cI")  # FORK, with the descriptor of the child's socket, or KILL with the number of a child
GONE = struct.Struct("<I")  # the number of a child that has ended and was reaped
FORK, KILL = b"F", b"K"
