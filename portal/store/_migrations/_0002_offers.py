"""Prompts, resources and templates beside the tools that each server listed, with what it says of itself."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of offers from that of tool lists, and have the catalogs refer to it."""
    connection = op.get_bind()
    kept = connection.execute(
        sa.text(
            "SELECT c.server_id, c.source, c.synced_at, t.tools"
            " FROM catalogs AS c JOIN tool_lists AS t ON t.digest = c.digest"
        )
    ).all()
    op.drop_table("catalogs")
    op.drop_table("tool_lists")
    offers = op.create_table(
        "offers",
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_offers"),
    )
    catalogs = op.create_table(
        "catalogs",
        sa.Column("server_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("synced_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("server_id", name="pk_catalogs"),
        sa.ForeignKeyConstraint(["digest"], ["offers.digest"], name="fk_catalogs_offers"),
    )
    seen: set[str] = set()
    for server_id, source, synced_at, tools in kept:
        content = json.dumps({"tools": json.loads(bytes(tools))}, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        if digest not in seen:
            seen.add(digest)
            connection.execute(offers.insert().values(digest=digest, content=content))
        connection.execute(
            catalogs.insert().values(server_id=server_id, source=source, digest=digest, synced_at=synced_at)
        )
