"""Who may speak to the endpoint at all: Host, Origin and bearer token, checked before anything is parsed.

Host and Origin stop a web page from reaching a portal on the visitor's own machine (DNS rebinding; MCP 2025-11-25,
transports, security warning). The token is compared in constant time and says who calls.
"""

from __future__ import annotations

import hmac
import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from portal.server._endpoint import USER_KEY
from portal.server._http_messages import HttpRefusal
from portal.server._server import LOCAL_USER

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from portal._config import Config

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Probes reach the process by whatever address it has, and learn nothing but that it lives."""
TOKEN_USER: Final = "token"  # noqa: S105 -- a name for whoever holds the one token of this version


class HostGate:
    """Refuses requests whose Host is not ours (421) or whose Origin is another site's (403)."""

    def __init__(self, app: ASGIApp, *, config: Config) -> None:
        self._app = app
        public = urlsplit(config.public_url) if config.public_url is not None else None
        own_names = [portal.hostname for portal in config.portals if portal.hostname is not None]
        self._public_hosts = frozenset(
            spelling
            for scheme, netloc in [
                *([(public.scheme, public.netloc)] if public else []),
                *(("https", name) for name in own_names),
            ]
            for spelling in _host_spellings(scheme, netloc)
        )
        self._public_origins = frozenset(
            [*([config.public_url] if config.public_url else []), *(f"https://{name}" for name in own_names)]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        host, origin = "", None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1").lower()
            elif name == b"origin":
                origin = value.decode("latin-1")
        is_local = is_loopback_host(host)
        if not is_local and host not in self._public_hosts:
            await HttpRefusal(421, "This host name is not served here").send(send)
        elif origin is not None and not self._may_come_from(origin.lower(), is_local=is_local):
            await HttpRefusal(403, "Requests from this origin are not allowed").send(send)
        else:
            await self._app(scope, receive, send)

    def _may_come_from(self, origin: str, *, is_local: bool) -> bool:
        """Say whether pages of ``origin`` may call: our own, and local ones (the Inspector) if the call is local."""
        if origin in self._public_origins:
            return True
        try:
            return is_local and is_loopback_host(urlsplit(origin).netloc)
        except ValueError:  # no address at all
            return False


class TokenGate:
    """Refuses requests without the configured bearer token (401), and notes who calls."""

    def __init__(self, app: ASGIApp, *, config: Config) -> None:
        self._app = app
        self._token = config.token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if self._token is None:
            scope[USER_KEY] = LOCAL_USER
        else:
            scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
            expected = self._token.reveal().encode()
            is_right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), expected)
            if scheme.lower() != "bearer" or not is_right:
                # RFC 6750 section 3: no error code when the request carried no credential.
                challenge = b'Bearer realm="portico"' + (b', error="invalid_token"' if given else b"")
                refusal = HttpRefusal(401, "A bearer token is required", headers=((b"www-authenticate", challenge),))
                await refusal.send(send)
                return
            scope[USER_KEY] = TOKEN_USER
        await self._app(scope, receive, send)


@lru_cache(maxsize=1024)
def is_loopback_host(netloc: str) -> bool:
    """Whether a Host header, or an origin's address, names this machine by a name that no one else can claim."""
    try:
        name = urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host_spellings(scheme: str, netloc: str) -> set[str]:
    """The ways to write the Host of a public address: with or without the scheme's own port."""
    default = f":{443 if scheme == 'https' else 80}"
    bare = netloc.removesuffix(default)
    return {netloc, bare, f"{bare}{default}"} if bare.rpartition(":")[1] == "" or bare.endswith("]") else {netloc}
