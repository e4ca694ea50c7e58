"""Cards that show several executions. Frozen: the tables as they are now stand in `bot.store.schema`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    for table, name, kind in (
        ("executions", "batch_at", sa.Integer()),
        ("executions", "batch_card", sa.Integer()),
        ("cards", "batch", sa.Text()),
        ("cards", "batch_card", sa.Integer()),
    ):
        op.add_column(table, sa.Column(name, kind))
    unshown = sa.text("batch IS NOT NULL AND batch_card IS NULL")
    op.create_index(
        "executions_without_a_card", "executions", ["batch"], sqlite_where=unshown, postgresql_where=unshown
    )
