"""The lists of one portal by what a caller has chosen, made and serialised once for each change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import orjson

from portal.server._envelope import enveloped
from portal.server._listing import Listing
from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from portal._config import PortalConfig
    from portal.server._modes import Mode
    from portal.server._request import ClientRequest
    from portal.server._switches import Switches
    from portal.upstream import Caller, Fleet
    from typegen import JsonObject

logger = logging.getLogger("portico.portal")

MAX_LISTINGS: Final = 64
"""Views of a portal that are kept made: users may switch off any of its servers, in any combination."""


class Lists:
    """What one portal offers now, to whom. Everything here is made when it is first asked for."""

    def __init__(self, *, config: PortalConfig, fleet: Fleet, switches: Switches) -> None:
        self._config = config
        self._fleet = fleet
        self._switches = switches
        self._told: set[str] = set()
        self._generation = -1
        self._listings: dict[tuple[frozenset[str], bool], Listing] = {}
        self._bytes: dict[tuple[frozenset[str], bool, str, Mode, bool], bytes | None] = {}

    def __len__(self) -> int:
        return len(self._listings) + len(self._bytes)

    def of(self, caller: Caller, *, is_read_only: bool) -> Listing:
        """Return what the portal offers now to ``caller``."""
        return self._listing(self._switches.off_for(caller.user), is_read_only=is_read_only)

    @property
    def whole(self) -> Listing:
        """What the portal offers now to those who have switched nothing off."""
        return self._listing(frozenset(), is_read_only=False)

    def for_request(self, request: ClientRequest) -> Listing:
        """Return what the portal offers now to the one who asks."""
        return self.of(request.caller, is_read_only=request.view.is_read_only)

    def serialised(self, method: str, request: ClientRequest) -> bytes | None:
        """Return the result of a list as it goes on the wire; None for what is no list or cannot be serialised so."""
        listing = self.for_request(request)
        view = request.view
        key = (self._switches.off_for(request.caller.user), view.is_read_only, method, view.mode, request.is_modern)
        if key not in self._bytes:
            answer = listing.answer_to(method, view.mode, is_modern=request.is_modern)
            if answer is None:  # not kept: a client may make up any number of methods
                return None
            self._bytes[key] = _serialised(enveloped(answer, method, is_modern=request.is_modern))
        return self._bytes[key]

    async def tools(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer ``tools/list``. Raises ``RpcError`` for a cursor, as its like do: lists are given in one piece."""
        return self._answer("tools/list", params, request)

    async def prompts(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer ``prompts/list``."""
        return self._answer("prompts/list", params, request)

    async def resources(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer ``resources/list``."""
        return self._answer("resources/list", params, request)

    async def templates(self, params: JsonObject, request: ClientRequest) -> JsonObject:
        """Answer ``resources/templates/list``."""
        return self._answer("resources/templates/list", params, request)

    def _answer(self, method: str, params: JsonObject, request: ClientRequest) -> JsonObject:
        if params.get("cursor") is not None:
            raise RpcError(INVALID_PARAMS, "Unknown cursor: this portal gives each list in one piece")
        answer = self.for_request(request).answer_to(method, request.view.mode, is_modern=request.is_modern)
        return answer or {}

    def _listing(self, off: frozenset[str], *, is_read_only: bool) -> Listing:
        if self._generation != self._fleet.generation:
            self._generation = self._fleet.generation
            self._listings.clear()
            self._bytes.clear()
        known = self._listings.get((off, is_read_only))
        if known is not None:
            return known
        if is_read_only:
            listing = self._listing(off, is_read_only=False).read_only
        elif off:
            listing = self._listing(frozenset(), is_read_only=False).without(off)
        else:
            listing = Listing.of(self._config, self._fleet)
            self._tell(listing.remarks)
        self._listings[off, is_read_only] = listing
        while len(self._listings) > MAX_LISTINGS:
            self._forget(next(key for key in self._listings if key[0]))  # that of the whole portal is in every other
        return listing

    def _forget(self, view: tuple[frozenset[str], bool]) -> None:
        del self._listings[view]
        for key in [key for key in self._bytes if key[:2] == view]:
            del self._bytes[key]

    def _tell(self, remarks: Iterable[str]) -> None:
        """Log what the operator should know of the rules, each remark once."""
        for remark in remarks:
            if remark not in self._told:
                self._told.add(remark)
                logger.warning("%s", remark)


def _serialised(answer: JsonObject) -> bytes | None:
    try:
        return orjson.dumps(answer)
    except TypeError:  # integers beyond 64 bits, lone surrogates: the transport serialises those by itself
        return None
