"""A log that nobody reads holds up nothing: not the process that writes it, and not its end."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from portal import Secret
from portal._redaction import Redactor, redacted_logs
from portal.cli._log_thread import FLUSH_S, ThreadHandler
from tests.portal.cli.conftest import TIMEOUT_S, line, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the size of a pipe is set")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe that takes no byte more."""
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, b"." * size)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@contextmanager
def logging_to(handler: logging.Handler) -> Iterator[logging.Logger]:
    logger = logging.Logger("portico.some")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()


def read_until(reader: int, is_enough: Callable[[str], bool]) -> list[str]:
    """Read what was written behind the bytes that filled the pipe."""
    text = ""
    while not is_enough(text):
        text += os.read(reader, 4096).decode()
    return text.lstrip(".").splitlines()


def test_the_lines_that_wait_are_bounded_and_it_is_said_how_many_were_left_out(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with logging_to(ThreadHandler(writer, max_lines=10)) as logger:
        for number in range(13):
            logger.warning("line %d", number)
        lines = read_until(reader, lambda text: "in time" in text and text.endswith("\n"))

    assert lines == [
        *(f"line {number}" for number in range(10)),
        "lines left out here, which could not be written in time: 3",
    ]


def test_as_many_lines_as_may_wait_are_all_written(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with logging_to(ThreadHandler(writer, max_lines=10)) as logger:
        for number in range(10):
            logger.warning("line %d", number)
        read_until(reader, lambda text: "line 9\n" in text)
        logger.warning("the next")
        lines = read_until(reader, lambda text: "next\n" in text)

    assert lines == ["the next"]


def test_lines_that_cannot_be_written_are_counted_too(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    full = os.open("/dev/full", os.O_WRONLY)
    with logging_to(handler := ThreadHandler(full)) as logger:
        logger.warning("lost")
        handler.flush()
        os.dup2(writer, full)
        logger.warning("written")
        lines = read_until(reader, lambda text: "in time" in text and text.endswith("\n"))
    os.close(full)

    assert lines == ["written", "lines left out here, which could not be written in time: 1"]


def test_a_pipe_that_another_process_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    with logging_to(ThreadHandler(writer)) as logger:
        logger.warning("x" * 10_000)
        logger.warning("end")
        lines = read_until(reader, lambda text: "end\n" in text)

    assert lines == ["x" * 10_000, "end"]


def test_the_end_waits_a_moment_for_a_reader_and_not_longer(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with logging_to(handler := ThreadHandler(writer)) as logger:
        logger.warning("line")
        began = time.monotonic()
        handler.flush()
        waited_s = time.monotonic() - began
        read_until(reader, lambda text: "line\n" in text)

    assert FLUSH_S <= waited_s < FLUSH_S + 5


def test_a_secret_that_comes_into_an_argument_later_is_not_written(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    headers = {"authorization": "Bearer abc-123"}
    with redacted_logs(Redactor([Secret("abc-123"), Secret("later-456")])), logging_to(ThreadHandler(writer)) as logger:
        logger.warning("first")  # the thread now waits for a reader
        logger.warning("%s", headers)
        headers["authorization"] = "Bearer later-456"
        lines = read_until(reader, lambda text: "}\n" in text)

    assert lines == ["first", "{'authorization': 'Bearer ***'}"]


def test_a_portal_whose_log_nobody_reads_serves_and_stops(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    with serving("--json", stderr=writer) as process:
        origin = json.loads(line(process))["origin"]
        health = httpx.get(f"{origin}/healthz", timeout=TIMEOUT_S / 2)
        process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT_S / 2)

    assert health.is_success
    assert code == 0


def test_what_was_logged_last_is_written_at_the_end() -> None:
    program = """
import logging
from portal.cli._output import start_logging
start_logging(is_debug=False, level=logging.INFO, serves=True)
for number in range(5_000):
    logging.getLogger("portico").info("line %d", number)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert [text.rpartition(" ")[2] for text in done.stderr.splitlines()] == [str(number) for number in range(5_000)]
