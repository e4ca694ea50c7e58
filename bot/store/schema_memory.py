"""The tables of what models remember and took, and of the clock that wakes them. What is owed to them: see `schema`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from bot.store.schema import BigId, Opaque, Prose, metadata

places = Table(
    "agent_places",
    metadata,
    # Of session and place; or, for what was asked for unprompted, of the place alone.
    Column("digest", Text, primary_key=True),
    # How often it was told to forget: what was asked for under another number belongs to no present past.
    Column("generation", BigInteger, nullable=False),
    Column("unprompted", BigInteger, nullable=False),
)

memories = Table(
    "agent_memories",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("place_digest", Text, nullable=False),
    Column("at", Float, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Index(None, "place_digest", "id"),
)

asked = Table(
    "agent_asked",
    metadata,
    Column("execution_id", Opaque, primary_key=True),
    Column("place_digest", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("at", Float, nullable=False, index=True),
)

spendings = Table(
    "agent_spendings",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", Float, nullable=False),
    Column("agent", Opaque, nullable=False),
    Column("session", Opaque, nullable=False),
    Column("person", Opaque),
    Column("model", Opaque, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("tokens_read", BigInteger, nullable=False),
    Column("tokens_written", BigInteger, nullable=False),
    Column("money_micros", BigInteger, nullable=False),
    Column("took_s", Float, nullable=False),
    Index(None, "at"),
    Index(None, "agent", "at"),
)

ticks = Table(
    "ticks",
    metadata,
    Column("name", Opaque, primary_key=True),
    Column("spec", Prose, nullable=False),
    Column("due_at", Float),
    Column("ran_at", Float),
    Column("said", Prose, nullable=False),
    Column("said_at", Float, nullable=False),
)
