"""The MCP server that clients meet: many upstream servers behind one endpoint, with code mode.

``async with Portal(config) as portal`` opens upstreams, sandbox and endpoint; ``serve`` does that and listens. The
names are loaded when they are used, so that a command that needs none of them starts quickly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portal._config import Config, PortalConfig, PortalServer
    from portal._curation import Rules, Wording
    from portal._errors import AddressInUse, ConfigError, PortalError, UpstreamFailure
    from portal._limits_config import LimitsConfig, RetentionConfig
    from portal._portal import Portal, serve
    from portal._secret import Secret
    from portal._server_config import BearerAuth, HeadersAuth, NoAuth, ServerConfig
    from portal.server import PortalInvoker
    from portal.upstream import Fleet, ServerStatus

__all__ = [
    "AddressInUse",
    "BearerAuth",
    "Config",
    "ConfigError",
    "Fleet",
    "HeadersAuth",
    "LimitsConfig",
    "NoAuth",
    "Portal",
    "PortalConfig",
    "PortalError",
    "PortalInvoker",
    "PortalServer",
    "RetentionConfig",
    "Rules",
    "Secret",
    "ServerConfig",
    "ServerStatus",
    "UpstreamFailure",
    "Wording",
    "serve",
]

_HOMES = {
    "portal._config": ("Config", "PortalConfig", "PortalServer"),
    "portal._limits_config": ("LimitsConfig", "RetentionConfig"),
    "portal._curation": ("Rules", "Wording"),
    "portal._errors": ("AddressInUse", "ConfigError", "PortalError", "UpstreamFailure"),
    "portal.upstream": ("Fleet", "ServerStatus"),
    "portal.server": ("PortalInvoker",),
    "portal._portal": ("Portal", "serve"),
    "portal._secret": ("Secret",),
    "portal._server_config": ("BearerAuth", "HeadersAuth", "NoAuth", "ServerConfig"),
}


def __getattr__(name: str) -> object:
    """Load a public name from the module that defines it."""
    from importlib import import_module  # noqa: PLC0415 -- only here

    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
