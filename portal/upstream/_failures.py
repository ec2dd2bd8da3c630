"""What can go wrong on the way to an upstream, and how it is told: to the operator as a cause, to a caller as an error.

A cause may hold what the operator configured; what a caller reads names the server alone.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Final, Literal

from portal._errors import UpstreamBusy, UpstreamFailure, UpstreamMisbehaved, UpstreamRejected, UpstreamUnavailable

if TYPE_CHECKING:
    from portal.wire import RpcError

NOT_STREAMABLE: Final = frozenset({404, 405, 406})
"""The answers of a server that speaks HTTP+SSE to a Streamable HTTP request (MCP 2025-11-25, transports)."""
MAX_RETRY_AFTER_S: Final = 86_400.0

Kind = Literal["unsent", "unknown", "status", "too_large", "not_mcp"]
"""Nothing was sent; it was sent and no answer came; an HTTP status; more bytes than allowed; no message of MCP."""


class TransportFailure(Exception):  # noqa: N818 -- told on as one of the errors of portal._errors
    """Raised by a transport for one request. ``phrase`` says what happened, for the operator.

    ``error`` is the JSON-RPC error that came with an HTTP status of 400 or more.
    """

    def __init__(
        self,
        phrase: str,
        *,
        kind: Kind,
        status: int | None = None,
        retry_after_s: float | None = None,
        error: RpcError | None = None,
    ) -> None:
        super().__init__(phrase)
        self.phrase = phrase
        self.kind: Kind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        self.error = error

    def as_cause(self, server: str) -> UpstreamFailure:
        """Say for the operator why a session did not come about."""
        match self.kind:
            case "status":
                status = self.status or 0
                return UpstreamUnavailable(
                    _status_cause(status, self.phrase),
                    upstream=server,
                    code=status,
                    retryable=_may_pass(status),
                    retry_after_s=self.retry_after_s,
                )
            case "not_mcp":
                cause = f"what answers there does not speak MCP ({self.phrase}): check its url"
                return UpstreamUnavailable(cause, upstream=server)
            case "too_large":
                return UpstreamUnavailable(f"it sent {self.phrase}, which is too much", upstream=server)
            case _:
                return UpstreamUnavailable(self.phrase, upstream=server)

    def as_error(self, server: str) -> UpstreamFailure:
        """Say for the caller what became of its request."""
        match self.kind:
            case "unsent":
                message = f"{server} could not be reached; nothing was done, and the portal goes on trying"
                return UpstreamUnavailable(message, upstream=server, retry_after_s=self.retry_after_s)
            case "unknown":
                message = (
                    f"the connection to {server} broke before it answered: the outcome is unknown, so find out whether "
                    "it took effect before you repeat it"
                )
                return UpstreamUnavailable(message, upstream=server, outcome_unknown=True)
            case "status":
                return _refusal(server, self.status or 0, self.retry_after_s)
            case "too_large":
                message = f"{server} sent {self.phrase}, which is too much; ask for less"
                return UpstreamMisbehaved(message, upstream=server)
            case "not_mcp":
                message = f"{server} answered with something that is no message of MCP ({self.phrase})"
                return UpstreamMisbehaved(message, upstream=server)


def too_large(limit_bytes: int, *, declared_bytes: int | None = None, what: str = "an answer") -> TransportFailure:
    """Describe an answer that is larger than the limit, by its size where that was declared."""
    limit = f"more than {_size(limit_bytes)}"
    phrase = f"{what} of {limit}" if declared_bytes is None else f"{what} of {_size(declared_bytes)} ({limit})"
    return TransportFailure(phrase, kind="too_large")


def retry_after_s(value: str | None) -> float | None:
    """Read ``Retry-After`` (RFC 9110 section 10.2.3): seconds, or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return min(float(value), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return min(max(moment.timestamp() - time(), 0.0), MAX_RETRY_AFTER_S)


def _refusal(server: str, status: int, after_s: float | None) -> UpstreamFailure:
    if status in {401, 403}:
        message = f"{server} refused the portal's credential (HTTP {status}); an administrator has to renew it"
        return UpstreamRejected(message, upstream=server, code=status)
    # 502 and 504 are a proxy's, and 503 may be: what stands behind it may have done its work.
    if status in {429, 503}:
        when = f"in {after_s:.0f} s" if after_s else "later"
        message = f"{server} is too busy (HTTP {status}); try again {when}"
        if status == 503:
            message = (
                f"{server} is too busy (HTTP 503) and the outcome is unknown; try again {when} if that does no harm"
            )
        return UpstreamBusy(message, upstream=server, code=status, retry_after_s=after_s, outcome_unknown=status == 503)
    unknown = status in {502, 504}
    advice = " and the outcome is unknown" if unknown else "; try again later" if _may_pass(status) else ""
    return UpstreamRejected(
        f"{server} answered with HTTP {status}{advice}",
        upstream=server,
        code=status,
        retryable=_may_pass(status),
        retry_after_s=after_s,
        outcome_unknown=unknown,
    )


def _status_cause(status: int, phrase: str) -> str:
    known = HTTPStatus(status).phrase if status in {item.value for item in HTTPStatus} else ""
    what = f"HTTP {status} {known}".rstrip()
    if status in {401, 403}:
        return f"{what}: it refuses the credential; check auth of this server"
    if status in NOT_STREAMABLE:
        return f"{what}: no MCP endpoint at this address"
    return f"{what}: {phrase}" if phrase else what


def _may_pass(status: int) -> bool:
    return status >= 500 or status in {408, 425, 429}


def _size(size_bytes: int) -> str:
    if size_bytes % 2**20 == 0:
        return f"{size_bytes // 2**20} MiB"
    return f"{size_bytes / 2**20:.1f} MiB" if size_bytes > 2**20 else f"{size_bytes} bytes"
