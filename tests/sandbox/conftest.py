"""A sandbox that every test of a module shares, and programs run in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox import Sandbox, SandboxConfig
from sandbox._guest import load_module
from tests.sandbox._isolates import Host
from tests.sandbox._programs import Execute, executor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
async def sandbox(cache_dir: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxConfig(workers=2, cache_dir=cache_dir)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def execute(sandbox: Sandbox) -> Execute:
    return executor(sandbox)


@pytest.fixture
async def lone_worker(cache_dir: Path) -> AsyncIterator[Sandbox]:
    """A sandbox whose runs all share one worker."""
    async with Sandbox(SandboxConfig(workers=1, max_workers=1, cache_dir=cache_dir)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def host(cache_dir: Path) -> Host:
    """Runs programs in isolates of this very process."""
    return Host(load_module(cache_dir))
