"""What an operator gets wrong is told in a clear message that says what to do: exit code 2, and no traceback."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.acceptance._running import portico
from tests.acceptance._upstream import listening, refusal, web_page

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command said on standard error, once it is known to have refused in good order."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def serve(tmp_path: Path, yaml: str, *arguments: str, environ: dict[str, str] | None = None) -> str:
    config = tmp_path / "portico.yaml"
    config.write_text(yaml)
    return refused(portico("serve", "--config", str(config), *arguments, environ=environ))


def test_listening_beyond_loopback_without_sign_in_or_a_token_is_refused(tmp_path: Path) -> None:
    """DESIGN section 6: listening beyond loopback requires public_url and sign-in, or PORTICO_TOKEN until then."""
    said = refused(portico("serve", "--host", "0.0.0.0"))

    assert "0.0.0.0" in said
    assert "PORTICO_TOKEN" in said


def test_listening_beyond_loopback_without_a_public_url_is_refused() -> None:
    said = refused(portico("serve", "--host", "0.0.0.0", environ={"PORTICO_TOKEN": "0123456789abcdef0123"}))

    assert "public_url" in said


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    said = serve(tmp_path, "servers:\n  - id: a\n    ulr: http://127.0.0.1:1/mcp\n")

    assert "portico.yaml" in said
    assert "3" in said
    assert "ulr" in said
    assert "url" in said


def test_a_repeated_server_id_is_named(tmp_path: Path) -> None:
    said = serve(tmp_path, "servers:\n  - {id: twin, command: cat}\n  - {id: twin, command: cat}\n")

    assert "twin" in said


def test_a_variable_that_is_not_set_is_named_with_its_line(tmp_path: Path) -> None:
    said = serve(
        tmp_path,
        "servers:\n  - id: a\n    url: http://127.0.0.1:1/mcp\n    auth: {type: bearer, token: '${NOBODY_SET_THIS}'}\n",
    )

    assert "NOBODY_SET_THIS" in said
    assert "4" in said


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    said = serve(tmp_path, "servers:\n  - id: [\n")

    assert "portico.yaml" in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = refused(portico("serve", "--config", str(tmp_path / "absent.yaml")))

    assert "absent.yaml" in said


def test_a_clients_file_that_is_not_json_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{\n  "mcpServers": {\n    "a": {"command": cat}\n  }\n}\n')

    said = refused(portico("serve", "--mcp-config", str(file)))

    assert "mcp.json" in said
    assert "3" in said
    assert "JSON" in said


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        said = refused(portico("serve", "--port", str(port)))

    assert str(port) in said
    assert "--port" in said


def test_an_unknown_command_is_refused() -> None:
    assert "srve" in refused(portico("srve"))


def test_a_traceback_comes_only_when_it_is_asked_for(tmp_path: Path) -> None:
    done = portico("serve", "--config", str(tmp_path / "absent.yaml"), "--debug")

    assert done.returncode == 2
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("{id: broken, command: no-such-program-anywhere}", ["broken", "no-such-program-anywhere"]),
        ("{id: broken, url: '%(page)s'}", ["broken", "MCP"]),
        ("{id: broken, url: '%(refusal)s'}", ["broken", "403"]),
        ("{id: broken, command: echo, args: [hello]}", ["broken"]),
    ],
    ids=["missing command", "no MCP", "403", "command that ends"],
)
def test_a_server_that_cannot_be_reached_is_told_with_its_cause(server: str, words: list[str], tmp_path: Path) -> None:
    with listening(web_page()) as page, listening(refusal()) as forbidden:
        config = tmp_path / "portico.yaml"
        config.write_text(f"servers:\n  - {server % {'page': page, 'refusal': forbidden}}\n")

        told = portico("doctor", "--config", str(config))

    said = told.stdout + told.stderr
    assert told.returncode == 1
    assert "Traceback" not in said
    assert [word for word in words if word not in said] == []
