"""The pinned wasmtime and quickjs-ng are patched against every advisory in ``advisories.toml``."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parent
ADVISORIES: dict[str, list[dict[str, Any]]] = {
    name: entries
    for name, entries in tomllib.loads((HERE / "advisories.toml").read_text()).items()
    if isinstance(entries, list)
}


def guest_build() -> ModuleType:
    """Load the guest's build by path, as the build hook does."""
    spec = importlib.util.spec_from_file_location("_guest_build", ROOT / "sandbox" / "guest" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pinned_wasmtime() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [Requirement(text) for text in project["dependencies"]]
    (specifier,) = next(each for each in requirements if each.name == "wasmtime").specifier
    assert specifier.operator == "=="
    return specifier.version


def pinned(name: str) -> str:
    # The sdist's fourth number is its own; the first three are those of quickjs-ng.
    return pinned_wasmtime() if name == "wasmtime" else ".".join(guest_build().QUICKJS_VERSION.split(".")[:3])


CASES = [(name, entry["id"], entry["patched"]) for name, entries in ADVISORIES.items() for entry in entries]


@pytest.mark.parametrize(("name", "advisory", "patched"), CASES, ids=[case[1] for case in CASES])
def test_what_is_pinned_is_patched(name: str, advisory: str, patched: list[str]) -> None:
    assert any(Version(pinned(name)) in SpecifierSet(specifier) for specifier in patched), advisory


def test_both_programs_are_in_the_list_and_each_advisory_once() -> None:
    ids = [advisory for _, advisory, _ in CASES]

    assert set(ADVISORIES) == {"wasmtime", "quickjs-ng"}
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["wasmtime", "quickjs-ng"])
def test_the_page_on_security_names_the_newest_advisory_and_the_pin(name: str) -> None:
    newest = max(ADVISORIES[name], key=lambda entry: (entry["date"], entry["id"]))

    page = (ROOT / "docs" / "security.md").read_text()

    assert newest["id"] in page
    assert f"{name} {pinned(name)}" in page


def test_wasmtime_is_one_version_everywhere() -> None:
    """The snapshot is made, the guest compiled and each isolate run by the same one."""
    locked = re.search(r"^wasmtime==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)

    assert locked is not None
    assert {guest_build().WASMTIME.partition("==")[2], locked[1], version("wasmtime")} == {pinned_wasmtime()}
