"""Catalogs, learned types, records of calls and runs, and kept runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tool_lists",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("tools", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_tool_lists"),
    )
    op.create_table(
        "catalogs",
        sa.Column("server_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("synced_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("server_id", name="pk_catalogs"),
        sa.ForeignKeyConstraint(["digest"], ["tool_lists.digest"], name="fk_catalogs_tool_lists"),
    )
    op.create_table(
        "learned_types",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("server_id", sa.Text, nullable=False),
        sa.Column("tool", sa.LargeBinary, nullable=False),
        sa.Column("schema_hash", sa.Text, nullable=False),
        sa.Column("shape", sa.LargeBinary, nullable=False),
        sa.Column("learned_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("scope", "server_id", "tool", "schema_hash", name="pk_learned_types"),
    )
    _make_records()
    _make_kept_runs()


def _make_records() -> None:
    op.create_table(
        "calls",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("portal", sa.Text, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.Double, nullable=False),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("response_bytes", sa.BigInteger, nullable=False),
        sa.Column("run", sa.Text),
        sa.Column("code", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_table(
        "runs",
        sa.Column("id", _ROW_NUMBER, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("portal", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("source_sha256", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("duration_ms", sa.Double, nullable=False),
        sa.Column("cpu_ms", sa.Double, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("answer_chars", sa.BigInteger, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("calls_ok", sa.BigInteger, nullable=False),
        sa.Column("tools", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    for table in ("calls", "runs"):
        for column in ("time", "run"):
            op.create_index(f"ix_{table}_{column}", table, [column])


def _make_kept_runs() -> None:
    op.create_table(
        "kept_runs",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("kept_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("value", sa.LargeBinary),
        sa.Column("failure", sa.LargeBinary),
        sa.PrimaryKeyConstraint("owner", "run", name="pk_kept_runs"),
    )
    op.create_index("ix_kept_runs_expires_at", "kept_runs", ["expires_at"])
    op.create_table(
        "kept_calls",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("arguments", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("owner", "run", "number", name="pk_kept_calls"),
        sa.ForeignKeyConstraint(
            ["owner", "run"],
            ["kept_runs.owner", "kept_runs.run"],
            name="fk_kept_calls_kept_runs",
            ondelete="CASCADE",
        ),
    )
