"""How people write, press and read, on each network alike: each in the network's own way, over its own wire.

The web chat is spoken to over HTTP as its page does; the others through their strict servers. Deliberately absent:
patience. Who is not heard learns that, and decides what to do (see `world`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp
from yarl import URL

from bot.demo.chat import DemoError, Visitor, _seen
from bot.domain.message import Action, parse_button
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, NativeId, Peer, PeerKind, ThreadId
from tests.platforms.discord.network import DiscordNetwork
from tests.platforms.driver import Network, Seen
from tests.platforms.slack.network import SlackNetwork
from tests.platforms.whatsapp.network import WhatsAppNetwork

AWAY = (DemoError, aiohttp.ClientError, TimeoutError, OSError, AssertionError, StopIteration, KeyError, ValueError)
"""What people meet while the gateway is away or has just come back: nobody listens, a button is not there yet."""
WEB_ROOMS = ("general", "ops", "free", "slow", "short")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    id: MessageId
    is_acknowledged: bool
    """The network was told that it was taken, so the network will not bring it again."""


class People(Protocol):
    """The far side of one network."""

    @property
    def name(self) -> str: ...
    def places(self) -> Sequence[Peer]: ...
    async def say(self, peer: Peer, text: str) -> Said:
        """Ada writes there. Raises one of AWAY where it could not even be sent off."""
        ...

    async def press(self, peer: Peer, message_id: MessageId, action: Action) -> str:
        """The owner presses. Raises one of AWAY."""
        ...

    async def react(self, peer: Peer, message_id: MessageId, emoji: str) -> None: ...
    async def shown(self, peer: Peer) -> Sequence[Seen]:
        """All that stands there now."""
        ...

    async def by_bot(self) -> Sequence[Seen]:
        """All that the bot has standing anywhere on this network."""
        ...


@dataclass(slots=True)
class OnNetwork:
    """Ada and the owner on Discord, Slack or WhatsApp."""

    network: Network

    @property
    def name(self) -> str:
        return self.network.name

    def places(self) -> Sequence[Peer]:
        thread = self.network.thread
        if isinstance(self.network, WhatsAppNetwork):
            thread = self.network.direct(self.network.person("owner"))
        return [*self.network.rooms[:2], *([] if thread is None else [thread])]

    async def say(self, peer: Peer, text: str) -> Said:
        match self.network:
            case WhatsAppNetwork():
                message, answered = await self.network.write(peer, text)
                return Said(id=MessageId(message.sid), is_acknowledged=answered.status == 200)
            case SlackNetwork():
                said = await self.network.say(peer, self.network.person("ada"), text)
                attempts = self.network.server.postman.attempts
                mine = [one for one in attempts if one.body.get("event", {}).get("ts") == said]
                return Said(id=said, is_acknowledged=any(one.is_acknowledged for one in mine))
            case _:
                # Discord's socket acknowledges nothing: what was missed is read again.
                return Said(
                    id=await self.network.say(peer, self.network.person("ada"), text),
                    is_acknowledged=isinstance(self.network, DiscordNetwork),
                )

    async def press(self, peer: Peer, message_id: MessageId, action: Action) -> str:
        return await self.network.press(peer, message_id, self.network.person("owner"), action)

    async def react(self, peer: Peer, message_id: MessageId, emoji: str) -> None:
        await self.network.react(peer, message_id, self.network.person("owner"), emoji)

    async def shown(self, peer: Peer) -> Sequence[Seen]:
        return self.network.seen(peer)

    async def by_bot(self) -> Sequence[Seen]:
        seen = [one for _, one in self.network.everywhere()]
        if not isinstance(self.network, WhatsAppNetwork):
            return seen
        # Twilio itself sends on what stands in the answer to a webhook: a private note, which nothing is owed for.
        account = self.network.server.account("default")
        return [one for one in seen if account.messages[one.id].callback is not None]


class Page(Visitor):
    """One person at a page that is behind a proxy with TLS, as the config says, and is reached without one here."""

    def __init__(self, name: str, base_url: str) -> None:
        super().__init__(name, base_url)
        self._session._cookie_jar = aiohttp.CookieJar(unsafe=True, treat_as_secure_origin=URL(base_url))


@dataclass(slots=True)
class OnWeb:
    """Ada and the owner at their pages. `ada` and `owner` are signed in before anybody says anything."""

    base_url: str
    thread: str | None = None
    """The root of a thread in the first room."""
    _pages: dict[str, Page] = field(default_factory=dict)

    @property
    def ada(self) -> Page:
        return self._page("ada")

    @property
    def owner(self) -> Page:
        return self._page("owner")

    def _page(self, name: str) -> Page:
        """Opened when somebody first looks at it."""
        if name not in self._pages:
            self._pages[name] = Page(name, self.base_url)
        return self._pages[name]

    @property
    def name(self) -> str:
        return "web"

    def room(self, name: str, thread: str | None = None) -> Peer:
        return Peer(
            agent=AgentName("main"),
            channel=ChannelName("web"),
            account=AccountName("default"),
            kind=PeerKind.CHANNEL,
            id=NativeId(name),
            thread=None if thread is None else ThreadId(thread),
        )

    def places(self) -> Sequence[Peer]:
        here = [self.room("general"), self.room("ops")]
        return here if self.thread is None else [*here, self.room("general", self.thread)]

    async def close(self) -> None:
        for page in self._pages.values():
            await page.close()

    async def say(self, peer: Peer, text: str) -> Said:
        body = {
            "kind": "channel",
            "room": peer.id,
            "thread": peer.thread,
            "text": text,
            "nonce": secrets.token_hex(8),
        }
        for _ in range(60):
            # The page sends again what got no answer, with the same nonce.
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                answer = await self.ada._post("/web/messages", body)
                return Said(id=MessageId(str(answer["message"]["id"])), is_acknowledged=True)
            await asyncio.sleep(0.2)
        raise DemoError("the gateway took no message for 12 s")

    async def press(self, peer: Peer, message_id: MessageId, action: Action) -> str:
        for seen in await self.owner.messages(peer.id, thread=peer.thread):
            if str(seen.id) == message_id:
                return await self.owner.press(seen, action.value)
        raise DemoError("no such message")

    async def react(self, peer: Peer, message_id: MessageId, emoji: str) -> None:
        raise NotImplementedError("a page has buttons")

    async def shown(self, peer: Peer) -> Sequence[Seen]:
        """Older pages included. The root of a thread stands above every page of it."""
        found: dict[int, Seen] = {}
        before: int | None = None
        while True:
            query = {"kind": "channel", "room": str(peer.id)}
            query |= {} if peer.thread is None else {"thread": str(peer.thread)}
            query |= {} if before is None else {"before": str(before)}
            async with self.owner._session.get("/web/messages", params=query) as response:
                page = [_seen(message) for message in (await response.json())["messages"]]
            more = [one for one in page if one.thread == peer.thread and one.id not in found]
            if not more:
                return [found[number] for number in sorted(found)]
            before = min(one.id for one in more)
            for one in more:
                found[one.id] = Seen(
                    id=MessageId(str(one.id)),
                    author=one.author,
                    text=one.text,
                    buttons=tuple(
                        (button.action, each["token"])
                        for each in one.buttons
                        if (button := parse_button(each["token"])) is not None
                    ),
                )

    async def by_bot(self) -> Sequence[Seen]:
        places = [*self.places(), *map(self.room, WEB_ROOMS[2:])]
        return [one for peer in places for one in await self.shown(peer) if one.author is None]
