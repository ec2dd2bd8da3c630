"""What users may import. A name that comes or goes is a change for them, so public_names.txt lists them."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = ("engine", "portal", "portico", "sandbox", "typegen")


def face(package: str) -> ast.Module:
    return ast.parse((HERE.parent / package / "__init__.py").read_text())


def test_the_public_names_are_the_ones_written_down() -> None:
    """When this fails on purpose, change public_names.txt and say in CHANGELOG.md what users must do."""
    names = [f"{package}.{name}" for package in PACKAGES for name in sorted(importlib.import_module(package).__all__)]

    assert names == (HERE / "public_names.txt").read_text().split()


@pytest.mark.parametrize("package", PACKAGES)
def test_all_names_what_the_package_imports_and_nothing_else(package: str) -> None:
    imported = {
        alias.asname or alias.name
        for node in ast.walk(face(package))
        if isinstance(node, ast.ImportFrom) and node.module not in {"__future__", "typing", "importlib"}
        for alias in node.names
    }

    assert set(importlib.import_module(package).__all__) == imported


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_defines_nothing_in_its_face(package: str) -> None:
    """A docstring, imports and ``__all__``; ``__getattr__`` where importing late keeps the command line quick."""
    defined = [node.name for node in face(package).body if isinstance(node, ast.ClassDef | ast.FunctionDef)]

    assert set(defined) <= {"__getattr__", "__dir__"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_and_all_that_it_shows_say_what_they_are(package: str) -> None:
    module = importlib.import_module(package)
    silent = [
        name
        for name in module.__all__
        if (inspect.isclass(shown := getattr(module, name)) or inspect.isfunction(shown)) and not shown.__doc__
    ]

    assert module.__doc__
    assert silent == []
