"""What a client sees, by the query of its URL and the portal's policy. Pure: a table and a function.

| the client asks for | what it sees |
|---|---|
| nothing, or ``?codemode=off`` | ``LIST``: every tool |
| ``?codemode=search_and_execute`` | ``CODE``: one tool, ``code`` |
| ``?optimize_context=minimize_tools`` | ``NAMES``: every tool by name only, and ``query`` |
| ``?optimize_context=search_and_execute`` | ``QUERY``: ``query`` and ``execute`` |

``?access=read`` goes with any of them and leaves only tools that say themselves that they change nothing.

``code_mode`` of a portal decides who may choose: ``enforced`` is ``CODE`` whatever is asked; ``off`` has no programs,
so that asking for ``CODE`` gives ``LIST``; ``opt_in`` and ``default_on`` say what a client gets without asking.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal._config import CodeMode


class Mode(StrEnum):
    """What ``tools/list`` shows."""

    LIST = "list"
    CODE = "code"
    NAMES = "names"
    QUERY = "query"


LISTING_MODES: Final = frozenset({Mode.LIST, Mode.NAMES})
"""The modes in which clients call the tools of upstreams themselves."""


class BadQuery(ValueError):  # noqa: N818 -- says whose mistake it is
    """Raised for a query that is unknown or contradicts itself; the message lists the right options."""


OPTIONS: Final[dict[str, dict[str, Mode | None]]] = {
    "codemode": {"search_and_execute": Mode.CODE, "off": Mode.LIST},
    "optimize_context": {"minimize_tools": Mode.NAMES, "search_and_execute": Mode.QUERY},
    "access": {"read": None},
}
"""Every option of the query with its values, and the mode that a value asks for."""

DEFAULTS: Final[dict[CodeMode, Mode]] = {
    "off": Mode.LIST,
    "opt_in": Mode.LIST,
    "default_on": Mode.CODE,
    "enforced": Mode.CODE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one request sees of a portal. ``has_programs`` is False where the portal's policy allows none."""

    mode: Mode
    is_read_only: bool = False
    has_programs: bool = True


def view_of(query: Iterable[tuple[str, str]], code_mode: CodeMode) -> View:
    """Return what ``query`` asks for under the portal's policy. Raises ``BadQuery``."""
    pairs = list(query)
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise BadQuery(f"The option {repeated[0]!r} is given more than once; give it once. {_right_options()}")
    for name, value in pairs:
        _check(name, value)
    asked = {name: mode for name, value in pairs if (mode := OPTIONS[name][value]) is not None}
    if len(asked) > 1:
        raise BadQuery(f"The options {' and '.join(asked)} exclude each other; keep one. {_right_options()}")
    mode = next(iter(asked.values()), DEFAULTS[code_mode])
    if code_mode == "enforced" or (code_mode == "off" and mode is Mode.CODE):
        mode = DEFAULTS[code_mode]
    return View(mode=mode, is_read_only=("access", "read") in pairs, has_programs=code_mode != "off")


def _check(name: str, value: str) -> None:
    if name not in OPTIONS:
        raise BadQuery(f"There is no option {name[:40]!r}. {_right_options()}")
    if value not in OPTIONS[name]:
        values = " or ".join(f"{name}={allowed}" for allowed in OPTIONS[name])
        raise BadQuery(f"{name} cannot be {value[:40]!r}; use {values}.")


def _right_options() -> str:
    options = [f"?{name}={value}" for name, values in OPTIONS.items() for value in values]
    return f"The options are {', '.join(options)}, or none."
