"""The protocol versions of MCP that are spoken, on either side."""

from __future__ import annotations

from typing import Final

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Those that begin with ``initialize`` and, over HTTP, have sessions; oldest first."""
LATEST_HANDSHAKE_VERSION: Final = HANDSHAKE_VERSIONS[-1]
MODERN_VERSION: Final = "2026-07-28"
"""The version without a handshake: every request says who asks and what it can do in its ``_meta``."""
