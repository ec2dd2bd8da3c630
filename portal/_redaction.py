"""Keeping configured secrets out of every log record of the process, at every level.

Upstream tokens reach libraries (HTTP clients, the MCP SDK, a child's standard error), and each of them may log what it
handles. A filter on a handler misses handlers that come later, so records are cleaned where they are made.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from portal._secret import Secret

HIDDEN: Final = "***"


class Redactor:
    """Replaces known secrets in text."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        # Longest first: a secret that contains another must not leave its rest behind.
        self._texts = sorted({secret.reveal() for secret in secrets}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Return ``text`` with every secret replaced by ``***``."""
        for secret in self._texts:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return text

    def __bool__(self) -> bool:
        return bool(self._texts)


@contextmanager
def redacted_logs(redactor: Redactor) -> Iterator[None]:
    """Clean every log record that any logger of the process makes while the block is open."""
    if not redactor:
        yield
        return
    inner = logging.getLogRecordFactory()
    outer = _cleaning(inner, redactor)
    logging.setLogRecordFactory(outer)
    try:
        yield
    finally:
        # Another factory may have been put on top meanwhile; it stays, and calls ours.
        if logging.getLogRecordFactory() is outer:
            logging.setLogRecordFactory(inner)


def _cleaning(inner: Callable[..., logging.LogRecord], redactor: Redactor) -> Callable[..., logging.LogRecord]:
    def make_record(*args: object, **kwargs: object) -> logging.LogRecord:
        record = inner(*args, **kwargs)
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 -- a record with wrong arguments is reported by logging itself, later
            return record
        cleaned = redactor.clean(message)
        if cleaned != message:
            record.msg, record.args = cleaned, ()
        if record.exc_info and record.exc_info[1] is not None:
            text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            hidden = redactor.clean(text)
            if hidden != text:
                # Formatters print exc_text when it is there and format exc_info otherwise.
                record.exc_text, record.exc_info = hidden, None
        return record

    return make_record
