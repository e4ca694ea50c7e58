"""The tables of the audit: its lines, and who was told of its head. Deliberately absent: keys into other tables.

What a line speaks of may be pruned; the line stays. Triggers of the database refuse every change but the loss of a
body (see the version 0004): they stop mistakes and tools. Whoever owns the database can remove them, and is found by
the chain and by heads that were kept elsewhere.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Table, Text

from bot.store.schema import BigId, Opaque, Prose, metadata

audit_lines = Table(
    "audit_lines",
    metadata,
    Column("seq", BigId, primary_key=True, autoincrement=False),
    # ISO 8601 in UTC, of one width: as it is hashed, and in the order of time.
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("execution_id", Opaque),
    # NULL where it was redacted.
    Column("body", Text),
    Column("body_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index(None, "execution_id"),
)

audit_witnesses = Table(
    "audit_witnesses",
    metadata,
    Column("name", Text, primary_key=True),
    # The newest head that it was told.
    Column("seq", BigInteger),
    Column("at", Text),
    Column("hash", Text),
    Column("told_at", Float),
    # NULL where the last telling went well.
    Column("trouble", Prose),
    Column("failing_since", Float),
)
