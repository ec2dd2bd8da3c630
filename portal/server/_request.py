"""One request of a client, as the transports hand it to a portal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from portal.wire import MODERN_VERSION

if TYPE_CHECKING:
    from portal._conversation import Conversation
    from portal.server._modes import View
    from portal.upstream import Caller
    from typegen import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """Who asks, what is seen of the portal, and how the client can be asked and told things meanwhile.

    ``protocol_version`` is that of the session, or of this request where there are no sessions; ``meta`` is the
    ``_meta`` of its params. Clients of MCP 2026-07-28, which has no sessions, are ``is_modern``.
    """

    view: View
    caller: Caller
    protocol_version: str
    conversation: Conversation
    meta: JsonObject = field(default_factory=dict)
    is_modern: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_modern", self.protocol_version >= MODERN_VERSION)
