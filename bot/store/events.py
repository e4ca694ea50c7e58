"""The rows of what is owed to people, their claims and receipts. Deliberately absent: when a send is repeated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    delete,
    select,
    update,
)

from bot.domain.event import (
    BLOCKING,
    AddressId,
    ClaimToken,
    Event,
    EventId,
    EventState,
    EventTrigger,
    NewEvent,
    Say,
    next_event_state,
    payload_to_json,
)
from bot.domain.execution import ExecutionId
from bot.domain.message import Nonce, Receipt
from bot.domain.session import AccountName, ChannelName, MessageId, Peer
from bot.store.addresses import draw_sequence
from bot.store.event_rows import (
    AS_DUE,
    AS_SENDING,
    BEGIN_SEND,
    CLAIM,
    CLAIMABLE,
    EVENTS,
    FIRST,
    HELD_CLAIMS,
    IN_THE_WAY,
    LEAD,
    LED,
    LOCK_ADDRESS,
    MINE,
    MOVE,
    MOVE_MINE,
    NO_CLAIM,
    READY,
    RECEIPTS,
    SPENT,
    as_added,
    state_columns,
)
from bot.store.rows import conversation_digest, dumps, event_of
from bot.store.schema import BLOCKS, addresses, digest, events, receipts, spent_identities
from bot.store.transaction import Connected, insert_or_ignore


class StoredEvents(Connected):
    """Which event leads its address is settled by `settle`, at the end of a transaction that let one pass or return."""

    __slots__ = ("_passed",)

    def __init__(self, connection: Connection, moment: Callable[[], float]) -> None:
        super().__init__(connection, moment)
        self._passed: set[AddressId] = set()

    def add(self, event: NewEvent) -> bool:
        place = self._place(event)
        return place is not None and self._add_due(event, *place) is not None

    def add_sending(self, event: NewEvent, *, token: ClaimToken, nonce: Nonce, lease_s: float) -> Event | None:
        place = self._place(event)
        if place is None:
            return None
        # Under the lock of the address's row, so nobody adds before us what we would overtake. What comes back into
        # the queue meanwhile, as an operator's `retell` does, has no place before us; one index keeps claims apart.
        if self.is_owed(place[0]):
            self._insert(event, *place, {**AS_DUE, "leads": 0})
            return None
        claimed = {**AS_SENDING, "nonce": nonce, "claim_token": token, "lease_until": self.now + lease_s}
        event_id = self._insert(event, *place, claimed)
        return None if event_id is None else as_added(event, event_id, *place, now=self.now, nonce=nonce)

    def _add_due(self, event: NewEvent, address_id: AddressId, sequence: int) -> EventId | None:
        return self._insert(event, address_id, sequence, {**AS_DUE, "leads": int(not self.is_owed(address_id))})

    def _place(self, event: NewEvent) -> tuple[AddressId, int] | None:
        """Where it stands in the order of its address; None where its identity is spent."""
        if self.connection.execute(SPENT, {"this_digest": digest(event.identity)}).first() is not None:
            return None
        return draw_sequence(self.connection, event.address.peer)

    def _insert(
        self, event: NewEvent, address_id: AddressId, sequence: int, begun: Mapping[str, object]
    ) -> EventId | None:
        now = self.now
        row = {
            "identity": event.identity,
            "identity_digest": digest(event.identity),
            "session": event.session,
            "address_id": address_id,
            "anchor": event.address.message_id,
            "sequence": sequence,
            "execution_id": None if isinstance(event.payload, Say) else event.payload.execution_id,
            "payload": dumps(payload_to_json(event.payload)),
            "mention": event.mention,
            "not_before": now,
            "maybe_repeat": 0,
            "created_at": now,
            "part": 0,
            **begun,
        }
        written = self.connection.execute(insert_or_ignore(self.dialect, events, events.c.id), row).scalar()
        return None if written is None else EventId(written)

    def get(self, event_id: EventId) -> Event | None:
        row = self.connection.execute(EVENTS.where(events.c.id == event_id)).first()
        return None if row is None else event_of(row)

    def is_owed(self, address_id: AddressId) -> bool:
        return self.connection.execute(IN_THE_WAY, {"this_address": address_id}).first() is not None

    def claim(
        self,
        *,
        token: ClaimToken,
        lease_s: float,
        limit: int,
        channels: Collection[tuple[ChannelName, AccountName]],
        states: Collection[EventState],
    ) -> Sequence[Event]:
        if not channels or not states:
            return []
        now = self.now
        wanted = {
            "states": [state.value for state in states],
            "channels": [tuple(pair) for pair in channels],
            "now": now,
            "most": limit,
        }
        ready = self.connection.execute(READY, wanted).scalars().all()
        if not ready:
            return []
        free = [event_of(row) for row in self.connection.execute(CLAIMABLE, {**wanted, "ready": ready}).all()]
        claimed = [
            replace(event, state=next_event_state(event.state, EventTrigger.CLAIM))
            if event.state is EventState.DUE
            else event
            for event in free
        ]
        for state in {event.state for event in claimed}:
            theirs = [event.id for event in claimed if event.state is state]
            claim = {"these": theirs, "to_state": state.value, "token": token, "until": now + lease_s}
            self.connection.execute(CLAIM, claim)
        return claimed

    def begin_send(self, event: Event, *, token: ClaimToken, nonce: Nonce, part: int, lease_s: float) -> Event | None:
        sending = next_event_state(EventState.CLAIMED, EventTrigger.SEND)
        begun = {
            "this_id": event.id,
            "this_token": token,
            **state_columns(sending),
            "nonce": nonce,
            "part": part,
            "lease_until": self.now + lease_s,
        }
        attempt = self.connection.execute(BEGIN_SEND, begun).scalar()
        if attempt is None:
            return None
        return replace(event, state=sending, attempt=attempt, nonce=nonce, part=part)

    def receipt(self, event: Event, *, token: ClaimToken, part: int, nonce: Nonce, receipt: Receipt) -> bool:
        if self.connection.execute(MINE, {"this_id": event.id, "this_token": token}).first() is None:
            return False
        self.connection.execute(
            insert_or_ignore(self.dialect, receipts),
            {
                "event_id": event.id,
                "part": part,
                "nonce": nonce,
                "message_id": receipt.message_id,
                "message_digest": digest(receipt.message_id),
                "confirmed": int(receipt.confirmed),
                "at": self.now,
            },
        )
        return True

    def receipts(self, event_id: EventId) -> Sequence[tuple[int, Nonce, MessageId]]:
        rows = self.connection.execute(RECEIPTS, {"this_event": event_id}).all()
        return [(row.part, Nonce(row.nonce), MessageId(row.message_id)) for row in rows]

    def move(
        self,
        event: Event,
        trigger: EventTrigger,
        *,
        token: ClaimToken | None,
        not_before: float | None = None,
        maybe_repeat: bool | None = None,
        trouble: str | None = None,
    ) -> bool:
        state = next_event_state(event.state, trigger)
        if (event.state in BLOCKING) is not (state in BLOCKING):
            self._passed.add(event.address_id)
        changes = state_columns(state)
        if state not in HELD_CLAIMS:
            changes |= NO_CLAIM
        if state is EventState.TOLD:
            changes["told_at"] = self.now
        if trigger is EventTrigger.RETELL:
            # An operator's word begins the count anew: what was spent is why it is dead.
            changes |= {"attempt": 0, "not_before": self.now}
        if not_before is not None:
            changes["not_before"] = not_before
        if maybe_repeat is not None:
            changes["maybe_repeat"] = int(maybe_repeat)
        if trouble is not None:
            changes["trouble"] = trouble
        guard: dict[str, object] = {"this_id": event.id, "from_state": event.state.value}
        if token is not None:
            guard["this_token"] = token
        return bool(self.connection.execute(MOVE if token is None else MOVE_MINE, {**guard, **changes}).rowcount)

    def settle(self) -> None:
        """Let the first event of each address lead, where this transaction let one pass or brought one back.

        Late, and under the address's lock: whoever adds there at the same time sees what passed as in its way still.

            this transaction                another
            tells 1, which leads
                                            adds 2: behind 1, so it does not lead; commits
            locks the address: sees 2,
            lets it lead
        """
        for address_id in sorted(self._passed):
            this = {"this_address": address_id}
            if self.dialect != "sqlite":
                self.connection.execute(LOCK_ADDRESS, this)
            first = self.connection.execute(FIRST, this).first()
            if first is not None and not first.leads:
                self.connection.execute(LED, {**this, "first_id": first.id})
                self.connection.execute(LEAD, {"first_id": first.id})
        self._passed.clear()

    def renew(self, event: Event, *, token: ClaimToken, lease_s: float) -> bool:
        renewed = self.connection.execute(
            update(events)
            .where(events.c.id == event.id, events.c.claim_token == token)
            .values(lease_until=self.now + lease_s)
        )
        return bool(renewed.rowcount)

    def lapsed(self, *, limit: int = 100) -> Sequence[Event]:
        return self._all(
            EVENTS.where(BLOCKS, events.c.claim_token.is_not(None), events.c.lease_until <= self.now)
            .order_by(events.c.lease_until, events.c.id)
            .limit(limit)
        )

    def take_over(self) -> int:
        taken = self.connection.execute(
            update(events)
            .where(events.c.claim_token.is_not(None), events.c.lease_until > self.now)
            .values(lease_until=self.now)
        )
        return int(taken.rowcount)

    def listing(self, *, states: Collection[EventState], limit: int = 100) -> Sequence[Event]:
        wanted = events.c.state.in_([state.value for state in states])
        return self._all(EVENTS.where(wanted).order_by(events.c.id).limit(limit))

    def of_execution(self, execution_id: ExecutionId) -> Sequence[Event]:
        return self._all(EVENTS.where(events.c.execution_id == execution_id).order_by(events.c.id))

    def unheard(self, beginning: str) -> Sequence[Event]:
        unheard = events.c.state.in_((EventState.DEAD.value, EventState.HELD.value))
        return self._all(
            EVENTS.where(unheard, events.c.identity.startswith(beginning, autoescape=True)).order_by(events.c.id)
        )

    def of_message(self, channel: ChannelName, account: AccountName, message_id: MessageId) -> tuple[Event, int] | None:
        row = self.connection.execute(
            EVENTS.add_columns(receipts.c.part.label("received_part"))
            .join(receipts, receipts.c.event_id == events.c.id)
            .where(
                receipts.c.message_digest == digest(message_id),
                addresses.c.channel == channel,
                addresses.c.account == account,
            )
            .order_by(events.c.id.desc())
            .limit(1)
        ).first()
        return None if row is None else (event_of(row), int(row.received_part))

    def unconfirmed(self, event_id: EventId) -> Sequence[tuple[int, MessageId]]:
        rows = self.connection.execute(
            select(receipts.c.part, receipts.c.message_id)
            .where(receipts.c.event_id == event_id, receipts.c.confirmed == 0)
            .order_by(receipts.c.part)
        ).all()
        return [(row.part, MessageId(row.message_id)) for row in rows]

    def confirm_part(self, event_id: EventId, part: int) -> None:
        self.connection.execute(
            update(receipts).where(receipts.c.event_id == event_id, receipts.c.part == part).values(confirmed=1)
        )

    def drop_receipt(self, event_id: EventId, part: int) -> None:
        self.connection.execute(delete(receipts).where(receipts.c.event_id == event_id, receipts.c.part == part))

    def held_in(self, peer: Peer, *, limit: int = 100) -> Sequence[Event]:
        return self._all(
            EVENTS.where(
                events.c.state == EventState.HELD.value,
                addresses.c.conversation_digest == conversation_digest(peer),
            )
            .order_by(events.c.id)
            .limit(limit)
        )

    def prune(self, *, told_before: float, limit: int = 500) -> int:
        gone = self.connection.execute(
            select(events.c.id, events.c.identity_digest)
            .where(events.c.state == EventState.TOLD.value, events.c.told_at < told_before)
            .order_by(events.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        if not gone:
            return 0
        spent = [{"identity_digest": row.identity_digest} for row in gone]
        self.connection.execute(insert_or_ignore(self.dialect, spent_identities), spent)
        self.connection.execute(delete(events).where(events.c.id.in_([row.id for row in gone])))
        return len(gone)

    def _all(self, query: Select[Any]) -> list[Event]:
        return [event_of(row) for row in self.connection.execute(query).all()]
