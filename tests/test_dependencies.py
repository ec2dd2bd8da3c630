"""What is installed is what the sources import, and the lock files say exactly which release from wherever it comes."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {"portico", "portal", "engine", "typegen", "sandbox"}

# Declared, though no source of ours imports it, because ...
FOUND_BY_NAME = {"aiosqlite", "asyncpg", "uvloop"}  # ... SQLAlchemy and uvicorn find it by name


def distributions(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def imported_distributions() -> set[str]:
    trees = (ast.parse(module.read_text()) for package in PACKAGES for module in (ROOT / package).rglob("*.py"))
    names = {
        name.split(".")[0]
        for tree in trees
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    known = packages_distributions()
    return {
        canonicalize_name(known.get(name, [name])[0]).replace("mcp-types", "mcp")  # two names of one release
        for name in names - PACKAGES - sys.stdlib_module_names
    }


def test_every_import_is_declared() -> None:
    declared = distributions(PROJECT["dependencies"]) | distributions(PROJECT["optional-dependencies"]["demo"])

    assert imported_distributions() - declared == set()


def test_every_dependency_is_imported() -> None:
    declared = distributions(PROJECT["dependencies"])

    assert declared - imported_distributions() == FOUND_BY_NAME


def test_lock_files_name_no_index_to_download_from() -> None:
    """An install asks the index that the machine is set up for, a mirror or not; the hashes say what may come back."""
    lines = [
        line
        for name in ("requirements.lock", "requirements-dev.lock", "benchmarks/sqlite-server.lock", "package-lock.json")
        for line in (ROOT / name).read_text().splitlines()
        if '"resolved"' in line or ("://" in line and not line.lstrip().startswith(('"url":', '"license":')))
    ]

    assert lines == []
