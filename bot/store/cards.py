"""The rows of posted cards, and how far each lags behind its execution. Deliberately absent: what a card shows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Float, Integer, Row, and_, bindparam, case, exists, func, or_, select, tuple_, update

from bot.domain.batch import BatchId
from bot.domain.event import AddressId, Card
from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.message import Standing
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress
from bot.store.addresses import COLUMNS
from bot.store.rows import conversation_digest, peer_of_row
from bot.store.schema import BLOCKS, CARD_OPEN, addresses, cards, digest, events, executions
from bot.store.transaction import Connected, insert_or_ignore

_member = executions.alias("member")
# Revisions only grow, so their sum does, and it is another one as soon as one of them is.
_WANTED = case(
    (cards.c.batch.is_(None), executions.c.revision),
    else_=select(func.sum(_member.c.revision))
    .where(_member.c.batch == cards.c.batch, _member.c.batch_card == cards.c.batch_card)
    .correlate(cards)
    .scalar_subquery(),
)
_CARDS = (
    select(cards, _WANTED.label("wanted_revision"), *COLUMNS)
    .join(executions, executions.c.id == cards.c.execution_id)
    .join(addresses, addresses.c.id == cards.c.address_id)
)
_LONGEST_INTERVAL_S = 60.0
"""Networks ask for a second or two between the edits of one message."""
_NOW = bindparam("now", type_=Float)
# Made once: it is asked at every wake of the cards.
_LAGGING = (
    _CARDS.where(
        CARD_OPEN,
        # A card waits between two edits for its network's interval alone: further ahead than a minute it was put by a
        # clock that has been set back since, and would stand still for as long.
        or_(
            cards.c.not_before <= _NOW,
            and_(cards.c.attempt == 0, cards.c.not_before > _NOW + _LONGEST_INTERVAL_S),
        ),
        cards.c.shown_revision < _WANTED,
        ~exists().where(events.c.address_id == cards.c.address_id, BLOCKS),
        tuple_(addresses.c.channel, addresses.c.account).in_(bindparam("channels", expanding=True)),
    )
    .order_by(cards.c.not_before, cards.c.id)
    .limit(bindparam("most", type_=Integer))
)


class StoredCards(Connected):
    def add(
        self,
        execution_id: ExecutionId,
        address_id: AddressId,
        address: ReturnAddress,
        message_id: MessageId,
        *,
        shown_revision: int,
        batch: BatchId | None = None,
        batch_card: int | None = None,
    ) -> None:
        self.connection.execute(
            insert_or_ignore(self.dialect, cards),
            {
                "execution_id": execution_id,
                "batch": batch,
                "batch_card": batch_card,
                "address_id": address_id,
                "anchor": address.message_id,
                "message_id": message_id,
                "message_digest": digest(message_id),
                "shown_revision": shown_revision,
                "not_before": self.now,
                "attempt": 0,
                "closed": 0,
            },
        )

    def lagging(self, *, limit: int, channels: Collection[tuple[ChannelName, AccountName]]) -> list[Card]:
        if not channels:
            return []
        wanted = {"channels": [tuple(pair) for pair in channels], "now": self.now, "most": limit}
        rows = self.connection.execute(_LAGGING, wanted).all()
        return [_card_of(row) for row in rows]

    def shown(self, card: Card, *, revision: int, not_before: float, final: bool) -> None:
        # The guard keeps two passes from undoing each other: whoever showed less is the one that is not written.
        self.connection.execute(
            update(cards)
            .where(cards.c.id == card.id, CARD_OPEN, cards.c.shown_revision <= revision)
            .values(shown_revision=revision, not_before=not_before, attempt=0, closed=int(final))
        )

    def postpone(self, card: Card, *, not_before: float, give_up: bool) -> None:
        self.connection.execute(
            update(cards)
            .where(cards.c.id == card.id, CARD_OPEN)
            .values(not_before=not_before, attempt=cards.c.attempt + 1, closed=int(give_up))
        )

    def open_at(self, channel: ChannelName, account: AccountName, *, limit: int = 500) -> list[Standing]:
        rows = self.connection.execute(
            _CARDS.where(
                CARD_OPEN,
                # A reaction on a card of several decides nothing, so none is read again.
                cards.c.batch.is_(None),
                executions.c.state == ExecutionState.AWAITING_APPROVAL.value,
                addresses.c.channel == channel,
                addresses.c.account == account,
            )
            .order_by(cards.c.id.desc())
            .limit(limit)
        ).all()
        return [Standing(peer=peer_of_row(row), message_id=MessageId(row.message_id)) for row in rows]

    def at(self, peer: Peer, message_id: MessageId) -> Card | None:
        found = _CARDS.where(
            addresses.c.conversation_digest == conversation_digest(peer),
            cards.c.message_digest == digest(message_id),
        )
        if peer.thread is not None:
            found = found.where(addresses.c.thread == peer.thread)
        rows = self.connection.execute(found.limit(2)).all()
        # One message that carries two cards, or one id in two threads: what was meant is not known.
        return _card_of(rows[0]) if len(rows) == 1 else None


def _card_of(row: Row[Any]) -> Card:
    return Card(
        id=row.id,
        execution_id=ExecutionId(row.execution_id),
        address_id=AddressId(row.address_id),
        address=ReturnAddress(peer=peer_of_row(row), message_id=None if row.anchor is None else MessageId(row.anchor)),
        message_id=MessageId(row.message_id),
        wanted_revision=row.wanted_revision,
        shown_revision=row.shown_revision,
        attempt=row.attempt,
        batch=None if row.batch is None else BatchId(row.batch),
        batch_card=row.batch_card,
    )
