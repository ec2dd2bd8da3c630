"""The list of the probes is whole: each number has a test in the file of its letter, or a reason why not."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tests.sandbox.probes._numbers import DEFERRED, LETTERS, PARTLY, PROBES

HERE = Path(__file__).parent


def numbered_tests() -> dict[int, set[str]]:
    """Return the letters of the files in which each number marks a test."""
    found: dict[int, set[str]] = defaultdict(set)
    for file in HERE.glob("test_?_*.py"):
        for function in ast.parse(file.read_text()).body:
            if isinstance(function, ast.AsyncFunctionDef) and function.name.startswith("test_"):
                found[_number(function)].add(file.name.split("_")[1])
    return found


def _number(function: ast.AsyncFunctionDef) -> int:
    """Return the number that marks a test: every test of these files has exactly one."""
    numbers = [
        decorator.args[0].value
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == "probe"
        and isinstance(decorator.args[0], ast.Constant)
    ]
    assert len(numbers) == 1, function.name
    assert isinstance(numbers[0], int)
    return numbers[0]


def test_the_list_has_the_76_numbers() -> None:
    assert list(PROBES) == list(range(1, 77))
    assert [number for numbers in LETTERS.values() for number in numbers] == list(PROBES)


def test_no_number_is_missing() -> None:
    tested = set(numbered_tests())

    assert tested | set(DEFERRED) == set(PROBES)
    assert tested & set(DEFERRED) == set()
    assert set(PARTLY) <= tested


@pytest.mark.parametrize("letter", LETTERS)
def test_a_number_is_tested_in_the_file_of_its_letter(letter: str) -> None:
    here = {number for number, letters in numbered_tests().items() if letter in letters}

    assert here <= set(LETTERS[letter])


@pytest.mark.parametrize("file", sorted(HERE.glob("test_?_*.py")), ids=lambda file: file.name)
def test_every_test_runs_under_the_common_rule(file: Path) -> None:
    """``attack`` and ``rule`` are the two ways to it, ``rule_over`` the third, over a sandbox of the test's own."""
    unruled = [
        function.name
        for function in ast.parse(file.read_text()).body
        if isinstance(function, ast.AsyncFunctionDef)
        and function.name.startswith("test_")
        and not {"attack", "rule", "rule_over", "check_injection"}
        & {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    ]

    assert unruled == []
