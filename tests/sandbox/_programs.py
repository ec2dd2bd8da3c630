"""Programs run in a sandbox, as the tests of this folder run them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol, cast

import anyio

from sandbox import Capabilities, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox import HostCall, HostCallHandler, JsonValue, Outcome, RunClock, Sandbox

CAPABILITIES = Capabilities(namespace="host", methods="echo\nfail\nwait", errors=("ToolError",))


async def echo(call: HostCall) -> bytes:
    """Answer with the first argument."""
    arguments = json.loads(call.args)
    return json.dumps(arguments[0] if arguments else None).encode()


class Held:
    """A handler whose calls wait until they are let go; but ``echo`` is answered."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_called = anyio.Event()
        self.let_go = anyio.Event()

    async def __call__(self, call: HostCall) -> bytes:
        if call.method == "echo":
            return await echo(call)
        self.calls += 1
        self.is_called.set()
        await self.let_go.wait()
        return b'"unharmed"'


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a state of the sandbox that it tells nobody."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - see above
            await anyio.sleep(0.001)


class Execute(Protocol):
    """Runs a program, with limits by name."""

    async def __call__(
        self,
        source: str,
        *,
        on_call: HostCallHandler = echo,
        clock: RunClock | None = None,
        seed: bytes | None = None,
        owner: str = "",
        **limits: float,
    ) -> Outcome: ...


def executor(sandbox: Sandbox) -> Execute:
    """Return a function that runs programs in ``sandbox``, each within half a minute."""

    async def execute(
        source: str,
        *,
        on_call: HostCallHandler = echo,
        clock: RunClock | None = None,
        seed: bytes | None = None,
        owner: str = "",
        **limits: float,
    ) -> Outcome:
        with anyio.fail_after(30):
            return await sandbox.execute(
                source,
                limits=Limits(**limits),  # type: ignore[arg-type] # checked when it is made
                capabilities=CAPABILITIES,
                on_call=on_call,
                clock=clock,
                seed=seed,
                owner=owner,
            )

    return execute


def value_of(outcome: Outcome) -> JsonValue:
    """Return the value of a run that succeeded."""
    assert outcome.error is None, outcome.error
    return cast("JsonValue", json.loads(outcome.value)) if outcome.value is not None else None
