"""Break-glass. Frozen: the tables as they are now stand in `bot.store.schema_known` and `bot.store.schema`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "glasses",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("person_digest", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("place_digest", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("announce_to", sa.Text(), nullable=False),
        sa.Column("review_within_s", sa.Float(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.Column("ended_by", sa.Text()),
        sa.Column("ended_why", sa.Text(), nullable=False),
        sa.Column("review_by", sa.Float()),
        sa.Column("reviewed_at", sa.Float()),
        sa.Column("reviewed_by", sa.Text()),
        sa.Column("finding", sa.Text()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_glasses"),
    )
    op.create_index("ix_glasses_state_opened_at", "glasses", ["state", "opened_at"])
    is_open = sa.text("state = 'open'")
    op.create_index(
        "one_open_glass_a_person_and_place",
        "glasses",
        ["person_digest", "place_digest"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    op.add_column("executions", sa.Column("glass_id", sa.Text()))
    is_under = sa.text("glass_id IS NOT NULL")
    op.create_index(
        "executions_under_glass", "executions", ["glass_id"], sqlite_where=is_under, postgresql_where=is_under
    )
