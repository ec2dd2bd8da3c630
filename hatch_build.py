"""Builds the guest when the package is built or installed editable, if it is stale; see sandbox/guest/build.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from types import ModuleType


class GuestBuildHook(BuildHookInterface[Any]):  # the parameter is hatchling's own configuration class, of no use here
    """Puts ``sandbox/guest.wasm`` in place for a wheel, and for an editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for the compiler only when there is something to compile: it unpacks to 400 MB."""
        requirements: list[str] = self._guest().requirements()
        return requirements

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        """Build the guest unless it is fresh."""
        self._guest().build()

    def _guest(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(
            "_portico_guest", Path(self.root) / "sandbox" / "guest" / "build.py"
        )
        if spec is None or spec.loader is None:
            raise ImportError("sandbox/guest/build.py is missing")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
