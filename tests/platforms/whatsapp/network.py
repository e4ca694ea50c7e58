"""WhatsApp as a `Network`: the far side of our adapter for stories.

Everybody's conversation with the bot is their own. Who is named to write in somebody else's is not heard there: its
owner writes. Who presses on a card that stands with somebody else cannot see it: they type the word in their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

from aiohttp import web

from bot.domain.message import (
    Action,
    Capabilities,
    Delivery,
    Nonce,
    NotPosted,
    Post,
    Receipt,
    parse_button,
)
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, NativeId, Peer, PeerKind, ReturnAddress
from bot.ports import Check, Inbox
from channels.whatsapp.adapter import WhatsAppChannel
from tests.platforms.driver import Order, Seen
from tests.platforms.faults import Fault
from tests.platforms.whatsapp.carrier import Answered
from tests.platforms.whatsapp.reading import read
from tests.platforms.whatsapp.server import TwilioServer
from tests.platforms.whatsapp.world import Account, Message, new_sid

AGENT = AgentName("main")
LISTEN_S = 2.0
_FAULTS = {
    Order.LOST_ANSWER: Fault.LOST_ANSWER,
    Order.THROTTLED: Fault.THROTTLED,
    Order.UNAVAILABLE: Fault.UNAVAILABLE,
}


class WhatsAppNetwork:
    """One Twilio account `default`, with a sender; further accounts are Twilio accounts of their own."""

    def __init__(self) -> None:
        self.server = TwilioServer()
        self.template_sid: str | None = None
        """An approved template that the account `default` may send; see `with_template`."""
        self.service_sid: str | None = None
        """The messaging service that channels made from now on send through."""
        self._people: dict[str, str] = {}
        self.server.account("default")

    @property
    def name(self) -> str:
        return "whatsapp"

    @property
    def rooms(self) -> Sequence[Peer]:
        return (self.direct(self.person("ada")), self.direct(self.person("ben")))

    @property
    def thread(self) -> Peer | None:
        return None

    def direct(self, person: str, account: str = "default") -> Peer:
        return Peer(
            agent=AGENT,
            channel=ChannelName("whatsapp"),
            account=AccountName(account),
            kind=PeerKind.DIRECT,
            id=NativeId(person),
        )

    def person(self, name: str) -> str:
        return self._people.setdefault(name, f"+155502{len(self._people):05d}")

    # --- beside what every network has -------------------------------------------------------------

    def account(self, peer: Peer) -> Account:
        return self.server.account(peer.account)

    def with_template(self) -> str:
        """Let channels that are made from now on ask people to write."""
        self.template_sid = self.server.account("default").template("There is news for you. Answer to see it.").sid
        return self.template_sid

    def message(self, peer: Peer, message_id: MessageId) -> Message:
        return self.account(peer).messages[message_id]

    async def write(self, peer: Peer, text: str, *, repeats: int = 0, **fields: str) -> tuple[Message, Answered]:
        """The owner of this conversation writes, with further fields of the webhook."""
        await self._listens(self.account(peer))
        return await self._inbound(peer, text, fields, repeats)

    async def tap(self, peer: Peer, message_id: MessageId, sent: str, *, repeats: int = 0) -> Answered:
        """The owner of this conversation presses the button that sends this."""
        await self._listens(self.account(peer))
        label = next(label for label, each in self.message(peer, message_id).buttons if each == sent)
        fields = {
            "MessageType": "button",
            "ButtonText": label,
            "ButtonPayload": sent,
            "OriginalRepliedMessageSid": message_id,
            "OriginalRepliedMessageSender": f"whatsapp:{self.account(peer).number}",
        }
        return (await self._inbound(peer, label, fields, repeats))[1]

    async def _inbound(
        self, peer: Peer, text: str, fields: dict[str, str], repeats: int = 0
    ) -> tuple[Message, Answered]:
        account, now = self.account(peer), time.time()
        message = Message(
            sid=new_sid("SM"),
            author=str(peer.id),
            number=str(peer.id),
            body=text,
            status="received",
            created_at=now,
            updated_at=now,
        )
        account.keep(message)
        account.hears(message.number)
        return message, await self.server.carrier.deliver(account, message, fields, repeats=repeats)

    async def _listens(self, account: Account) -> None:
        """A gateway that has just started gets a moment, as it does from people who look first."""
        until = time.monotonic() + LISTEN_S
        while account.local_url is None and time.monotonic() < until:
            await asyncio.sleep(0.02)

    # --- Network -----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.server.__aexit__(*fault)

    def channel(self, account: str = "default", now: Callable[[], float] = time.time) -> Mounted:
        where = self.server.account(account)
        channel = WhatsAppChannel(
            agent=AGENT,
            account=AccountName(account),
            reply_mode="channel",
            account_sid=where.sid,
            auth_token=where.token,
            sender=where.number,
            messaging_service_sid=self.service_sid,
            template_sid=self.template_sid,
            api_base=self.server.url,
            content_base=self.server.url,
            public_url=where.public_url,
            now=now,
        )
        return Mounted(channel, where)

    async def say(self, peer: Peer, person: str, text: str, *, repeats: int = 0) -> MessageId:
        del person
        message, _ = await self.write(peer, text, repeats=repeats)
        return MessageId(message.sid)

    async def press(
        self, peer: Peer, message_id: MessageId, person: str, action: Action, *, reason: str = "", execution: str = ""
    ) -> str:
        await self._listens(self.account(peer))
        shown = self.read(self.message(peer, message_id))
        sent = next(token for each, token in shown.buttons if each is action and execution in token)
        if person == peer.id:
            return (await self.tap(peer, message_id, sent)).words
        button = parse_button(sent)
        assert button is not None
        own, typed = self.direct(person, peer.account), f"{action.value} {button.execution_id} {reason}"
        return (await self.write(own, typed.strip()))[1].words

    async def react(self, peer: Peer, message_id: MessageId, person: str, emoji: str) -> None:
        del peer, message_id, person, emoji
        raise NotImplementedError("Twilio delivers no reactions of WhatsApp")

    def seen(self, peer: Peer) -> Sequence[Seen]:
        return [self.read(message) for message in self.account(peer).of(str(peer.id)) if arrived(message)]

    def everywhere(self) -> Sequence[tuple[str, Seen]]:
        return [
            (f"{account.name}/{message.number}", self.read(message))
            for account in self.server.accounts.values()
            for message in account.messages.values()
            if message.author is None and arrived(message)
        ]

    def order(self, fault: Order) -> None:
        self.server.order(_FAULTS[fault])

    def read(self, message: Message) -> Seen:
        shown = read(message.body)
        buttons = [(button.action, sent) for _, sent in message.buttons if (button := parse_button(sent)) is not None]
        return Seen(
            id=MessageId(message.sid),
            author=message.author,
            text=shown.text,
            code=shown.code,
            file=message.file,
            buttons=tuple(buttons),
        )


def arrived(message: Message) -> bool:
    """Whether a phone shows it: what Twilio took and could not deliver, nobody sees."""
    return message.status not in {"failed", "undelivered"}


class Mounted:
    """The adapter behind a server of its own, to which the public address of its account leads."""

    def __init__(self, channel: WhatsAppChannel, account: Account) -> None:
        self.inner = channel
        self._account = account
        self._runner: web.AppRunner | None = None

    @property
    def name(self) -> ChannelName:
        return self.inner.name

    @property
    def account(self) -> AccountName:
        return self.inner.account

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def start(self, inbox: Inbox) -> None:
        site = web.Application()
        self.inner.mount(site)
        self._runner = web.AppRunner(site, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        await self.inner.start(inbox)
        self._account.local_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        self._account.local_url = None
        await self.inner.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        return await self.inner.send(address, post, nonce)

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        await self.inner.edit(peer, message_id, post)

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        return await self.inner.find(address, nonce)

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        return await self.inner.delivery(peer, message_id)

    async def check(self) -> Sequence[Check]:
        return await self.inner.check()
