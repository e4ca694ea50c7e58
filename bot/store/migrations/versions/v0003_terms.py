"""What a decision takes and what is shown. Frozen: the tables as they are now stand in `bot.store.schema`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ONE_YES = '{"quorum":1,"four_eyes":false,"needs_reason":false,"second_factor":false,"grant_for_s":null}'
"""What every rule demanded until now."""


def upgrade() -> None:
    columns = (
        sa.Column("terms", sa.Text(), nullable=False, server_default=_ONE_YES),
        sa.Column("approved_by", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("escalates_at", sa.Float()),
        sa.Column("is_escalated", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("masked", sa.Text()),
        sa.Column("grant_id", sa.Text()),
        sa.Column("batch", sa.Text()),
    )
    for column in columns:
        op.add_column("executions", column)
    # Who had approved what was still under way stands in the votes, and is counted from there.
    for name, indexed in (("executions_that_escalate", "escalates_at"), ("executions_of_a_batch", "batch")):
        held = sa.text(f"{indexed} IS NOT NULL")
        op.create_index(name, "executions", [indexed], sqlite_where=held, postgresql_where=held)
