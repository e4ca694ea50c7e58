"""What was said, and how open cards were reacted to, while nobody listened. Read by REST after each gap.

Deliberately absent: what was missed longer ago than the horizon, on which the core would not act.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence

import discord

from bot.domain.message import Standing
from bot.domain.retry import delay_s
from bot.domain.session import PeerKind
from bot.errors import ChannelError, Malformed, StoreError
from bot.ports import Inbox
from channels.discord import faults, wire
from channels.discord.hearing import HORIZON_S, Hearing
from channels.discord.rest import Rest

log = logging.getLogger(__name__)

MAX_MESSAGES = 1_000
"""Of one channel in an hour: ten requests. A channel that says more is no place where each word is for us."""
MAX_CARDS = 200
MAX_EMOJI = 20
MAX_REACTED = 100
"""People of one emoji on one card: a page of Discord's."""
ATTEMPTS = 5
"""Some 15 s of trying; the next connection tries again from the same place."""


class CatchUp:
    """Keeps where to read on from: taken before anything new is heard, kept until all of it is read."""

    def __init__(self, rest: Rest, hearing: Hearing, identity: wire.Identity, now: Callable[[], float]) -> None:
        self._rest = rest
        self._hearing = hearing
        self._identity = identity
        self._now = now
        self._inbox: Inbox | None = None
        self._from: Sequence[Standing] | None = None
        self._turn = asyncio.Lock()

    def open(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def mark(self) -> None:
        """Before a connection and at its end. A mark that was not read from yet is older, so it stays."""
        if self._from is not None or self._inbox is None:
            return
        # Without a mark it is read from the horizon on: what was recorded is dropped again by its id.
        with contextlib.suppress(StoreError):
            self._from = await self._inbox.read_from(wire.DISCORD, self._identity.account)

    async def read(self, client: discord.Client) -> None:
        """After `ready` and after `resumed`. One at a time; a repeat finds nothing new."""
        async with self._turn:
            for attempt in range(1, ATTEMPTS + 1):
                if client.is_closed() or self._inbox is None:
                    return
                # What was recorded last may be younger than what was dropped.
                mark = None if self._hearing.has_lost else self._from
                self._hearing.has_lost = False
                try:
                    await self._messages(client, self._inbox, mark)
                    await self._cards(self._inbox)
                except (*faults.SDK, ChannelError, StoreError) as fault:
                    log.warning(
                        "discord.catch_up_failed",
                        extra={"account": self._identity.account, "attempt": attempt, "kind": type(fault).__name__},
                    )
                    self._hearing.has_lost = self._hearing.has_lost or mark is None
                    await asyncio.sleep(delay_s(attempt, jitter=0.5))
                else:
                    self._from = None
                    return

    # --- messages ---

    async def _messages(self, client: discord.Client, inbox: Inbox, mark: Sequence[Standing] | None) -> None:
        """Without a mark this is the second reading of one gap, or the store was away: from the horizon on."""
        horizon = wire.id_at(self._now() - HORIZON_S)
        known = await inbox.read_from(wire.DISCORD, self._identity.account) if mark is None else mark
        rooms, people = _cursors(known)
        if mark is None:
            rooms, people = {}, dict.fromkeys(people, 0)
        for channel in tuple(_readable(client)):
            after = max(rooms.get(channel.id, 0), horizon)
            if (channel.last_message_id or 0) > after:
                await self._history(channel, after)
        for person, newest in people.items():
            direct = await self._rest.client.create_dm(discord.Object(person))
            await self._history(direct, max(newest, horizon))

    async def _history(self, channel: discord.abc.Messageable, after: int) -> None:
        try:
            async for message in channel.history(after=discord.Object(after), oldest_first=True, limit=MAX_MESSAGES):
                await self._hearing.message(message, channel)
        except (discord.Forbidden, discord.NotFound):
            return  # no Read Message History there, or gone since

    # --- reactions on cards ---

    async def _cards(self, inbox: Inbox) -> None:
        cards = await inbox.open_cards(wire.DISCORD, self._identity.account)
        for card in cards[:MAX_CARDS]:
            try:
                native = await self._rest.channel_of(card.peer)
                place = self._rest.client.get_partial_messageable(native)
                message = await place.fetch_message(int(card.message_id))
                await self._reactions(card, message)
            except (Malformed, ValueError, discord.Forbidden, discord.NotFound):
                continue

    async def _reactions(self, card: Standing, message: discord.Message) -> None:
        for reaction in message.reactions[:MAX_EMOJI]:
            emoji = reaction.emoji
            name = wire.emoji_of(emoji)
            async for person in reaction.users(limit=MAX_REACTED):
                if person.id != self._rest.me and not person.bot:
                    await self._hearing.reacted(card.peer, message.id, wire.sender_of(person), name)


def _cursors(standings: Sequence[Standing]) -> tuple[dict[int, int], dict[int, int]]:
    """Channel or thread -> newest recorded message, and person -> newest. Ids that are none are left out."""
    rooms: dict[int, int] = {}
    people: dict[int, int] = {}
    for standing in standings:
        try:
            peer, newest = standing.peer, wire.snowflake(standing.message_id)
            native = wire.snowflake(peer.id)
            thread = None if peer.thread is None else wire.snowflake(peer.thread)
        except Malformed:
            continue
        if peer.kind is PeerKind.DIRECT:
            people[native] = max(newest, people.get(native, 0))
            continue
        # A message at the top level that is answered in a thread of its own: that thread has its id.
        place = native if thread is None or thread == newest else thread
        rooms[place] = max(newest, rooms.get(place, 0))
    return rooms, people


_Read = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread


def _readable(client: discord.Client) -> Iterator[_Read]:
    for guild in client.guilds:
        yield from guild.text_channels
        yield from guild.voice_channels
        yield from guild.stage_channels
        yield from guild.threads
