"""The list of the faults is whole: each has a test, here or among those of whole programs, or a reason why not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.portal.faults._numbers import DEFERRED, FAULTS

HERE = Path(__file__).parent
OF_PROGRAMS = HERE.parents[1] / "acceptance"
"""Faults of a whole process: stopped, killed, overrun."""


def numbers_in(file: Path) -> list[tuple[str, list[object]]]:
    """Return the tests of a file, each with the numbers that mark it."""
    return [
        (
            function.name,
            [
                argument.value
                for decorator in function.decorator_list
                if isinstance(decorator, ast.Call)
                and isinstance(decorator.func, ast.Name)
                and decorator.func.id == "fault"
                for argument in decorator.args
                if isinstance(argument, ast.Constant)
            ],
        )
        for function in ast.parse(file.read_text()).body
        if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef) and function.name.startswith("test_")
    ]


def test_the_list_has_the_26_numbers() -> None:
    assert list(FAULTS) == list(range(1, 27))


def test_no_number_is_missing() -> None:
    files = [*HERE.glob("test_*.py"), *OF_PROGRAMS.glob("test_*.py")]
    tested = {number for file in files for _, numbers in numbers_in(file) for number in numbers}

    assert tested | set(DEFERRED) == set(FAULTS)
    assert tested & set(DEFERRED) == set()


@pytest.mark.parametrize("file", sorted(set(HERE.glob("test_*.py")) - {Path(__file__)}), ids=lambda file: file.name)
def test_every_test_of_this_folder_has_its_number(file: Path) -> None:
    assert [name for name, numbers in numbers_in(file) if not numbers] == []
