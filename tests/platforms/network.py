"""The server side of the chat network on loopback: keeps what was posted, goes wrong on order.

Deliberately absent: any real network's quirks, and any knowledge of the core behind the channel.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from bot.domain.message import (
    Action,
    Button,
    ButtonPress,
    InboundMessage,
    Nonce,
    Reaction,
    Sender,
)
from bot.domain.session import DeliveryId, MessageId, Peer
from tests.platforms.faults import Fault, Order
from tests.platforms.forms import Form, delivery_form, peer_of
from tests.platforms.posted import Place, Posted, place_of

R = TypeVar("R")
ANSWER_S = 15.0
"""Of one delivery into the gateway and one call of ours: loopback answers in milliseconds, a loaded machine later."""


class LoopbackPlatform:
    """The network. `async with` starts and ends its server; tests read `messages` and order faults."""

    def __init__(self, *, dedupes: bool = False, remembers: bool = True) -> None:
        """`dedupes`: a nonce that was used posts nothing new. `remembers`: a look-up by nonce is possible at all."""
        self.messages: list[Posted] = []
        self.calls: list[tuple[str, Form]] = []
        """Every call that reached us, also those that went wrong."""
        self.dedupes = dedupes
        self.remembers = remembers
        self.new_id: Callable[[int], str] = lambda number: f"m{number}"
        self._numbers = itertools.count(1)
        self._deliveries = itertools.count(1)
        self._orders: list[Order] = []
        self._hooks: dict[tuple[str, str], str] = {}
        self._by_id: dict[tuple[Place, str], Posted] = {}
        self._by_nonce: dict[tuple[str, str, str], Posted] = {}
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        verbs = {"post": self._post, "edit": self._edit, "find": self._find, "hook": self._hook}
        for verb, answer in verbs.items():
            app.router.add_post(f"/{verb}", self._answering(verb, answer))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        return self

    async def __aexit__(self, *_fault: object) -> None:
        for order in self._orders:
            order.lift()
        if self._client is not None:
            await self._client.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # --- people ------------------------------------------------------------------------------------

    async def say(
        self,
        peer: Peer,
        person: str,
        text: str,
        *,
        sent_at: float,
        delivery: str | None = None,
        message_id: str | None = None,
        repeated: bool = False,
    ) -> tuple[MessageId, str | None]:
        """A person writes; returns the message's id and the private note, after the gateway has acknowledged.

        `repeated`: the network delivers again what stands already.
        """
        if repeated and message_id is not None:
            posted = self._by_id[place_of(peer), message_id]
        else:
            posted = self._keep(peer, author=person, words=text, message_id=message_id)
        message = InboundMessage(
            peer=peer,
            sender=Sender(native=person, name=person.title()),
            delivery=self._delivery(delivery),
            message_id=posted.id,
            text=text,
            sent_at=sent_at,
        )
        return posted.id, await self.deliver(message)

    async def press(
        self, card: Posted, person: str, action: Action, *, reason: str = "", delivery: str | None = None
    ) -> str | None:
        """A person presses a button that the message shows now; returns the private note."""
        return await self.press_button(card, person, card.button(action), reason=reason, delivery=delivery)

    async def press_button(
        self, card: Posted, person: str, button: Button, *, reason: str = "", delivery: str | None = None
    ) -> str | None:
        """A press of any button on any message: an old view, or a forged one."""
        press = ButtonPress(
            peer=card.peer,
            sender=Sender(native=person, name=person.title()),
            delivery=self._delivery(delivery),
            message_id=card.id,
            button=button,
            reason=reason,
        )
        return await self.deliver(press)

    async def react(self, peer: Peer, message_id: str, person: str, emoji: str) -> str | None:
        reaction = Reaction(
            peer=peer,
            sender=Sender(native=person, name=person.title()),
            delivery=self._delivery(None),
            message_id=MessageId(message_id),
            emoji=emoji,
        )
        return await self.deliver(reaction)

    async def deliver(self, delivery: InboundMessage | ButtonPress | Reaction) -> str | None:
        """Over the webhook of its account. Raises `ClientError` where nobody listens or it was not acknowledged."""
        assert self._client is not None
        hook = self._hooks.get((delivery.peer.channel, delivery.peer.account))
        if hook is None:
            raise aiohttp.ClientConnectionError("no gateway listens for this account")
        async with self._client.post(hook, json=delivery_form(delivery), raise_for_status=True) as response:
            answer: Form = await response.json()
        note: str | None = answer["note"]
        return note

    # --- what a test asks --------------------------------------------------------------------------

    def order(
        self,
        fault: Fault,
        *,
        verb: str = "post",
        times: float = 1,
        seconds: float = 0.0,
        at: Peer | None = None,
        fits: Callable[[Form], bool] = lambda _form: True,
    ) -> Order:
        """Let the next `times` calls go wrong. `seconds`: the delay, or the Retry-After. `at` narrows it to a place."""
        place = None if at is None else place_of(at)

        def matches(form: Form) -> bool:
            return (place is None or place_of(peer_of(form["peer"])) == place) and fits(form)

        order = Order(fault=fault, verb=verb, times=times, seconds=seconds, fits=matches)
        self._orders.append(order)
        return order

    def at(self, peer: Peer) -> list[Posted]:
        """What the bot has posted in this place, in order."""
        place = place_of(peer)
        return [posted for posted in self.messages if posted.author is None and posted.place == place]

    def standing(self, peer: Peer) -> list[Posted]:
        """All that stands in this place, people's words included."""
        return [posted for posted in self.messages if posted.place == place_of(peer)]

    def by_bot(self) -> list[Posted]:
        return [posted for posted in self.messages if posted.author is None]

    async def until(self, found: Callable[[], R | None], what: str, *, within_s: float) -> R:
        """The first truthy `found()`; looked at after every change here and ten times a second. Fails with `what`."""
        until = time.monotonic() + within_s
        while True:
            self._changed.clear()
            value = found()
            if value:
                return value
            left_s = until - time.monotonic()
            if left_s <= 0:
                standing = "\n".join(f"  {posted.place} {posted.text!r}" for posted in self.messages[-12:])
                raise AssertionError(f"{what}: not within {within_s} s. The newest on the network:\n{standing}")
            try:
                async with asyncio.timeout(min(left_s, 0.1)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    # --- the server --------------------------------------------------------------------------------

    def _answering(self, verb: str, answer: Callable[[Form], web.Response]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            form: Form = json.loads(await request.read())
            self.calls.append((verb, form))
            order = next((order for order in self._orders if order.takes(verb, form)), None)
            self._changed.set()
            if order is None:
                return answer(form)
            match order.fault:
                case Fault.UNAVAILABLE:
                    return web.Response(status=503)
                case Fault.THROTTLED:
                    return web.Response(status=429, headers={"Retry-After": str(order.seconds)})
                case Fault.REJECTED:
                    return web.Response(status=400, text="it will never be posted as it stands")
                case Fault.HELD:
                    return web.Response(status=409, text="the window is closed")
                case Fault.SLOW:
                    response = answer(form)
                    await asyncio.sleep(order.seconds)
                    return response
                case Fault.GATED:
                    await order.gate.wait()
                    return answer(form)
                case Fault.LOST_ANSWER:
                    answer(form)
            _drop(request)
            return web.Response(status=500)

        return respond

    def _post(self, form: Form) -> web.Response:
        peer = peer_of(form["peer"])
        known = (peer.channel, peer.account, form["nonce"])
        posted = self._by_nonce.get(known) if self.dedupes else None
        if posted is None:
            posted = self._keep(peer, author=None, reply_to=form["reply_to"], nonce=form["nonce"], form=form["post"])
            self._by_nonce.setdefault(known, posted)
        return as_json({"id": posted.id})

    def _edit(self, form: Form) -> web.Response:
        posted = self._by_id.get((place_of(peer_of(form["peer"])), form["message_id"]))
        if posted is None or posted.author is not None:
            return web.Response(status=404, text="there is no such message of yours")
        posted.forms.append(form["post"])
        self._changed.set()
        return as_json({})

    def _find(self, form: Form) -> web.Response:
        if not self.remembers:
            return as_json({"known": False})
        peer = peer_of(form["peer"])
        posted = self._by_nonce.get((peer.channel, peer.account, form["nonce"]))
        return as_json({"known": True, "id": None if posted is None else posted.id})

    def _hook(self, form: Form) -> web.Response:
        where, account = form["url"], (form["channel"], form["account"])
        if where is None:
            self._hooks.pop(account, None)
        else:
            self._hooks[account] = where
        self._changed.set()
        return as_json({})

    def listens(self, peer: Peer) -> bool:
        """Whether a gateway takes deliveries of this account."""
        return (peer.channel, peer.account) in self._hooks

    def _keep(
        self,
        peer: Peer,
        *,
        author: str | None,
        reply_to: MessageId | None = None,
        nonce: Nonce | None = None,
        words: str = "",
        form: Form | None = None,
        message_id: str | None = None,
    ) -> Posted:
        number = next(self._numbers)
        posted = Posted(
            order=number,
            at=time.monotonic(),
            peer=peer,
            id=MessageId(self.new_id(number) if message_id is None else message_id),
            author=author,
            reply_to=reply_to,
            nonce=nonce,
            words=words,
            forms=[] if form is None else [form],
        )
        self.messages.append(posted)
        self._by_id[posted.place, posted.id] = posted
        self._changed.set()
        return posted

    def _delivery(self, named: str | None) -> DeliveryId:
        return DeliveryId(f"d{next(self._deliveries)}" if named is None else named)


def as_json(form: Form) -> web.Response:
    return web.Response(text=json.dumps(form), content_type="application/json")


def _drop(request: web.Request) -> None:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
