"""The tables. A change here is a new file in ``_migrations`` and a new ``HEAD``; a test compares the three.

Texts that come from programs and upstreams are kept as bytes: PostgreSQL's text cannot hold NUL.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

HEAD: Final = "0002"
"""The schema that this version reads and writes. Schemas are numbered, so a greater one is newer."""
VERSION_TABLE: Final = "portico_schema"
"""Not Alembic's own name for it, which another program in the same PostgreSQL database may use."""

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

# SQLite numbers the rows of a table by itself only where the key is an INTEGER.
_RowNumber: Final = BigInteger().with_variant(Integer(), "sqlite")

OFFERS: Final = Table(
    "offers",
    METADATA,
    Column("digest", Text, primary_key=True),  # SHA-256 of ``content``: equal offers are kept once
    Column("content", LargeBinary, nullable=False),  # what the upstream listed and said of itself, a JSON object
)

CATALOGS: Final = Table(
    "catalogs",
    METADATA,
    Column("server_id", Text, primary_key=True),
    Column("source", Text, nullable=False),  # a hash of where the server is: another server's list is not this one's
    Column("digest", Text, ForeignKey(OFFERS.c.digest), nullable=False),
    Column("synced_at", Double, nullable=False),
)

LEARNED_TYPES: Final = Table(
    "learned_types",
    METADATA,
    Column("scope", Text, primary_key=True),
    Column("server_id", Text, primary_key=True),
    Column("tool", LargeBinary, primary_key=True),
    Column("schema_hash", Text, primary_key=True),
    Column("shape", LargeBinary, nullable=False),  # JSON: names and broad types, never values
    Column("learned_at", Double, nullable=False),
)

CALLS: Final = Table(
    "calls",
    METADATA,
    Column("id", _RowNumber, primary_key=True),
    Column("time", Double, nullable=False),
    Column("user", Text, nullable=False),
    Column("portal", Text, nullable=False),
    Column("server", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("duration_ms", Double, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("run", Text),
    Column("code", Text),
    Index(None, "time"),
    Index(None, "run"),
)

RUNS: Final = Table(
    "runs",
    METADATA,
    Column("id", _RowNumber, primary_key=True),
    Column("time", Double, nullable=False),
    Column("user", Text, nullable=False),
    Column("portal", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("source_sha256", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("duration_ms", Double, nullable=False),
    Column("cpu_ms", Double, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("answer_chars", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("calls_ok", BigInteger, nullable=False),
    Column("tools", JSON, nullable=False),  # how many calls of each tool
    Index(None, "time"),
    Index(None, "run"),
)

KEPT_RUNS: Final = Table(
    "kept_runs",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("kept_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("value", LargeBinary),
    Column("failure", LargeBinary),
    Index(None, "expires_at"),
)

KEPT_CALLS: Final = Table(
    "kept_calls",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("run", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("identifier", Text, nullable=False),
    Column("arguments", LargeBinary, nullable=False),
    Column("result", LargeBinary, nullable=False),
    ForeignKeyConstraint(["owner", "run"], [KEPT_RUNS.c.owner, KEPT_RUNS.c.run], ondelete="CASCADE"),
)
