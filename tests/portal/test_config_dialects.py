"""The JSON that MCP clients already have, in the dialects of Claude, Cursor and VS Code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal._config import Config
from portal._errors import ConfigError
from portal._secret import Secret
from portal._server_config import HeadersAuth, NoAuth

if TYPE_CHECKING:
    from pathlib import Path

ENVIRON = {"TOKEN": "t-123456", "HOME": "/home/ada"}


def load(file: Path, text: str) -> Config:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return Config.from_mcp_config(file, ENVIRON)


def test_claude_desktops_file_is_read(tmp_path: Path) -> None:
    """Its other settings stay out of the way."""
    text = """{
      "globalShortcut": "Ctrl+Space",
      "mcpServers": {"File System": {"command": "npx", "args": ["-y", "x", "/srv"], "env": {"KEY": "k"}}}
    }"""

    (server,) = load(tmp_path / "claude_desktop_config.json", text).servers

    assert (server.id, server.name, server.transport) == ("file-system", "File System", "stdio")
    assert (server.args, server.env) == (("-y", "x", "/srv"), {"KEY": Secret("k")})


def test_claude_codes_file_is_read(tmp_path: Path) -> None:
    text = """{"mcpServers": {
      "sentry": {"type": "http", "url": "https://${HOST:-sentry.example}/mcp", "headers": {"X-Token": "${TOKEN}"}},
      "old": {"type": "sse", "url": "https://old.example/sse"}
    }}"""

    sentry, old = load(tmp_path / ".mcp.json", text).servers

    assert (sentry.url, sentry.transport) == ("https://sentry.example/mcp", "http")
    assert sentry.auth == HeadersAuth(headers={"X-Token": Secret("t-123456")})
    assert (old.transport, old.auth) == ("sse", NoAuth())


def test_cursors_file_is_read(tmp_path: Path) -> None:
    text = """{"mcpServers": {
      "remote": {"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}},
      "local": {"command": "${userHome}/bin/x", "args": ["${workspaceFolder}"], "disabled": true}
    }}"""

    remote, local = load(tmp_path / ".cursor" / "mcp.json", text).servers

    assert (remote.transport, remote.auth) == (
        "auto",
        HeadersAuth(headers={"Authorization": Secret("Bearer t-123456")}),
    )
    assert (local.command, local.args, local.enabled) == ("/home/ada/bin/x", (str(tmp_path),), False)


def test_vs_codes_file_is_read_with_its_comments_and_trailing_commas(tmp_path: Path) -> None:
    text = """{
      // asked once
      "inputs": [{"type": "promptString", "id": "unused", "password": true,},],
      "servers": {
        "git hub": {"type": "http", "url": "https://h.example/mcp", /* "x" */ },
        "fetch": {"type": "stdio", "command": "uvx", "args": ["a//b", "/*c*/"],},
      },
    }"""

    hub, fetch = load(tmp_path / ".vscode" / "mcp.json", text).servers

    assert (hub.id, hub.url) == ("git-hub", "https://h.example/mcp")
    assert fetch.args == ("a//b", "/*c*/")


def test_vs_codes_settings_file_is_read(tmp_path: Path) -> None:
    text = '{"editor.fontSize": 12, "mcp": {"servers": {"a": {"command": "cat"}}}}'

    assert [server.id for server in load(tmp_path / "settings.json", text).servers] == ["a"]


def test_what_only_the_client_needs_is_left_out(tmp_path: Path) -> None:
    text = '{"mcpServers": {"a": {"command": "cat", "autoApprove": ["x"], "timeout": 60, "description": "?"}}}'

    assert load(tmp_path / "mcp.json", text).servers[0].command == "cat"


def test_escapes_in_strings_are_json_s(tmp_path: Path) -> None:
    text = '{"mcpServers": {"a": {"command": "C:\\\\x\\/y \\u00e9 \\ud83d\\ude00"}}}'

    assert load(tmp_path / "mcp.json", text).servers[0].command == "C:\\x/y é 😀"


def test_a_file_of_megabytes_is_read_in_one_pass(tmp_path: Path) -> None:
    """Claude Code keeps its history in the same file; counting lines from the top for each token would take hours."""
    history = ",\n".join(f'{{"display": "prompt {number}", "pasted": {{}}}}' for number in range(50_000))
    text = f'{{"history": [\n{history}\n], "mcpServers": {{\n"a": {{"comand": "cat"}}}}}}'

    with pytest.raises(ConfigError) as caught:
        load(tmp_path / ".claude.json", text)

    assert caught.value.line == 50_003


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, 'should hold {"mcpServers"'),
        ("hello", 1, "not JSON: a value should stand here, at h (column 1)"),
        ('{\n"mcpServers": {\n"a": {"command": cat}}}', 3, "not JSON: a value should stand here, at c (column 18)"),
        ('{"mcpServers": {\n"a": {"command": "cat"\n"args": []}}}', 3, 'a "," or "}" should stand here'),
        ('{"mcpServers": {\n"a": {"command": "cat}}}\n', 2, "no closing quote"),
        ('{"mcpServers": {"a": {"command": "\\q"}}}', 1, "escape that JSON does not know"),
        ('{"mcpServers": {"a": {"command": "cat"}}', 1, "at the end"),
        ('{"mcpServers": {"a": {"command" "cat"}}}', 1, 'a ":" should follow "command"'),
        ("{'mcpServers': {}}", 1, "a key in double quotes"),
        ('{"mcpServers": {}} {}', 1, "the file should end here"),
        (
            '{"mcpServers": {"a": {"command": "x"},\n"a": {"command": "y"}}}',
            2,
            '"a" stands here twice (first on line 1)',
        ),
        ("[" * 5_000, 1, "nested deeper than 64 levels"),
        ("[]", 1, "must be a mapping"),
        ("{}", 1, 'neither "mcpServers"'),
        ('{"a": {"command": "x"}}', 1, 'wrap it as {"mcpServers"'),
        ('{"mcpServers": {}}', 1, '"mcpServers" is empty'),
        ('{"mcpServers": {"a": {"command": "x"}},\n"servers": {}}', 2, 'both "mcpServers" and "servers"'),
        ('{"mcpServers": {\n"a": {"comand": "x"}}}', 2, 'did you mean "command"?'),
        ('{"mcpServers": {\n"a": {"type": "ws", "url": "ws://x"}}}', 2, "stdio, http and sse are"),
        ('{"mcpServers": {\n"a": {}}}', 2, "needs a url"),
        ('{"mcpServers": {\n"a": null}}', 2, '"a" is empty'),
        ('{"mcpServers": {\n"a": {"command": "x", "envFile": ".env"}}}', 2, 'put the variables under "env"'),
        ('{"mcpServers": {\n"a": {"serverUrl": "https://x"}}}', 2, 'write "url"'),
        ('{"mcpServers": {\n"a": {"command": "x"},\n"A": {"command": "x"}}}', 3, '"A" and "a" (line 2) both become'),
        ('{"mcpServers": {\n"データ": {"command": "x"}}}', 2, "no letter or digit"),
        ('{"mcpServers": {\n"Portal": {"command": "x"}}}', 2, "reserved"),
        ('{"mcpServers": {"a": {"command": "x",\n"env": {"K": "${NOBODY}"}}}}', 2, "export NOBODY"),
        ('{"servers": {"a": {"url": "https://x",\n"headers": {"K": "${input:api-key}"}}}}', 2, "write ${API_KEY}"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_do(
    text: str, line: int | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "mcp.json", text)

    assert words in caught.value.message
    assert (caught.value.file, caught.value.line) == (tmp_path / "mcp.json", line)


def test_a_syntax_error_shows_nothing_of_a_credential_beside_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "mcp.json", '{"mcpServers": {"a": {"url": "https://x" "headers": {"K": "s3cret"}}}}')

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("name", "words"), [("portico.yaml", "with --config"), ("config.toml", "TOML is not read")])
def test_a_file_of_another_kind_is_named_as_such(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        Config.from_mcp_config(tmp_path / name, {})
