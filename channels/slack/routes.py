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


class Routes:
    def __init__(self, bolt: Bolt, *, account: str, signing_secret: str, now: Callable[[], float]) -> None:
        self._bolt = bolt
        self._account = account
        self._secret = signing_secret
        self._now = now

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
            log.warning("slack.unsigned", extra={"account": self._account})
            return web.Response(status=401)
        try:
            payload = wire.parse_body(raw, request.content_type)
        except Malformed:
            return web.Response(status=400)
        challenge = payload.get("challenge")
        if payload.get("type") == "url_verification" and isinstance(challenge, str):
            return web.Response(text=challenge[:1_000])
        return await to_aiohttp_response(await self._bolt.dispatch(payload))


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
