"""Long output as a file in the same conversation: uploaded before the words are posted, shown after them.

So what can go wrong before the words leaves nothing behind, and a file never stands without its words. If Slack
does not take it after the words stand, they say so: a failed file must not post the words again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
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


class Files:
    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._pending: OrderedDict[Nonce, tuple[str, str]] = OrderedDict()
        """Uploaded and not yet shown: nonce -> the file's id and name."""

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
        self._pending[nonce] = (file_id, attachment.name)
        while len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    async def attach(
        self, room: str, thread: str | None, message_id: MessageId, nonce: Nonce, post: Post | None
    ) -> None:
        """Show what was prepared for this message. Never raises: the words stand."""
        waiting = self._pending.pop(nonce, None)
        if waiting is None:
            return
        file_id, name = waiting
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._client.files_completeUploadExternal(
                    files=[{"id": file_id, "title": name}], channel_id=room, thread_ts=thread
                )
            except faults.SDK as fault:
                if attempt > 1 and faults.code_of(fault) == "file_update_failed":
                    return  # the attempt before, whose answer was lost, did it
                remedy = faults.repeatable(fault)
                if isinstance(remedy, ChannelThrottled) and remedy.retry_after_s <= MAX_WAIT_S:
                    await asyncio.sleep(remedy.retry_after_s)
                elif not isinstance(remedy, ChannelUnavailable):
                    break
            else:
                return
        log.warning("slack.file_lost", extra={"message_id": message_id})
        await self._say_lost(room, message_id, post)

    async def _say_lost(self, room: str, message_id: MessageId, post: Post | None) -> None:
        if post is None:
            return
        try:
            await self._client.chat_update(
                channel=room,
                ts=message_id,
                text=form.fallback_of(post),
                blocks=[*form.blocks_of(post), *form.said(LOST)],
            )
        except (*faults.SDK, ChannelError) as fault:
            log.info("slack.note_lost", extra={"error": faults.known(faults.code_of(fault))})
