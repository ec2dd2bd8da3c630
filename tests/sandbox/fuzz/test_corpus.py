"""Every input that is kept, through its target once more."""

from __future__ import annotations

import pytest

from tests.sandbox.fuzz._corpus import kept_inputs
from tests.sandbox.fuzz._targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_kept_input_is_a_fault_any_more(name: str) -> None:
    inputs = kept_inputs(name)

    assert inputs
    for kept in inputs:
        TARGETS[name](kept)
