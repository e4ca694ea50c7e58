"""Messages and reactions -> the inbox, in the order of each conversation. Returns when they are recorded.

Raises where they are not: then Slack is not answered, and says them again.
Deliberately absent: presses and forms, which a person waits for (`pressing`); what was missed (`catchup`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field

from bot.domain.session import Peer, PeerKind
from bot.errors import ChannelRejected, Malformed, MalformedKey, StoreError
from bot.ports import Inbox
from channels.slack import faults, wire
from channels.slack.rest import Rest

log = logging.getLogger(__name__)

KNOWN_S = 2.5
"""How long a delivery waits until we know who we are: then Slack says it again."""
MAX_BACKGROUND = 500


@dataclass(slots=True)
class _Line:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Background:
    """What nobody waits for: notes and signs. Bounded; what comes on top is left out."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, work: Coroutine[object, object, None]) -> None:
        if len(self._tasks) >= MAX_BACKGROUND:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work, name="slack-background")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Hearing:
    def __init__(self, rest: Rest, identity: wire.Identity) -> None:
        self._rest = rest
        self._identity = identity
        self._known = asyncio.Event()
        self._lines: dict[str, _Line] = {}
        self.inbox: Inbox | None = None
        self.background = Background()

    def knows(self) -> None:
        """Slack has told who we are."""
        self._known.set()

    async def ready(self) -> tuple[Inbox, wire.Me]:
        """Raises `StoreError` where nothing can be recorded yet, or any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KNOWN_S):
                await self._known.wait()
        inbox, me = self.inbox, self._rest.me
        if inbox is None or me is None:
            raise StoreError("this account of Slack is not started")
        return inbox, me

    async def event(self, payload: wire.Fields) -> None:
        """One delivery of the Events API. Raises `StoreError` or `ChannelUnavailable`: it has to come again."""
        _, me = await self.ready()
        event = payload.get("event")
        if not isinstance(event, dict) or not wire.is_for(payload, me):
            return
        try:
            match event.get("type"):
                case "app_mention" if event.get("edited"):
                    return  # a mention that was put in later: what is edited was said already, and runs nothing
                case "message" | "app_mention":
                    await self.message(event, space=wire.space_of(payload))
                case "reaction_added":
                    await self._reaction(event)
        except (Malformed, MalformedKey, ChannelRejected) as fault:
            log.warning("slack.dropped", extra={"account": self._identity.account, "kind": type(fault).__name__})

    async def message(
        self, event: wire.Fields, *, space: str | None, room: str | None = None, peer: Peer | None = None
    ) -> None:
        """Of an event or of the history, which names no conversation: `room` and `peer` do then."""
        inbox, me = await self.ready()
        if not wire.is_said_by_a_person(event, me):
            return
        native = wire.place_id(room or event.get("channel"))
        person = wire.person_id(event.get("user"))
        wire.ts_id(event.get("ts"))
        async with self._in_line(native):
            kind = peer.kind if peer is not None else wire.kind_of(event.get("channel_type"))
            if kind is None:
                kind = await self._rest.kind_of(native)
            if kind is PeerKind.DIRECT:
                self._rest.learn_direct(person, native)
            else:
                self._rest.learn_kind(native, kind)
            heard = wire.message_of(
                event,
                room=native,
                kind=kind,
                name=await self._rest.name_of(person),
                space=space,
                me=me,
                identity=self._identity,
            )
            answer = await inbox.message(heard)
        if answer.is_working and heard.message_id is not None:
            self.background.do(self._rest.look_busy(native, heard.message_id))

    async def _reaction(self, event: wire.Fields) -> None:
        """Only on what is ours: the rest is talk among people."""
        _, me = await self.ready()
        item = event.get("item")
        if not isinstance(item, dict) or item.get("type") != "message":
            return
        if event.get("user") == me.user or event.get("item_user") not in {me.user, None}:
            return
        room, ts, person = wire.place_id(item.get("channel")), wire.ts_id(item.get("ts")), event.get("user")
        peer = await self.peer_of(room, wire.person_id(person), ts)
        await self.reacted(peer, room, ts, wire.person_id(person), event.get("reaction"))

    async def peer_of(self, room: str, person: str, ts: str) -> Peer:
        """The conversation of a message that an event names without its thread: asked for, never guessed."""
        kind = await self._rest.kind_of(room)
        try:
            thread = wire.thread_of(await self._rest.message(room, ts))
        except faults.SDK as fault:
            raise faults.repeatable(fault) from fault
        return wire.peer_of(self._identity, kind, person if kind is PeerKind.DIRECT else room, thread)

    async def reacted(self, peer: Peer, room: str, ts: str, person: str, emoji: object) -> None:
        inbox, _ = await self.ready()
        name = await self._rest.name_of(person)
        heard = wire.reaction_of(peer=peer, room=room, message=ts, person=person, name=name, emoji=emoji)
        async with self._in_line(room):
            answer = await inbox.reaction(heard)
        if answer.note:
            self.background.do(self._rest.whisper(room, peer.thread, person, answer.note))

    @contextlib.asynccontextmanager
    async def _in_line(self, native: str) -> AsyncIterator[None]:
        """One after the other in a conversation: the library starts a task for each delivery."""
        line = self._lines.setdefault(native, _Line())
        line.users += 1
        try:
            async with line.turn:
                yield
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[native]
