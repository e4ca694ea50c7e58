"""People who are let in by a code. Frozen: the tables as they are now stand in `bot.store.schema`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "pairings",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("account_digest", sa.Text(), nullable=False),
        sa.Column("native", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("code", sa.Text()),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("paired_at", sa.Float()),
        sa.Column("paired_by", sa.Text()),
        sa.CheckConstraint("(code IS NULL) = (paired_at IS NOT NULL)", name=op.f("ck_pairings_a_code_is_good_once")),
        sa.PrimaryKeyConstraint("digest", name="pk_pairings"),
        sa.UniqueConstraint("code", name="uq_pairings_code"),
    )
    op.create_index("ix_pairings_account_digest", "pairings", ["account_digest"])
