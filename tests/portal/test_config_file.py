"""portico.yaml: what it may say, and what is said back when it says it wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portal._config import Config, PortalConfig, PortalServer
from portal._curation import Rules
from portal._errors import ConfigError
from portal._secret import Secret
from portal._server_config import BearerAuth, HeadersAuth, NoAuth

if TYPE_CHECKING:
    from collections.abc import Mapping

FULL = """\
public_url: https://tools.example.com
host: 127.0.0.1
port: 9000
trusted_proxies: [10.0.0.0/8]
access: {sign_in: required}
data_dir: state
servers:
  - id: my_files
    name: Documents
    command: npx
    args: ["-y", server-filesystem, 1.10, true]
    env: {KEY: "${KEY}", LEVEL: debug}
    cwd: /srv
    connect_timeout_s: 5
    call_timeout_s: 2.5
  - id: tickets
    url: https://tickets.example.com/mcp
    transport: http
    auth: {type: bearer, token: "${TOKEN:-t-0}"}
    per_user: true
    session: user
  - id: stock
    url: https://stock.example.com/mcp
    auth: {type: headers, headers: {X-Api-Key: "${file:key.txt}"}}
    enabled: false
portals:
  - id: default
    servers: [tickets, {id: my_files, tools: {deny: [write_file]}}]
    code_mode: off
  - id: all
limits: {run_cpu_s: 1.5, run_wall_s: 60, memory_mb: 32, calls: 10, concurrent_calls: 2, answer_chars: 1000}
"""
ENVIRON = {"KEY": "key-of-files", "PORTICO_TOKEN": "0123456789abcdef", "XDG_DATA_HOME": "/data"}


def load(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Config:
    (tmp_path / "key.txt").write_text("key-of-stock\n")
    file = tmp_path / "portico.yaml"
    file.write_text(text)
    return Config.load(file, ENVIRON if environ is None else environ)


def refused(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.file == tmp_path / "portico.yaml"
    return caught.value


def test_every_setting_of_a_server_is_read(tmp_path: Path) -> None:
    files = load(tmp_path, FULL).server("my-files")

    assert (files.name, files.command, files.cwd, files.transport) == ("Documents", "npx", "/srv", "stdio")
    assert files.env == {"KEY": Secret("key-of-files"), "LEVEL": Secret("debug")}
    assert (files.connect_timeout_s, files.call_timeout_s, files.auth) == (5, 2.5, NoAuth())


def test_an_argument_stays_as_the_file_writes_it(tmp_path: Path) -> None:
    """YAML would make 1.10 the number 1.1 and true a boolean."""
    assert load(tmp_path, FULL).server("my-files").args == ("-y", "server-filesystem", "1.10", "true")


def test_a_server_signs_in_with_a_bearer_token_or_headers(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)

    assert config.server("tickets").auth == BearerAuth(token=Secret("t-0"))
    assert config.server("stock").auth == HeadersAuth(headers={"X-Api-Key": Secret("key-of-stock")})
    assert (config.server("tickets").per_user, config.server("tickets").session) == (True, "user")
    assert not config.server("stock").enabled


def test_a_portal_offers_the_servers_it_names_or_all(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)

    denied = PortalServer(id="my-files", tools=Rules(deny=("write_file",)))
    assert config.portal("default") == PortalConfig(servers=(PortalServer(id="tickets"), denied), code_mode="off")
    assert [server.id for server in config.portal("all").servers] == ["my-files", "tickets", "stock"]


def test_the_rest_of_the_file_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)

    assert (config.origin, config.host, config.port) == ("https://tools.example.com", "127.0.0.1", 9000)
    assert (config.trusted_proxies, config.sign_in, config.token) == (
        ("10.0.0.0/8",),
        "required",
        Secret("0123456789abcdef"),
    )
    assert config.data_dir == tmp_path / "state"
    assert (config.limits.run_cpu_s, config.limits.calls, config.limits.answer_chars) == (1.5, 10, 1000)


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "portico.yaml"
    file.write_text("host: 0.0.0.0\nport: 1\nservers: [{id: a, command: cat}]\n")

    config = Config.load(file, {}, host="127.0.0.1", port=2)

    assert (config.host, config.port) == ("127.0.0.1", 2)


def test_the_data_folder_is_the_users_own(tmp_path: Path) -> None:
    """XDG Base Directory Specification: a relative XDG_DATA_HOME is ignored."""
    text = "servers: [{id: a, command: cat}]\n"

    assert load(tmp_path, text, {"XDG_DATA_HOME": "/data"}).data_dir == Path("/data/portico")
    assert load(tmp_path, text, {"XDG_DATA_HOME": "data"}).data_dir == Path.home() / ".local/share/portico"


def test_a_value_may_come_from_a_variable_whatever_its_type(tmp_path: Path) -> None:
    text = "port: ${PORT}\nservers: [{id: a, command: cat, enabled: '${ON}', call_timeout_s: '${S}'}]\n"

    config = load(tmp_path, text, {"PORT": "9001", "ON": "false", "S": "1.5"})

    assert (config.port, config.servers[0].enabled, config.servers[0].call_timeout_s) == (9001, False, 1.5)


def test_what_a_variable_put_into_an_argument_counts_as_a_secret(tmp_path: Path) -> None:
    text = "servers: [{id: a, command: cat, args: ['--key=${KEY}', '${HOME}/x']}]\n"

    config = load(tmp_path, text, {"KEY": "key-123456", "HOME": "/home/ada"})

    assert config.servers[0].args == ("--key=key-123456", "/home/ada/x")
    assert config.secrets() == (Secret("key-123456"),)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("    command: npx", "    comand: npx", 10, 'unknown key "comand" in servers[0]: did you mean "command"?'),
        ("public_url", "publik_url", 1, 'did you mean "public_url"?'),
        ("run_cpu_s", "cpu_s", 31, 'unknown key "cpu_s" in limits'),
        ("id: tickets", "id: my-files", 16, 'server id "my-files" is used twice (first on line 8)'),
        ("id: all", "id: default", 30, 'portal id "default" is used twice (first on line 27)'),
        ("[tickets,", "[tickts,", 28, 'did you mean "tickets"?'),
        ("[tickets,", "[[x],", 28, "must be text, not a list"),
        ('"${KEY}"', '"${NOBODY}"', 12, "${NOBODY} is not set: export NOBODY"),
        ('"${KEY}"', '"${KEYS}"', 12, "KEY is set: was that meant?"),
        ('"${KEY}"', '"${KEY"', 12, "without its }"),
        ('"${KEY}"', '"${KEY-x}"', 12, "${NAME:-default}"),
        ("key.txt", "absent.txt", 24, "No such file"),
        ("type: bearer", "type: barer", 19, '"barer" is unknown: write none, bearer or headers'),
        ("type: bearer", "type: oauth", 19, "oauth is not available in this version"),
        ('token: "${TOKEN:-t-0}"', "tokn: x", 19, "needs a token"),
        ("${TOKEN:-t-0}", "Bearer x", 19, "token alone"),
        ("transport: http", "transport: htp", 18, '"htp" is not one of auto, http, sse'),
        ("session: user", "session: shared", 21, "contradict each other"),
        ("per_user: true", "per_user: yes", 20, 'must be true or false, not "yes"'),
        ("call_timeout_s: 2.5", "call_timeout_s: soon", 15, 'must be a number, not "soon"'),
        ("call_timeout_s: 2.5", "call_timeout_s: 0", 15, "more than 0"),
        ("call_timeout_s: 2.5", "call_timeout_s: 1e400", 15, "must be a finite number: this is too large"),
        ("port: 9000", "port: 90000", 3, "between 0"),
        ("port: 9000", "port: 9.5", 3, "whole number"),
        ("trusted_proxies: [10.0.0.0/8]", "trusted_proxies: [nginx]", 4, '"nginx" is not an IP address'),
        ("trusted_proxies: [10.0.0.0/8]", "trusted_proxies: 10.0.0.0/8", 4, "must be a list, not text"),
        ("code_mode: off", "code_mode: of", 29, '"of" is not one of off, opt_in'),
        ("calls: 10,", "calls: 0,", 31, "limits.calls must be between 1"),
        ("https://tools.example.com", "tools.example.com", 1, "not an address"),
        ("https://tools.example.com", "https://tools.example.com/mcp", 1, "before any path"),
        ("public_url", "store: x\npublic_url", 1, "store must be like sqlite:///portico.db or postgresql"),
        ("public_url", "retention: {logs_days: 0}\npublic_url", 1, "retention.logs_days must be between 1 and 36500"),
        ("deny: [write_file]", "denied: [write_file]", 28, 'did you mean "deny"?'),
        ("  - id: all", "  - name: all", 30, "needs an id"),
        ("    url: https://stock", "    headers: {}\n    url: https://stock", 23, "auth: {type: headers"),
        ("limits: {", "limits: [", 31, "not YAML"),
        ("    name: Documents", "    name: a\n    name: b", 10, '"name" stands here twice (first on line 9)'),
        ("    name: Documents", "    name: !!python/name:os.system x", 9, "has no meaning here"),
        ("host: 127.0.0.1", "host: 0.0.0.0\nx: y", 3, 'unknown key "x"'),
        ("sign_in: required", "sign_in: none", 5, "contradicts PORTICO_TOKEN"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_do(
    old: str, new: str, line: int, words: str, tmp_path: Path
) -> None:
    assert old in FULL

    error = refused(tmp_path, FULL.replace(old, new, 1))

    assert words in error.message
    assert (error.line, str(error)) == (line, f"{tmp_path}/portico.yaml:{line}: {error.message}")


def test_a_wrong_value_that_came_from_a_variable_is_not_shown(tmp_path: Path) -> None:
    error = refused(tmp_path, "port: ${KEY}\nservers: [{id: a, command: cat}]\n")

    assert "${KEY}" in error.message
    assert "key-of-files" not in str(error)


@pytest.mark.parametrize("text", ["", "# nothing\n", "servers: []\n", "port: 1\n"])
def test_a_file_without_servers_says_how_to_get_one(text: str, tmp_path: Path) -> None:
    assert "names no servers" in refused(tmp_path, text).message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("serverz: []\n", 'unknown key "serverz": did you mean "servers"?'),
        ("mcpServers: {}\n", "portico import"),
        ("mcpServers: {}\n", "--mcp-config"),
        ("port: 1\nportalz: []\n", 'did you mean "portals"?'),
    ],
)
def test_a_mistyped_key_is_told_before_missing_servers(text: str, words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path, text).message


@pytest.mark.parametrize("text", ["- a\n", "hello\n"])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    assert "must be a mapping" in refused(tmp_path, text).message


def test_a_file_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    assert "nested" in refused(tmp_path, "a: " + "[" * 5_000 + "]" * 5_000).message


def test_aliases_of_aliases_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    levels = ["l0: &l0 [x]"] + [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 7)]

    assert "more than 100,000 values" in refused(tmp_path, "\n".join(levels)).message


def test_an_alias_stands_for_what_it_names(tmp_path: Path) -> None:
    config = load(tmp_path, "servers: [{id: a, command: &program cat}, {id: b, command: *program}]\n")

    assert [server.command for server in config.servers] == ["cat", "cat"]


@pytest.mark.parametrize(("items", "words"), [(99_994, 'unknown key "x"'), (99_995, "more than 100,000 values")])
def test_a_file_may_hold_a_hundred_thousand_values(items: int, words: str, tmp_path: Path) -> None:
    text = f"servers: [{{id: a, command: cat}}]\nx: [{'1,' * items}]\n"

    assert words in refused(tmp_path, text).message


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "portico.yaml"
    file.write_bytes(b"servers:\n  - id: caf\xe9\n")

    with pytest.raises(ConfigError, match=r"portico\.yaml:2: .*not UTF-8"):
        Config.load(file, {})


def test_a_file_that_is_not_there_is_named_with_its_full_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"does not exist.*{tmp_path}/absent\.yaml"):
        Config.load(tmp_path / "absent.yaml", {})


def test_a_folder_is_not_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        Config.load(tmp_path, {})


def test_a_clients_json_is_sent_to_the_other_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--mcp-config"):
        Config.load(tmp_path / "mcp.json", {})


def test_the_demo_needs_no_file() -> None:
    config = Config.demo({}, port=0)

    assert [(server.id, server.transport) for server in config.servers] == [("tracker", "demo")]
    assert config.is_loopback


def test_two_configurations_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        Config.from_env(config=tmp_path / "a.yaml", mcp_config=tmp_path / "b.json")


def test_isolation_and_what_users_may_use_are_read_and_checked(tmp_path: Path) -> None:
    servers = "servers: [{id: tickets, url: https://tickets.example.com/mcp}]\n"
    user = "user_runs: 3, user_waiting: 0, user_cpu_s: 30, user_memory_mb: 128"
    config = load(tmp_path, f"{servers}isolation: run\nlimits: {{{user}, total_runs: 40, total_memory_mb: 512}}\n")

    assert config.isolation == "run"
    assert (config.limits.user_runs, config.limits.user_waiting, config.limits.user_cpu_s) == (3, 0, 30)
    assert (config.limits.user_memory_mb, config.limits.total_runs, config.limits.total_memory_mb) == (128, 40, 512)
    assert load(tmp_path, servers).isolation == "shared"
    assert load(tmp_path, servers).limits.total_memory_mb is None
    with pytest.raises(ConfigError, match="isolation"):
        load(tmp_path, f"{servers}isolation: none\n")
    with pytest.raises(ConfigError, match=r"limits\.user_runs"):
        load(tmp_path, servers + "limits: {user_runs: 0}\n")
