"""The audit. Frozen: the tables as they are now stand in `bot.store.schema_audit`, the triggers here alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEPT = ("seq", "at", "kind", "body_hash", "hash")
_REFUSED = "the audit is append-only; a body can be redacted, and nothing else changes"
_REDACTS = " AND ".join(
    ["NEW.body IS NULL", "OLD.kind <> 'redacted'"]
    + [f"NEW.{name} = OLD.{name}" for name in _KEPT]
    + ["coalesce(NEW.execution_id, '') = coalesce(OLD.execution_id, '')"]
)


def upgrade() -> None:
    op.create_table(
        "audit_lines",
        sa.Column("seq", BIG_ID, nullable=False, autoincrement=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text()),
        sa.Column("body", sa.Text()),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_lines"),
    )
    op.create_index("ix_audit_lines_execution_id", "audit_lines", ["execution_id"])
    op.create_table(
        "audit_witnesses",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger()),
        sa.Column("at", sa.Text()),
        sa.Column("hash", sa.Text()),
        sa.Column("told_at", sa.Float()),
        sa.Column("trouble", sa.Text()),
        sa.Column("failing_since", sa.Float()),
        sa.PrimaryKeyConstraint("name", name="pk_audit_witnesses"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgres()


def _guard_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
    op.execute(f"CREATE TRIGGER audit_lines_stay BEFORE DELETE ON audit_lines {refuse}")
    op.execute(f"CREATE TRIGGER audit_lines_keep BEFORE UPDATE ON audit_lines WHEN NOT ({_REDACTS}) {refuse}")
    # INSERT OR REPLACE deletes without the trigger of deletions: https://sqlite.org/lang_createtrigger.html
    follows = "NEW.seq = (SELECT coalesce(max(seq), 0) + 1 FROM audit_lines)"
    op.execute(f"CREATE TRIGGER audit_lines_follow BEFORE INSERT ON audit_lines WHEN NOT ({follows}) {refuse}")


def _guard_postgres() -> None:
    op.execute(
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    calls = "EXECUTE FUNCTION refuse_audit_change()"
    op.execute(f"CREATE TRIGGER audit_lines_stay BEFORE DELETE ON audit_lines FOR EACH ROW {calls}")
    op.execute(f"CREATE TRIGGER audit_lines_all_stay BEFORE TRUNCATE ON audit_lines FOR EACH STATEMENT {calls}")
    op.execute(
        f"CREATE TRIGGER audit_lines_keep BEFORE UPDATE ON audit_lines FOR EACH ROW WHEN (NOT ({_REDACTS})) {calls}"
    )
