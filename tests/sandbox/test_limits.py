"""Limits and capabilities are checked when they are made."""

from __future__ import annotations

from dataclasses import fields

import pytest

from sandbox import Capabilities, Limits


def test_the_default_limits_are_valid() -> None:
    limits = Limits()

    assert limits.cpu_s == 10
    assert limits.memory_bytes == 64 * 2**20


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "16", None])
def test_a_limit_that_makes_no_sense_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type] # what an untyped caller may pass


@pytest.mark.parametrize("name", ["memory_bytes", "calls", "concurrent_calls", "log_bytes"])
def test_a_count_must_be_whole(name: str) -> None:
    with pytest.raises(ValueError, match="whole"):
        Limits(**{name: 2**22 + 0.5})  # type: ignore[arg-type] # as above


def test_the_range_of_memory_is_kept_at_below_and_above_its_ends() -> None:
    assert Limits(memory_bytes=2**21).memory_bytes == 2**21
    assert Limits(memory_bytes=2**30).memory_bytes == 2**30

    with pytest.raises(ValueError, match="memory_bytes"):
        Limits(memory_bytes=2**21 - 1)
    with pytest.raises(ValueError, match="memory_bytes"):
        Limits(memory_bytes=2**30 + 1)


@pytest.mark.parametrize("name", ["", "a-b", "1a", "a b", "a;b", "é"])
def test_a_namespace_must_be_an_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        Capabilities(namespace=name)
