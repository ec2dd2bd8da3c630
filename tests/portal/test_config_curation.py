"""What portico.yaml says of single tools and prompts, and what is said back when it says it wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal import ConfigError, PortalServer, Rules, Wording
from portal._config import Config

if TYPE_CHECKING:
    from pathlib import Path

FULL = """\
servers:
  - id: files
    command: cat
    tools:
      rename: {read_text_file: read}
      describe: {read_text_file: Read a file.}
    prompts: {rename: {sum: summary}}
portals:
  - id: default
    prefix: false
    servers:
      - id: files
        default: deny
        tools:
          deny: [write_file]
          ask: [move_file]
          allow: [read_text_file, "list_*"]
          rename: {move_file: move}
          describe: {move_file: Move one file.}
        prompts:
          deny: [secret]
          allow: [open]
          rename: {open: start}
          describe: {open: Begin here.}
"""


def load(tmp_path: Path, text: str = FULL) -> Config:
    file = tmp_path / "portico.yaml"
    file.write_text(text)
    return Config.load(file, {})


def test_the_rules_of_a_portal_are_read(tmp_path: Path) -> None:
    portal = load(tmp_path).portal("default")

    assert portal.servers == (
        PortalServer(
            id="files",
            default="deny",
            tools=Rules(
                deny=("write_file",),
                ask=("move_file",),
                allow=("read_text_file", "list_*"),
                wording=Wording(rename={"move_file": "move"}, describe={"move_file": "Move one file."}),
            ),
            prompts=Rules(
                deny=("secret",),
                allow=("open",),
                wording=Wording(rename={"open": "start"}, describe={"open": "Begin here."}),
            ),
        ),
    )
    assert not portal.prefix


def test_the_wording_of_a_server_is_read(tmp_path: Path) -> None:
    server = load(tmp_path).server("files")

    assert server.tools == Wording(rename={"read_text_file": "read"}, describe={"read_text_file": "Read a file."})
    assert server.prompts == Wording(rename={"sum": "summary"})


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("deny: [write_file]", "denied: [write_file]", 15, 'unknown key "denied".*did you mean "deny"'),
        ("deny: [write_file]", "enabled: false", 15, r"write deny: \[names\]"),
        ("deny: [write_file]", "deny: [move_file]", 16, '"move_file" stands in both deny and ask'),
        ("deny: [write_file]", "deny: [move_file, move_file]", 16, '"move_file" stands in both deny and ask'),
        ("rename: {move_file: move}", "rename: {move_file: mo ve}", 18, '"mo ve" cannot be an alias of "move_file"'),
        ("rename: {move_file: move}", "rename: {a: b, c: b}", 18, 'a and c are all renamed to "b"'),
        ("rename: {move_file: move}", "rename: {a: read}", 18, 'read_text_file and a are all renamed to "read"'),
        ("rename: {move_file: move}", "rename: {a: }", 18, r"tools.rename.a is empty"),
        ("rename: {move_file: move}", "rename: [a]", 18, "tools.rename must be a mapping"),
        ("rename: {open: start}", "ask: [open]", 23, "a prompt changes nothing"),
        ("default: deny", "default: never", 13, 'default "never" is not one of allow, ask and deny'),
        ("prefix: false", "prefix: none", 10, "prefix must be true or false"),
        ("prefix: false", "prefixed: false", 10, 'did you mean "prefix"'),
        ("rename: {read_text_file: read}", "deny: [a]", 5, "who may call what is said in a portal"),
        ("rename: {sum: summary}", "renames: {sum: summary}", 7, 'did you mean "rename"'),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, FULL.replace(old, new))

    assert caught.value.line == line
