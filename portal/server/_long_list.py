"""The warning about a plain list that takes much of every client's context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portal.server._modes import DEFAULTS, Mode
from portal.wire import encode
from typegen import estimate_tokens

if TYPE_CHECKING:
    from portal._config import PortalConfig
    from portal.server._listing import Listing
    from typegen import JsonValue

LONG_LIST_TOKENS: Final = 10_000
"""From here on a list of tools takes a noticeable share of any model's context, in every conversation anew."""


def long_list_warning(listing: Listing, portal: PortalConfig) -> str | None:
    """Say what the plain list of ``portal`` costs and what costs less; ``None`` for a short list or one nobody gets.

    Tokens are estimated, rather too many than too few: counting them exactly takes a tokeniser of 74 MB.
    """
    if DEFAULTS[portal.code_mode] is not Mode.LIST:
        return None
    cost = _estimate(listing, Mode.LIST)
    if cost <= LONG_LIST_TOKENS:
        return None
    tools = (
        f"portal {portal.id}: a client that lists its {len(listing.tools):,} tools spends about {cost:,} tokens on them"
    )
    if portal.code_mode == "off":
        names = _estimate(listing, Mode.NAMES)
        return f"{tools}; ?optimize_context=minimize_tools costs about {names:,}."
    code = _estimate(listing, Mode.CODE)
    return (
        f"{tools}; code mode costs about {code:,}: give clients the address with ?codemode=search_and_execute, or set "
        "code_mode: default_on. `portico context` shows where the tokens go."
    )


def _estimate(listing: Listing, mode: Mode) -> int:
    """Estimate the tokens of the definitions as model APIs take them: name, description and input schema."""
    tools = listing.answer(mode, is_modern=True)["tools"]
    return sum(
        estimate_tokens(_written([tool["name"], tool.get("description"), tool.get("inputSchema")]))
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, dict)
    )


def _written(definition: JsonValue) -> str:
    try:
        return encode(definition).decode()
    except ValueError:  # nested too deep: no client gets it either
        return ""
