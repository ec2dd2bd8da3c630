"""A portal process for the tests of its end: serves the MCP configuration in argv[1] and prints its origin."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from portal import Config, serve


def announce(origin: str) -> None:
    sys.stdout.write(f"{origin}\n")
    sys.stdout.flush()


async def main() -> None:
    file = Path(sys.argv[1])
    await serve(Config.from_mcp_config(file, {"PORTICO_DATA_DIR": str(file.parent)}, port=0), on_ready=announce)


anyio.run(main, backend_options={"use_uvloop": True})
