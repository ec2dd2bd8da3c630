"""Whether a definition that an upstream lists is one in a version of the protocol, by the models of the MCP SDK.

The models take a quarter of a second to import, and nothing but lists needs them: they are imported when the first
list is read, so that a portal accepts connections earlier.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from portal.wire import MODERN_VERSION

if TYPE_CHECKING:
    from typegen import JsonObject

_MODELS: Final = "mcp_types.methods"
# What a list result of the modern version must carry beside its items.
_MODERN_LIST: Final[JsonObject] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


async def load_models() -> None:
    """Import the models, if they are not yet, without holding up the event loop."""
    if _MODELS not in sys.modules:
        await anyio.to_thread.run_sync(importlib.import_module, _MODELS)


def is_valid_item(definition: JsonObject, *, method: str, field: str, version: str) -> bool:
    """Say whether ``version`` has such an item in ``field`` of what ``method`` answers, ``tools`` of ``tools/list``.

    One that is nested a hundred levels deep is none: what can be read of a server could not be written for a client.
    """
    from mcp_types.methods import serialize_server_result  # noqa: PLC0415 -- see the module's docstring

    about = _MODERN_LIST if version == MODERN_VERSION else {}
    try:
        serialize_server_result(method, version, {field: [definition], **about})
    except ValueError:  # of pydantic: also for what is nested too deep
        return False
    return True
