"""Make a catalog of cached schemas in a process of its own, nothing remembered; prints the seconds of each step."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import orjson

from portal.server import Listing
from portal.upstream import read_tools


def main(source: str) -> None:
    """Read the definitions in the file ``source``, by server, as a portal does when it starts."""
    cached = Path(source).read_bytes()
    marks = [time.perf_counter()]
    by_server = orjson.loads(cached)
    read = {server: read_tools(listed, upstream=server) for server, listed in by_server.items()}
    marks.append(time.perf_counter())
    listing = Listing.of_tools(read)
    _ = listing.tools
    marks.append(time.perf_counter())
    listing.catalog.search("anything at all")
    marks.append(time.perf_counter())
    print(json.dumps([after - before for before, after in pairwise(marks)]))  # noqa: T201 - read


if __name__ == "__main__":
    main(sys.argv[1])
