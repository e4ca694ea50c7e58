"""Slack as a `Network`: the far side of our adapter for stories, in Socket Mode or over signed HTTP.

Deliberately absent: the wire (`server.py`) and what people can do beside stories (`people.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
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
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    ReturnAddress,
    ThreadId,
)
from bot.ports import Channel, Check, Inbox
from tests.platforms.driver import Order, Seen
from tests.platforms.faults import Fault
from tests.platforms.slack.payloads import buttons_in
from tests.platforms.slack.people import People
from tests.platforms.slack.reading import read
from tests.platforms.slack.server import SlackServer
from tests.platforms.slack.world import App, Conversation, Form, Message, Person

AGENT = AgentName("main")
_FAULTS = {
    Order.LOST_ANSWER: Fault.LOST_ANSWER,
    Order.THROTTLED: Fault.THROTTLED,
    Order.UNAVAILABLE: Fault.UNAVAILABLE,
}


LISTEN_S = 2.0


class SlackNetwork:
    """One workspace `example` with the account `default`; further accounts have workspaces of their own."""

    def __init__(self, *, is_http: bool = False, enterprise: str | None = None, reply_mode: str = "channel") -> None:
        self.server = SlackServer()
        self.people = People(self.server)
        self.is_http = is_http
        self.reply_mode = reply_mode
        world = self.server.world
        self.team = world.team("example", enterprise=enterprise)
        self.app = world.install("default", self.team)
        self._general = self.room("general")
        self._rooms = [self.peer(self._general), self.peer(self.room("ops")), self.peer(self.room("vault", "group"))]
        root = Message(channel=self._general.id, ts=world.ts(), user=self.person("root"), text="a thread begins here")
        world.keep(root)
        self._root = root.ts

    @property
    def name(self) -> str:
        return "slack"

    @property
    def rooms(self) -> Sequence[Peer]:
        return self._rooms

    @property
    def thread(self) -> Peer | None:
        return self.peer(self._general, thread=self._root)

    def direct(self, person: str) -> Peer:
        self.server.world.direct(self.app.bot_user, person, self.team)
        return _peer("default", PeerKind.DIRECT, person, None)

    def person(self, name: str) -> str:
        return self.server.world.person(name, self.team).id

    # --- beside what every network has -------------------------------------------------------------

    def account(self, name: str) -> App:
        """The app of this account; made with a workspace and a room of its own at the first call."""
        if name not in self.server.world.apps:
            team = self.server.world.team(f"example-{name}")
            self.server.world.install(name, team)
            self.room("general", account=name)
        return self.server.world.apps[name]

    def room(self, name: str, kind: str = "channel", *, account: str = "default", letter: str = "C") -> Conversation:
        app = self.server.world.apps[account]
        room = self.server.world.conversation(name, app.team, kind=kind, letter=letter)
        room.members.add(app.bot_user)
        return room

    def peer(self, room: Conversation, *, account: str = "default", thread: str | None = None) -> Peer:
        kind = PeerKind.GROUP if room.kind == "mpim" else PeerKind.CHANNEL
        return _peer(account, kind, room.id, thread)

    def conversation(self, peer: Peer) -> Conversation:
        app = self.account(peer.account)
        if peer.kind is PeerKind.DIRECT:
            return self.server.world.direct(app.bot_user, peer.id, app.team)
        return self.server.world.conversations[peer.id]

    def message(self, peer: Peer, message_id: MessageId) -> Message:
        return self.conversation(peer).messages[message_id]

    def who(self, person: str) -> Person:
        return self.server.world.people[person]

    # --- Network -----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.server.__aexit__(*fault)

    def channel(self, account: str = "default") -> Channel:
        from channels.slack.adapter import SlackChannel

        app = self.account(account)
        channel = SlackChannel(
            agent=AGENT,
            account=AccountName(account),
            reply_mode=self.reply_mode,
            bot_token=app.bot_token,
            app_token=None if self.is_http else app.app_token,
            signing_secret=app.signing_secret if self.is_http else None,
            api_base=f"{self.server.url}/api/",
            now=time.time,
        )
        return Mounted(channel, app) if self.is_http else channel

    async def _listens(self, account: str) -> None:
        """A gateway that has just started gets a moment to connect, as it does from people who look first."""
        until = time.monotonic() + LISTEN_S
        while not self.is_connected(account) and time.monotonic() < until:
            await asyncio.sleep(0.02)

    def is_connected(self, account: str = "default") -> bool:
        """Whether Slack has a way to reach the app of this account."""
        if self.is_http:
            return self.account(account).request_url is not None
        return bool(self.server.postman.open_sockets(account))

    async def say(self, peer: Peer, person: str, text: str, *, repeats: int = 0) -> MessageId:
        await self._listens(peer.account)
        message = await self.people.write(
            self.account(peer.account),
            self.conversation(peer),
            self.who(person),
            text,
            thread_ts=peer.thread,
            repeats=repeats,
        )
        return MessageId(message.ts)

    async def press(
        self,
        peer: Peer,
        message_id: MessageId,
        person: str,
        action: Action,
        *,
        reason: str = "",
        code: str = "",
        execution: str = "",
    ) -> str:
        await self._listens(peer.account)
        told = await self.people.press(
            self.account(peer.account),
            self.who(person),
            self.message(peer, message_id),
            lambda button: does(button) is action and execution in sent_by(button),
            reason=reason,
            code=code,
        )
        return told.words

    async def react(self, peer: Peer, message_id: MessageId, person: str, emoji: str) -> None:
        await self._listens(peer.account)
        message = self.message(peer, message_id)
        await self.people.react(self.account(peer.account), message, self.who(person), emoji)

    def seen(self, peer: Peer) -> Sequence[Seen]:
        conversation = self.conversation(peer)
        standing = conversation.top() if peer.thread is None else conversation.replies(peer.thread)
        # What stood before anybody did anything is nobody's word.
        return [self.read(message) for message in standing if message.ts != self._root]

    def everywhere(self) -> Sequence[tuple[str, Seen]]:
        return [
            (conversation.name, self.read(message))
            for conversation in self.server.world.conversations.values()
            for message in conversation.messages.values()
            if message.bot_id is not None
        ]

    def order(self, fault: Order) -> None:
        self.server.order(_FAULTS[fault])

    def read(self, message: Message) -> Seen:
        shown = read(message)
        files = [file.content.decode() for file in message.files if file.content is not None]
        return Seen(
            id=MessageId(message.ts),
            author=None if message.bot_id is not None else message.user,
            text=shown.text,
            code=tuple(shown.code),
            file=files[0] if files else None,
            buttons=tuple((does(button), sent_by(button)) for button in buttons_in(message.blocks)),
            mentions=tuple(dict.fromkeys(shown.pings)),
        )


def sent_by(button: Form) -> str:
    """What the app sends of ours when it is pressed: its value, or its action id where that says all."""
    for text in (button.get("value", ""), button.get("action_id", "")):
        if parse_button(text) is not None:
            return str(text)
    raise AssertionError(f"a button that is none of ours: {button}")


def does(button: Form) -> Action:
    parsed = parse_button(sent_by(button))
    assert parsed is not None
    return parsed.action


def _peer(account: str, kind: PeerKind, native: str, thread: str | None) -> Peer:
    return Peer(
        agent=AGENT,
        channel=ChannelName("slack"),
        account=AccountName(account),
        kind=kind,
        id=NativeId(native),
        thread=None if thread is None else ThreadId(thread),
    )


class Mounted:
    """An adapter in HTTP mode behind a server of its own, whose address the app's settings on Slack name."""

    def __init__(self, channel: Channel, app: App) -> None:
        self.inner = channel
        self._app = app
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
        self.inner.mount(site)  # type: ignore[attr-defined]
        self._runner = web.AppRunner(site, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        await self.inner.start(inbox)
        port = self._runner.addresses[0][1]
        self._app.request_url = f"http://127.0.0.1:{port}/slack/{self._app.account}/events"

    async def close(self) -> None:
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
