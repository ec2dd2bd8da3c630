"""A source of tools, whatever stands behind it: Python functions, a document of an HTTP API, another program."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from engine._errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typegen import JsonObject, JsonValue, Tool

logger = logging.getLogger("portico.tools")


@runtime_checkable
class Provider(Protocol):
    """A source of tools that programs call: ``Tools`` is one, and any object with these three members is another.

    A program calls the tool ``get_data`` of the provider ``my-server`` as ``codemode.my_server_get_data``.
    """

    @property
    def id(self) -> str:
        """What its tools' names begin with: lower-case letters, digits and hyphens."""
        ...

    async def list_tools(self) -> Sequence[Tool]:
        """Return every tool. Asked when a ``CodeMode`` or a portal opens."""
        ...

    async def call_tool(self, name: str, arguments: Mapping[str, JsonValue]) -> JsonObject:
        """Call a tool and return an MCP tool result: ``content``, and ``structuredContent`` or ``isError`` if any.

        Several calls may be under way at once, and a call is cancelled when the run that made it is stopped.
        Raise ``UpstreamError`` when there is no result; its message is read by the agent.
        """
        ...


async def call_provider(provider: Provider, name: str, arguments: Mapping[str, JsonValue]) -> JsonObject:
    """Call a tool of a provider. Raises ``UpstreamError`` for whatever the provider raises."""
    try:
        return await provider.call_tool(name, arguments)
    except UpstreamError:
        raise
    except Exception as error:  # a provider's mistake is one failed call, and its text may be private
        logger.exception("%s.%s failed", provider.id, name)
        message = f"the tool failed ({type(error).__name__}); the log of the host says why"
        raise UpstreamError(message, server=provider.id, tool=name) from error
