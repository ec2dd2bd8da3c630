"""What is printed for a client can be pasted as it stands, asks for code mode, and never holds the token."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from portal._config import Config
from portal.cli._clients import ALIASES, CLIENTS, Target, snippet_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.portal.cli.conftest import Portico

URL = "http://127.0.0.1:8808/mcp?codemode=search_and_execute"
OPEN = Target(url=URL, needs_token=False)
CLOSED = Target(url="https://tools.example.com/mcp?codemode=search_and_execute", needs_token=True)
TOKEN = "0123456789abcdef0123456789abcdef"
JSON_CLIENTS = ("claude", "cursor", "gemini", "vscode", "windsurf", "zed")


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_is_sent_to_code_mode(client: str) -> None:
    """DESIGN section 6: every URL that Portico prints uses code mode."""
    assert URL in snippet_for(client, OPEN).text


@pytest.mark.parametrize("client", CLIENTS)
def test_the_token_is_asked_for_only_where_there_is_one(client: str) -> None:
    assert "Bearer" not in snippet_for(client, OPEN).text
    assert "PORTICO_TOKEN" in snippet_for(client, CLOSED).text


@pytest.mark.parametrize("client", JSON_CLIENTS)
@pytest.mark.parametrize("target", [OPEN, CLOSED], ids=["open", "closed"])
def test_what_goes_into_a_json_file_is_json(client: str, target: Target) -> None:
    ((section, servers), *_) = json.loads(snippet_for(client, target).text).items()

    assert section in {"mcpServers", "servers", "context_servers"}
    assert list(servers) == ["portico"]


@pytest.mark.parametrize("client", ["claude", "cursor", "vscode"])
def test_portico_reads_back_what_it_prints_for_the_dialects_it_knows(client: str, tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(snippet_for(client, OPEN).text)

    (server,) = Config.from_mcp_config(file, {}).servers

    assert server.id == "portico"
    assert URL in (server.url, *server.args)


def test_codex_gets_toml_and_the_name_of_the_variable() -> None:
    server = tomllib.loads(snippet_for("codex", CLOSED).text)["mcp_servers"]["portico"]

    assert server == {"url": CLOSED.url, "bearer_token_env_var": "PORTICO_TOKEN"}


def test_vs_code_asks_for_the_token_itself() -> None:
    content = json.loads(snippet_for("vscode", CLOSED).text)

    assert content["servers"]["portico"]["headers"] == {"Authorization": "Bearer ${input:portico-token}"}
    assert content["inputs"][0]["id"] == "portico-token"
    assert content["inputs"][0]["password"] is True


@pytest.mark.parametrize("client", ["claude-code", "inspector", "mcp-remote"])
def test_a_shell_splits_a_command_as_it_is_meant(client: str) -> None:
    """The ? of the address is a pattern to a shell unless it is quoted."""
    text = snippet_for(client, OPEN).text

    assert URL in shlex.split(text)
    assert f"'{URL}'" in text


@pytest.mark.parametrize("client", ["claude-code", "inspector"])
def test_the_shell_puts_the_token_in(client: str) -> None:
    text = snippet_for(client, CLOSED).text
    program = text.split()[0]

    done = subprocess.run(
        ["sh", "-c", f'{program}() {{ printf "%s\\n" "$@"; }}; {text}'],
        check=True,
        capture_output=True,
        text=True,
        env={"PORTICO_TOKEN": TOKEN, "PATH": os.environ["PATH"]},
    )

    assert f"Authorization: Bearer {TOKEN}" in done.stdout.splitlines()


@pytest.mark.parametrize("target", [OPEN, CLOSED], ids=["open", "closed"])
def test_the_python_program_compiles(target: Target) -> None:
    compile(snippet_for("python", target).text, "snippet", "exec")


def test_every_alias_is_a_client() -> None:
    assert set(ALIASES.values()) <= set(CLIENTS)


def test_only_what_is_to_be_pasted_goes_to_stdout(portico: Portico) -> None:
    done = portico("connect", "cursor")

    assert json.loads(done.out)["mcpServers"]["portico"]["url"] == URL
    assert done.err.startswith("Put this in ~/.cursor/mcp.json")


def test_the_token_itself_is_never_printed(portico: Portico) -> None:
    for client in ("claude-code", "vscode", "python"):
        done = portico("connect", client, environ={"PORTICO_TOKEN": TOKEN})

        assert "PORTICO_TOKEN" in done.out
        assert TOKEN not in done.out + done.err


def test_the_address_comes_from_the_configuration(tmp_path: Path, portico: Portico) -> None:
    config = "public_url: https://tools.example.com\nservers: [{id: a, command: cat}]\nportals: [{id: docs}]\n"
    (tmp_path / "portico.yaml").write_text(config)

    done = portico("connect", "claude-code", "--config", "portico.yaml", "--portal", "docs")

    assert "'https://tools.example.com/docs/mcp?codemode=search_and_execute'" in done.out


def test_json_says_where_the_text_goes(portico: Portico) -> None:
    told = json.loads(portico("connect", "zed", "--json", "--port", "9000").out)

    assert told["url"] == "http://127.0.0.1:9000/mcp?codemode=search_and_execute"
    assert "Zed" in told["place"]
    assert told["url"] in told["text"]


def test_without_a_client_they_are_listed(portico: Portico) -> None:
    assert portico("connect").out.split() == list(CLIENTS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cursr"], 'did you mean "cursor"?'),
        (["emacs"], "known: claude, claude-code"),
        (["cursor", "--portal", "docs"], 'no portal has the id "docs": configured: default.'),
    ],
)
def test_an_unknown_client_or_portal_is_refused(arguments: list[str], words: str, portico: Portico) -> None:
    done = portico("connect", *arguments)

    assert (done.code, done.out) == (2, "")
    assert words in done.err
