"""Configured secrets in log records, whoever makes them."""

from __future__ import annotations

import logging

import pytest

from portal import Secret
from portal._redaction import Redactor, redacted_logs

logger = logging.getLogger("some.library")
SHORT, LONG = Secret("abc-123"), Secret("abc-123-and-more")


@pytest.fixture
def redactor() -> Redactor:
    return Redactor([SHORT, LONG])


def test_a_secret_that_contains_another_leaves_no_rest(redactor: Redactor) -> None:
    assert redactor.clean("a abc-123-and-more b abc-123 c") == "a *** b *** c"


def test_arguments_and_objects_in_a_message_are_cleaned(redactor: Redactor, caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(redactor):
        logger.warning("sent %s with %r", LONG.reveal(), {"headers": {"x": SHORT.reveal()}})

    assert caplog.messages == ["sent *** with {'headers': {'x': '***'}}"]


def test_the_text_of_an_exception_is_cleaned(redactor: Redactor, caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(redactor):
        logger.error("failed", exc_info=ValueError(f"bad url https://host/?key={LONG.reveal()}"))

    assert "ValueError: bad url https://host/?key=***" in caplog.text
    assert "abc-123" not in caplog.text


def test_records_without_a_secret_stay_as_they_are(redactor: Redactor, caplog: pytest.LogCaptureFixture) -> None:
    with redacted_logs(redactor):
        logger.warning("plain %d", 7)

    assert (caplog.records[0].msg, caplog.records[0].args) == ("plain %d", (7,))


def test_the_process_is_as_before_when_the_block_ends(redactor: Redactor) -> None:
    before = logging.getLogRecordFactory()
    with redacted_logs(redactor):
        pass

    assert logging.getLogRecordFactory() is before
