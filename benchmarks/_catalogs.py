"""Large listings as a portal makes them: of descriptions from the registries, and of real servers."""

from __future__ import annotations

import logging
import sys
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks._packages import NODE
from benchmarks._query_sets import large_catalog
from portal import Config, Portal, Secret, ServerConfig
from portal.server import Listing
from portal.upstream import read_tools
from sandbox import Sandbox
from tests.typegen.test_real_servers import DUMMIES, NPM, PYPI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from engine import JsonObject
    from typegen import Tool

LARGE = 2_594
"""All of GitHub's operations and the first 1,371 of AWS: ec2, s3, iam, lambda and some of rds."""
NODE_MODULES = Path(__file__).parent.parent / "node_modules"


@cache
def large_tools() -> tuple[tuple[str, Tool], ...]:
    """Return big-2594: servers and tools."""
    return large_catalog()[:LARGE]


def definitions(tools: Sequence[tuple[str, Tool]]) -> dict[str, list[JsonObject]]:
    """Write tools as their servers would list them."""
    by_server: dict[str, list[JsonObject]] = {}
    for server, tool in tools:
        definition: JsonObject = {"name": tool.name, "description": tool.description}
        definition["inputSchema"] = dict(tool.input_schema)
        if tool.output_schema is not None:
            definition["outputSchema"] = dict(tool.output_schema)
        by_server.setdefault(server, []).append(definition)
    return by_server


def listing_of(by_server: Mapping[str, Sequence[JsonObject]]) -> Listing:
    """Make a portal's listing of definitions as they were synced, each checked as then."""
    return Listing.of_tools({server: read_tools(listed, upstream=server) for server, listed in by_server.items()})


@asynccontextmanager
async def real_servers() -> AsyncIterator[Portal]:
    """Open a portal over ten servers from npm and PyPI, started for real with credentials that are none."""
    env = {name: Secret(value) for name, value in DUMMIES.items()}
    servers = [
        ServerConfig(id=name, command=str(NODE), args=(str(NODE_MODULES / script), *arguments), env=env)
        for name, (script, *arguments) in NPM.items()
    ]
    servers += [ServerConfig(id=name, command=sys.executable, args=("-m", module)) for name, module in PYPI.items()]
    logging.getLogger("portico").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder:
        async with Portal(Config(servers=tuple(servers), data_dir=Path(folder)), sandbox=Sandbox()) as portal:
            await portal.wait_ready(60)
            away = [status.id for status in portal.fleet.status() if status.status != "ready"]
            if away:
                raise RuntimeError(f"these servers did not start: {', '.join(away)}")
            yield portal
