"""Many MCP servers behind one endpoint, with code mode: the names that a program imports.

``Portal`` and ``serve`` run what a ``Config`` describes; ``Engine`` runs programs over a ``Catalog`` of tools without
any server; ``Sandbox`` runs programs alone. The names are loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import (
        Answer,
        Catalog,
        CatalogTool,
        Engine,
        EngineError,
        EngineLimits,
        Invoker,
        RunRecord,
        ServerTools,
        ToolCall,
        UpstreamError,
    )
    from portal import (
        AddressInUse,
        BearerAuth,
        Config,
        ConfigError,
        HeadersAuth,
        LimitsConfig,
        NoAuth,
        Portal,
        PortalConfig,
        PortalError,
        PortalServer,
        Secret,
        ServerConfig,
        ServerStatus,
        serve,
    )
    from sandbox import Capabilities, HostCall, Limits, Outcome, Rejection, Sandbox, SandboxConfig, SandboxError
    from typegen import Tool

__all__ = [
    "AddressInUse",
    "Answer",
    "BearerAuth",
    "Capabilities",
    "Catalog",
    "CatalogTool",
    "Config",
    "ConfigError",
    "Engine",
    "EngineError",
    "EngineLimits",
    "HeadersAuth",
    "HostCall",
    "Invoker",
    "Limits",
    "LimitsConfig",
    "NoAuth",
    "Outcome",
    "Portal",
    "PortalConfig",
    "PortalError",
    "PortalServer",
    "Rejection",
    "RunRecord",
    "Sandbox",
    "SandboxConfig",
    "SandboxError",
    "Secret",
    "ServerConfig",
    "ServerStatus",
    "ServerTools",
    "Tool",
    "ToolCall",
    "UpstreamError",
    "serve",
]


def __getattr__(name: str) -> object:
    """Load a public name from the package that shows it."""
    from importlib import import_module  # noqa: PLC0415 -- only here

    if name in __all__:
        for package in ("portal", "engine", "sandbox", "typegen"):
            home = import_module(package)
            if name in home.__all__:
                return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
