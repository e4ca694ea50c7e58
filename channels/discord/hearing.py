"""Messages and reactions -> the inbox, in the order of each conversation, tried again until they are recorded.

Deliberately absent: presses and forms, which a person waits for (`interactions`); what was missed (`catchup`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import discord

from bot.domain.message import Answer, Sender
from bot.domain.retry import delay_s
from bot.domain.session import Peer
from bot.errors import Malformed, MalformedKey, StoreError
from bot.ports import Inbox
from channels.discord import faults, wire
from channels.discord.rest import Rest

log = logging.getLogger(__name__)

HORIZON_S = 3_600.0
"""As far back as the core acts on what it has missed: what was not recorded by then would only be told "seen late"."""
MAX_WAITING = 5_000
"""Deliveries that wait to be recorded; some 10 MB. What comes on top is read again after the gap."""
TYPING_S = 8.0
"""Discord shows one sign for ten."""
TYPING_TIMES = 4
"""Half a minute of typing; a turn that takes longer has its card."""


@dataclass(slots=True)
class _Line:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Who has the turn or waits for it: the line stays until the last has left."""


class Hearing:
    def __init__(self, rest: Rest, identity: wire.Identity, now: Callable[[], float]) -> None:
        self._rest = rest
        self._identity = identity
        self._now = now
        self._inbox: Inbox | None = None
        self._lines: dict[int, _Line] = {}
        self._waiting = 0
        self._typing: dict[str, asyncio.Task[None]] = {}
        """By thread, channel or person."""
        self.has_lost = False
        """Whether something was dropped that the next catch-up has to bring."""
        self.read_again: Callable[[], None] = lambda: None
        """Asked for once there is room again for what was dropped."""

    def open(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def close(self) -> None:
        self._inbox = None
        for task in self._typing.values():
            task.cancel()
        self._typing.clear()

    async def message(self, message: discord.Message, channel: object = None) -> None:
        """`channel` where the reader knows better than the message what it stands in."""
        inbox, me = self._inbox, self._rest.me
        if inbox is None or not wire.is_said_by_a_person(message, me):
            return
        async with self._in_line(message.channel.id) as is_taken:
            if not is_taken:
                return
            peer = await self.peer_of(channel or message.channel, message.channel.id, message.author.id)
            if peer is None:
                return
            own = None if message.guild is None else message.guild.self_role
            roles = () if own is None else (own.id,)
            heard = wire.message_of(message, peer=peer, me=me, roles=roles, identity=self._identity)
            answer = await self._recorded(lambda: inbox.message(heard), since=heard.sent_at)
        if answer is not None and answer.is_working:
            self._type(heard.peer, message.channel.id)

    async def reaction(self, event: discord.RawReactionActionEvent, channel: object) -> None:
        """Only on what is ours: the rest is talk among people."""
        me = self._rest.me
        author = event.message_author_id
        is_bot = event.member is not None and event.member.bot
        if event.user_id == me or is_bot or (author is not None and author != me):
            return
        sender = wire.sender_of(event.member or discord.Object(event.user_id))
        is_direct = event.guild_id is None
        peer = await self.peer_of(channel, event.channel_id, event.user_id, is_direct=is_direct)
        if peer is not None:
            await self.reacted(peer, event.message_id, sender, wire.emoji_of(event.emoji))

    async def reacted(self, peer: Peer, message: int, sender: Sender, emoji: str) -> None:
        inbox = self._inbox
        if inbox is None:
            return
        heard = wire.reaction_of(peer=peer, message=message, sender=sender, emoji=emoji)
        async with self._in_line(message) as is_taken:
            if is_taken:
                await self._recorded(lambda: inbox.reaction(heard), since=self._now())

    async def peer_of(self, channel: object, native: int, person: int, *, is_direct: bool = False) -> Peer | None:
        """Asks Discord where the library does not know the channel: a thread is never taken for its parent.

        Asked again as long as what was said there could be acted on; who cannot wait so long bounds it.
        """
        began, attempt = self._now(), 0
        try:
            peer = wire.peer_of(channel, person, self._identity, is_direct=is_direct)
            while peer is None and self._now() - began < HORIZON_S and self._inbox is not None:
                attempt += 1
                try:
                    peer = wire.peer_of(await self._rest.channel(native), person, self._identity)
                    break
                except (discord.NotFound, discord.Forbidden):
                    break
                except faults.SDK:
                    await asyncio.sleep(min(30.0, delay_s(attempt, jitter=0.5)))
        except (Malformed, MalformedKey):
            peer = None
        if peer is None:
            log.warning("discord.place_unknown", extra={"account": self._identity.account, "channel_id": native})
        return peer

    def quiet(self, peer: Peer) -> None:
        """We posted there: the sign goes."""
        task = self._typing.pop(peer.thread or peer.id, None)
        if task is not None:
            task.cancel()

    # --- inside ---

    @contextlib.asynccontextmanager
    async def _in_line(self, native: int) -> AsyncIterator[bool]:
        """One after the other in a conversation: what is recorded of it is a beginning of what was said."""
        if self._waiting >= MAX_WAITING:
            self.has_lost = True
            log.error("discord.too_many_waiting", extra={"account": self._identity.account})
            yield False
            return
        self._waiting += 1
        line = self._lines.setdefault(native, _Line())
        line.users += 1
        try:
            async with line.turn:
                yield True
        finally:
            self._waiting -= 1
            line.users -= 1
            if not line.users:
                del self._lines[native]
            if self.has_lost and not self._waiting:
                self.read_again()

    async def _recorded(self, record: Callable[[], Awaitable[Answer]], *, since: float) -> Answer | None:
        """Discord does not say anything twice, so we try until it is too late to act on."""
        attempt = 0
        while self._inbox is not None:
            try:
                return await record()
            except StoreError:
                attempt += 1
                if self._now() - since > HORIZON_S:
                    log.error("discord.not_recorded", extra={"account": self._identity.account})  # noqa: TRY400
                    return None
            await asyncio.sleep(min(30.0, delay_s(attempt, jitter=0.5)))
        return None

    def _type(self, peer: Peer, native: int) -> None:
        """`native` is where the question stands: a thread of its own may not be there yet."""
        place = peer.thread or peer.id
        if self._inbox is None or place in self._typing or len(self._typing) >= MAX_WAITING:
            return

        async def show() -> None:
            for _ in range(TYPING_TIMES):
                await self._rest.type_in(native)
                await asyncio.sleep(TYPING_S)

        task = asyncio.create_task(show(), name="discord-typing")
        self._typing[place] = task
        task.add_done_callback(lambda _: self._typing.pop(place, None) if self._typing.get(place) is task else None)
