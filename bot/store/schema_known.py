"""The tables of what is known beside the work: nodes, people let in, their devices, grants, break-glass, switches.

Deliberately absent: executions and what is owed (see `schema`), the web chat (see `schema_chat`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from bot.store.schema import Opaque, Prose, metadata

nodes = Table(
    "nodes",
    metadata,
    Column("fingerprint", Opaque, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("name", Prose, nullable=False),
    Column("pairing", Text, nullable=False),
    Column("first_seen_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("paired_at", Float),
    Column("revoked_at", Float),
)
# A name means one node, for everybody who types it. Revoked ones keep theirs for the record.
Index(
    "one_node_a_name",
    nodes.c.name,
    unique=True,
    sqlite_where=text("pairing <> 'revoked'"),
    postgresql_where=text("pairing <> 'revoked'"),
)

pairings = Table(
    "pairings",
    metadata,
    # Of channel, account and native id.
    Column("digest", Text, primary_key=True),
    Column("channel", Opaque, nullable=False),
    Column("account", Opaque, nullable=False),
    Column("account_digest", Text, nullable=False, index=True),
    Column("native", Opaque, nullable=False),
    Column("name", Prose, nullable=False),
    Column("address", Text, nullable=False),
    Column("session", Opaque, nullable=False),
    # Gone when it was used: a code is good once.
    Column("code", Text, unique=True),
    Column("asked_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("paired_at", Float),
    Column("paired_by", Prose),
    CheckConstraint("(code IS NULL) = (paired_at IS NOT NULL)", name="a_code_is_good_once"),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Opaque, primary_key=True),
    Column("command", Text, nullable=False),
    Column("pattern", Prose),
    Column("node", Opaque, nullable=False),
    Column("node_name", Prose, nullable=False),
    Column("place", Text, nullable=False),
    Column("place_digest", Text, nullable=False),
    Column("asker", Opaque, nullable=False),
    # No key: the execution may be pruned long before.
    Column("execution_id", Opaque, nullable=False),
    Column("granted_by", Opaque, nullable=False),
    Column("granted_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("reason", Prose, nullable=False),
    Column("revoked_at", Float),
    Column("revoked_by", Prose),
    Column("revoked_why", Prose, nullable=False),
    Column("last_used_at", Float),
    Column("uses", Integer, nullable=False),
    # 1 where a code of the device of whoever gave it was checked with it.
    Column("with_factor", Integer, nullable=False, server_default="0"),
    Index(None, "place_digest", "expires_at"),
)

glasses = Table(
    "glasses",
    metadata,
    Column("id", Opaque, primary_key=True),
    Column("state", Text, nullable=False),
    Column("person", Opaque, nullable=False),
    Column("person_digest", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("place_digest", Text, nullable=False),
    Column("session", Opaque, nullable=False),
    Column("reason", Prose, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("announce_to", Text, nullable=False),
    Column("review_within_s", Float, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("ended_at", Float),
    Column("ended_by", Prose),
    Column("ended_why", Prose, nullable=False),
    Column("review_by", Float),
    Column("reviewed_at", Float),
    Column("reviewed_by", Prose),
    Column("finding", Text),
    Column("note", Prose, nullable=False),
    Index(None, "state", "opened_at"),
)
# None overlaps another of the same person there, whatever two replicas do.
Index(
    "one_open_glass_a_person_and_place",
    glasses.c.person_digest,
    glasses.c.place_digest,
    unique=True,
    sqlite_where=text("state = 'open'"),
    postgresql_where=text("state = 'open'"),
)

factors = Table(
    "factors",
    metadata,
    Column("person_digest", Text, primary_key=True),
    Column("person", Opaque, nullable=False),
    # Under a key that no copy of the database holds.
    Column("sealed", LargeBinary, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("begun_by", Prose, nullable=False),
    # NULL until the first right code.
    Column("enrolled_at", Float),
    # The newest time step of which a code was used: none up to it counts any more.
    Column("last_step", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Float),
    Column("last_used_at", Float),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("person_digest", ForeignKey("factors.person_digest", ondelete="CASCADE"), primary_key=True),
    # Keyed, like the secrets: whoever copies the database cannot try codes against it.
    Column("digest", Text, primary_key=True),
    Column("used_at", Float),
)

switches = Table(
    "switches",
    metadata,
    Column("name", Text, primary_key=True),
    Column("by_whom", Prose, nullable=False),
    Column("reason", Prose, nullable=False),
    Column("since", Float, nullable=False),
)
