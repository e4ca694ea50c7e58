"""What models remember and took. Frozen: the tables as they are now stand in `bot.store.schema_memory`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("executions", sa.Column("worded_by", sa.Text()))
    op.add_column("executions", sa.Column("read_untrusted", sa.Integer(), nullable=False, server_default="0"))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "agent_places",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("unprompted", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_agent_places"),
    )
    op.create_table(
        "agent_memories",
        sa.Column("id", number, nullable=False),
        sa.Column("place_digest", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_memories"),
    )
    op.create_index("ix_agent_memories_place_digest_id", "agent_memories", ["place_digest", "id"])
    op.create_index("ix_agent_memories_at", "agent_memories", ["at"])
    op.create_table(
        "agent_asked",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("place_digest", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", name="pk_agent_asked"),
    )
    op.create_index("ix_agent_asked_at", "agent_asked", ["at"])
    op.create_table(
        "agent_spendings",
        sa.Column("id", number, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("person", sa.Text()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("tokens_read", sa.BigInteger(), nullable=False),
        sa.Column("tokens_written", sa.BigInteger(), nullable=False),
        sa.Column("money_micros", sa.BigInteger(), nullable=False),
        sa.Column("took_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agent_spendings"),
    )
    op.create_index("ix_agent_spendings_at", "agent_spendings", ["at"])
    op.create_index("ix_agent_spendings_agent_at", "agent_spendings", ["agent", "at"])
    op.create_table(
        "ticks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Float()),
        sa.Column("ran_at", sa.Float()),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("said_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_ticks"),
    )
    # What it said stands in `ticks` from the next look on.
    op.drop_column("sessions", "last_cadence_at")
