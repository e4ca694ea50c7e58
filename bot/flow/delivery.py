"""What networks that confirm later say of what they took: posted -> told, held, or dead and visible.

The word comes by itself (a status callback), or is asked for where it stays away. Deliberately absent: any send.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial

from bot.domain.event import Event, EventId, EventState, EventTrigger
from bot.domain.message import Delivery, DeliveryReport
from bot.domain.retry import MAX_AGE_S, delay_s
from bot.domain.session import Peer
from bot.errors import ChannelError
from bot.flow.heartbeat import Channels
from bot.flow.signals import Signals
from bot.flow.telling import Fallbacks, bury, hold, mark_told
from bot.loop import Tasks
from bot.ports import Clock, Store, Tx

log = logging.getLogger(__name__)

ASK_AFTER_S = 60.0
"""A status callback comes within seconds; after a minute it was lost, or came before our receipt was committed."""
_ASK_TIMEOUT_S = 20.0
_BATCH = 500
_MAX_ASKED = 8
"""At the same time."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """One pass over the messages that their network has not confirmed yet."""

    store: Store
    channels: Channels
    clock: Clock
    signals: Signals
    fallbacks: Fallbacks = field(default_factory=dict)
    tasks: Tasks = field(default_factory=lambda: Tasks("deliveries", limit=_MAX_ASKED))
    asked: dict[EventId, tuple[int, float]] = field(default_factory=dict)
    """How often, and when next. In memory only: a restart asks once more."""

    async def step(self) -> bool:
        """Ask after what is overdue; one word settles one part."""
        posted = await self.store.read(lambda tx: tx.events.listing(states={EventState.POSTED}, limit=_BATCH))
        waiting = {event.id for event in posted}
        for gone in self.asked.keys() - waiting:
            del self.asked[gone]
        now = self.clock.now()
        for event in posted:
            times, due_at = self.asked.setdefault(event.id, (0, event.not_before + ASK_AFTER_S))
            if now >= due_at and self.tasks.free > 0:
                self.asked[event.id] = (times + 1, now + max(ASK_AFTER_S, delay_s(times + 1, jitter=0.5)))
                self.tasks.start(self._ask_after(event))
        return False

    async def _ask_after(self, event: Event) -> None:
        peer = event.address.peer
        channel = self.channels.get((peer.channel, peer.account))
        if channel is None:
            return
        for part, message_id in await self.store.read(lambda tx: tx.events.unconfirmed(event.id)):
            try:
                async with asyncio.timeout(_ASK_TIMEOUT_S):
                    delivery = await channel.delivery(peer, message_id)
            except (ChannelError, TimeoutError) as fault:
                log.info("delivery.unknown", extra={"event_id": event.id, "part": part, "reason": type(fault).__name__})
                delivery = Delivery.PENDING
            report = DeliveryReport(
                channel=peer.channel, account=peer.account, message_id=message_id, delivery=delivery
            )
            await self.store.write(partial(settle, report=report, fallbacks=self.fallbacks))
        if self.clock.now() - event.created_at > MAX_AGE_S:
            await self.store.write(partial(_give_up, event_id=event.id, fallbacks=self.fallbacks))
        self.signals.heartbeat.wake()


def settle(tx: Tx, report: DeliveryReport, fallbacks: Fallbacks) -> None:
    """Apply one word of the network. Repeats, late ones and those about messages that are not ours change nothing."""
    found = tx.events.of_message(report.channel, report.account, report.message_id)
    if found is None:
        return
    event, part = found
    if report.delivery is Delivery.CONFIRMED:
        tx.events.confirm_part(event.id, part)
        if event.state is EventState.POSTED and not tx.events.unconfirmed(event.id):
            mark_told(tx, event=event, token=None, trigger=EventTrigger.CONFIRM)
        return
    if event.state is not EventState.POSTED or all(one != part for one, _ in tx.events.unconfirmed(event.id)):
        # While later parts are being sent nothing is moved: the word is asked for again when all of them are posted.
        return
    if report.delivery is Delivery.HELD:
        # This part is sent again when the conversation opens.
        tx.events.drop_receipt(event.id, part)
        trouble = report.reason or "the network holds it back"
        hold(tx, event=event, token=None, trouble=trouble, fallbacks=fallbacks)
        log.warning("event.held", extra={"event_id": event.id})
    elif report.delivery is Delivery.FAILED:
        tx.events.drop_receipt(event.id, part)
        _bury(tx, event, report.reason or "the network could not deliver it", fallbacks)


def reopen(tx: Tx, peer: Peer) -> int:
    """Somebody wrote there, so it is open again: what was held for it is due."""
    return sum(tx.events.move(event, EventTrigger.OPEN, token=None) for event in tx.events.held_in(peer))


def _bury(tx: Tx, event: Event, trouble: str, fallbacks: Fallbacks) -> None:
    bury(tx, event=event, token=None, trouble=trouble, fallbacks=fallbacks, trigger=EventTrigger.BURY)


def _give_up(tx: Tx, event_id: EventId, fallbacks: Fallbacks) -> None:
    event = tx.events.get(event_id)
    if event is not None and event.state is EventState.POSTED:
        _bury(tx, event, "the network took it and never confirmed it", fallbacks)
