"""Names of MCP that both sides of the portal use: keys of ``_meta``, requests and notifications."""

from __future__ import annotations

from typing import Final

META_PREFIX: Final = "io.modelcontextprotocol/"
"""What the protocol's own keys of ``_meta`` begin with (MCP 2026-07-28, basic, General fields)."""
VERSION_KEY: Final = META_PREFIX + "protocolVersion"
CLIENT_INFO_KEY: Final = META_PREFIX + "clientInfo"
CAPABILITIES_KEY: Final = META_PREFIX + "clientCapabilities"
LOG_LEVEL_KEY: Final = META_PREFIX + "logLevel"
SERVER_INFO_KEY: Final = META_PREFIX + "serverInfo"
SUBSCRIPTION_KEY: Final = META_PREFIX + "subscriptionId"

NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Which parameter a request of MCP 2026-07-28 repeats in its header ``Mcp-Name`` (transports, Standard Headers)."""

LISTEN: Final = "subscriptions/listen"
CANCELLATION: Final = "notifications/cancelled"
ROOTS_CHANGED: Final = "notifications/roots/list_changed"
LOG_MESSAGE: Final = "notifications/message"
PROGRESS: Final = "notifications/progress"
TOOLS_CHANGED: Final = "notifications/tools/list_changed"
PROMPTS_CHANGED: Final = "notifications/prompts/list_changed"
RESOURCES_CHANGED: Final = "notifications/resources/list_changed"
RESOURCE_UPDATED: Final = "notifications/resources/updated"

ASKED_METHODS: Final = frozenset({"elicitation/create", "sampling/createMessage", "roots/list"})
"""What a server asks of a client."""
LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""The levels of log messages, the least severe first (MCP, server/utilities/logging)."""
