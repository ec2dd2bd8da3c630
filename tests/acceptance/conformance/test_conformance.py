"""A portal in front of a server is indistinguishable from it, as the conformance suite of MCP sees it.

The suite asks for tools, prompts and resources by name, so the portal offers them without a prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance._running import serving
from tests.acceptance.conformance._suite import ACTIVE, REQUIREMENTS, Suite, fixture_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine import JsonObject

SUITES = {"active": ACTIVE, **REQUIREMENTS}


@pytest.fixture(scope="module")
def fixture_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server alone."""
    with fixture_server(tmp_path_factory.mktemp("fixture") / "fixture.log") as url:
        yield url


@pytest.fixture(scope="module")
def portal_url(fixture_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A portal in front of it."""
    configuration: JsonObject = {
        "servers": [{"id": "fixture", "url": fixture_url}],
        "portals": [{"id": "default", "prefix": False, "servers": ["fixture"]}],
    }
    with serving(configuration, tmp_path_factory.mktemp("portal")) as portal:
        yield portal.url


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_a_portal_passes_what_the_server_behind_it_passes(
    suite: Suite, fixture_url: str, portal_url: str, node: Path, node_modules: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / "alone", tmp_path / "behind"]
    for folder in folders:
        folder.mkdir()
    alone = suite.run(fixture_url, node=node, node_modules=node_modules, folder=folders[0])
    behind = suite.run(portal_url, node=node, node_modules=node_modules, folder=folders[1])

    assert {key: why for key, why in behind.failed.items() if key not in alone.failed} == {}
    assert behind.exit_code == alone.exit_code == 0  # no scored failure


def test_the_active_suite_passes_whole(portal_url: str, node: Path, node_modules: Path, tmp_path: Path) -> None:
    """Conformance 0.1.16, active suite: 40 of 40 checks."""
    findings = ACTIVE.run(portal_url, node=node, node_modules=node_modules, folder=tmp_path)

    assert (findings.passed, findings.failed) == (40, {})
