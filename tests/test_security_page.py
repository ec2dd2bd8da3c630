"""What docs/security.md says of limits, layers and levels is what the code has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from engine import EngineLimits
from portal import LimitsConfig
from sandbox import Bounds, Limits, SandboxConfig, probe_isolation
from sandbox._config import Isolation
from sandbox._limits import STACK_BYTES

PAGE = (Path(__file__).parent.parent / "docs" / "security.md").read_text()
MIB = 2**20


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table under a heading: the name in each row's first cell, and the other cells."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| `(\w[\w-]*)`[^|]*\| (.*) \|$", section, re.MULTILINE)
    return {name: [cell.strip(" `") for cell in rest.split("|")] for name, rest in found}


ONE_RUN = rows("Limits of one run")
ALL_RUNS = rows("Limits of all runs together")
DEFAULTS: dict[str, float | None] = {
    **{field.name: getattr(Limits(), field.name) for field in fields(Limits)},
    **{field.name: getattr(EngineLimits(), field.name) for field in fields(EngineLimits) if field.name != "run"},
    "stack_bytes": STACK_BYTES,
}
BOUNDS: dict[str, float | None] = {field.name: getattr(Bounds(), field.name) for field in fields(Bounds)}


def written(name: str, value: float | None) -> str:
    """Return a default as the page writes it."""
    if value is None:
        return "half of the machine's" if name == "memory_bytes" else "none"
    if name.endswith("_s"):
        return f"{value:g} s"
    if name.endswith("_bytes"):
        return f"{value / MIB:,g} MiB" if value >= MIB else f"{value / 1024:g} KiB"
    return f"{value:,}"


def test_every_limit_is_on_the_page() -> None:
    assert set(ONE_RUN) == set(DEFAULTS)
    assert set(ALL_RUNS) == set(BOUNDS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_limit_of_one_run_has_the_default_that_the_page_says(name: str) -> None:
    assert ONE_RUN[name][1] == written(name, DEFAULTS[name])


@pytest.mark.parametrize("name", BOUNDS)
def test_a_limit_of_all_runs_has_the_default_that_the_page_says(name: str) -> None:
    assert ALL_RUNS[name][1] == written(name, BOUNDS[name])


@pytest.mark.parametrize("field", [field.name for field in fields(LimitsConfig)])
def test_a_key_of_the_configuration_stands_beside_the_limit_that_it_sets(field: str) -> None:
    """With the same default, in the unit of the key."""
    named = {
        cells[0]: default
        for table, defaults in ((ONE_RUN, DEFAULTS), (ALL_RUNS, BOUNDS))
        for (name, cells), default in zip(table.items(), (defaults[name] for name in table), strict=True)
    }
    configured = getattr(LimitsConfig(), field)

    assert named[field] == (configured * MIB if configured and field.endswith("_mb") else configured)


def test_every_layer_of_the_kernel_is_on_the_page() -> None:
    assert {layer.name for layer in probe_isolation()} == set(rows("What the kernel takes away"))


def test_every_level_of_isolation_is_on_the_page_and_the_default_marked() -> None:
    levels = rows("Raising the isolation")

    assert set(levels) == set(get_args(Isolation))
    assert f"`{SandboxConfig().isolation}` (the default)" in PAGE
