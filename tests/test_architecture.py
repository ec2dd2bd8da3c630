"""The rules of the house, read from the sources: who imports whom, how long a module may be, what git holds."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent

# portico is the face and re-exports; imports run portal -> engine -> {sandbox, typegen} and never back.
MAY_IMPORT = {
    "sandbox": set[str](),
    "typegen": set[str](),
    "engine": {"sandbox", "typegen"},
    "portal": {"engine", "sandbox", "typegen"},
    "portico": {"portal", "engine", "sandbox", "typegen"},
}
MAX_LINES = 500
WRITTEN_BY_HAND = {".py", ".js", ".c", ".h"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def dotted(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(module: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and dotted name of everything that ``module`` imports, imports inside functions included."""
    package = module.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(module.read_text(), str(module))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            anchor = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*anchor, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def hides(name: str, importer: str) -> bool:
    """Say whether ``name`` reaches a private module of a package that ``importer`` is not part of."""
    parts = name.split(".")
    private = next((i for i, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")), None)
    return private is not None and importer.split(".")[:private] != parts[:private]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package: str) -> None:
    """portal -> engine -> {sandbox, typegen}; nothing inside imports the face."""
    found = [
        f"{module.relative_to(ROOT)}:{line} imports {name}"
        for module in modules(package)
        for line, name in imported(module)
        if name.split(".")[0] in MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    ]

    assert found == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_private_modules_are_imported_only_inside_their_package(package: str) -> None:
    found = [
        f"{module.relative_to(ROOT)}:{line} imports {name}"
        for module in modules(package)
        for line, name in imported(module)
        if name.split(".")[0] in MAY_IMPORT and hides(name, dotted(module))
    ]

    assert found == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_module_but_the_face_of_a_package_is_private_or_a_package(package: str) -> None:
    public = [
        str(module.relative_to(ROOT))
        for module in modules(package)
        if not module.name.startswith("_") and "guest" not in module.parts
    ]

    assert public == []


def test_no_module_has_grown_past_the_size_of_one_concept() -> None:
    long = {
        path: lines
        for path in tracked()
        if path.suffix in WRITTEN_BY_HAND and (lines := len((ROOT / path).read_text().splitlines())) > MAX_LINES
    }

    assert long == {}


def test_git_holds_text_only() -> None:
    """No binary is committed: the guest is compiled when the package is built."""
    assert [path for path in tracked() if not is_text((ROOT / path).read_bytes())] == []


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).exists()]


def is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False
