"""Slack's deliveries over HTTP: one signed POST for events, interactions and commands of an account.

Deliberately absent: what they mean. Nothing is parsed before the signature over its raw bytes is found good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response

from bot.errors import Malformed
from channels.slack import wire
from channels.slack.bolt import Bolt

log = logging.getLogger(__name__)

BODY_S = 10.0
"""Slack gives up after 3 s: who is slower is somebody else."""
FREE_BYTES = 64 * 1024
"""Of each body; nearly all of Slack's are smaller. What is larger shares the room of all, so that strangers who send
much slowly take neither the memory nor the way of what is small."""
MAX_HELD_BYTES = 32 * 2**20
NOTED_EVERY_S = 60.0


class _Full(Exception):
    """So much is being read already that this has to come again."""


class Routes:
    def __init__(self, bolt: Bolt, *, account: str, signing_secret: str, now: Callable[[], float]) -> None:
        self._bolt = bolt
        self._account = account
        self._secret = signing_secret
        self._now = now
        self._held_bytes = 0
        self._unsigned = 0
        self._noted_at: float | None = None

    def mount(self, app: web.Application) -> None:
        app.router.add_post(f"/slack/{self._account}/events", self._deliver)

    async def _deliver(self, request: web.Request) -> web.StreamResponse:
        stamp = request.headers.get("X-Slack-Request-Timestamp", "")
        signature = request.headers.get("X-Slack-Signature", "")
        if not signature or not wire.is_lately(stamp, self._now()):
            return web.Response(status=401)
        try:
            raw = await self._body(request)
        except TimeoutError:
            return web.Response(status=408)
        except _Full:
            return web.Response(status=503)
        except ConnectionError:
            return web.Response(status=400)  # who sent it has left
        if raw is None:
            return web.Response(status=413)
        if not wire.is_signed(raw, stamp, signature, secret=self._secret, now=self._now()):
            self._note_unsigned()
            return web.Response(status=401)
        try:
            payload = wire.parse_body(raw, request.content_type)
        except Malformed:
            return web.Response(status=400)
        challenge = payload.get("challenge")
        if payload.get("type") == "url_verification" and isinstance(challenge, str):
            return web.Response(text=challenge[:1_000])
        return await to_aiohttp_response(await self._bolt.dispatch(payload))

    def _note_unsigned(self) -> None:
        """Once a minute at most: whoever knocks ten thousand times fills no disk."""
        self._unsigned += 1
        now = asyncio.get_running_loop().time()
        if self._noted_at is None or now - self._noted_at >= NOTED_EVERY_S:
            log.warning("slack.unsigned", extra={"account": self._account, "count": self._unsigned})
            self._unsigned, self._noted_at = 0, now

    async def _body(self, request: web.Request) -> bytes | None:
        """None where it is larger than anything that Slack sends. Raises `_Full`."""
        if (request.content_length or 0) > wire.MAX_BODY_BYTES:
            return None
        raw, held = bytearray(), 0
        try:
            async with asyncio.timeout(BODY_S):
                async for part in request.content.iter_any():
                    raw += part
                    if len(raw) > wire.MAX_BODY_BYTES:
                        return None
                    more = max(0, len(raw) - FREE_BYTES) - held
                    if self._held_bytes + more > MAX_HELD_BYTES:
                        raise _Full
                    self._held_bytes, held = self._held_bytes + more, held + more
        finally:
            self._held_bytes -= held
        return bytes(raw)
