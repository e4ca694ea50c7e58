"""The web chat as a `Channel`: a network of its own, whose messages stand in our log. Composition and the port.

Deliberately absent: HTTP (`routes`), the live streams (`feed`, `live`), what a page shows (`static`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from aiohttp import web

from bot.domain.message import Capabilities, Delivery, Nonce, NotPosted, Post, Receipt
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, Peer, ReturnAddress
from bot.errors import ChannelRejected, ChannelUnavailable, ConfigError, HomingError, Malformed
from bot.ports import ChatEntry, ChatLog, Check, Inbox
from channels.web import wire
from channels.web.access import Origins
from channels.web.conversations import Conversations
from channels.web.feed import Feed, changes_after
from channels.web.gate import Gate, WebLimits
from channels.web.routes import Routes

log = logging.getLogger(__name__)

FIRST_ROOMS = ("general", "ops")
BATCH_MEMBERS = 32
"""On one card of a batch: a page has room for any number, a reader for two screens of it."""
UNCERTAIN_S = 3_600.0
"""How far back a start hands messages to the core again: as far as the core acts on what it has missed."""
UNCERTAIN_ENTRIES = 5_000
"""Of those, the newest at most: a start is not to take longer than some seconds."""


class WebChannel:
    """One account of the web chat. `mount` before the server starts; `start` begins to listen."""

    def __init__(
        self,
        chat_log: ChatLog,
        *,
        agent: AgentName,
        account: AccountName,
        now: Callable[[], float],
        public_url: str | None = None,
        rooms: Sequence[str] = FIRST_ROOMS,
        limits: WebLimits | None = None,
    ) -> None:
        """`public_url` is the address that people's browsers use, where that is not loopback; `rooms` are opened at
        the start. Raises `ConfigError` for an address or a room's name that cannot be used.
        """
        self._log = chat_log
        self._identity = wire.Identity(agent=agent, account=account)
        self._now = now
        self._rooms = tuple(_room(name) for name in rooms)
        bounds = WebLimits() if limits is None else limits
        self._conversations = Conversations(chat_log)
        self._feed = Feed(chat_log, streams_each=bounds.streams_each, streams_total=bounds.streams_total)
        self._routes = Routes(
            chat_log,
            self._feed,
            self._conversations,
            self._identity,
            Gate(chat_log, Origins(public_url), bounds),
            bounds,
            now,
        )

    @property
    def name(self) -> ChannelName:
        return wire.WEB

    @property
    def account(self) -> AccountName:
        return self._identity.account

    @property
    def capabilities(self) -> Capabilities:
        """A page shows more than a person reads; these keep one message under some ten screens."""
        return Capabilities(text_chars=20_000, code_chars=12_000, edit_interval_s=0.5, batch_members=BATCH_MEMBERS)

    def mount(self, app: web.Application) -> None:
        """Add our routes: `/`, `/join` and everything under `/web/`."""
        self._routes.mount(app)

        async def end_streams(_app: web.Application) -> None:
            # aiohttp waits for open answers when it stops; a stream never ends by itself.
            self._feed.end_streams()

        app.on_shutdown.append(end_streams)

    async def start(self, inbox: Inbox) -> None:
        for room in self._rooms:
            await self._log.open_room(room)
        await self._feed.start()
        await self._hand_in_uncertain(inbox)
        self._routes.inbox = inbox
        log.info("web.started", extra={"account": self.account})

    async def close(self) -> None:
        self._routes.inbox = None
        await self._feed.close()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        peer = self._own(address.peer)
        try:
            quote = await self._quote(address)
            entry, _ = await self._log.post(
                kind=peer.kind.value,
                room=peer.id,
                thread=peer.thread,
                author="",
                body=wire.post_body(post, quote),
                nonce=nonce,
            )
        except HomingError as fault:
            raise ChannelUnavailable("the chat log could not be written") from fault
        self._feed.wake()
        return _receipt(entry)

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        own = self._own(peer)
        try:
            entry = await self._conversations.message(own, message_id)
            if entry is not None and not entry.author:
                await self._log.revise(entry.id, body=wire.post_body(post, wire.quote_of_body(entry.body)))
        except HomingError as fault:
            raise ChannelUnavailable("the chat log could not be written") from fault
        if entry is None or entry.author:
            raise ChannelRejected("there is no such message of ours in this conversation")
        self._feed.wake()

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        """Never unknown: the log is the network."""
        self._own(address.peer)
        try:
            entry = await self._log.by_nonce(author="", nonce=nonce)
        except HomingError as fault:
            raise ChannelUnavailable("the chat log could not be read") from fault
        return NotPosted.SURELY if entry is None else _receipt(entry)

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        """Whatever stands in the log is delivered."""
        entry = await self._conversations.message(self._own(peer), message_id)
        return Delivery.FAILED if entry is None else Delivery.CONFIRMED

    async def check(self) -> Sequence[Check]:
        """Nothing outside this machine has to be set up for it."""
        return ()

    def _own(self, peer: Peer) -> Peer:
        # Whichever of our agents it is: the network knows of none.
        if (peer.channel, peer.account) != (self.name, self.account):
            raise ChannelRejected("this conversation is not one of this account of the web chat")
        if peer.kind.value not in {"channel", "direct"}:
            raise ChannelRejected("the web chat has rooms and direct conversations only")
        return peer

    async def _quote(self, address: ReturnAddress) -> wire.Quote | None:
        """The message that asked: at its own level, or the root that its thread hangs on."""
        if address.message_id is None:
            return None
        entry = await self._conversations.message(address.peer, address.message_id)
        if entry is None and address.peer.thread is not None:
            entry = await self._conversations.message(address.peer.parent(), address.message_id)
        return None if entry is None else wire.quote_of(entry)

    async def _hand_in_uncertain(self, inbox: Inbox) -> None:
        """A gateway that died between the log and the core lost nothing: the core drops what it has taken."""
        entries = await changes_after(self._log, self._now() - UNCERTAIN_S, limit=UNCERTAIN_ENTRIES)
        written = sorted((entry for entry in entries if entry.author), key=lambda entry: entry.id)
        names = await self._conversations.names(written)
        for entry in written:
            name = names.get(entry.author, entry.author)
            await inbox.message(wire.inbound(entry, name=name, identity=self._identity))


def _room(name: str) -> str:
    try:
        return wire.parse_room(name)
    except Malformed as fault:
        raise ConfigError((f"web.rooms holds {name!r}: {fault}",)) from None


def _receipt(entry: ChatEntry) -> Receipt:
    return Receipt(message_id=MessageId(str(entry.id)))
