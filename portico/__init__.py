"""Many MCP servers behind one endpoint, with code mode: the names that a program imports.

``Portal`` and ``serve`` run what a ``Config`` describes; ``CodeMode`` runs programs over ``Tools``, typed Python
functions, without any server; ``Engine`` does so over any ``Catalog``; ``Sandbox`` runs programs alone. The names are
loaded when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine import (
        Answer,
        Catalog,
        CatalogTool,
        CodeMode,
        Engine,
        EngineError,
        EngineLimits,
        Invoker,
        JsonObject,
        JsonValue,
        Provider,
        RunRecord,
        ServerTools,
        ToolCall,
        ToolDefinitionError,
        ToolFailure,
        Tools,
        UnknownRunError,
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
    "CodeMode",
    "Config",
    "ConfigError",
    "Engine",
    "EngineError",
    "EngineLimits",
    "HeadersAuth",
    "HostCall",
    "Invoker",
    "JsonObject",
    "JsonValue",
    "Limits",
    "LimitsConfig",
    "NoAuth",
    "Outcome",
    "Portal",
    "PortalConfig",
    "PortalError",
    "PortalServer",
    "Provider",
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
    "ToolDefinitionError",
    "ToolFailure",
    "Tools",
    "UnknownRunError",
    "UpstreamError",
    "serve",
]


def __getattr__(name: str) -> object:
    """Load a public name from the package that shows it."""
    from importlib import import_module  # noqa: PLC0415 -- only here

    if name in __all__:
        for package in ("sandbox", "typegen", "engine", "portal"):  # the lower ones first: they do not load the upper
            home = import_module(package)
            if name in home.__all__:
                return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
