"""The upstreams: sessions with the servers behind a portal, who owns and who shares them, and what they offer."""

from portal.upstream._fleet import Caller, Fleet
from portal.upstream._tool import UpstreamTool, read_tools
from portal.upstream._upstream import ServerStatus, Upstream

__all__ = ["Caller", "Fleet", "ServerStatus", "Upstream", "UpstreamTool", "read_tools"]
