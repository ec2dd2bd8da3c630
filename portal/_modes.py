"""What a client sees, by the query of its URL and the portal's policy. Pure: a table and a function.

| the client asks for | what it sees |
|---|---|
| nothing, or ``?codemode=off`` | ``LIST``: every tool |
| ``?codemode=search_and_execute`` | ``CODE``: one tool, ``code`` |
| ``?optimize_context=minimize_tools`` | ``NAMES``: every tool by name only, and ``query`` |
| ``?optimize_context=search_and_execute`` | ``QUERY``: ``query`` and ``execute`` |

``code_mode`` of a portal decides what asking means: ``off`` and ``enforced`` do not let the client choose, ``opt_in``
and ``default_on`` say what it gets without asking.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal._config import CodeMode


class Mode(Enum):
    """What ``tools/list`` shows."""

    LIST = "list"
    CODE = "code"
    NAMES = "names"
    QUERY = "query"


class BadQuery(ValueError):  # noqa: N818 -- says whose mistake it is
    """Raised for a query that is unknown or contradicts itself; the message lists the right options."""


OPTIONS: Final[dict[str, dict[str, Mode | None]]] = {
    "codemode": {"search_and_execute": Mode.CODE, "off": Mode.LIST},
    "optimize_context": {"minimize_tools": Mode.NAMES, "search_and_execute": Mode.QUERY},
    "access": {"read": None},
}
"""Every option of the query with its values, and the mode that a value asks for."""

NOT_YET: Final = frozenset({"optimize_context", "access"})
"""Options that are reserved and that this version cannot serve."""

DEFAULTS: Final[dict[CodeMode, Mode]] = {
    "off": Mode.LIST,
    "opt_in": Mode.LIST,
    "default_on": Mode.CODE,
    "enforced": Mode.CODE,
}
CHOOSABLE: Final[frozenset[CodeMode]] = frozenset({"opt_in", "default_on"})


def mode_of(query: Iterable[tuple[str, str]], code_mode: CodeMode) -> Mode:
    """Return the mode that ``query`` asks for under the portal's policy. Raises ``BadQuery``."""
    pairs = list(query)
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise BadQuery(f"The option {repeated[0]!r} is given more than once; give it once. {_right_options()}")
    for name, value in pairs:
        _check(name, value)
    asked = {name: OPTIONS[name][value] for name, value in pairs}
    if len(asked) > 1:
        raise BadQuery(f"The options {' and '.join(asked)} exclude each other; keep one. {_right_options()}")
    if code_mode not in CHOOSABLE:
        return DEFAULTS[code_mode]
    return asked.get("codemode") or DEFAULTS[code_mode]


def _check(name: str, value: str) -> None:
    if name not in OPTIONS:
        raise BadQuery(f"There is no option {name[:40]!r}. {_right_options()}")
    if value not in OPTIONS[name]:
        values = " or ".join(f"{name}={allowed}" for allowed in OPTIONS[name])
        raise BadQuery(f"{name} cannot be {value[:40]!r}; use {values}.")
    if name in NOT_YET:
        raise BadQuery(f"The option {name} is not available in this version. {_right_options()}")


def _right_options() -> str:
    options = [f"?{name}={value}" for name, values in OPTIONS.items() if name not in NOT_YET for value in values]
    return f"The options are {', '.join(options)}, or none."
