"""The demo upstream: an issue tracker with people, 500 issues, comments and a calendar, served in process.

It needs no network, no credential and no file, so that a first start has something real to compose. Everything is
generated from one seed and the date of the start: the same day gives the same tracker. Changes live as long as the
server object.
"""

from __future__ import annotations

from portal.demo._server import build_server

__all__ = ["build_server"]
