"""Tools of a shop, and programs over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portico import (
    CodeMode,
    Tools,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from portico import Answer, Sandbox


@pytest.fixture
def tools() -> Tools:
    return Tools("shop")


@pytest.fixture
def run(tools: Tools, sandbox: Sandbox) -> Callable[[str], Awaitable[Answer]]:
    """Run a program over the tools that the test has added by then."""

    async def run_program(program: str) -> Answer:
        async with CodeMode(tools, sandbox=sandbox) as code_mode:
            return await code_mode.run(program)

    return run_program
