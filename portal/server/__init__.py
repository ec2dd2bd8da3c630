"""The MCP server that clients meet: the HTTP face, what is listed in each mode, and how calls are answered."""

from portal.server._gate import HostGate, is_loopback_host
from portal.server._http import HttpFace
from portal.server._invoker import PortalInvoker
from portal.server._listing import ListedTool, Listing
from portal.server._long_list import LONG_LIST_TOKENS, long_list_warning
from portal.server._modes import BadQuery, Mode, View, view_of
from portal.server._names import MAX_NAME_CHARS, listed_name
from portal.server._own_tools import OWN_SERVER_ID
from portal.server._serve import listen, serve_app
from portal.server._server import LOCAL_USER, ServedPortal
from portal.server._stdio import own_streams, serve_client

__all__ = [
    "LOCAL_USER",
    "LONG_LIST_TOKENS",
    "MAX_NAME_CHARS",
    "OWN_SERVER_ID",
    "BadQuery",
    "HostGate",
    "HttpFace",
    "ListedTool",
    "Listing",
    "Mode",
    "PortalInvoker",
    "ServedPortal",
    "View",
    "is_loopback_host",
    "listed_name",
    "listen",
    "long_list_warning",
    "own_streams",
    "serve_app",
    "serve_client",
    "view_of",
]
