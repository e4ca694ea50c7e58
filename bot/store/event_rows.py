"""The statements over events that are run for every result, made once: making one costs more than running it.

Deliberately absent: when they are run.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import (
    Float,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from bot.domain.event import BLOCKING, AddressId, Event, EventId, EventState, EventTrigger, NewEvent, next_event_state
from bot.domain.message import Nonce
from bot.store.addresses import COLUMNS
from bot.store.schema import BLOCKS, LEADS, NEVER_TRIED, TRIED, addresses, events, receipts, spent_identities

EVENTS = select(events, *COLUMNS).join(addresses, addresses.c.id == events.c.address_id)
HELD_CLAIMS = (EventState.CLAIMED, EventState.SENDING)
"""States in which whoever claimed an event goes on with it."""
NO_CLAIM: dict[str, object] = {"claim_token": None, "lease_until": None}

_other = events.alias("other")
# A value, not a condition on a join: whatever either planner believes of the tables, it is one look into the index an
# event. As NOT EXISTS it took PostgreSQL 19 ms instead of 3 for 600 events, before their first ANALYZE.
_HEAD = (
    select(func.min(_other.c.sequence))
    # The same words as BLOCKS, for the same reason.
    .where(_other.c.address_id == events.c.address_id, _other.c.blocks == BLOCKS.right)
    .correlate(events)
    .scalar_subquery()
)
_ADDRESS_CLAIMED = exists().where(
    _other.c.address_id == events.c.address_id, _other.c.id != events.c.id, _other.c.claim_token.is_not(None)
)


_FREE = (
    # Not the column itself: SQLite would walk the index of all that are due instead, a million after an outage.
    func.coalesce(events.c.state, "").in_(bindparam("states", expanding=True)),
    # Asking the network again is harmless, so a lapsed question needs no sweep.
    or_(
        events.c.claim_token.is_(None),
        and_(events.c.state == EventState.RECONCILING.value, events.c.lease_until <= bindparam("now", type_=Float)),
    ),
    tuple_(addresses.c.channel, addresses.c.account).in_(bindparam("channels", expanding=True)),
)
_HERE = select(events.c.id).join(addresses, addresses.c.id == events.c.address_id)


def _longest_waiting(query: Select[tuple[int]]) -> Select[tuple[int]]:
    first = query.order_by(events.c.not_before, events.c.id).limit(bindparam("most", type_=Integer)).subquery()
    return select(first.c.id)


READY = union_all(
    # Never tried is due whatever the clock says: one that was set back would hold it for as long.
    _longest_waiting(_HERE.where(LEADS, NEVER_TRIED, *_FREE)),
    _longest_waiting(_HERE.where(LEADS, TRIED, events.c.not_before <= bindparam("now", type_=Float), *_FREE)),
)
"""What may be claimed, found by two short walks through indexes that hold the first event of each address alone."""
CLAIMABLE = (
    EVENTS.where(
        events.c.id.in_(bindparam("ready", expanding=True)),
        BLOCKS,
        *_FREE,
        # The order does not hang on a mark: whatever it says, nothing overtakes.
        events.c.sequence == _HEAD,
        ~_ADDRESS_CLAIMED,
    )
    .order_by(events.c.not_before, events.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(of=events, skip_locked=True)
)
FIRST = (
    select(events.c.id, events.c.leads)
    .where(events.c.address_id == bindparam("this_address"), BLOCKS)
    .order_by(events.c.sequence)
    .limit(1)
)
LED = (
    update(events)
    .where(events.c.address_id == bindparam("this_address"), LEADS, events.c.id != bindparam("first_id"))
    .values(leads=0)
)
LEAD = update(events).where(events.c.id == bindparam("first_id")).values(leads=1)
LOCK_ADDRESS = select(addresses.c.id).where(addresses.c.id == bindparam("this_address")).with_for_update()
SPENT = select(spent_identities.c.identity_digest).where(spent_identities.c.identity_digest == bindparam("this_digest"))
_THIS = (events.c.id == bindparam("this_id"), events.c.state == bindparam("from_state"))
MOVE = update(events).where(*_THIS)
MOVE_MINE = update(events).where(*_THIS, events.c.claim_token == bindparam("this_token"))


# As CLAIMABLE found them, in this transaction and under its locks.
CLAIM = (
    update(events)
    .where(events.c.id.in_(bindparam("these", expanding=True)))
    .values(state=bindparam("to_state"), blocks=1, claim_token=bindparam("token"), lease_until=bindparam("until"))
)
BEGIN_SEND = (
    update(events)
    .where(
        events.c.id == bindparam("this_id"),
        events.c.claim_token == bindparam("this_token"),
        events.c.state.in_((EventState.CLAIMED.value, EventState.SENDING.value)),
    )
    .values(attempt=events.c.attempt + case((events.c.state == EventState.CLAIMED.value, 1), else_=0))
    .returning(events.c.attempt)
)
MINE = (
    select(events.c.id)
    .where(events.c.id == bindparam("this_id"), events.c.claim_token == bindparam("this_token"))
    .with_for_update()
)
RECEIPTS = select(receipts).where(receipts.c.event_id == bindparam("this_event")).order_by(receipts.c.part)
IN_THE_WAY = select(events.c.id).where(events.c.address_id == bindparam("this_address"), BLOCKS).limit(1)


def state_columns(state: EventState) -> dict[str, object]:
    """What follows a state. An event that blocks no more leads nobody; which one leads then is settled at the end."""
    if state in BLOCKING:
        return {"state": state.value, "blocks": 1}
    return {"state": state.value, "blocks": 0, "leads": 0}


_SENDING = next_event_state(next_event_state(EventState.DUE, EventTrigger.CLAIM), EventTrigger.SEND)
AS_DUE: Mapping[str, object] = {
    **state_columns(EventState.DUE),
    "attempt": 0,
    "nonce": None,
    "claim_token": None,
    "lease_until": None,
}
AS_SENDING: Mapping[str, object] = {**state_columns(_SENDING), "leads": 1, "attempt": 1}


def as_added(
    event: NewEvent, event_id: EventId, address_id: AddressId, sequence: int, *, now: float, nonce: Nonce
) -> Event:
    """The event whose first send is begun, as its row would be read."""
    return Event(
        id=event_id,
        identity=event.identity,
        session=event.session,
        address_id=address_id,
        address=event.address,
        sequence=sequence,
        payload=event.payload,
        mention=event.mention,
        state=_SENDING,
        attempt=1,
        not_before=now,
        maybe_repeat=False,
        created_at=now,
        part=0,
        nonce=nonce,
    )
