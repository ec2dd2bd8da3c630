"""Every command: its help, its errors, its exit codes."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import TYPE_CHECKING

import pytest

from portal._errors import AddressInUse, ConfigError, PortalError
from portal.cli._app import COMMANDS
from portal.cli._failures import UsageError, explained
from sandbox import WorkerLost
from tests.portal.cli.conftest import TIMEOUT_S

if TYPE_CHECKING:
    from tests.portal.cli.conftest import Portico

HEAVY = {"anyio", "engine", "mcp", "pydantic", "sandbox", "starlette", "uvicorn", "wasmtime"}
PORTICO = f"{sys.executable} -m portico"
ROOT = Path(__file__).parents[3]


def shell(script: str, *, cwd: Path | None = None) -> CompletedProcess[str]:
    return run(
        script,
        shell=True,
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=TIMEOUT_S,
        cwd=cwd,
    )


def test_the_commands_are_listed(portico: Portico) -> None:
    done = portico("--help")

    assert done.code == 0
    assert [name for name in COMMANDS if name not in done.out] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_json_and_debug(command: str, portico: Portico) -> None:
    done = portico(command, "--help")

    assert done.code == 0
    assert ("--json" in done.out) is (command != "stdio")  # its output is the protocol's
    assert "--debug" in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says_first(name: str) -> None:
    command = COMMANDS[name]
    function = getattr(import_module(f"portal.cli.{command.module}"), command.function)

    assert function.__doc__.splitlines()[0] == command.summary


def test_listing_the_commands_imports_nothing_heavy() -> None:
    """`portico --help` answers at once: the engine, the SDK and the HTTP stack are left alone."""
    program = (
        "import sys; sys.argv[1:] = ['connect', 'cursor']; from portal.cli import main; main(); print(*sys.modules)"
    )

    done = run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)

    assert HEAVY & set(done.stdout.split()) == set()


def test_the_version_is_printed(portico: Portico) -> None:
    assert portico("--version").out.startswith("portico ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["srve"], "'serve'"),
        (["serve", "--confg", "x"], "--config"),
        (["serve", "--port", "lots"], "'--port'"),
        (["serve", "--port", "65536"], "65535"),
        (["exec"], "CODE"),
    ],
)
def test_a_mistyped_command_line_exits_with_2_and_a_hint(arguments: list[str], words: str, portico: Portico) -> None:
    done = portico(*arguments)

    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_bad_input_exits_with_2_one_message_and_no_traceback(portico: Portico) -> None:
    done = portico("serve", "--config", "absent.yaml")

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("portico: absent.yaml: the configuration file does not exist")
    assert "Traceback" not in done.err


def test_debug_shows_the_traceback_before_the_message(portico: Portico) -> None:
    done = portico("serve", "--config", "absent.yaml", "--debug")

    assert done.code == 2
    assert done.err.index("Traceback") < done.err.index("portico: absent.yaml")


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (ConfigError("wrong", file="a.yaml", line=3), "a.yaml:3: wrong", 2),
        (UsageError("wrong"), "wrong", 2),
        (AddressInUse("127.0.0.1", 80, "taken"), "cannot listen on 127.0.0.1:80: taken", 2),
        (PortalError("lost"), "lost", 1),
        (WorkerLost("the worker is gone"), "the worker is gone", 1),
        (ExceptionGroup("g", [ValueError("x"), ExceptionGroup("h", [ConfigError("deep")])]), "deep", 2),
        (ZeroDivisionError("oops"), "unexpected ZeroDivisionError: oops", 1),
    ],
)
def test_an_exit_code_says_who_can_fix_it(error: Exception, message: str, code: int) -> None:
    assert explained(error)[0].startswith(message)
    assert explained(error)[1] == code


def test_a_reader_that_stops_reading_is_no_error() -> None:
    done = run(
        f"{sys.executable} -m portico connect python | head -n 1",
        shell=True,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["--help", "exec 1", "context --json"])
def test_a_full_output_ends_a_command_in_few_words(arguments: str) -> None:
    done = shell(f"env -u PYTHONUNBUFFERED {PORTICO} {arguments} > /dev/full")

    words = "portico: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, words)


def test_a_demo_that_is_cut_off_says_nothing() -> None:
    done = shell(f"{PORTICO} demo --once --port 0 | head -n 1", cwd=ROOT)

    assert (done.stderr, len(done.stdout.splitlines())) == ("", 1)


def test_an_error_output_that_takes_nothing_leaves_the_exit_code() -> None:
    assert shell(f"{PORTICO} serve --config absent.yaml 2> /dev/full").returncode == 2


def test_what_an_output_cannot_encode_is_escaped() -> None:
    done = shell(f"PYTHONIOENCODING=latin-1 {PORTICO} exec '\"日é\"'")

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "\\u65e5\udce9\n")


def test_a_current_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    environ = f"PYTHONPATH={ROOT}"

    done = shell(f"cd {gone} && rmdir {gone} && {environ} {PORTICO} exec @a.js")

    assert (done.returncode, done.stderr) == (2, "portico: the current folder is gone: change to another.\n")
