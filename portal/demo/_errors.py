"""What a tracker call answers when it cannot do as asked.

``TrackerError``  the call failed and nothing changed; ``status`` is what an HTTP tracker would have answered
"""

from __future__ import annotations

from http import HTTPStatus


class TrackerError(Exception):
    """A refused call; the text is written for whoever made it and says what to do instead."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(f"{status.value} {status.phrase}: {reason}")
        self.status = status


def not_found(reason: str) -> TrackerError:
    """Build the error for a record that does not exist."""
    return TrackerError(HTTPStatus.NOT_FOUND, reason)


def forbidden(reason: str) -> TrackerError:
    """Build the error for a change that the tracker does not allow."""
    return TrackerError(HTTPStatus.FORBIDDEN, reason)


def conflict(reason: str) -> TrackerError:
    """Build the error for a change that contradicts the present state."""
    return TrackerError(HTTPStatus.CONFLICT, reason)


def unprocessable(reason: str) -> TrackerError:
    """Build the error for arguments that have the right types and make no sense."""
    return TrackerError(HTTPStatus.UNPROCESSABLE_ENTITY, reason)
