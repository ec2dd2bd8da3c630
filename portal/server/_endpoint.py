"""One portal over Streamable HTTP, every protocol version on one path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from portal.server._http_messages import ClientGone, HttpRefusal, HttpRequest
from portal.server._modern_headers import version_in
from portal.server._modern_http import ModernHttp
from portal.server._modes import BadQuery, view_of
from portal.server._session_http import SessionHttp
from portal.wire import HANDSHAKE_VERSIONS

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from portal._config import PortalConfig
    from portal.server._exchanges import Exchanges
    from portal.server._modes import View
    from portal.server._server import ServedPortal
    from portal.server._sessions import Sessions

USER_KEY: Final = "portico.user"
"""The key of the ASGI scope under which the gate puts who calls."""
MAX_VIEWS: Final = 256
"""Queries whose meaning is remembered; there are a few dozen that mean anything, and many ways to write them."""
_WITH_SESSIONS: Final = frozenset(version.encode() for version in HANDSHAKE_VERSIONS)


class Endpoint:
    """One portal's address. An ASGI application."""

    def __init__(self, portal: ServedPortal, config: PortalConfig, sessions: Sessions, exchanges: Exchanges) -> None:
        self._config = config
        self._views: dict[bytes, View] = {}
        self.listeners = portal.announcements
        self._modern = ModernHttp(portal, exchanges, self.listeners)
        self._with_sessions = SessionHttp(portal, config.id, sessions, exchanges, self.listeners)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        request = HttpRequest.of(scope, receive, send)
        try:
            await self._serve(request, self.user(scope))
        except HttpRefusal as refusal:
            await refusal.send(send)
        except ClientGone:
            return

    async def _serve(self, request: HttpRequest, user: str) -> None:
        request.check_head()
        view = self.view(request.query)
        version = version_in(request)
        if version is None or version in _WITH_SESSIONS:
            await self._with_sessions.serve(request, user=user, view=view)
        else:
            await self._modern.serve(request, user=user, view=view)

    @staticmethod
    def user(scope: Scope) -> str:
        """Return who calls, as the gate found out."""
        return str(scope[USER_KEY])

    def view(self, query: bytes) -> View:
        """Return what a query asks for. Raises ``HttpRefusal``."""
        view = self._views.get(query)
        if view is None:
            try:
                view = view_of(parse_qsl(query.decode("latin-1"), keep_blank_values=True), self._config.code_mode)
            except (BadQuery, ValueError) as mistake:
                raise HttpRefusal(400, str(mistake)) from None
            if len(self._views) < MAX_VIEWS:
                self._views[query] = view
        return view
