"""Whether a thread still stands, before and after something is posted into it.

Slack refuses no post into a thread that is gone: it ignores `thread_ts`, shows the message to the whole channel, and
says so only in its answer (https://github.com/caipe-io/ai-platform-engineering/pull/1034).
Deliberately absent: posts.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ChannelRejected
from channels.slack import faults

log = logging.getLogger(__name__)

GONE = "the thread is gone"
KNOWN_S = 5.0
"""The parts of one output follow each other: each asking for itself would take twice the time."""
MAX_KNOWN = 1_000
ATTEMPTS = 3


class Threads:
    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When it last stood."""

    async def stands(self, room: str, thread: str | None) -> None:
        """Raises a `ChannelError`, never `ChannelUncertain`: `ChannelRejected` where it is gone."""
        if thread is None or time.monotonic() - self._known.get((room, thread), -KNOWN_S) < KNOWN_S:
            return
        try:
            await self._look(room, thread)
        except faults.SDK as fault:
            match faults.code_of(fault):
                case "thread_not_found" | "message_not_found":
                    raise ChannelRejected(GONE) from fault
                case "missing_scope":
                    return  # nothing may be read there: what the post is answered with says it
            raise faults.repeatable(fault) from fault
        self._known[room, thread] = time.monotonic()
        self._known.move_to_end((room, thread))
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    async def _look(self, room: str, thread: str) -> None:
        """First by the call that Slack grants more often; it may not know a deleted message that has answers."""
        try:
            await self._client.reactions_get(channel=room, timestamp=thread)
        except faults.SDK as fault:
            if faults.code_of(fault) not in {"message_not_found", "missing_scope"}:
                raise
            await self._client.conversations_replies(channel=room, ts=thread, limit=1)

    async def holds(self, room: str, thread: str | None, answer: Any) -> None:  # noqa: ANN401 (the SDK types no answers)
        """What was posted stands in the thread; else it is taken back. Raises `ChannelRejected`."""
        message = answer.get("message")
        where = message.get("thread_ts") if isinstance(message, dict) else None
        if thread is None or where == thread:
            return
        self._known.pop((room, thread), None)
        for _ in range(ATTEMPTS):
            try:
                await self._client.chat_delete(channel=room, ts=str(answer.get("ts")))
            except faults.SDK as fault:
                if faults.code_of(fault) == "message_not_found":
                    break
            else:
                break
        else:
            log.error("slack.astray", extra={"channel_id": room, "message_id": answer.get("ts")})
        raise ChannelRejected(GONE)
