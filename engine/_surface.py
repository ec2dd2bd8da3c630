"""What a program sees of its host: the ``codemode`` namespace, and words for what is absent on purpose."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sandbox import Capabilities

NAMESPACE: Final = "codemode"
TOOL_ERROR: Final = "ToolError"
"""The JavaScript class of every failed tool call."""
BUILTINS: Final = ("raw", "search", "describe", "servers", "emit", "result")
"""The methods that are not tools. A tool's identifier holds an underscore, so none can hide one."""

_TOOL_INSTEAD = f'there is no network in here: call a tool instead, {NAMESPACE}.search("what you need") finds one'
_NO_MODULES = f"there are no modules in here: plain JavaScript and the {NAMESPACE}.* methods are all there is"
_NO_PROCESS = "there is no process, environment or file system in here: call a tool instead"
_HINTS: Final = {
    **dict.fromkeys(("fetch", "XMLHttpRequest", "WebSocket", "axios"), _TOOL_INSTEAD),
    **dict.fromkeys(("require", "module", "exports"), _NO_MODULES),
    **dict.fromkeys(("process", "fs", "Deno", "Bun", "Buffer", "window", "document"), _NO_PROCESS),
}


@lru_cache(maxsize=64)
def capabilities(method_names: str) -> Capabilities:
    """Return what a program over these tools (one a line) sees; encoded once for each set of names."""
    return Capabilities(
        namespace=NAMESPACE, methods=method_names, builtins=BUILTINS, errors=(TOOL_ERROR,), hints=_HINTS
    )
