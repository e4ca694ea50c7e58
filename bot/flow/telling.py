"""The rows of a telling: begun, kept, told, buried. Each function is part of one transaction, the caller's.

Deliberately absent: any send, any wait. The heartbeat does both, between these.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.batch_card import batch_card, batch_lines, is_settled, revision_of
from bot.domain.event import (
    Card,
    ClaimToken,
    Event,
    EventState,
    EventTrigger,
    NewEvent,
    Say,
    ShowBatch,
    ShowCard,
    ShowOutput,
    TellOutcome,
)
from bot.domain.execution import Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.message import Capabilities, Post, Receipt
from bot.domain.render import card as render_card
from bot.domain.render import card_line
from bot.domain.session import AccountName, ChannelName, Peer, ReturnAddress
from bot.flow.express import LEASE_S, Claimed, nonce_for
from bot.flow.outcome import leave
from bot.flow.places import Account, account_of
from bot.ports import Tx

log = logging.getLogger(__name__)

Fallbacks = Mapping[tuple[ChannelName, AccountName], Peer]
"""Where a word is left of what an account could not tell."""


def claimed_on(tx: Tx, token: ClaimToken, free: Mapping[Account, int]) -> list[Event]:
    """At most so many of each account. Looked for together as long as that takes nobody's place from another."""
    both = {EventState.DUE, EventState.RECONCILING}
    together = min(free.values())
    found = list(tx.events.claim(token=token, lease_s=LEASE_S, limit=together, channels=free.keys(), states=both))
    if len(found) == together and len(free) > 1:
        taken = Counter(account_of(event.address.peer) for event in found)
        for account, places in free.items():
            left = places - taken[account]
            if left > 0:
                found += tx.events.claim(token=token, lease_s=LEASE_S, limit=left, channels=[account], states=both)
    return found


def lagging_on(tx: Tx, free: Mapping[Account, int]) -> list[Card]:
    """The same for cards that show less than is known."""
    together = min(free.values())
    found = list(tx.cards.lagging(limit=together, channels=free.keys()))
    if len(found) < together or len(free) == 1:
        return found
    return [one for account, most in free.items() for one in tx.cards.lagging(limit=most, channels=[account])]


def begun(tx: Tx, event: Event, token: ClaimToken) -> Claimed | None:
    """Claim and nonce in one commit."""
    if event.state is EventState.RECONCILING:
        return Claimed(event=event, execution=None)
    subject, execution = subject_of(event), None
    members: tuple[Execution, ...] = ()
    if isinstance(event.payload, ShowBatch):
        members = tuple(tx.executions.of_batch(event.payload.batch, card=event.payload.card))
    elif subject is not None:
        execution = tx.executions.get(subject)
    # Without a nonce no send of it was ever begun, so there is no receipt to look for.
    part = 0 if event.nonce is None else _first_unsent(tx, event)
    sending = begin(tx, event, token, part=part)
    return None if sending is None else Claimed(event=sending, execution=execution, members=members)


def subject_of(event: Event) -> ExecutionId | None:
    """The execution that an event speaks of, or the first of them; None for words."""
    match event.payload:
        case ShowCard() | ShowBatch() | TellOutcome() | ShowOutput():
            return event.payload.execution_id
        case _:
            return None


def _first_unsent(tx: Tx, event: Event) -> int:
    """Parts are sent in order; one that bounced later leaves a gap."""
    sent = {part for part, _, _ in tx.events.receipts(event.id)}
    return next(part for part in range(len(sent) + 1) if part not in sent)


def begin(tx: Tx, event: Event, token: ClaimToken, *, part: int) -> Event | None:
    return tx.events.begin_send(event, token=token, nonce=nonce_for(event.identity, part), part=part, lease_s=LEASE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is left to do after a receipt."""

    event: Event | None = None
    """With its next part begun; None where every part is sent, or the claim was lost."""
    more_is_owed: bool = True
    """Whether something else may be waiting for this event's address."""


def keep_receipt(tx: Tx, *, found: Claimed, token: ClaimToken, receipt: Receipt, parts: int) -> Kept:
    """A part's receipt, and the next part's nonce; with the last one the event is told, or waits for confirmation."""
    event = found.event
    if not tx.events.receipt(
        event, token=token, part=event.part, nonce=nonce_for(event.identity, event.part), receipt=receipt
    ):
        log.warning("event.claim_lost", extra={"event_id": event.id})
        return Kept()
    next_part = event.part + 1 if parts == event.part + 1 == 1 else _first_unsent(tx, event)
    if next_part < parts:
        return Kept(event=begin(tx, event, token, part=next_part))
    _keep_card(tx, event, receipt, shown_revision=found.revision)
    if receipt.confirmed and event.part == 0:
        mark_told(tx, event=event, token=token, trigger=EventTrigger.TELL)
    else:
        all_sent(tx, event=event, token=token)
    return Kept(more_is_owed=tx.events.is_owed(event.address_id))


def _keep_card(tx: Tx, event: Event, receipt: Receipt, *, shown_revision: int) -> None:
    """What was posted is edited from now on, where it is a card."""
    payload = event.payload
    if not isinstance(payload, (ShowCard, ShowBatch)):
        return
    batch, number = (payload.batch, payload.card) if isinstance(payload, ShowBatch) else (None, None)
    tx.cards.add(
        payload.execution_id,
        event.address_id,
        event.address,
        receipt.message_id,
        shown_revision=shown_revision,
        batch=batch,
        batch_card=number,
    )


def all_sent(tx: Tx, *, event: Event, token: ClaimToken) -> None:
    """Every part has its receipt: told, or taken by a network that has still to confirm some of them."""
    if tx.events.unconfirmed(event.id):
        tx.events.move(event, EventTrigger.ACCEPT, token=token, not_before=tx.now)
    else:
        mark_told(tx, event=event, token=token, trigger=EventTrigger.TELL)


def bury(
    tx: Tx, *, event: Event, token: ClaimToken | None, trouble: str | None, fallbacks: Fallbacks, trigger: EventTrigger
) -> None:
    """Dead and visible. A card that nobody will ever see asks nobody: what it asks about ends, and that is told."""
    if not tx.events.move(event, trigger, token=token, trouble=trouble):
        return
    leave_word(tx, event, fallbacks)
    for execution in tx.executions.lock_all(_asked_about(tx, event)):
        asks_here = execution.origin.peer == event.address.peer
        if asks_here and execution.state is ExecutionState.AWAITING_APPROVAL:
            reason = "its card could not be posted here, so nobody could be asked"
            leave(tx, execution, Trigger.CANCEL, by="gateway", reason=reason)


def _asked_about(tx: Tx, event: Event) -> list[ExecutionId]:
    match event.payload:
        case ShowCard():
            return [event.payload.execution_id]
        case ShowBatch():
            return [one.id for one in tx.executions.of_batch(event.payload.batch, card=event.payload.card)]
        case _:
            return []


def hold(tx: Tx, *, event: Event, token: ClaimToken | None, trouble: str | None, fallbacks: Fallbacks) -> None:
    """It cannot be told now; it is due again when somebody writes there."""
    if tx.events.move(event, EventTrigger.HOLD, token=token, trouble=trouble):
        leave_word(tx, event, fallbacks)


def leave_word(tx: Tx, event: Event, fallbacks: Fallbacks) -> None:
    """Where the operator named a wider place: that there is something, once an event, and never what it is."""
    here, subject = event.address.peer, subject_of(event)
    fallback = fallbacks.get((here.channel, here.account))
    if fallback is None or subject is None or fallback == here:
        return
    execution = tx.executions.get(subject)
    if execution is not None and execution.origin.peer != here:
        return  # a copy: where it was asked it is told
    text = (
        f"What became of {subject} cannot be told where it was asked ({here.channel} {here.kind.value}). "
        f"An operator finds it with: homing why {subject}"
    )
    identity = f"fallback:{event.identity}"
    address = ReturnAddress(peer=fallback, message_id=None)
    tx.events.add(NewEvent(identity=identity, session=event.session, address=address, payload=Say(text=text)))


def members_of(tx: Tx, card: Card) -> tuple[Execution, ...]:
    """What a posted card shows, in order; empty where it is pruned."""
    if card.batch is not None:
        return tuple(tx.executions.of_batch(card.batch, card=card.batch_card))
    execution = tx.executions.get(card.execution_id)
    return () if execution is None else (execution,)


def say_instead(tx: Tx, *, card: Card, members: tuple[Execution, ...]) -> None:
    """What cannot be edited is followed by a short line, once for a state that people wait for."""
    here = card.address.peer
    if card.batch is not None:
        lines = batch_lines(card.batch, members, here=here)
    else:
        lines = tuple(filter(None, [card_line(members[0], here=here)]))
    for line in lines:
        address = ReturnAddress(peer=here, message_id=card.message_id)
        identity = f"line:{card.id}:{line.mark}"
        payload = Say(text=line.text)
        tx.events.add(NewEvent(identity=identity, session=members[0].session, address=address, payload=payload))
    tx.cards.shown(card, revision=revision_of(members), not_before=tx.now, final=is_settled(members))


def mark_told(tx: Tx, *, event: Event, token: ClaimToken | None, trigger: EventTrigger) -> None:
    """The event is told: by its receipts, or by the network's later word."""
    if tx.events.move(event, trigger, token=token):
        log.info("event.told", extra={"event_id": event.id, "attempt": event.attempt})
        execution_id = subject_of(event)
        if execution_id is not None:
            tx.executions.step(execution_id, "told", by=None, detail=event.identity)


def found_sent(tx: Tx, event: Event, token: ClaimToken, receipt: Receipt) -> None:
    """The send that was in doubt did arrive. What is left of the event is settled by its next claim."""
    nonce = event.nonce or nonce_for(event.identity, event.part)
    tx.events.receipt(event, token=token, part=event.part, nonce=nonce, receipt=receipt)
    # Which revision it shows is not known any more: 0 makes it be brought up to date.
    _keep_card(tx, event, receipt, shown_revision=0)
    tx.events.move(event, EventTrigger.RETRY, token=token, not_before=tx.now)


def edited(card: Card, members: tuple[Execution, ...], capabilities: Capabilities) -> Post:
    """A card as it is to stand now."""
    here = card.address.peer
    if card.batch is not None:
        return batch_card(card.batch, members, capabilities, here=here)
    return render_card(members[0], capabilities, here=here)
