"""A program that is no MCP server: it says why on standard error and ends."""

from __future__ import annotations

import sys

sys.stdout.write("Welcome to the banner that servers should not print\n")
sys.stderr.write("missing API key\n")
sys.exit(2)
