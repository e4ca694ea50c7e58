"""The log seen as conversations: one message found in its place, pages of messages, the names of people.

Deliberately absent: HTTP, and any read of a conversation that no peer names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from bot.domain.session import MessageId, Peer
from bot.ports import ChatEntry, ChatLog
from channels.web.view import people_in

PAGE_MESSAGES = 50
"""Of one conversation at once: some four screens."""


class Conversations:
    def __init__(self, log: ChatLog) -> None:
        self._log = log
        self._names: dict[str, str] = {}

    async def message(self, peer: Peer, message_id: MessageId) -> ChatEntry | None:
        """The message of this id, if it stands in exactly this conversation."""
        if not message_id.isascii() or not message_id.isdecimal() or len(message_id) > 18:
            return None
        wanted = int(message_id)
        entries = await self._log.newest(
            kind=peer.kind.value, room=peer.id, thread=peer.thread, before_id=wanted + 1, limit=1
        )
        return entries[0] if entries and entries[0].id == wanted else None

    async def root(self, peer: Peer) -> ChatEntry | None:
        """The message that a thread hangs on."""
        return None if peer.thread is None else await self.message(peer.parent(), MessageId(peer.thread))

    async def exists(self, peer: Peer) -> bool:
        """Whether anything may be posted here: an open room or a direct conversation, and a thread only on its root."""
        if peer.kind.value == "channel" and peer.id not in await self._log.rooms():
            return False
        return peer.thread is None or await self.root(peer) is not None

    async def page(self, peer: Peer, *, before_id: int | None) -> Sequence[ChatEntry]:
        """Oldest first."""
        return await self._log.newest(
            kind=peer.kind.value, room=peer.id, thread=peer.thread, before_id=before_id, limit=PAGE_MESSAGES
        )

    async def last_replies(self, peer: Peer, entries: Iterable[ChatEntry]) -> dict[str, float]:
        """For each of these messages that has a thread, when its newest reply was written."""
        newest = await asyncio.gather(
            *(self._log.newest(kind=peer.kind.value, room=peer.id, thread=str(entry.id), limit=1) for entry in entries)
        )
        return {str(found[0].thread): found[0].created_at for found in newest if found}

    async def newest_id(self, *, kind: str, room: str) -> int:
        """Of the top level, 0 where nothing was written."""
        entries = await self._log.newest(kind=kind, room=room, thread=None, limit=1)
        return entries[0].id if entries else 0

    async def names(self, entries: Iterable[ChatEntry]) -> Mapping[str, str]:
        """What the people in these entries are called. Read again only where somebody is new."""
        wanted = set[str]().union(*(people_in(entry) for entry in entries))
        if not wanted <= self._names.keys():
            await self.learn_names()
        return self._names

    async def learn_names(self) -> None:
        self._names = {person.native: person.name for person in await self._log.people()}
