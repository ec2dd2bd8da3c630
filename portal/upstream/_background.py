"""Tasks of a session beside the requests on it; none starts any more once the session has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVarTuple

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

_Arguments = TypeVarTuple("_Arguments")


class Background:
    """A task group whose tasks end together, before the group does."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks: TaskGroup | None = tasks
        self._scopes: set[anyio.CancelScope] = set()

    def start_soon(self, function: Callable[[*_Arguments], Awaitable[object]], *arguments: *_Arguments) -> None:
        """Start a task; nothing happens when the session has ended, which a request of it may outlive."""
        if self._tasks is not None:
            self._tasks.start_soon(self._run, function, arguments)

    def close(self) -> None:
        """Cancel the tasks, not their group, and start no more."""
        self._tasks = None
        for scope in self._scopes:
            scope.cancel()

    async def _run(self, function: Callable[[*_Arguments], Awaitable[object]], arguments: tuple[*_Arguments]) -> None:
        if self._tasks is None:
            return
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await function(*arguments)
            finally:
                self._scopes.discard(scope)
