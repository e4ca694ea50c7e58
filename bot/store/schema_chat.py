"""The tables of the web chat, in the same database as the rest. Deliberately absent: what stands in a body."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text

from bot.store.schema import BigId, Opaque, Prose, metadata

chat_counter = Table(
    "chat_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Its row is locked from the draw to the commit, so that a reader never meets a later change first.
    Column("change", BigInteger, nullable=False),
)

chat_entries = Table(
    "chat_entries",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("change", BigInteger, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("room", Opaque, nullable=False),
    Column("thread", Opaque),
    Column("place_digest", Text, nullable=False),
    Column("author", Opaque, nullable=False),
    Column("nonce", Opaque, nullable=False),
    Column("nonce_digest", Text, nullable=False, unique=True),
    Column("body", Prose, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("edited_at", Float),
    Index(None, "place_digest", "id"),
)

chat_rooms = Table(
    "chat_rooms",
    metadata,
    Column("room_digest", Text, primary_key=True),
    Column("room", Opaque, nullable=False),
    Column("opened_at", Float, nullable=False),
)

chat_people = Table(
    "chat_people",
    metadata,
    Column("native_digest", Text, primary_key=True),
    Column("native", Opaque, nullable=False),
    Column("name", Prose, nullable=False),
)

chat_invitations = Table(
    "chat_invitations",
    metadata,
    Column("secret_hash", Text, primary_key=True),
    Column("native", Opaque, nullable=False),
    Column("name", Prose, nullable=False),
    Column("expires_at", Float, nullable=False),
)

chat_cookies = Table(
    "chat_cookies",
    metadata,
    Column("cookie_hash", Text, primary_key=True),
    Column("native_digest", Text, nullable=False, index=True),
    Column("expires_at", Float, nullable=False),
)
