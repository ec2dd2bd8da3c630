"""The version that Portico tells clients and upstreams."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed_version() -> str:
    try:
        return version("portico")
    except PackageNotFoundError:  # run from a source tree that nobody installed
        return "0"


VERSION: Final = _installed_version()
