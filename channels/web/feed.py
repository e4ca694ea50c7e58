"""What happens in the chat, live: one reader of the log, any number of bounded streams, each for one person.

Deliberately absent: HTTP and the form of an event. The log is the truth: a stream that falls behind is ended
and its page comes back with the last change it saw; losing a wake costs one poll interval.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from bot.loop import Wake, forever
from bot.ports import ChatEntry, ChatLog
from channels.web.access import may_read

POLL_S = 1.0
"""What another process writes into the log is seen after this, at the latest. What we write is seen at once."""
PAGE_ENTRIES = 200
"""Entries read at once, by the log's own default."""
QUEUE_ENTRIES = 256
"""What a stream may owe its browser before it is ended: more than one read of the log brings."""


class TooManyStreams(Exception):
    """This person, or everybody together, has as many streams as we keep."""


class Stream:
    """What one page of one person is to see, in the order of change."""

    def __init__(self, person: str, cookie_hash: str) -> None:
        self.person = person
        self.cookie_hash = cookie_hash
        self._entries: asyncio.Queue[ChatEntry | None] = asyncio.Queue(maxsize=QUEUE_ENTRIES + 1)
        self._has_ended = False

    def put(self, entry: ChatEntry) -> None:
        if self._has_ended:
            return
        if self._entries.qsize() >= QUEUE_ENTRIES:
            self.end()
            return
        self._entries.put_nowait(entry)

    def end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            # The queue has one place more than entries may take, for this.
            self._entries.put_nowait(None)

    async def next(self, timeout_s: float) -> ChatEntry | None:
        """The next entry. None: the stream has ended. Raises `TimeoutError` where nothing happened in time."""
        async with asyncio.timeout(timeout_s):
            return await self._entries.get()


class Feed:
    """Reads the log once for all streams."""

    def __init__(self, log: ChatLog, *, streams_each: int, streams_total: int) -> None:
        self._log = log
        self._streams_each = streams_each
        self._streams_total = streams_total
        self._streams: set[Stream] = set()
        self._wake = Wake()
        self._task: asyncio.Task[None] | None = None
        self.head = 0
        """The newest change that every stream has been handed."""

    async def start(self) -> None:
        self.head = await newest_change(self._log)
        self._task = asyncio.create_task(forever("web.feed", self._step, self._wake, poll_s=POLL_S), name="web.feed")

    async def close(self) -> None:
        self.end_streams()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def wake(self) -> None:
        self._wake.wake()

    def end_streams(self, cookie_hash: str | None = None) -> None:
        """All of them, or those of one sign-in."""
        for stream in self._streams:
            if cookie_hash is None or stream.cookie_hash == cookie_hash:
                stream.end()

    @contextmanager
    def open(self, person: str, cookie_hash: str) -> Iterator[Stream]:
        """Raises `TooManyStreams`."""
        own = sum(1 for stream in self._streams if stream.person == person)
        if own >= self._streams_each or len(self._streams) >= self._streams_total:
            raise TooManyStreams
        stream = Stream(person, cookie_hash)
        self._streams.add(stream)
        try:
            yield stream
        finally:
            self._streams.discard(stream)

    async def _step(self) -> bool:
        entries = await self._log.since(self.head, limit=PAGE_ENTRIES)
        for entry in entries:
            for stream in self._streams:
                if may_read(entry, stream.person):
                    stream.put(entry)
            self.head = entry.change
        return len(entries) == PAGE_ENTRIES


async def newest_change(log: ChatLog) -> int:
    """The newest change of the log, 0 where there is none."""

    async def is_past(change: int) -> bool:
        return not await log.since(change, limit=1)

    return await _first(is_past)


async def changes_after(log: ChatLog, moment: float, *, limit: int) -> Sequence[ChatEntry]:
    """The newest `limit` entries, at most, that were posted or edited after `moment`, in the order of change."""

    async def is_late(change: int) -> bool:
        entries = await log.since(change, limit=1)
        return not entries or (entries[0].edited_at or entries[0].created_at) >= moment

    position = await _first(is_late)
    found: list[ChatEntry] = []
    while entries := await log.since(position, limit=PAGE_ENTRIES):
        position = entries[-1].change
        found = [*found, *entries][-limit:]
    return found


async def _first(holds: Callable[[int], Awaitable[bool]]) -> int:
    """The first change from which on `holds` is true, by doubling and halving: the log can say only what comes after.

    Some 40 look-ups for a million changes, once at the start.
    """
    low, high = -1, 1
    while not await holds(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if await holds(middle):
            high = middle
        else:
            low = middle
    return high
