"""What can go wrong in a portal, by who can fix it.

::

    PortalError
    ├── ConfigError            the operator: a configuration that cannot be used
    ├── AddressInUse           the operator: something else listens where the portal should
    ├── StoreError             the database, or the way to it
    │   ├── StoreUnusable          the operator: damaged, made by a newer Portico, or not a store at all
    │   └── StoreUnavailable       it cannot be reached, read or written at the moment
    ├── ClientCannot           the client: it has not said that it can be asked, or it is gone
    ├── CallDenied             the user, who said no, or the operator: a tool needs a word that nobody can be asked for
    └── UpstreamFailure        the far server, or the way to it
        ├── UpstreamUnavailable    no session could be made or kept, or the connection broke
        ├── UpstreamBusy           it, or the portal's queue before it, takes nothing more now
        ├── UpstreamTimeout        no answer in time; what the call did is unknown
        ├── UpstreamRefused        the server answered with a JSON-RPC error
        │   └── UpstreamRejected       it answered with an HTTP status and no message at all
        └── UpstreamMisbehaved     the answer is not what MCP says an answer is

Messages of ``UpstreamFailure`` are read by clients and agents: they name the server and what to do, never an address, a
credential or an exception's text. The detail goes to the log where the failure is first seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from typegen import JsonValue


class PortalError(Exception):
    """Root of the portal's errors."""


class ConfigError(PortalError):
    """Raised when a configuration cannot be used; the message is one sentence that says what to do.

    ``file``, ``line`` (1-based) and ``key`` (a dotted path) say where, as far as known.
    """

    def __init__(
        self, message: str, *, file: Path | str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.key = key

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return f"{place}: {self.message}" if place else self.message


class AddressInUse(PortalError):  # noqa: N818 -- named for what happened, as the tree above is
    """Raised when the portal cannot listen on ``host:port``."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}; stop what listens there, or choose another --port")
        self.host = host
        self.port = port


class StoreError(PortalError):
    """Root of what goes wrong with the store. ``store`` says where it is, without a password."""

    def __init__(self, message: str, *, store: str) -> None:
        super().__init__(f"the store {store} {message}")
        self.store = store


class StoreUnusable(StoreError):  # noqa: N818 -- named for what happened, as the tree above is
    """Raised when a store must not be used as it is; the message says what an operator has to do."""


class StoreUnavailable(StoreError):  # noqa: N818 -- as above
    """Raised when the store could not be reached, read or written in time; the same may work later."""


class UpstreamFailure(PortalError):  # noqa: N818 -- engine.UpstreamError is what a program sees of it
    """Raised when an upstream gave no result.

    ``upstream`` is its server id; ``code`` the JSON-RPC or HTTP code, if any; ``is_retryable`` says whether the same
    request may succeed later without anybody changing anything, and ``retry_after_s`` when at the earliest, where that
    is known. ``is_outcome_unknown`` is True when the request went out and no answer came: it may have been carried out,
    so that it must not be sent again unless it is idempotent.
    """

    is_retryable = True
    is_outcome_unknown = False

    def __init__(
        self,
        message: str,
        *,
        upstream: str,
        code: int | None = None,
        data: JsonValue = None,
        retryable: bool | None = None,
        retry_after_s: float | None = None,
        outcome_unknown: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.upstream = upstream
        self.code = code
        self.data = data
        self.retry_after_s = retry_after_s
        if retryable is not None:
            self.is_retryable = retryable
        if outcome_unknown is not None:
            self.is_outcome_unknown = outcome_unknown


class UpstreamUnavailable(UpstreamFailure):
    """Raised when no session with an upstream could be made or kept, or when its connection broke under a request."""


class UpstreamBusy(UpstreamFailure):
    """Raised when an upstream said to come back later, or the portal's queue before it is full.

    Nothing was done, but for HTTP 503: something in between may say that, which has passed the request on.
    """


class UpstreamTimeout(UpstreamFailure):
    """Raised when an upstream did not answer in time; what the call did there is unknown."""

    is_outcome_unknown = True


class UpstreamRefused(UpstreamFailure):
    """Raised when an upstream answered a request with a JSON-RPC error of its own."""

    is_retryable = False


class UpstreamRejected(UpstreamRefused):
    """Raised when an upstream, or a proxy before it, answered with an HTTP status and no message; that is ``code``."""


class UpstreamMisbehaved(UpstreamFailure):
    """Raised when what an upstream sent is not what the protocol allows, or is larger than the portal accepts."""

    is_retryable = False


class ClientCannot(PortalError):  # noqa: N818 -- as above
    """Raised when a client can not be asked: it did not declare the capability, or it is gone."""


class CallDenied(PortalError):  # noqa: N818 -- as above
    """Raised when a tool that needs the user's word did not get it; nothing was done.

    ``reason`` is ``declined`` or ``cannot_ask``. The message is read by clients and agents.
    """

    def __init__(self, message: str, *, server: str, tool: str, reason: Literal["declined", "cannot_ask"]) -> None:
        super().__init__(message)
        self.message = message
        self.server = server
        self.tool = tool
        self.reason = reason
