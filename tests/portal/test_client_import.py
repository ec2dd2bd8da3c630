"""A client's file becomes the equivalent portico.yaml, and no credential in it is written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import Config
from portal._client_import import import_client_config
from portal._secret_guess import hidden_arguments, hidden_header, hidden_url, hidden_value, looks_secret

if TYPE_CHECKING:
    from pathlib import Path

    from portal import ServerConfig
    from typegen import JsonObject

HEX = "9f86d081884c7d659a2feaa0c55ad015"
CLAUDE: JsonObject = {
    "GitHub": {
        "command": "npx",
        "args": ["-y", "@modelcontextprotocol/server-github@2025.4.8", "--log-level=debug"],
        "env": {"GITHUB_TOKEN": "ghp_aaaabbbbccccddddeeee", "LOG_LEVEL": "debug", "CACHE": "/var/cache/mcp"},
        "cwd": "${HOME}/work",
    },
    "linear": {"type": "http", "url": "https://mcp.linear.app/mcp", "headers": {"Authorization": "Bearer abc-123"}},
    "zap": {"url": f"https://a.example/s/{HEX}/mcp?apikey=xyz&v=2"},
    "db": {
        "command": "uvx",
        "args": ["pg", "postgresql://ada:hunter2@db/prod", "--api-key", "k1", "-e", "OPENAI_API_KEY=k2"],
        "env": {"GITHUB_TOKEN": "another", "TOKEN": "x"},
        "disabled": True,
    },
    "ref": {
        "url": "https://${HOST:-h.example}/mcp",
        "headers": {"Authorization": "Bearer ${env:TOKEN}", "X-Key": "k3", "X-Mode": "true"},
    },
    "plain": {"command": "cat", "args": ["$${literal}", "true", "12"]},
}
ENVIRON = {
    "HOME": "/home/ada",
    "TOKEN": "t-1",
    "GITHUB_TOKEN": "ghp_aaaabbbbccccddddeeee",
    "LINEAR_TOKEN": "abc-123",
    "ZAP_KEY": HEX,
    "ZAP_APIKEY": "xyz",
    "DB_PASSWORD": "hunter2",
    "DB_API_KEY": "k1",
    "DB_OPENAI_API_KEY": "k2",
    "DB_GITHUB_TOKEN": "another",
    "DB_TOKEN": "x",
    "REF_X_KEY": "k3",
}


def written(folder: Path, servers: JsonObject) -> Path:
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": servers}))
    return file


def facts(server: ServerConfig) -> list[object]:
    """Return what makes two servers the same, however their credential is spelt."""
    headers = {secret.reveal().removeprefix("Bearer ") for secret in server.auth.secrets()}
    env = {name: value.reveal() for name, value in server.env.items()}
    where = [server.url, server.command, server.args, server.cwd, server.transport]
    return [server.id, server.display_name, *where, env, headers, server.enabled]


def test_the_new_file_means_the_same_once_its_variables_are_set(tmp_path: Path) -> None:
    old = written(tmp_path, CLAUDE)
    new = tmp_path / "portico.yaml"
    imported = import_client_config(old, {})
    new.write_text(imported.text)

    by_client = Config.from_mcp_config(old, ENVIRON).servers
    by_yaml = Config.load(new, ENVIRON).servers

    assert [facts(server) for server in by_yaml] == [facts(server) for server in by_client]
    assert {variable.name for variable in imported.variables} == ENVIRON.keys()


def test_no_credential_is_in_the_new_file(tmp_path: Path) -> None:
    text = import_client_config(written(tmp_path, CLAUDE), {}).text

    for secret in ("ghp_", "abc-123", HEX, "xyz", "hunter2", "k1", "k2", "k3", "another"):
        assert secret not in text


def test_the_new_file_says_which_variables_to_set_and_where_their_values_are(tmp_path: Path) -> None:
    text = import_client_config(written(tmp_path, CLAUDE), {}).text

    assert "#   LINEAR_TOKEN: header token of linear\n" in text
    assert "# It also reads, as mcp.json does: HOME, TOKEN\n" in text


def test_one_value_under_one_name_is_one_variable(tmp_path: Path) -> None:
    servers: JsonObject = {name: {"command": "cat", "env": {"API_KEY": "same"}} for name in ("a", "b")}

    imported = import_client_config(written(tmp_path, servers), {})

    assert [variable.name for variable in imported.variables] == ["API_KEY"]


def test_a_question_of_vs_code_becomes_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    server = {"command": "cat", "env": {"API_KEY": "${input:my-key}"}}
    file.write_text(json.dumps({"inputs": [{"id": "my-key"}], "servers": {"a": server}}))

    imported = import_client_config(file, {})

    assert "API_KEY: ${MY_KEY}" in imported.text
    assert [variable.name for variable in imported.variables] == ["MY_KEY"]


SECRETS = st.one_of(
    st.text("0123456789abcdef", min_size=32, max_size=64).filter(
        lambda text: not text.isdigit() and not text.isalpha()
    ),
    st.uuids().map(str),
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=20, max_size=40).map(
        lambda text: f"ghp_{text}"
    ),
)


@given(SECRETS)
def test_what_looks_like_a_key_is_hidden_wherever_it_stands(secret: str) -> None:
    def hide(_name: str, _text: str) -> str:
        return "(hidden)"

    shown = [
        hidden_value("ANYTHING", secret, hide),
        hidden_value("WHERE", f"https://a.example/?q={secret}", hide),
        hidden_header("X-Anything", secret, hide),
        hidden_header("Authorization", f"Basic {secret}", hide),
        hidden_url(f"https://a.example/{secret}/mcp?x={secret}", hide),
        *hidden_arguments(
            (secret, "--token", secret, f"--x={secret}", f"X_KEY={secret}", f"postgres://u:{secret}@h/d"), hide
        ),
        *hidden_arguments(("-c", f"API_KEY='{secret}' npx x", "--header", f"X-Api-Key: {secret}"), hide),
        *hidden_arguments((f"https://a.example/{secret}",), hide),
    ]

    assert [text for text in shown if secret in text] == []


@pytest.mark.parametrize(
    "argument",
    [
        *("-y", "@modelcontextprotocol/server-filesystem", "mcp-server-git@2026.10.19", "/home/ada/2024/notes"),
        *("--port=8080", "https://mcp.example.com/v1/mcp", "awslabs.aws-documentation-mcp-server@latest"),
        *("--read-only", "ghcr.io/github/github-mcp-server", "-e", "GITHUB_HOST"),
    ],
)
def test_what_is_no_key_is_left_as_it_is(argument: str) -> None:
    assert hidden_arguments((argument,), lambda _name, _text: "(hidden)") == (argument,)
    assert not looks_secret(argument)
