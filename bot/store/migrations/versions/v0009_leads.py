"""The first event of each address is marked. Frozen: the table as it is now stands in `bot.store.schema`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("events", sa.Column("leads", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE events SET leads = 1 WHERE blocks = 1 AND sequence = ("
        "SELECT min(other.sequence) FROM events AS other "
        "WHERE other.address_id = events.address_id AND other.blocks = 1)"
    )
    for name, which in (("leading_and_never_tried", "attempt = 0"), ("leading_and_tried", "attempt > 0")):
        where = sa.text(f"leads = 1 AND {which}")
        op.create_index(name, "events", ["not_before", "id"], sqlite_where=where, postgresql_where=where)
