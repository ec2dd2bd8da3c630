"""The showing that ``make run`` starts: one program over three MCP servers, beside the same job by direct tool calls.

It serves a portal on loopback, connects to it as any client does, and measures both ways while it runs.
"""

from __future__ import annotations

from portal.showcase._caller import CallFailed
from portal.showcase._run import run_demo
from portal.showcase._setup import is_repository

__all__ = ["CallFailed", "is_repository", "run_demo"]
