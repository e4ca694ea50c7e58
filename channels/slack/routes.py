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
NOTED_EVERY_S = 60.0


class Routes:
    def __init__(self, bolt: Bolt, *, account: str, signing_secret: str, now: Callable[[], float]) -> None:
        self._bolt = bolt
        self._account = account
        self._secret = signing_secret
        self._now = now
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
            raw = await _body(request)
        except TimeoutError:
            return web.Response(status=408)
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


async def _body(request: web.Request) -> bytes | None:
    """None where it is larger than anything that Slack sends."""
    if (request.content_length or 0) > wire.MAX_BODY_BYTES:
        return None
    raw = bytearray()
    async with asyncio.timeout(BODY_S):
        async for part in request.content.iter_any():
            raw += part
            if len(raw) > wire.MAX_BODY_BYTES:
                return None
    return bytes(raw)
