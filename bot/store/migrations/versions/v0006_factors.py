"""Second factors, and which votes and grants carried one. Frozen: the tables stand in `bot.store.schema_known`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0007"


def upgrade() -> None:
    # A yes of before this version carried none.
    for table in ("votes", "grants"):
        op.add_column(table, sa.Column("with_factor", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "factors",
        sa.Column("person_digest", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("begun_at", sa.Float(), nullable=False),
        sa.Column("begun_by", sa.Text(), nullable=False),
        sa.Column("enrolled_at", sa.Float()),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.Float()),
        sa.Column("last_used_at", sa.Float()),
        sa.PrimaryKeyConstraint("person_digest", name="pk_factors"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("person_digest", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("used_at", sa.Float()),
        sa.PrimaryKeyConstraint("person_digest", "digest", name="pk_recovery_codes"),
        sa.ForeignKeyConstraint(
            ["person_digest"],
            ["factors.person_digest"],
            name="fk_recovery_codes_person_digest",
            ondelete="CASCADE",
        ),
    )
