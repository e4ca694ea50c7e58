"""Long output as a file in the same conversation: uploaded before the words are posted, shown after them.

So what can go wrong before the words leaves nothing behind, and a file never stands without its words. If Slack
does not take it after the words stand, they say so: a failed file must not post the words again. The words carry the
file's name in their metadata, so that a later process sees what is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.message import Attachment, Nonce, Post
from bot.domain.session import MessageId
from bot.errors import ChannelError, ChannelThrottled, ChannelUnavailable
from channels.slack import faults, form

log = logging.getLogger(__name__)

MAX_BYTES = 8 * 2**20
UPLOAD_S = 60.0
MAX_PENDING = 100
ATTEMPTS = 3
MAX_WAIT_S = 5.0
LOST = "The file could not be put here. Press Whole output to have it again."


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """Uploaded and not yet shown."""

    file_id: str
    name: str
    was_tried: bool = False
    """Whether Slack may have shown it, and only its answer was lost."""


class Files:
    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._pending: OrderedDict[Nonce, _Waiting] = OrderedDict()

    async def prepare(self, attachment: Attachment, nonce: Nonce) -> None:
        """Nobody sees anything yet. Raises a `ChannelError`, never `ChannelUncertain`."""
        if nonce in self._pending:
            return
        content = attachment.text.encode()
        if not content:
            return
        try:
            answer: Any = await self._client.files_getUploadURLExternal(filename=attachment.name, length=len(content))
            url, file_id = str(answer.get("upload_url")), str(answer.get("file_id"))
            timeout = aiohttp.ClientTimeout(total=UPLOAD_S)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(url, data=content, headers={"Content-Type": "application/octet-stream"}) as taken,
            ):
                if taken.status != 200:
                    raise ChannelUnavailable("Slack did not take the file")
        except faults.SDK as fault:
            raise faults.repeatable(fault) from fault
        self._pending[nonce] = _Waiting(file_id=file_id, name=attachment.name)
        while len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    def has(self, nonce: Nonce) -> bool:
        """Whether a file waits here for its words."""
        return nonce in self._pending

    async def attach(
        self, room: str, thread: str | None, message_id: MessageId, nonce: Nonce, post: Post | None
    ) -> None:
        """Show what was prepared for this message. Never raises: the words stand. Cut off, it is made again."""
        waiting = self._pending.get(nonce)
        if waiting is None:
            return
        if not await self._complete(room, thread, waiting):
            log.warning("slack.file_lost", extra={"message_id": message_id})
            await self.say_lost(room, message_id, post)
        self._pending.pop(nonce, None)

    async def _complete(self, room: str, thread: str | None, waiting: _Waiting) -> bool:
        for _ in range(ATTEMPTS):
            was_tried, waiting.was_tried = waiting.was_tried, True
            try:
                await self._client.files_completeUploadExternal(
                    files=[{"id": waiting.file_id, "title": waiting.name}], channel_id=room, thread_ts=thread
                )
            except faults.SDK as fault:
                if was_tried and faults.code_of(fault) == "file_update_failed":
                    return True  # the attempt before, whose answer was lost, did it
                remedy = faults.repeatable(fault)
                if isinstance(remedy, ChannelThrottled) and remedy.retry_after_s <= MAX_WAIT_S:
                    await asyncio.sleep(remedy.retry_after_s)
                elif not isinstance(remedy, ChannelUnavailable):
                    return False
            else:
                return True
        return False

    async def say_lost(self, room: str, message_id: MessageId, post: Post | None) -> None:
        """In the message itself; without the post it is read from Slack first."""
        try:
            if post is None:
                answer: Any = await self._client.reactions_get(channel=room, timestamp=message_id, full=True)
                shown = answer.get("message") or {}
                text, blocks = str(shown.get("text") or "…"), shown.get("blocks")
                if not isinstance(blocks, list):
                    return
            else:
                text, blocks = form.fallback_of(post), form.blocks_of(post)
            await self._client.chat_update(channel=room, ts=message_id, text=text, blocks=[*blocks, *form.said(LOST)])
        except (*faults.SDK, ChannelError) as fault:
            log.info("slack.note_lost", extra={"error": faults.known(faults.code_of(fault))})
