"""``portals``: what each configured portal offers, and who may call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import Portico

CURATED = """\
servers:
  - {id: tracker, transport: demo}
portals:
  - id: default
    servers: [tracker]
  - id: safe
    code_mode: enforced
    servers:
      - id: tracker
        default: deny
        tools: {allow: ["get_*"], ask: [create_issue, creat_issue]}
"""


def test_portals_prints_the_tools_of_each_portal_by_permission(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "portico.yaml").write_text(CURATED)

    done = portico("portals", "--config", "portico.yaml")

    lines = done.out.splitlines()
    assert done.code == 0
    assert lines[0].split("  ")[0] == "ID"
    assert [line.split()[:3] for line in lines[1:]] == [
        ["default", "/mcp", "opt_in"],
        ["safe", "/safe/mcp", "enforced"],
    ]
    assert lines[2].split()[-1] == "tracker"
    assert 'tools.ask names "creat_issue", which the server does not list: did you mean "create_issue"?' in done.err


def test_portals_as_json_count_every_tool_once(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "portico.yaml").write_text(CURATED)

    default, safe = json.loads(portico("portals", "--config", "portico.yaml", "--json").out)
    declared = json.loads(portico("types", "--config", "portico.yaml", "--portal", "safe", "--json").out)

    assert default["url"] == "http://127.0.0.1:8808/mcp?codemode=search_and_execute"
    everything, some = (portal["servers"][0]["tools"] for portal in (default, safe))
    assert (everything["ask"], everything["deny"]) == (0, 0)
    assert sum(everything.values()) == sum(some.values())
    assert some["ask"] == 1
    assert some["allow"] + some["ask"] == len([name for name in declared if name.startswith("tracker_")])


def test_portals_says_nothing_of_a_server_that_no_portal_has(tmp_path: Path, portico: Portico) -> None:
    gone = "{id: gone, command: no-such-program-anywhere}"
    (tmp_path / "portico.yaml").write_text(CURATED.replace("portals:", f"  - {gone}\nportals:"))

    done = portico("portals", "--config", "portico.yaml")

    assert done.code == 0
    assert "gone" not in done.err


def test_portals_says_which_server_it_goes_without(tmp_path: Path, portico: Portico) -> None:
    (tmp_path / "portico.yaml").write_text("servers: [{id: gone, command: no-such-program-anywhere}]\n")

    done = portico("portals", "--config", "portico.yaml")

    assert done.code == 2
    assert "without gone: " in done.err
