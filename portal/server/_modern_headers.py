"""What a request of MCP 2026-07-28 says about itself, checked: its ``_meta``, and the headers that repeat the body.

MCP 2026-07-28, basic ("Per-request protocol fields") and Streamable HTTP ("Request Metadata"): a proxy routes by the
headers and we act on the body, so both have to say the same.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from portal.server._http_messages import HttpRefusal
from portal.wire import (
    CAPABILITIES_KEY,
    INVALID_PARAMS,
    MODERN_VERSION,
    NAMED_BY,
    UNSUPPORTED_VERSION,
    VERSION_KEY,
    decode_header,
    param_mismatch,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal.server._http_messages import HttpRequest
    from portal.wire import MirroredParam, RequestId
    from typegen import JsonObject, JsonValue

HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021

VERSION_HEADER: Final = b"mcp-protocol-version"
METHOD_HEADER: Final = b"mcp-method"
NAME_HEADER: Final = b"mcp-name"
PARAM_PREFIX: Final = b"mcp-param-"


def checked_meta(method: str, params: JsonObject, request_id: RequestId, request: HttpRequest) -> JsonObject:
    """Return the ``_meta`` of a request whose headers agree with it. Raises ``HttpRefusal``."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or VERSION_KEY not in meta or not isinstance(meta.get(CAPABILITIES_KEY), dict):
        message = f"params._meta must have {VERSION_KEY} and {CAPABILITIES_KEY}"
        raise HttpRefusal(400, message, code=INVALID_PARAMS, request_id=request_id)
    mismatch = _header_mismatch(method, params, meta[VERSION_KEY], request)
    if mismatch is not None:
        raise HttpRefusal(400, mismatch, code=HEADER_MISMATCH, request_id=request_id)
    check_version(request, request_id)
    return meta


def version_in(request: HttpRequest) -> bytes | None:
    """Return the protocol version that a request names; blanks around it are not part of it (RFC 9110, section 5.5)."""
    version = request.headers.get(VERSION_HEADER)
    return version.strip(b" \t") if version is not None else None


def check_version(request: HttpRequest, request_id: RequestId | None) -> None:
    """Raise ``HttpRefusal`` unless the version in the header is spoken without a handshake."""
    asked = (version_in(request) or b"").decode("latin-1")
    if asked != MODERN_VERSION:
        data: JsonValue = {"supported": [MODERN_VERSION], "requested": asked}
        message = "Unsupported protocol version"
        raise HttpRefusal(400, message, code=UNSUPPORTED_VERSION, data=data, request_id=request_id)


def check_params(
    mirrored: tuple[MirroredParam, ...], arguments: JsonValue, request_id: RequestId, request: HttpRequest
) -> None:
    """Raise ``HttpRefusal`` unless the ``Mcp-Param`` headers of a call agree with its arguments."""
    given = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in request.headers.items()
        if name.startswith(PARAM_PREFIX)
    }
    mismatch = param_mismatch(mirrored, arguments if isinstance(arguments, dict) else {}, given)
    if mismatch is None:
        known = {param.header.encode("latin-1") for param in mirrored}
        twice = _repeated(name for name, _ in request.raw_headers if name in known)
        mismatch = f"{twice} header is given more than once" if twice else None
    if mismatch is not None:
        raise HttpRefusal(400, mismatch, code=HEADER_MISMATCH, request_id=request_id)


def _header_mismatch(method: str, params: JsonObject, version: JsonValue, request: HttpRequest) -> str | None:
    # As in ``version_in``: the HTTP parser leaves the blanks behind a value.
    headers = {name: value.strip(b" \t") for name, value in request.headers.items()}
    if headers.get(VERSION_HEADER, b"").decode("latin-1") != version:
        return f"the MCP-Protocol-Version header does not match {VERSION_KEY} in the body"
    if headers.get(METHOD_HEADER, b"").decode("latin-1") != method:
        return "the Mcp-Method header does not match the method in the body"
    key = NAMED_BY.get(method)
    if key is not None:
        given = headers.get(NAME_HEADER)
        if given is None or decode_header(given.decode("latin-1")) != params.get(key):
            return f"the Mcp-Name header does not match {key} in the body"
    if len(headers) != len(request.raw_headers):
        routing = (VERSION_HEADER, METHOD_HEADER, NAME_HEADER)
        twice = _repeated(name for name, _ in request.raw_headers if name in routing)
        if twice:
            return f"the {twice} header is given more than once"
    return None


def _repeated(names: Iterable[bytes]) -> str | None:
    return next((name.decode("latin-1") for name, count in Counter(names).items() if count > 1), None)
