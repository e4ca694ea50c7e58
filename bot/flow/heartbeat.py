"""Due events of an address -> rendered -> sent at their return address -> told, due again, held, or dead and visible.

The one way out: nothing else posts or edits a lasting message. The queue is the wake: what is due in the
store is told, whatever wake was lost, whoever is idle, whatever hour it is.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from bot.domain.batch_card import batch_card, is_settled, revision_of
from bot.domain.event import (
    Card,
    ClaimToken,
    Event,
    EventState,
    EventTrigger,
    ShowBatch,
    ShowCard,
)
from bot.domain.message import Capabilities, NotPosted, Post, Receipt
from bot.domain.render import parts_of, render, with_room_for_mark
from bot.domain.retry import MAX_AGE_S, MAX_ATTEMPTS, delay_s, is_exhausted
from bot.domain.session import AccountName, ChannelName
from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    HomingError,
)
from bot.flow.express import Claimed, Express, nonce_for
from bot.flow.places import Places, account_of
from bot.flow.signals import Signals
from bot.flow.telling import (
    Fallbacks,
    Kept,
    all_sent,
    begun,
    bury,
    claimed_on,
    edited,
    found_sent,
    hold,
    keep_receipt,
    lagging_on,
    members_of,
    say_instead,
)
from bot.loop import Tasks
from bot.ports import Channel, Clock, Store, Tx

log = logging.getLogger(__name__)

R = TypeVar("R")

SEND_TIMEOUT_S = 20.0
"""Of one send. Networks answer in well under a second; after 20 s the answer is not coming."""
_MAX_SENDS = 64
"""Of one account. At a tenth of a second each that is 640 a second, far above what any network lets one post."""
_MAX_EDITS = 32
"""Of one account; less urgent than what is owed."""
LAST_SENDS_S = 3.0
"""When the gateway ends, for what is on its way. What is cut is asked about after the restart."""
_MAX_TASKS = 1_024
"""Of all accounts: as much as eleven that answer nothing."""

Channels = Mapping[tuple[ChannelName, AccountName], Channel]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    store: Store
    channels: Channels
    clock: Clock
    signals: Signals
    notify_asker: bool = True
    """Whether an answer mentions the one whom it answers."""
    fallbacks: Fallbacks = field(default_factory=dict)
    tasks: Tasks = field(default_factory=lambda: Tasks("heartbeat", limit=_MAX_TASKS))
    places: Places = field(default_factory=lambda: Places(each=_MAX_SENDS))
    edits: Places = field(default_factory=lambda: Places(each=_MAX_EDITS))
    editing: set[int] = field(default_factory=set)

    async def commit(self, write: Callable[[Tx, Express | None], tuple[R, Claimed | None]]) -> R:
        """Run `write` in one transaction, and tell at once what it claimed in it; returns when it is committed.

        A place is kept before the transaction begins. Where an account has none, or others wait for one, nothing of it
        is claimed: what is owed is then due, and gets its turn by `step`, behind what waits longer.
        """
        channels = self.places.uncrowded(self.channels.keys()) if self.tasks.free > 0 else frozenset()
        if not channels:
            value, _ = await self.store.write(lambda tx: write(tx, None))
            self.signals.heartbeat.wake()
            return value
        express = Express(token=ClaimToken(secrets.token_hex(8)), channels=channels)
        writing = asyncio.ensure_future(self.store.write(lambda tx: write(tx, express)))
        # Waited for first, so that people are told before the node is answered.
        committed = asyncio.shield(writing)
        self.places.undecided += 1
        self.tasks.start(self._take_on(committed, writing, express.token), then=self._freed)
        value, _ = await asyncio.shield(writing)
        return value

    async def _take_on(
        self,
        committed: asyncio.Future[tuple[R, Claimed | None]],
        writing: asyncio.Future[tuple[R, Claimed | None]],
        token: ClaimToken,
    ) -> None:
        """In a task of our own: whoever called may be cancelled, as all that one connection began is when it ends, and
        a claim that was committed meanwhile would wait for the end of its lease with nobody to tell it."""
        try:
            _, found = await committed
        except asyncio.CancelledError:
            _, found = await writing
            await self._give_back([found] if found is not None else [], token)
            raise
        except HomingError:
            # Whoever called hears it.
            return
        finally:
            self.places.undecided -= 1
        if found is None:
            # Due behind what is owed there already, or another process's: whoever is next is looked for.
            self.signals.heartbeat.wake()
        else:
            self.places.take(account_of(found.event.address.peer))
            await self._serve(found, token)

    async def step(self) -> bool:
        """Claim what may be told now, at most one event an address, and tell it in the background."""
        free = {account: places for account in self.channels if (places := self.places.free(account))}
        self.places.waiting |= self.channels.keys() - free.keys()
        if not free or self.tasks.free <= 0:
            return False
        token = ClaimToken(secrets.token_hex(8))

        def claim(tx: Tx) -> list[Claimed]:
            events = claimed_on(tx, token, free)
            return [found for event in events if (found := begun(tx, event, token)) is not None]

        claiming = asyncio.ensure_future(self.store.write(claim))
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await self._give_back(await claiming, token)
            raise
        taken = Counter(account_of(found.event.address.peer) for found in claimed)
        self.places.waiting -= free.keys()
        self.places.waiting |= {account for account, places in free.items() if taken[account] >= places}
        for found in claimed:
            self.places.take(account_of(found.event.address.peer))
            self.tasks.start(self._serve(found, token), then=self._freed)
        return False

    async def _give_back(self, claimed: Sequence[Claimed], token: ClaimToken) -> None:
        """The gateway ends, and no byte has left: due again. What is to be asked about waits its lease."""
        for found in claimed:
            if found.event.state is not EventState.RECONCILING:
                await self._move(found.event, EventTrigger.RETRY, token, None)

    def _freed(self) -> None:
        """A place is free. Whoever told something there has said already whether more waits at that address."""
        if self.places.waiting:
            self.signals.heartbeat.wake()

    async def _serve(self, found: Claimed, token: ClaimToken) -> None:
        try:
            if found.event.state is EventState.RECONCILING:
                await self._reconcile(found, token)
            else:
                await self._tell(found, token)
        finally:
            self.places.leave(account_of(found.event.address.peer))

    async def _tell(self, found: Claimed, token: ClaimToken) -> None:
        """Send the parts that have no receipt yet, in order. Each nonce is committed before its bytes leave."""
        event: Event | None = found.event
        channel = self.channels[found.event.address.peer.channel, found.event.address.peer.account]
        posts, kept = self._posts(found, channel.capabilities), Kept()
        if found.event.part >= len(posts):
            # Its last receipt was committed by a sender that died before it could say so.
            await self.store.write(partial(all_sent, event=found.event, token=token))
        while event is not None and event.part < len(posts):
            receipt = await self._send(channel, event, token, posts[event.part])
            if receipt is None:
                # What cannot be told now may no longer be in the way of the next.
                self.signals.heartbeat.wake()
                return
            keep = partial(
                keep_receipt, found=replace(found, event=event), token=token, receipt=receipt, parts=len(posts)
            )
            kept = await self.store.write(keep)
            event = kept.event
        if kept.more_is_owed:
            self.signals.heartbeat.wake()
        self._look_again(found.event)

    def _posts(self, found: Claimed, capabilities: Capabilities) -> tuple[Post, ...]:
        event, here = found.event, found.event.address.peer
        mention = event.mention if self.notify_asker else None
        if isinstance(event.payload, ShowBatch) and found.members:
            post = batch_card(event.payload.batch, found.members, with_room_for_mark(capabilities), here=here)
            return parts_of(post, capabilities, mention=mention, repeated=event.part if event.maybe_repeat else None)
        repeat, part = event.maybe_repeat, event.part
        return render(
            event.payload, found.execution, capabilities, here=here, mention=mention, maybe_repeat=repeat, part=part
        )

    async def _send(self, channel: Channel, event: Event, token: ClaimToken, post: Post) -> Receipt | None:
        """One send. None where it did not surely arrive; then the event has been moved on."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                return await channel.send(event.address, post, nonce_for(event.identity, event.part))
        except ChannelThrottled as fault:
            await self._retry(event, token, fault, at_least_s=fault.retry_after_s)
        except ChannelUnavailable as fault:
            await self._retry(event, token, fault)
        except ChannelHeld as fault:
            held = partial(hold, event=event, token=token, trouble=_trouble(fault), fallbacks=self.fallbacks)
            await self.store.write(held)
        except ChannelRejected as fault:
            await self._bury(event, token, fault)
        except (ChannelError, TimeoutError) as fault:
            # ChannelUncertain, or silence: the bytes may have arrived.
            await self._move(event, EventTrigger.UNCERTAIN, token, fault)
        return None

    async def bring_cards_up_to_date(self) -> bool:
        """Edit the cards that show less than is known: the latest only, after the due events of their address."""
        free = {account: places for account in self.channels if (places := self.edits.free(account))}
        if not free or self.tasks.free <= 0:
            return False
        for card in await self.store.read(partial(lagging_on, free=free)):
            if card.id not in self.editing:
                self.editing.add(card.id)
                self.edits.take(account_of(card.address.peer))
                self.tasks.start(self._edit(card), then=self.signals.cards.wake)
        return False

    async def _edit(self, card: Card) -> None:
        channel = self.channels[card.address.peer.channel, card.address.peer.account]
        try:
            members = await self.store.read(partial(members_of, card=card))
            if not members:
                return
            if not channel.capabilities.can_edit:
                await self.store.write(partial(say_instead, card=card, members=members))
                return
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    post = edited(card, members, channel.capabilities)
                    await channel.edit(card.address.peer, card.message_id, post)
            except (ChannelError, TimeoutError) as fault:
                await self._postpone_edit(card, fault)
                return
            pause_s, revision = channel.capabilities.edit_interval_s, revision_of(members)
            final = is_settled(members)
            await self.store.write(
                lambda tx: tx.cards.shown(card, revision=revision, not_before=tx.now + pause_s, final=final)
            )
        finally:
            self.editing.discard(card.id)
            self.edits.leave(account_of(card.address.peer))

    async def _postpone_edit(self, card: Card, fault: Exception) -> None:
        """An edit that fails holds up nothing: the result is a message of its own."""
        attempt = card.attempt + 1
        give_up = isinstance(fault, ChannelRejected) or attempt >= MAX_ATTEMPTS
        at_least_s = fault.retry_after_s if isinstance(fault, ChannelThrottled) else 1.0
        wait_s = delay_s(attempt, jitter=0.5, at_least_s=at_least_s)
        log.warning("card.edit_failed", extra={"card": card.id, "reason": type(fault).__name__, "given_up": give_up})
        await self.store.write(lambda tx: tx.cards.postpone(card, not_before=tx.now + wait_s, give_up=give_up))

    async def _reconcile(self, claimed: Claimed, token: ClaimToken) -> None:
        """Ask the network what became of a send whose answer was lost, before it is repeated."""
        event = claimed.event
        channel = self.channels[event.address.peer.channel, event.address.peer.account]
        nonce = event.nonce or nonce_for(event.identity, event.part)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                found = await channel.find(event.address, nonce)
        except (ChannelError, TimeoutError) as fault:
            # The claim runs out by itself, and then it is asked again, for a day: a question counts no attempt.
            if self.clock.now() - event.created_at >= MAX_AGE_S:
                await self._bury(event, token, fault)
                self.signals.heartbeat.wake()
            return
        if isinstance(found, Receipt):
            await self.store.write(lambda tx: found_sent(tx, event, token, found))
        else:
            unknown = found is NotPosted.UNKNOWN
            await self._retry(event, token, None, maybe_repeat=unknown or event.maybe_repeat)
        self.signals.heartbeat.wake()
        self._look_again(event)

    def _look_again(self, event: Event) -> None:
        """A receipt may be what early presses wait for, where it is a card's; and cards wait for their address."""
        if isinstance(event.payload, (ShowCard, ShowBatch)):
            self.signals.early.wake()
        self.signals.cards.wake()

    async def _retry(
        self,
        event: Event,
        token: ClaimToken,
        fault: Exception | None,
        *,
        at_least_s: float = 0.0,
        maybe_repeat: bool | None = None,
    ) -> None:
        if is_exhausted(event.attempt, age_s=self.clock.now() - event.created_at):
            await self._bury(event, token, fault)
            return
        wait_s = delay_s(max(1, event.attempt), jitter=random.random(), at_least_s=at_least_s)  # noqa: S311 - spreads retries
        log.info("event.retry", extra={"event_id": event.id, "attempt": event.attempt, "wait_s": round(wait_s, 1)})
        await self.store.write(
            lambda tx: tx.events.move(
                event,
                EventTrigger.RETRY,
                token=token,
                not_before=tx.now + wait_s,
                maybe_repeat=maybe_repeat,
                trouble=_trouble(fault),
            )
        )

    async def _bury(self, event: Event, token: ClaimToken, fault: Exception | None) -> None:
        log.error("event.dead", extra={"event_id": event.id, "reason": type(fault).__name__})
        trigger, trouble, words = EventTrigger.BURY, _trouble(fault), self.fallbacks
        await self.store.write(
            partial(bury, event=event, token=token, trouble=trouble, fallbacks=words, trigger=trigger)
        )

    async def _move(self, event: Event, trigger: EventTrigger, token: ClaimToken, fault: Exception | None) -> None:
        await self.store.write(lambda tx: tx.events.move(event, trigger, token=token, trouble=_trouble(fault)))


def _trouble(fault: Exception | None) -> str | None:
    return None if fault is None else f"{type(fault).__name__}: {fault}"[:300]
