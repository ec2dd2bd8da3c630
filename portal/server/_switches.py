"""Which servers of a portal a user has switched off for himself: fewer tools to choose from, nothing more.

It is a preference and no protection: a server that is off for a user stays allowed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Switches:
    """The switches of every user of one portal, kept in this process; ``on_change`` gets the user after each."""

    def __init__(self, *, on_change: Callable[[str], None] = lambda _: None) -> None:
        self._off: dict[str, frozenset[str]] = {}
        self._on_change = on_change

    def off_for(self, user: str) -> frozenset[str]:
        """Return the ids of the servers that ``user`` has switched off."""
        return self._off.get(user, frozenset())

    def switch(self, user: str, server_id: str, *, is_on: bool) -> None:
        """Switch one server on or off for ``user``."""
        before = self.off_for(user)
        after = before - {server_id} if is_on else before | {server_id}
        if after != before:
            self._off[user] = after
            self._on_change(user)
