"""Every code block of the README, CONTRIBUTING.md and docs/ is run, and gives what the page says it gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico import Config, Portal, Sandbox, SandboxConfig
from tests.documentation._blocks import PAGES, ROOT, Block, blocks, languages, write_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from portico import Answer

BIN = Path(sys.executable).parent
COMMAND_TIMEOUT_S = 60.0
READY_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
async def run_program() -> AsyncIterator[Callable[[str], Awaitable[Answer]]]:
    """Runs a program as an agent's, over the demo that `portico serve` offers by itself."""
    async with Sandbox(SandboxConfig()) as sandbox, Portal(Config.demo({}), sandbox=sandbox) as portal:
        await portal.wait_ready(READY_TIMEOUT_S)

        async def run(source: str) -> Answer:
            return await portal.engine.code(source, catalog=portal.catalog(), invoker=portal.invoker())

        yield run


def in_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", command],
        check=False,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    )


def test_every_block_is_of_a_kind_that_a_test_runs() -> None:
    assert languages() <= {"console", "js", "json", "python", "sh", "text", "yaml"}


@pytest.mark.parametrize("block", blocks("js"), ids=str)
async def test_a_program_answers_as_its_page_says(
    block: Block, run_program: Callable[[str], Awaitable[Answer]]
) -> None:
    answer = await run_program(block.text)

    assert block.output in {None, answer.text}


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_a_session_prints_what_its_page_shows(block: Block, tmp_path: Path) -> None:
    """The lines after ``$`` are run one by one; both streams are shown, as in a terminal."""
    write_files(block.page, tmp_path)
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
    ran = [in_shell(f"( {command} ) 2>&1", tmp_path) for command, _ in steps]

    assert [(done.returncode, done.stdout) for done in ran] == [(0, output) for _, output in steps]


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_a_python_program_prints_what_its_page_shows(block: Block, tmp_path: Path) -> None:
    """Each block runs alone, beside those of its page that are files: their first line is a comment with their name."""
    write_files(block.page, tmp_path)
    program = tmp_path / (block.file_name or "program.py")
    program.write_text(block.text)

    ran = in_shell(f"python -W error {program.name}", tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert block.output in {None, ran.stdout.removesuffix("\n")}


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_a_command_is_one_that_the_makefile_has(block: Block) -> None:
    listed = set(re.findall(r"^  (make [a-z-]+) ", in_shell("make help", ROOT).stdout, re.MULTILINE))

    assert set(block.text.splitlines()) <= listed


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_a_configuration_is_read(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # reading adds the folder of the file
    write_files(block.page, tmp_path)
    file = tmp_path / "portico.yaml"
    file.write_text(block.text)
    names = re.findall(r"\$\{([A-Z_]+)\}", block.text)

    assert Config.load(file, dict.fromkeys(names, "a-value-for-the-test")).servers


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_a_clients_configuration_is_read(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(block.text)
    names = re.findall(r"\$\{([A-Z_]+)\}", block.text)

    assert Config.from_mcp_config(file, dict.fromkeys(names, "a-value-for-the-test")).servers


def test_the_readme_and_the_client_page_name_the_address_that_serve_answers_at() -> None:
    endpoint = Config.demo({}).endpoint()

    assert endpoint in (ROOT / "README.md").read_text()
    assert endpoint in (ROOT / "docs/clients.md").read_text()


@pytest.mark.parametrize(
    "command", sorted({name for page in PAGES for name in re.findall(r"`portico ([a-z]+)", page.read_text())})
)
def test_a_command_that_a_page_names_exists(command: str, tmp_path: Path) -> None:
    assert in_shell(f"portico {command} --help", tmp_path).returncode == 0


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []
