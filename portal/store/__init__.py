"""What a portal remembers between requests and starts, in SQLite or PostgreSQL.

``async with Store(location, retention=...) as store`` opens it: synced catalogs, learned types, records of calls and
runs, and the results of runs for a while.
"""

from __future__ import annotations

from portal.store._backup import copy_sqlite
from portal.store._catalogs import Catalogs
from portal.store._kept_runs import KeptRuns
from portal.store._learned import StoredTypes
from portal.store._migrate import Migration, migrate, schema_version
from portal.store._records import RecordFilter, Records
from portal.store._store import Store

__all__ = [
    "Catalogs",
    "KeptRuns",
    "Migration",
    "RecordFilter",
    "Records",
    "Store",
    "StoredTypes",
    "copy_sqlite",
    "migrate",
    "schema_version",
]
