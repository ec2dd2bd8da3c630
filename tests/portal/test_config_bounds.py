"""What portico.yaml says of how much one server may take: time, calls at once, bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal._config import Config
from portal._errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from portal._server_config import ServerConfig


def server_of(tmp_path: Path, settings: str) -> ServerConfig:
    file = tmp_path / "portico.yaml"
    file.write_text(f"servers:\n  - id: files\n    command: cat\n    {settings}\n")
    return Config.load(file, {}).server("files")


def test_the_bounds_of_a_server_are_read(tmp_path: Path) -> None:
    server = server_of(
        tmp_path, "total_timeout_s: 900\n    max_concurrent: 4\n    max_answer_mb: 1\n    max_list_mb: 2"
    )

    assert (server.total_timeout_s, server.max_concurrent) == (900, 4)
    assert (server.max_answer_mb, server.max_list_mb) == (1, 2)


@pytest.mark.parametrize(
    ("key", "most"), [("max_concurrent", 10_000), ("max_answer_mb", 1_024), ("max_list_mb", 1_024)]
)
def test_each_bound_of_a_server_has_a_least_and_a_most(tmp_path: Path, key: str, most: int) -> None:
    for value in (1, 2, most - 1, most):
        assert getattr(server_of(tmp_path, f"{key}: {value}"), key) == value
    for value in (0, most + 1):
        with pytest.raises(ConfigError, match=f"{key} must be between"):
            server_of(tmp_path, f"{key}: {value}")


def test_without_settings_a_server_has_the_default_bounds(tmp_path: Path) -> None:
    server = server_of(tmp_path, "enabled: true")

    assert (server.total_timeout_s, server.max_concurrent) == (600, 32)
    assert (server.max_answer_mb, server.max_list_mb) == (16, 64)


@pytest.mark.parametrize(("call_s", "total_s"), [(599, 600), (600, 600), (3_600, 3_600)])
def test_a_call_that_may_be_silent_for_long_may_take_as_long(tmp_path: Path, call_s: int, total_s: int) -> None:
    assert server_of(tmp_path, f"call_timeout_s: {call_s}").total_timeout_s == total_s


def test_a_total_below_the_timeout_of_a_call_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must not be less") as caught:
        server_of(tmp_path, "call_timeout_s: 60\n    total_timeout_s: 30")

    assert caught.value.line == 5
