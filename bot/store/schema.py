"""The tables, once for both databases. Deliberately absent: how they came to be (see `migrations`).

Times are seconds since the epoch, UTC. Structures are JSON as text, ASCII only. State columns are text and
are written from the domain's tables of transitions alone. Long ids are looked up by their digest: a row of a
PostgreSQL index holds at most 2,704 bytes, and an id of ours may have 512 characters of 4 bytes.
"""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    text,
)

from bot.domain.execution import storable
from bot.domain.terms import ONE_YES, terms_to_json
from bot.errors import Malformed

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0007", "0006", "0008", "0010", "0009")
"""Every version of the schema that this code knows, oldest first; the last is the one that it uses."""


class Prose(TypeDecorator[str]):
    """Free text: what a database would refuse is stored as something that can be seen."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 -- the signature is the library's
        return value if value is None or (value.isascii() and "\x00" not in value) else storable(value)


class Opaque(TypeDecorator[str]):
    """An id: kept byte for byte, or refused. Replacing a character could make two ids one."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 -- the signature is the library's
        if value is not None and value != storable(value):
            raise Malformed("an id holds NUL or half a surrogate pair, which no store can keep")
        return value


def digest(*parts: str | None) -> str:
    """64 hex digits that stand for these ids, in this order, in an index."""
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode("ascii")).hexdigest()


BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the key is declared INTEGER: https://sqlite.org/autoinc.html"""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

executions = Table(
    "executions",
    metadata,
    Column("id", Opaque, primary_key=True),
    Column("state", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("session", Opaque, nullable=False),
    Column("session_digest", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("asker", Opaque, nullable=False),
    Column("asker_native", Opaque, nullable=False),
    Column("asker_name", Prose, nullable=False),
    Column("request", Text, nullable=False),
    Column("node", Opaque, nullable=False),
    Column("node_name", Prose, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("rule", Prose, nullable=False),
    Column("deciders", Text, nullable=False),
    # The defaults are those of rows that were written before there were such columns.
    Column("terms", Text, nullable=False, server_default=json.dumps(terms_to_json(ONE_YES), separators=(",", ":"))),
    Column("approved_by", Text, nullable=False, server_default="[]"),
    Column("escalates_at", Float),
    Column("is_escalated", Integer, nullable=False, server_default="0"),
    Column("masked", Text),
    Column("grant_id", Opaque),
    Column("glass_id", Opaque),
    Column("batch", Opaque),
    Column("batch_at", Integer),
    Column("batch_card", Integer),
    Column("worded_by", Opaque),
    Column("read_untrusted", Integer, nullable=False, server_default="0"),
    Column("command", Text),
    Column("command_hash", Opaque),
    Column("reason", Prose),
    Column("decided_by", Opaque),
    Column("decided_at", Float),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("stop_wanted_by", Opaque),
    Column("live_tail", Prose, nullable=False),
    Column("result", Text),
    Index(None, "state", "created_at"),
    Index(None, "session_digest", "created_at"),
)

Index(
    "executions_that_escalate",
    executions.c.escalates_at,
    sqlite_where=text("escalates_at IS NOT NULL"),
    postgresql_where=text("escalates_at IS NOT NULL"),
)
Index(
    "executions_under_glass",
    executions.c.glass_id,
    sqlite_where=text("glass_id IS NOT NULL"),
    postgresql_where=text("glass_id IS NOT NULL"),
)
Index(
    "executions_of_a_batch",
    executions.c.batch,
    sqlite_where=text("batch IS NOT NULL"),
    postgresql_where=text("batch IS NOT NULL"),
)
# Those of a batch that nobody has been shown yet: a handful at any moment, and looked for once a second.
Index(
    "executions_without_a_card",
    executions.c.batch,
    sqlite_where=text("batch IS NOT NULL AND batch_card IS NULL"),
    postgresql_where=text("batch IS NOT NULL AND batch_card IS NULL"),
)

steps = Table(
    "steps",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("execution_id", ForeignKey("executions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("what", Prose, nullable=False),
    Column("by_whom", Prose),
    Column("detail", Prose),
)

votes = Table(
    "votes",
    metadata,
    Column("execution_id", ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("person_digest", Text, primary_key=True),
    Column("person", Opaque, nullable=False),
    Column("approves", Integer, nullable=False),
    Column("reason", Prose, nullable=False),
    Column("at", Float, nullable=False),
    # 1 where a code of the person's own device was checked with it.
    Column("with_factor", Integer, nullable=False, server_default="0"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Opaque, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", Float),
)

addresses = Table(
    "addresses",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("conversation_digest", Text, nullable=False, index=True),
    Column("agent", Opaque, nullable=False),
    Column("channel", Opaque, nullable=False),
    Column("account", Opaque, nullable=False),
    Column("kind", Text, nullable=False),
    Column("native", Opaque, nullable=False),
    Column("thread", Opaque),
    # The newest number given out. Its row stays locked from the draw to the commit.
    Column("sequence", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("identity", Opaque, nullable=False),
    Column("identity_digest", Text, nullable=False, unique=True),
    Column("session", Opaque, nullable=False),
    Column("address_id", ForeignKey("addresses.id"), nullable=False),
    Column("anchor", Opaque),
    Column("sequence", BigInteger, nullable=False),
    Column("execution_id", Opaque, index=True),
    Column("payload", Text, nullable=False),
    Column("mention", Opaque),
    Column("state", Text, nullable=False),
    Column("blocks", Integer, nullable=False),
    # 1 for the first of its address that blocks: what is looked through for the next to tell is then no longer than
    # there are places, however much waits behind or for later.
    Column("leads", Integer, nullable=False, server_default="0"),
    Column("attempt", Integer, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("maybe_repeat", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("told_at", Float),
    Column("part", Integer, nullable=False),
    Column("nonce", Opaque),
    Column("claim_token", Opaque),
    Column("lease_until", Float),
    Column("trouble", Prose),
    CheckConstraint(
        "(blocks = 1) = (state IN ('due', 'claimed', 'sending', 'reconciling'))", name="blocks_follows_state"
    ),
    CheckConstraint("(claim_token IS NULL) = (lease_until IS NULL)", name="a_claim_has_a_lease"),
    UniqueConstraint("address_id", "sequence"),
    Index(None, "state", "id"),
)
# At most one open claim an address, whatever two replicas do.
Index(
    "one_open_claim_an_address",
    events.c.address_id,
    unique=True,
    sqlite_where=text("claim_token IS NOT NULL"),
    postgresql_where=text("claim_token IS NOT NULL"),
)
Index(
    "events_in_the_way",
    events.c.address_id,
    events.c.sequence,
    sqlite_where=text("blocks = 1"),
    postgresql_where=text("blocks = 1"),
)
for _name, _tried in (("leading_and_never_tried", "attempt = 0"), ("leading_and_tried", "attempt > 0")):
    _which = text(f"leads = 1 AND {_tried}")
    Index(_name, events.c.not_before, events.c.id, sqlite_where=_which, postgresql_where=_which)
LEADS = events.c.leads == literal_column("1")
NEVER_TRIED = events.c.attempt == literal_column("0")
TRIED = events.c.attempt > literal_column("0")
BLOCKS = events.c.blocks == literal_column("1")
"""Written into the statement, not bound: SQLite uses a partial index only where it can see the condition."""

spent_identities = Table(
    "spent_identities",
    metadata,
    Column("identity_digest", Text, primary_key=True),
)

receipts = Table(
    "receipts",
    metadata,
    Column("event_id", ForeignKey("events.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("nonce", Opaque, nullable=False),
    Column("message_id", Opaque, nullable=False),
    Column("message_digest", Text, nullable=False, index=True),
    Column("confirmed", Integer, nullable=False),
    Column("at", Float, nullable=False),
)

cards = Table(
    "cards",
    metadata,
    Column("id", BigId, primary_key=True),
    # Of a batch's card: the first that it shows.
    Column("execution_id", ForeignKey("executions.id", ondelete="CASCADE"), nullable=False),
    Column("batch", Opaque),
    Column("batch_card", Integer),
    Column("address_id", ForeignKey("addresses.id"), nullable=False),
    Column("anchor", Opaque),
    Column("message_id", Opaque, nullable=False),
    Column("message_digest", Text, nullable=False, index=True),
    Column("shown_revision", BigInteger, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    # 1 when it shows the end, or was given up: never edited again.
    Column("closed", Integer, nullable=False),
    UniqueConstraint("execution_id", "address_id", "message_digest"),
)
Index("open_cards", cards.c.not_before, sqlite_where=text("closed = 0"), postgresql_where=text("closed = 0"))
CARD_OPEN = cards.c.closed == literal_column("0")

sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("session", Opaque, nullable=False),
    Column("address", Text),
)

inputs = Table(
    "inputs",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("delivery_digest", Text, nullable=False, unique=True),
    Column("channel", Opaque, nullable=False),
    Column("account", Opaque, nullable=False),
    Column("delivery", Opaque, nullable=False),
    Column("session", Opaque, nullable=False),
    Column("session_digest", Text, nullable=False),
    Column("address", Text),
    Column("kind", Text, nullable=False),
    Column("person", Opaque),
    Column("person_native", Opaque),
    Column("person_name", Prose),
    Column("text", Prose, nullable=False),
    Column("execution_id", Opaque, index=True),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("answered_at", Float),
    Column("claim_token", Opaque),
    Column("lease_until", Float),
    CheckConstraint("(claim_token IS NOT NULL) = (state = 'claimed')", name="a_claim_follows_the_state"),
    Index(None, "state", "session_digest", "id"),
    Index(None, "state", "answered_at"),
)

early = Table(
    "early",
    metadata,
    Column("delivery_digest", Text, primary_key=True),
    Column("conversation_digest", Text, nullable=False),
    Column("thread", Opaque),
    Column("message_digest", Text, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("kept_at", Float, nullable=False),
    Column("until", Float, nullable=False),
    # Handed out rows stay until they are overdue, so that one that is kept again is not handed out again.
    Column("taken", Integer, nullable=False),
)
