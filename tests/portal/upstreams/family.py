"""A stdio server that starts a process of its own, which ignores SIGTERM, and writes both ids to a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer

SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"

child = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE)
assert child.stdout is not None
child.stdout.readline()
Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
MCPServer("family").run("stdio")
