"""``portico import`` turns a client's file into a portico.yaml."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import Portico

FILE = '{"mcpServers": {"Notes": {"command": "cat", "env": {"NOTES_KEY": "s3cr3t"}}}}'
YAML = """\
# Made from mcp.json by `portico import`.
# Set these variables first; their values are in mcp.json:
#   NOTES_KEY: env NOTES_KEY of notes
servers:
  - id: notes
    name: Notes
    command: cat
    env:
      NOTES_KEY: ${NOTES_KEY}
"""


def test_it_is_printed_and_what_to_set_is_said_beside_it(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "mcp.json").write_text(FILE)

    done = portico("import", "mcp.json")

    assert (done.code, done.out) == (0, YAML)
    assert done.err == "portico: set NOTES_KEY to the env NOTES_KEY of notes in mcp.json"


def test_it_is_written_to_a_new_file_alone(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "mcp.json").write_text(FILE)

    first, second = (portico("import", "mcp.json", "--output", "portico.yaml") for _ in range(2))

    assert (first.code, first.out) == (0, "")
    assert (tmp_path / "portico.yaml").read_text() == YAML
    assert second.code == 2
    assert "portico.yaml exists: remove it first" in second.err


def test_programs_get_json_without_a_value(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "mcp.json").write_text(FILE)

    done = portico("import", "mcp.json", "--json")

    assert json.loads(done.out) == {
        "yaml": YAML,
        "variables": [{"name": "NOTES_KEY", "server": "notes", "place": "env NOTES_KEY", "was_written": True}],
    }
    assert "s3cr3t" not in done.out + done.err


def test_a_file_that_cannot_be_read_exits_with_2(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"a": {"command": "cat", "envFile": ".env"}}}')

    done = portico("import", "mcp.json")

    assert (done.code, done.out) == (2, "")
    assert "mcp.json:1:" in done.err
