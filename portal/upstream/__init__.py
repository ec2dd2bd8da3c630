"""The upstreams: sessions with the servers behind a portal, who owns and who shares them, and what they offer."""

from portal.upstream._fleet import Fleet
from portal.upstream._offers import Change, Offers
from portal.upstream._own_sessions import Caller, Users
from portal.upstream._status import ServerStatus, Synced
from portal.upstream._tool import UpstreamTool, read_tools
from portal.upstream._upstream import Upstream

__all__ = [
    "Caller",
    "Change",
    "Fleet",
    "Offers",
    "ServerStatus",
    "Synced",
    "Upstream",
    "UpstreamTool",
    "Users",
    "read_tools",
]
