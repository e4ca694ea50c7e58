"""The first version: everything. Frozen: the tables as they are now stand in `bot.store.schema`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _executions()
    _events()
    _receipts_and_cards()
    _inputs()
    _nodes_and_switches()
    _chat()


def _executions() -> None:
    op.create_table(
        "executions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("session_digest", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("asker_native", sa.Text(), nullable=False),
        sa.Column("asker_name", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("node_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("deciders", sa.Text(), nullable=False),
        sa.Column("command", sa.Text()),
        sa.Column("command_hash", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", sa.Float()),
        sa.Column("started_at", sa.Float()),
        sa.Column("ended_at", sa.Float()),
        sa.Column("stop_wanted_by", sa.Text()),
        sa.Column("live_tail", sa.Text(), nullable=False),
        sa.Column("result", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_executions"),
    )
    op.create_index("ix_executions_session_digest_created_at", "executions", ["session_digest", "created_at"])
    op.create_index("ix_executions_state_created_at", "executions", ["state", "created_at"])
    op.create_table(
        "steps",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("by_whom", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name="fk_steps_execution_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_steps"),
    )
    op.create_index("ix_steps_execution_id", "steps", ["execution_id"])
    op.create_table(
        "votes",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("person_digest", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("approves", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name="fk_votes_execution_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "person_digest", name="pk_votes"),
    )
    op.create_table(
        "tombstones",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_tombstones"),
    )


def _events() -> None:
    op.create_table(
        "addresses",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("conversation_digest", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("native", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text()),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_addresses"),
        sa.UniqueConstraint("digest", name="uq_addresses_digest"),
    )
    op.create_index("ix_addresses_conversation_digest", "addresses", ["conversation_digest"])
    op.create_table(
        "spent_identities",
        sa.Column("identity_digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("identity_digest", name="pk_spent_identities"),
    )
    op.create_table(
        "events",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("identity_digest", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("address_id", BIG_ID, nullable=False),
        sa.Column("anchor", sa.Text()),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", sa.Text()),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("mention", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("blocks", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("maybe_repeat", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("told_at", sa.Float()),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.Text()),
        sa.Column("claim_token", sa.Text()),
        sa.Column("lease_until", sa.Float()),
        sa.Column("trouble", sa.Text()),
        sa.CheckConstraint(
            "(blocks = 1) = (state IN ('due', 'claimed', 'sending', 'reconciling'))",
            name="ck_events_blocks_follows_state",
        ),
        sa.CheckConstraint("(claim_token IS NULL) = (lease_until IS NULL)", name="ck_events_a_claim_has_a_lease"),
        sa.ForeignKeyConstraint(["address_id"], ["addresses.id"], name="fk_events_address_id"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("address_id", "sequence", name="uq_events_address_id_sequence"),
        sa.UniqueConstraint("identity_digest", name="uq_events_identity_digest"),
    )
    op.create_index(
        "events_in_the_way",
        "events",
        ["address_id", "sequence"],
        sqlite_where=sa.text("blocks = 1"),
        postgresql_where=sa.text("blocks = 1"),
    )
    op.create_index("ix_events_execution_id", "events", ["execution_id"])
    op.create_index("ix_events_state_id", "events", ["state", "id"])
    op.create_index(
        "one_open_claim_an_address",
        "events",
        ["address_id"],
        unique=True,
        sqlite_where=sa.text("claim_token IS NOT NULL"),
        postgresql_where=sa.text("claim_token IS NOT NULL"),
    )


def _receipts_and_cards() -> None:
    op.create_table(
        "receipts",
        sa.Column("event_id", BIG_ID, nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("message_digest", sa.Text(), nullable=False),
        sa.Column("confirmed", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_receipts_event_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("event_id", "part", name="pk_receipts"),
    )
    op.create_index("ix_receipts_message_digest", "receipts", ["message_digest"])
    op.create_table(
        "cards",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("address_id", BIG_ID, nullable=False),
        sa.Column("anchor", sa.Text()),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("message_digest", sa.Text(), nullable=False),
        sa.Column("shown_revision", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["address_id"], ["addresses.id"], name="fk_cards_address_id"),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], name="fk_cards_execution_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_cards"),
        sa.UniqueConstraint(
            "execution_id", "address_id", "message_digest", name="uq_cards_execution_id_address_id_message_digest"
        ),
    )
    op.create_index("ix_cards_message_digest", "cards", ["message_digest"])
    op.create_index(
        "open_cards",
        "cards",
        ["not_before"],
        sqlite_where=sa.text("closed = 0"),
        postgresql_where=sa.text("closed = 0"),
    )


def _inputs() -> None:
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("last_cadence_at", sa.Float()),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
    )
    op.create_table(
        "inputs",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("delivery_digest", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("session_digest", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person", sa.Text()),
        sa.Column("person_native", sa.Text()),
        sa.Column("person_name", sa.Text()),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("answered_at", sa.Float()),
        sa.Column("claim_token", sa.Text()),
        sa.Column("lease_until", sa.Float()),
        sa.CheckConstraint(
            "(claim_token IS NOT NULL) = (state = 'claimed')", name="ck_inputs_a_claim_follows_the_state"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_inputs"),
        sa.UniqueConstraint("delivery_digest", name="uq_inputs_delivery_digest"),
    )
    op.create_index("ix_inputs_execution_id", "inputs", ["execution_id"])
    op.create_index("ix_inputs_state_answered_at", "inputs", ["state", "answered_at"])
    op.create_index("ix_inputs_state_session_digest_id", "inputs", ["state", "session_digest", "id"])
    op.create_table(
        "early",
        sa.Column("delivery_digest", sa.Text(), nullable=False),
        sa.Column("conversation_digest", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text()),
        sa.Column("message_digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_digest", name="pk_early"),
    )
    op.create_index("ix_early_message_digest", "early", ["message_digest"])


def _nodes_and_switches() -> None:
    op.create_table(
        "nodes",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pairing", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.Float(), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=False),
        sa.Column("paired_at", sa.Float()),
        sa.Column("revoked_at", sa.Float()),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_nodes"),
    )
    op.create_index(
        "one_node_a_name",
        "nodes",
        ["name"],
        unique=True,
        sqlite_where=sa.text("pairing <> 'revoked'"),
        postgresql_where=sa.text("pairing <> 'revoked'"),
    )
    op.create_table(
        "switches",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("by_whom", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_switches"),
    )


def _chat() -> None:
    op.create_table(
        "chat_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chat_counter"),
    )
    op.create_table(
        "chat_entries",
        sa.Column("id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text()),
        sa.Column("place_digest", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("nonce_digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("edited_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_chat_entries"),
        sa.UniqueConstraint("change", name="uq_chat_entries_change"),
        sa.UniqueConstraint("nonce_digest", name="uq_chat_entries_nonce_digest"),
    )
    op.create_index("ix_chat_entries_place_digest_id", "chat_entries", ["place_digest", "id"])
    op.create_table(
        "chat_rooms",
        sa.Column("room_digest", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("room_digest", name="pk_chat_rooms"),
    )
    op.create_table(
        "chat_people",
        sa.Column("native_digest", sa.Text(), nullable=False),
        sa.Column("native", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("native_digest", name="pk_chat_people"),
    )
    op.create_table(
        "chat_invitations",
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("native", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("secret_hash", name="pk_chat_invitations"),
    )
    op.create_table(
        "chat_cookies",
        sa.Column("cookie_hash", sa.Text(), nullable=False),
        sa.Column("native_digest", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("cookie_hash", name="pk_chat_cookies"),
    )
    op.create_index("ix_chat_cookies_native_digest", "chat_cookies", ["native_digest"])
