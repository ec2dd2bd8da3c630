"""The types are exact: what a schema accepts can be assigned; what it rejects cannot, as far as TypeScript can say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.typegen._drawing import Case, cases, literal_type
from typegen import JsonObject, type_of

if TYPE_CHECKING:
    from tests.typegen.conftest import Compiler

CASES = 400


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    """Cases drawn by Hypothesis and judged together: a compiler run costs half a second, however small."""
    found: list[Case] = []

    @settings(
        max_examples=CASES,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(case=cases())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def test_values_are_assignable_when_the_validator_accepts_them_and_not_when_it_rejects_them(
    compiler: Compiler, drawn: list[Case]
) -> None:
    """The validator is jsonschema-rs; a rejection counts when the schema rejects without what TypeScript cannot say."""
    source, trials = program(drawn)

    errors = compiler.errors(source)

    wrong = [
        f"{trial}: {errors.get(at, 'is assignable')}" for at, trial in trials.items() if (at in errors) != trial.fails
    ]
    assert wrong == []
    assert errors.keys() <= trials.keys()


@dataclass(frozen=True, slots=True)
class Trial:
    """One value tried on one type."""

    value: str
    case: Case
    fails: bool


def program(batch: list[Case]) -> tuple[str, dict[int, Trial]]:
    """Write one namespace for each case; return the text and what is tried on each line."""
    lines = ["export {};"]
    trials: dict[int, Trial] = {}
    for at, case in enumerate(batch):
        lines += f"namespace N{at} {{\n{type_of(case.schema, name='T')}".split("\n")
        values = [*((value, False) for value in case.accepted), *((value, True) for value in case.rejected)]
        for number, (value, fails) in enumerate(values):
            text = literal_type(value)
            lines.append(f"declare const v{number}: {text}; export const w{number}: T = v{number};")
            trials[len(lines)] = Trial(text, case, fails)
        lines.append("}")
    return "\n".join(lines), trials


def test_a_closed_object_refuses_another_property_in_a_literal(compiler: Compiler) -> None:
    """TypeScript checks this where an object is written out, which is what a program does with its arguments."""
    closed: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    names: JsonObject = {"type": "object", "propertyNames": {"enum": ["a"]}, "additionalProperties": {"type": "string"}}
    source = "\n".join(
        [
            f"namespace A {{ {type_of(closed)}; export const good: T = {{ a: 'x' }} }}",
            f"namespace B {{ {type_of(closed)}; export const bad: T = {{ a: 'x', b: 1 }} }}",
            f"namespace C {{ {type_of(names)}; export const bad: T = {{ b: 'x' }} }}",
        ]
    )

    assert sorted(compiler.errors(source)) == [2, 3]
