"""The ``portico`` command: one file a command, each importing what it needs when it runs."""

from __future__ import annotations

from portal.cli._app import main

__all__ = ["main"]
