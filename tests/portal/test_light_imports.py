"""What a portal process does without until it needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["portal.server", "portal.upstream", "portal._portal"])
def test_a_portal_starts_without_the_sdk_and_its_models(module: str) -> None:
    """They take longer to import than anything else; only lists, the demo and Python functions need them."""
    code = f"import sys, {module}; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    tops = {name.partition(".")[0] for name in loaded.stdout.split()}
    assert {"portal", "orjson"} <= tops
    assert not {"mcp", "mcp_types", "pydantic", "httpx", "httpx2", "alembic"} & tops


def test_the_driver_and_dialect_of_postgresql_are_loaded_only_for_such_a_store() -> None:
    code = "import sys, portal.store; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert "sqlalchemy" in loaded.stdout.split()
    assert "sqlalchemy.dialects.postgresql" not in loaded.stdout.split()
