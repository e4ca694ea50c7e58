"""What was said, and how open cards were reacted to, while nobody listened. Read by the Web API after each gap.

Deliberately absent: what was missed longer ago than the horizon, on which the core would not act.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.message import Standing
from bot.domain.retry import delay_s
from bot.domain.session import Peer
from bot.errors import ChannelError, ChannelRejected, Malformed, MalformedKey, StoreError
from bot.ports import Inbox
from channels.slack import faults, wire
from channels.slack.hearing import Hearing
from channels.slack.rest import Rest

log = logging.getLogger(__name__)

HORIZON_S = 3_600.0
MAX_PLACES = 500
MAX_PAGES = 10
MAX_CARDS = 200
MAX_EMOJI = 20
MAX_REACTED = 100
MAX_THREADS = 50
"""Of those that began while nobody listened, in one channel."""
_GONE = frozenset({"channel_not_found", "not_in_channel", "thread_not_found", "message_not_found", "missing_scope"})


@dataclass(slots=True)
class _Place:
    """Where to read on in a conversation or thread, and in which gap that was last asked for."""

    since: str
    gap: int


class CatchUp:
    """Keeps where to read on from: taken before anything new is heard, kept until all of it is read."""

    def __init__(self, rest: Rest, hearing: Hearing, identity: wire.Identity, now: Callable[[], float]) -> None:
        self._rest = rest
        self._hearing = hearing
        self._identity = identity
        self._now = now
        self._marked: dict[Peer, str] = {}
        self._places: dict[Peer, _Place] = {}
        self._cards: list[Standing] = []
        self._gap = 0
        self._is_unmarked = False
        """The store could not say where to read on."""
        self._wants_cards = False
        self.inbox: Inbox | None = None

    async def mark(self) -> None:
        """Before anything new is heard. A mark that was not read from yet is older, so it stays."""
        if self.inbox is None:
            return
        try:
            standings = await self.inbox.read_from(wire.SLACK, self._identity.account)
        except StoreError:
            self._is_unmarked = True
            return
        self._is_unmarked = False
        for peer, since in self._where(standings).items():
            self._marked[peer] = min(since, self._marked.get(peer, since))

    def gap_is_over(self) -> None:
        """New things are heard from here on. What is being read meanwhile is read once more."""
        self._gap += 1
        self._wants_cards = True
        self._take_marks()

    def _take_marks(self) -> None:
        for peer, since in self._marked.items():
            known = self._places.get(peer)
            self._places[peer] = _Place(since if known is None else min(since, known.since), self._gap)
        self._marked = {}

    def _where(self, standings: Sequence[Standing]) -> dict[Peer, str]:
        """Of each conversation the newest; ids that are none are left out."""
        horizon = f"{self._now() - HORIZON_S:.6f}"
        newest: dict[Peer, str] = {}
        for standing in standings[:MAX_PLACES]:
            try:
                peer, ts = standing.peer, wire.ts_id(standing.message_id)
                wire.peer_of(self._identity, peer.kind, peer.id, peer.thread)
            except (Malformed, MalformedKey):
                continue
            # A question at the top level that is answered in a thread of its own: both are read on.
            for place in {peer, peer.parent()} if peer.thread == ts else {peer}:
                newest[place] = max(newest.get(place, horizon), ts, horizon)
            if self._identity.has_threads and peer.thread is not None:
                newest.setdefault(peer.parent(), horizon)
        return newest

    async def read(self) -> None:
        """Until all is read, or is too old to be acted on. A repeat finds nothing new; none keeps another waiting.

        The connection may stand for hours: nothing but this asks again.
        """
        attempt, began, gap = 0, self._now(), self._gap
        while self.inbox is not None and self._is_behind() and self._now() - began < HORIZON_S:
            if gap != self._gap:
                attempt, began, gap = 0, self._now(), self._gap
            failed = await self._ask_store(self.inbox) + await self._read_places() + await self._read_cards()
            if failed:
                attempt += 1
                log.warning(
                    "slack.catch_up_failed",
                    extra={"account": self._identity.account, "attempt": attempt, "count": failed},
                )
                await asyncio.sleep(delay_s(min(attempt, 6), jitter=random.random()))  # noqa: S311

    def _is_behind(self) -> bool:
        return bool(self._is_unmarked or self._wants_cards or self._places or self._cards)

    async def _ask_store(self, inbox: Inbox) -> int:
        """What is still to be learned from it before anything can be read."""
        if self._is_unmarked:
            await self.mark()
            self._take_marks()
        if self._wants_cards:
            try:
                self._cards = list(await inbox.open_cards(wire.SLACK, self._identity.account))[:MAX_CARDS]
                self._wants_cards = False
            except StoreError:
                pass
        return self._is_unmarked + self._wants_cards

    async def _read_places(self) -> int:
        failed = 0
        for peer, place in tuple(self._places.items()):
            if await self._is_done(self._read_place(peer, place.since)):
                if self._places.get(peer) is place:
                    del self._places[peer]
            else:
                failed += 1
        return failed

    async def _read_cards(self) -> int:
        cards, self._cards = self._cards, []
        failed = [card for card in cards if not await self._is_done(self._read_card(card))]
        self._cards = self._cards or failed
        return len(failed)

    async def _is_done(self, reading: Awaitable[None]) -> bool:
        """Also where nothing can ever be read."""
        try:
            await reading
        except (ChannelRejected, Malformed, MalformedKey):
            return True
        except faults.SDK as fault:
            return faults.code_of(fault) in _GONE
        except (StoreError, ChannelError):
            return False
        return True

    async def _read_place(self, peer: Peer, since: str) -> None:
        room = await self._rest.room_of(peer)
        threads: list[str] = []
        for message in await self._messages(room, peer.thread, since):
            await self._hear(message, room, peer)
            if peer.thread is None and message.get("reply_count") and len(threads) < MAX_THREADS:
                threads.append(wire.ts_id(message.get("ts")))
        for thread in threads:
            for message in await self._messages(room, thread, since):
                if message.get("ts") != thread:
                    await self._hear(message, room, peer)

    async def _messages(self, room: str, thread: str | None, since: str) -> list[dict[str, Any]]:
        """In the order in which they were said: the history comes newest first, in pages."""
        found: dict[str, dict[str, Any]] = {}
        pages = 0
        async for messages, _ in self._rest.pages(room, thread, since=since, is_patient=True):
            for message in messages:
                ts = message.get("ts")
                # A thread's first message is given with every page of it.
                if isinstance(ts, str) and ts > since:
                    found[ts] = message
            pages += 1
            if pages >= MAX_PAGES:
                log.warning("slack.catch_up_cut", extra={"account": self._identity.account, "channel_id": room})
                break
        return [found[ts] for ts in sorted(found)]

    async def _hear(self, message: dict[str, Any], room: str, peer: Peer) -> None:
        me = self._rest.me
        try:
            await self._hearing.message(message, space=None if me is None else me.team, room=room, peer=peer)
        except (Malformed, MalformedKey):
            return

    async def _read_card(self, card: Standing) -> None:
        room = await self._rest.room_of(card.peer)
        message = await self._rest.message(room, wire.ts_id(card.message_id))
        await self._reactions(card, room, message)

    async def _reactions(self, card: Standing, room: str, message: dict[str, Any]) -> None:
        reactions = message.get("reactions")
        me = self._rest.me
        for reaction in reactions[:MAX_EMOJI] if isinstance(reactions, list) else []:
            users = reaction.get("users") if isinstance(reaction, dict) else None
            for person in users[:MAX_REACTED] if isinstance(users, list) else []:
                if me is not None and person != me.user and isinstance(person, str):
                    await self._hearing.reacted(card.peer, room, card.message_id, person, reaction.get("name"))
