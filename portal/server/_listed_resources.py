"""Resources and resource templates of one portal: each under a URI that no other has, and which server a URI means.

A URI stays as its server gives it. Where several servers list the same one, the first in the portal's configuration
keeps it, and the others list theirs as ``portico://{server_id}/{uri}``, which is taken apart again here. So is every
URI that a server itself begins with ``portico://``: none can pass for another server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from portal._glob import fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from portal.server._curated import CuratedServer
    from typegen import JsonObject

SCHEME: Final = "portico://"
_QUALIFIED: Final = re.compile(rf"{SCHEME}([a-z0-9-]+)/(.*)", re.DOTALL)
_EXPRESSION: Final = re.compile(r"\{[^{}]*\}")  # RFC 6570, section 2.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedResource:
    """A resource, or a template, as clients see it: ``uri`` is what they use, ``own_uri`` what its server gave."""

    uri: str
    server_id: str
    own_uri: str
    definition: JsonObject


class Owners:
    """Which server each URI and each template belongs to. Made over a whole portal, so that it holds in every view."""

    def __init__(self, servers: Iterable[CuratedServer]) -> None:
        self._first: dict[tuple[str, str], str] = {}
        for server in servers:
            for key, definition in _definitions(server):
                uri = definition.get(key)
                if isinstance(uri, str):
                    self._first.setdefault((key, uri), server.id)

    def listed_uri(self, server_id: str, uri: str, *, key: str = "uri") -> str:
        """Return the URI by which clients know what the server calls ``uri``."""
        is_its_own = self._first.get((key, uri), server_id) == server_id and not uri.startswith(SCHEME)
        return uri if is_its_own else f"{SCHEME}{server_id}/{uri}"


class ListedResources:
    """The resources and templates of some servers of a portal."""

    def __init__(self, servers: Mapping[str, CuratedServer], owners: Owners) -> None:
        self._servers = servers
        self._owners = owners

    @cached_property
    def resources(self) -> Mapping[str, ListedResource]:
        """The resources by the URIs that clients see."""
        return self._listed("uri")

    @cached_property
    def templates(self) -> Mapping[str, ListedResource]:
        """The templates by the URI templates that clients see."""
        return self._listed("uriTemplate")

    def listed_uri(self, server_id: str, uri: str) -> str:
        """Return the URI by which clients know what a server calls ``uri``, listed or not."""
        return self._owners.listed_uri(server_id, uri)

    def route(self, uri: str) -> tuple[tuple[str, str], ...]:
        """Return which servers may have ``uri`` and what they call it, to be asked in this order; none may be left.

        One that is listed is one server's alone. Of those that are not, the servers with a template that it fits are
        asked, and where there are none, every server with resources.
        """
        listed = self.resources.get(uri)
        if listed is not None:
            return ((listed.server_id, listed.own_uri),)
        if uri.startswith(SCHEME):
            qualified = _QUALIFIED.fullmatch(uri)
            server = self._servers.get(qualified[1]) if qualified is not None else None
            if qualified is None or server is None or not server.has_resources:
                return ()
            return ((server.id, qualified[2]),)
        fitting = [template.server_id for template in self.templates.values() if _fits(template.own_uri, uri)]
        able = [server.id for server in self._servers.values() if server.has_resources]
        return tuple((server_id, uri) for server_id in dict.fromkeys(fitting or able))

    def _listed(self, key: str) -> Mapping[str, ListedResource]:
        listed: dict[str, ListedResource] = {}
        for server in self._servers.values():
            for of_key, definition in _definitions(server):
                own_uri = definition.get(key)
                if of_key != key or not isinstance(own_uri, str):
                    continue
                uri = self._owners.listed_uri(server.id, own_uri, key=key)
                listed.setdefault(
                    uri,
                    ListedResource(
                        uri=uri,
                        server_id=server.id,
                        own_uri=own_uri,
                        definition=definition if uri == own_uri else {**definition, key: uri},
                    ),
                )
        return listed


def _definitions(server: CuratedServer) -> Iterator[tuple[str, JsonObject]]:
    for definition in server.resources:
        yield "uri", definition
    for definition in server.templates:
        yield "uriTemplate", definition


def _fits(template: str, uri: str) -> bool:
    """Whether ``uri`` may have been made from a template: its fixed parts are there, in their order."""
    return fits(_EXPRESSION.split(template), uri)
