"""One sandbox with one worker, so that the program after a hostile one meets what that left; and the rule over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import Engine
from sandbox import Sandbox, SandboxConfig
from tests.portal.conftest import http_server, portal_at, serving, upstream
from tests.sandbox.probes._rule import CANARY, Attack, Ended, Rule, memory_of, rule_over
from tests.sandbox.probes._upstream import CATALOG, SECRET, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


__all__ = ["http_server", "portal_at", "serving", "upstream"]  # fixtures of the portal's tests, over the sandbox below


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "probe(number): the test of one numbered probe")


@pytest.fixture(scope="session")
def secret_in_the_environment() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PORTICO_TOKEN", SECRET)
        yield SECRET


@pytest.fixture(scope="session")
async def sandbox(cache_dir: Path, secret_in_the_environment: str) -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxConfig(workers=1, max_workers=1, cache_dir=cache_dir)) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
async def base_bytes(sandbox: Sandbox) -> int:
    """What the worker uses before any probe."""
    async with Engine(sandbox) as engine:
        await engine.code(CANARY, catalog=CATALOG, invoker=Upstream())
    return memory_of(sandbox.status().workers[0].pid, "VmRSS")


@pytest.fixture
def rule(sandbox: Sandbox, base_bytes: int) -> Rule:
    return rule_over(sandbox, base_bytes)


@pytest.fixture
def attack(rule: Rule) -> Attack:
    async def run(source: str, *, upstream: Upstream | None = None, **limits: float) -> Ended:
        async with rule(upstream=upstream, **limits) as probe:
            return await probe.run(source)
        raise AssertionError  # the block returns or raises

    return run
