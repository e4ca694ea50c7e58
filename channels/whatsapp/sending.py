"""One post -> messages of Twilio, and what became of them: by nonce, by SID, by looking through what was sent.

Twilio knows no idempotency key. Our mark is the nonce in each message's status callback: it comes back with the SID.
Deliberately absent: what may be sent, and anything that outlives the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from bot.domain.message import Button, Delivery, Nonce, NotPosted, Receipt
from bot.domain.session import MessageId
from bot.errors import ChannelError, ChannelRejected, ChannelUnavailable, ChannelUncertain
from channels.whatsapp import wire
from channels.whatsapp.form import LABELS, Shown
from channels.whatsapp.twilio_rest import Outgoing, Twilio

log = logging.getLogger(__name__)

REMEMBERED = 2_000
"""Of each kind; a reconciliation comes within minutes, and a busy account sends some messages a second."""
STAMP_S = 2.0
"""Twilio's stamps have whole seconds, and so has the clock by which we read its."""
SETTLED_S = 0.5
"""From our knowing a SID to the core's having committed it."""
FLIGHT_S = 12.0
LEFTOVER_S = 3_600.0
CONTENT_NAME = "homing-buttons"
_NOT_ARRIVED = frozenset({Delivery.HELD, Delivery.FAILED})

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The newest entries, at most `limit`."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._limit = limit

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def pop(self, key: K) -> V | None:
        return self._entries.pop(key, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A message whose bytes may have left."""

    to: str
    body: str
    at: datetime
    """By the machine's clock."""


@dataclass(slots=True)
class Sending:
    twilio: Twilio
    status_url: Callable[[str], str]
    _sids: Recent[str, str] = field(default_factory=Recent)
    """By nonce: what Twilio answered, or what its callbacks told."""
    _ours: Recent[str, bool] = field(default_factory=Recent)
    """SIDs that belong to a nonce."""
    _tried: Recent[str, Tried] = field(default_factory=Recent)
    _words: Recent[str, Delivery] = field(default_factory=Recent)
    _contents: Recent[str, str] = field(default_factory=Recent)
    """By SID: the content resource that it was made of."""
    _pieces: Recent[str, tuple[tuple[int, str], ...]] = field(default_factory=Recent)
    """By nonce: what was sent before the last message of a post, as marks of the words and SIDs."""
    _flights: dict[str, asyncio.Event] = field(default_factory=dict)

    async def send(self, to: str, shown: tuple[Shown, ...], nonce: Nonce) -> Receipt:
        """In order; the receipt is the last one's. A nonce that is known to have been sent is not sent again."""
        known = self._known(nonce)
        if known is not None:
            return self._receipt(known)
        await self._send_pieces(to, shown[:-1], nonce)
        last = shown[-1]
        content = await self._content(last)
        self._tried.put(nonce, Tried(to=to, body=last.body, at=datetime.now(UTC)))
        landed = self._flights.setdefault(nonce, asyncio.Event())
        try:
            message = await self.twilio.send(
                Outgoing(
                    to=wire.address_of(to),
                    body=None if content else last.body,
                    content_sid=content,
                    status_callback=self.status_url(nonce),
                )
            )
        except ChannelUncertain:
            # The content may be shown yet: it stays for the sweep of leftovers.
            raise
        except ChannelError:
            await self._unmake(content)
            raise
        finally:
            landed.set()
            self._flights.pop(nonce, None)
        self._keep(nonce, message.sid)
        if content is not None:
            self._contents.put(message.sid, content)
        return self._receipt(message.sid)

    async def _send_pieces(self, to: str, pieces: tuple[Shown, ...], nonce: Nonce) -> None:
        """What comes before the last one. A repeat goes on where the attempt before ended."""
        known, sent = self._pieces.get(nonce) or (), []
        for at, each in enumerate(pieces):
            mark = hash((to, each.body))
            if at < len(known) and known[at][0] == mark and self._words.get(known[at][1]) not in _NOT_ARRIVED:
                sent.append(known[at])
                continue
            known = ()
            message = await self.twilio.send(
                Outgoing(to=wire.address_of(to), body=each.body, status_callback=self.status_url(""))
            )
            sent.append((mark, message.sid))
            self._pieces.put(nonce, tuple(sent))

    def stands(self, nonce: Nonce) -> bool:
        """Whether this is known to have been sent."""
        return self._known(nonce) is not None

    async def landed(self, nonce: str) -> None:
        """Until a send under way has its answer and the core has had a moment to commit it."""
        flight = self._flights.get(nonce)
        if flight is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLIGHT_S):
                    await flight.wait()
        if nonce:
            await asyncio.sleep(SETTLED_S)

    async def note(self, status: wire.Status, nonce: str) -> None:
        """What a callback told, before anybody asks."""
        self.learn(status.message_id, status.delivery)
        is_good = self._words.get(status.message_id) not in _NOT_ARRIVED
        if nonce and is_good and self._tried.get(nonce) is not None and self._known(nonce) is None:
            self._keep(nonce, status.message_id)
        if status.is_over:
            await self._unmake(self._contents.pop(status.message_id))

    def learn(self, sid: str, delivery: Delivery) -> None:
        """Twilio's word on a message. Words come twice and in any order: an earlier state takes back no later one."""
        if delivery is not Delivery.PENDING and self._words.get(sid) is not Delivery.CONFIRMED:
            self._words.put(sid, delivery)

    async def find(self, to: str, nonce: Nonce) -> Receipt | NotPosted:
        """Never "surely not": what Twilio does not list now, it may list a moment later."""
        known = self._known(nonce)
        if known is not None:
            return self._receipt(known)
        tried = self._tried.get(nonce)
        if tried is None or tried.to != to:
            return NotPosted.UNKNOWN
        try:
            # Twilio filters by the day only, and by its own clock.
            listed = await self.twilio.sent_to(wire.address_of(to), since=tried.at - timedelta(days=1))
        except ChannelError as fault:
            raise ChannelUnavailable(f"what was sent cannot be looked through: {fault}") from None
        since = tried.at + timedelta(seconds=self.twilio.ahead_s() - STAMP_S)
        found = [
            each
            for each in listed
            if each.body == tried.body
            and each.created_at is not None
            and each.created_at >= since
            and self._ours.get(each.sid) is None
        ]
        if not found:
            return NotPosted.UNKNOWN
        oldest = min(found, key=lambda each: each.created_at or since)
        self._keep(nonce, oldest.sid)
        return self._receipt(oldest.sid)

    async def sweep_contents(self) -> None:
        """Delete what an earlier process left behind."""
        before = self.twilio.there()
        if before is None:
            return
        for sid, name, created_at in await self.twilio.contents():
            if name == CONTENT_NAME and created_at is not None and created_at < before - timedelta(seconds=LEFTOVER_S):
                await self._unmake(sid)

    def _known(self, nonce: str) -> str | None:
        """What stands for this nonce. What did not arrive does not: when its window opens, the same nonce is sent."""
        sid = self._sids.get(nonce)
        return None if sid is None or self._words.get(sid) in _NOT_ARRIVED else sid

    def _keep(self, nonce: str, sid: str) -> None:
        self._sids.put(nonce, sid)
        self._ours.put(sid, True)

    def _receipt(self, sid: str) -> Receipt:
        return Receipt(message_id=MessageId(sid), confirmed=self._words.get(sid) is Delivery.CONFIRMED)

    async def _content(self, shown: Shown) -> str | None:
        """None where there are no buttons, or where Twilio takes none: the typed words stand in the body."""
        if not shown.buttons:
            return None
        try:
            return await self.twilio.make_buttons(CONTENT_NAME, shown.body, _sent_by(shown.buttons))
        except ChannelRejected as fault:
            log.warning("whatsapp.no_buttons", extra={"reason": str(fault)})
            return None

    async def _unmake(self, content: str | None) -> None:
        if content is None:
            return
        try:
            await self.twilio.unmake_buttons(content)
        except ChannelError:
            log.info("whatsapp.content_left", extra={"content_sid": content})


def _sent_by(buttons: tuple[Button, ...]) -> list[tuple[str, str]]:
    return [(LABELS[button.action], button.token()) for button in buttons]
