"""What an operator decides, checked as a whole before anything starts."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from portal._config import Config, PortalConfig, PortalServer
from portal._errors import ConfigError
from portal._limits_config import LimitsConfig
from portal._secret import Secret
from portal._server_config import BearerAuth, HeadersAuth, ServerConfig

TOKEN = Secret("0123456789abcdef0123456789abcdef")
FILES = ServerConfig(id="files", command="npx", args=("-y", "server-filesystem"))
TICKETS = ServerConfig(id="tickets", url="https://tickets.example.com/mcp", auth=BearerAuth(token=Secret("tick-tock")))


def test_a_secret_never_prints_itself() -> None:
    secret = Secret("hunter2")

    assert [repr(secret), str(secret), f"{secret}", f"{secret:>5}"] == ["Secret(***)", "***", "***", "  ***"]
    assert secret.reveal() == "hunter2"


def test_a_secret_is_not_pickled_into_another_process() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret("hunter2"))


def test_secrets_are_equal_when_their_texts_are() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


def test_no_part_of_a_configuration_shows_a_credential_in_its_repr() -> None:
    server = ServerConfig(id="a", url="https://u:pa55word@a.example/?key=pa55word", auth=BearerAuth(token=TOKEN))
    command = ServerConfig(id="b", command="x", args=("--key", "pa55word"), env={"K": Secret("pa55word")})

    shown = repr(Config(servers=(server, command), token=TOKEN))

    assert "pa55word" not in shown
    assert TOKEN.reveal() not in shown


def test_without_portals_there_is_one_with_every_server() -> None:
    config = Config(servers=(FILES, TICKETS))

    assert config.portals == (PortalConfig(servers=(PortalServer(id="files"), PortalServer(id="tickets"))),)
    assert config.portal("default").path == "/mcp"


def test_a_named_portal_has_its_id_in_its_address() -> None:
    config = Config(servers=(FILES,), portals=(PortalConfig(id="docs", servers=(PortalServer(id="files"),)),))

    assert config.endpoint("docs") == "http://127.0.0.1:8808/docs/mcp?codemode=search_and_execute"


def test_the_address_for_clients_is_the_public_one_where_there_is_one() -> None:
    config = Config(servers=(FILES,), public_url="https://Tools.example.com/")

    assert config.endpoint() == "https://tools.example.com/mcp?codemode=search_and_execute"


def test_an_ipv6_address_is_bracketed_in_the_address_for_clients() -> None:
    assert Config(host="::1", port=1).origin == "http://[::1]:1"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_token(host: str) -> None:
    assert Config(host=host).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "tools.example.com"])
def test_listening_beyond_loopback_needs_a_public_url_and_a_token(host: str) -> None:
    """DESIGN section 6: refuses to start without public_url and sign-in or PORTICO_TOKEN."""
    with pytest.raises(ConfigError, match=r"public_url .* and PORTICO_TOKEN"):
        Config(host=host)
    with pytest.raises(ConfigError, match="public_url"):
        Config(host=host, token=TOKEN)
    with pytest.raises(ConfigError, match="PORTICO_TOKEN"):
        Config(host=host, public_url="https://tools.example.com")

    assert not Config(host=host, public_url="https://tools.example.com", token=TOKEN).is_loopback


def test_a_host_given_later_is_checked_as_if_it_stood_in_the_file() -> None:
    with pytest.raises(ConfigError, match="PORTICO_TOKEN"):
        replace(Config(servers=(FILES,)), host="0.0.0.0")


def test_sign_in_cannot_be_switched_off_beyond_loopback() -> None:
    with pytest.raises(ConfigError, match="loopback only"):
        Config(host="0.0.0.0", public_url="https://tools.example.com", sign_in="none")


def test_sign_in_none_and_a_token_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="contradicts PORTICO_TOKEN"):
        Config(sign_in="none", token=TOKEN)


def test_required_sign_in_without_a_token_is_refused() -> None:
    with pytest.raises(ConfigError, match="set PORTICO_TOKEN"):
        Config(sign_in="required")


def test_a_token_beyond_loopback_has_at_least_16_characters() -> None:
    exposed = partial(Config, host="0.0.0.0", public_url="https://tools.example.com")

    with pytest.raises(ConfigError, match="too short"):
        exposed(token=Secret("x" * 15))
    for length in (16, 17):
        assert exposed(token=Secret("x" * length)).token == Secret("x" * length)


@pytest.mark.parametrize("token", ["with blank", "zwölfzwölf", "line\nbreak", ""])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    """RFC 6750 section 2.1: a bearer token is visible ASCII."""
    with pytest.raises(ConfigError, match="printable ASCII"):
        Config(token=Secret(token))


@pytest.mark.parametrize(
    ("key", "below", "least", "most", "above"),
    [
        ("run_cpu_s", 0.0, 0.01, 3_600.0, 3_600.1),
        ("run_wall_s", 0.0, 0.01, 86_400.0, 86_400.1),
        ("memory_mb", 7, 8, 1_024, 1_025),
        ("calls", 0, 1, 1_000_000, 1_000_001),
        ("concurrent_calls", 0, 1, 1_000, 1_001),
        ("answer_chars", 199, 200, 10_000_000, 10_000_001),
    ],
)
def test_each_limit_has_a_least_and_a_most(key: str, below: float, least: float, most: float, above: float) -> None:
    def with_limit(value: float) -> LimitsConfig:
        changed: dict[str, Any] = {key: value}
        return replace(LimitsConfig(), **changed)

    assert getattr(with_limit(least), key) == least
    assert getattr(with_limit(most), key) == most
    for refused in (below, above):
        with pytest.raises(ConfigError, match=rf"limits\.{key} must be between"):
            with_limit(refused)


@pytest.mark.parametrize("server_id", ["files", "a", "7zip", "my-server", "x" * 32])
def test_an_id_is_lower_case_letters_digits_and_hyphens(server_id: str) -> None:
    assert ServerConfig(id=server_id, command="cat").id == server_id


@pytest.mark.parametrize("server_id", ["", "Files", "my_server", "-a", "a-", "a b", "ä", "x" * 33, "portal"])
def test_any_other_id_is_refused(server_id: str) -> None:
    with pytest.raises(ConfigError, match="server id"):
        ServerConfig(id=server_id, command="cat")


def test_a_refused_id_comes_with_the_nearest_valid_one() -> None:
    with pytest.raises(ConfigError, match=r'for instance "my-server"'):
        ServerConfig(id="My Server!", command="cat")


@pytest.mark.parametrize("portal_id", ["mcp", "sse", "healthz", "metrics", "admin"])
def test_a_portal_cannot_take_a_path_that_portico_needs(portal_id: str) -> None:
    with pytest.raises(ConfigError, match="reserved"):
        PortalConfig(id=portal_id)


def test_a_server_is_a_url_or_a_command_and_not_both() -> None:
    with pytest.raises(ConfigError, match="needs a url"):
        ServerConfig(id="a")
    with pytest.raises(ConfigError, match="both url and command"):
        ServerConfig(id="a", url="https://a.example", command="cat")


def test_a_command_speaks_stdio() -> None:
    assert ServerConfig(id="a", command="cat").transport == "stdio"
    with pytest.raises(ConfigError, match="a command speaks stdio"):
        ServerConfig(id="a", command="cat", transport="http")
    with pytest.raises(ConfigError, match="stdio starts a command"):
        ServerConfig(id="a", url="https://a.example", transport="stdio")


def test_a_command_gets_its_credential_through_the_environment() -> None:
    with pytest.raises(ConfigError, match="through env"):
        ServerConfig(id="a", command="cat", auth=BearerAuth(token=TOKEN))


@pytest.mark.parametrize("url", ["a.example/mcp", "ftp://a.example", "https://", "http://a b", "http://a:99999", "x"])
def test_a_url_that_cannot_be_reached_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        ServerConfig(id="a", url=url)


def test_a_bearer_token_is_given_without_the_word_bearer() -> None:
    with pytest.raises(ConfigError, match="token alone"):
        BearerAuth(token=Secret("Bearer abc"))


@pytest.mark.parametrize("name", ["Host", "content-length", "Mcp-Session-Id"])
def test_a_header_that_the_transport_sets_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="set by the connection"):
        HeadersAuth(headers={name: Secret("x")})


def test_a_header_value_cannot_smuggle_another_header() -> None:
    """RFC 9110 section 5.5: a field value holds no CR, LF or NUL."""
    with pytest.raises(ConfigError, match="line break"):
        HeadersAuth(headers={"X-Key": Secret("a\r\nX-Admin: yes")})


def test_a_portal_names_only_servers_that_exist() -> None:
    portal = PortalConfig(servers=(PortalServer(id="filez"),))

    with pytest.raises(ConfigError, match='did you mean "files"'):
        Config(servers=(FILES,), portals=(portal,))


def test_two_servers_cannot_share_an_id() -> None:
    with pytest.raises(ConfigError, match='two servers have the id "files"'):
        Config(servers=(FILES, FILES))


def test_the_secrets_to_hide_are_all_credentials_with_their_parts_longest_first() -> None:
    headers = HeadersAuth(headers={"Authorization": Secret("Basic dXNlcjpwYXNz")})
    config = Config(
        servers=(
            ServerConfig(id="a", url="https://a.example", auth=headers),
            ServerConfig(id="b", command="cat", env={"KEY": Secret("key-of-b"), "LEVEL": Secret("debug")}),
        ),
        token=TOKEN,
    )

    found = [secret.reveal() for secret in config.secrets()]

    assert found == [TOKEN.reveal(), "Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "key-of-b"]


def test_an_ordinary_word_in_the_environment_of_a_server_is_hidden_in_logs_and_not_in_what_is_stored() -> None:
    env = {
        "REGION": Secret("eu-west-1"),
        "API_KEY": Secret("swordfish"),
        "DATABASE": Secret("postgres://ada:hunter22@db/tools"),
        "FROM_OUTSIDE": Secret("us-east-1"),
    }
    server = ServerConfig(id="b", command="cat", env=env, sensitive=(Secret("us-east-1"), Secret("in an argument")))
    config = Config(servers=(server,))

    stored = {secret.reveal() for secret in config.stored_secrets()}

    assert stored == {"swordfish", "postgres://ada:hunter22@db/tools", "in an argument"}
    assert {*env.values()} <= {*config.secrets()}


def test_a_credential_inside_a_url_is_hidden_too() -> None:
    url = "https://ada:sw0rdfish@a.example/mcp?api_key=k-123456789&mode=readonly"

    found = {secret.reveal() for secret in Config(servers=(ServerConfig(id="a", url=url),)).secrets()}

    assert found == {"sw0rdfish", "k-123456789"}


def test_a_configuration_can_be_copied() -> None:
    config = Config(servers=(TICKETS,))

    assert copy.copy(config) == config


def test_a_call_may_not_take_less_time_in_all_than_it_may_be_silent() -> None:
    assert replace(FILES, call_timeout_s=60, total_timeout_s=60).total_timeout_s == 60
    with pytest.raises(ConfigError, match="total_timeout_s must not be less"):
        replace(FILES, call_timeout_s=60, total_timeout_s=59.9)


def test_the_bounds_of_a_servers_answers_are_in_bytes_too() -> None:
    server = replace(FILES, max_answer_mb=2, max_list_mb=3)

    assert (server.max_answer_bytes, server.max_list_bytes) == (2 * 2**20, 3 * 2**20)
