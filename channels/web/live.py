"""One page's stream of Server-Sent Events: catch up from the log, then follow the feed, with a beat in silence.

https://html.spec.whatwg.org/multipage/server-sent-events.html. Deliberately absent: which entries a person may
read, which the feed and `access` decide.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from aiohttp import ClientConnectionResetError, web

from bot.errors import HomingError
from bot.ports import ChatEntry, ChatLog, ChatPerson
from channels.web.access import HEADERS, hash_of, may_read
from channels.web.conversations import Conversations
from channels.web.feed import PAGE_ENTRIES, Feed, Stream, TooManyStreams
from channels.web.view import entry_for_page

MAX_CATCH_UP_CHANGES = 2_000
"""A page that is further behind reads its conversation anew, which is less than this."""
WRITE_TIMEOUT_S = 30.0
"""A browser that takes nothing for so long is gone, or asleep; it comes back with what it saw last."""


class LiveStream:
    """Makes one answer of `GET /web/stream`."""

    def __init__(self, log: ChatLog, feed: Feed, conversations: Conversations, *, beat_s: float) -> None:
        self._log = log
        self._feed = feed
        self._conversations = conversations
        self._beat_s = beat_s

    async def run(
        self, request: web.Request, person: ChatPerson, cookie: str, *, after: int
    ) -> web.StreamResponse | None:
        """Until the browser leaves, the channel closes or the sign-in ends. None where there are too many streams."""
        headers = {**HEADERS, "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        try:
            # Opened before the log is read: what is written in between waits in the stream.
            with self._feed.open(person.native, hash_of(cookie)) as stream:
                await response.prepare(request)
                try:
                    await self._follow(response, stream, person, cookie, after)
                except (ClientConnectionResetError, ConnectionResetError, TimeoutError, HomingError):
                    # Begun, it cannot become an error page: it ends, and the page comes back with what it saw last.
                    return response
        except TooManyStreams:
            return None
        return response

    async def _follow(
        self, response: web.StreamResponse, stream: Stream, person: ChatPerson, cookie: str, after: int
    ) -> None:
        position = after
        await _write(response, "retry: 1000\n\n")
        if position > self._feed.head or self._feed.head - position > MAX_CATCH_UP_CHANGES:
            # Too far behind, or ahead of us: a page of a database that has been put back since.
            position = self._feed.head
            await _write(response, f"id: {position}\nevent: reset\ndata: {position}\n\n")
        while entries := await self._log.since(position, limit=PAGE_ENTRIES):
            await self._send(response, [entry for entry in entries if may_read(entry, person.native)], person, cookie)
            position = entries[-1].change
        await _write(response, _beat(position))
        while True:
            try:
                entry = await stream.next(self._beat_s)
            except TimeoutError:
                if await self._log.person_of(stream.cookie_hash) is None:
                    return
                position = max(position, self._feed.head)
                await _write(response, _beat(position))
                continue
            if entry is None:
                return
            if entry.change > position:
                await self._send(response, [entry], person, cookie)
                position = entry.change

    async def _send(
        self, response: web.StreamResponse, entries: Sequence[ChatEntry], person: ChatPerson, cookie: str
    ) -> None:
        names = await self._conversations.names(entries)
        for entry in entries:
            shown = entry_for_page(entry, viewer=person.native, cookie=cookie, names=names)
            # JSON without line ends: one data line, whatever stands in it.
            await _write(response, f"id: {entry.change}\nevent: entry\ndata: {json.dumps(shown)}\n\n")


def _beat(position: int) -> str:
    """A comment for what lies between, an event for the page, which cannot see comments and counts the silence."""
    return f": beat\nid: {position}\nevent: beat\ndata: {position}\n\n"


async def _write(response: web.StreamResponse, text: str) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT_S):
        await response.write(text.encode())
