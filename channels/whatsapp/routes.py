"""Our addresses for Twilio: signed webhooks, bounded and checked before a word of them is read, and files by link.

Deliberately absent: what comes of a message (`adapter`), and any trust in what a proxy says of the address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from twilio.request_validator import (  # type: ignore[import-untyped]
    SIGNATURE_HEADER,
    SIGNATURE_SETTINGS_HEADER,
)
from twilio.twiml.messaging_response import MessagingResponse  # type: ignore[import-untyped]

from bot.domain.message import Attachment
from bot.domain.session import AccountName
from bot.errors import Malformed, StoreError
from channels.whatsapp import wire

log = logging.getLogger(__name__)

READ_S = 10.0
"""For a whole request; Twilio gives up after 15 s: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides"""
NOTED_EVERY_S = 60.0
_HEADER_CHARS = 500
_FORM = "application/x-www-form-urlencoded"


class Hooks(Protocol):
    """What stands behind the addresses. Calls raise `StoreError` where nothing could be recorded."""

    async def take_message(self, fields: wire.Fields) -> str | None:
        """A note for the one who wrote, or None. Raises `Malformed`."""
        ...

    async def take_status(self, fields: wire.Fields, nonce: str) -> None:
        """Raises `Malformed`."""
        ...

    async def file(self, token: str) -> Attachment | None: ...


class Routes:
    def __init__(self, hooks: Hooks, *, account: AccountName, auth_token: str, public_url: str) -> None:
        self._hooks = hooks
        self._account = account
        self._auth_token = auth_token
        self._public_url = public_url.rstrip("/")
        self._prefix = f"/whatsapp/{account}"
        self._unsigned = 0
        self._noted_at: float | None = None

    def mount(self, app: web.Application) -> None:
        app.router.add_post(f"{self._prefix}/message", self._message)
        app.router.add_post(f"{self._prefix}/status", self._status)
        app.router.add_get(f"{self._prefix}/file/{{token}}", self._file)

    def status_url(self, nonce: str) -> str:
        return f"{self._public_url}{self._prefix}/status?n={nonce}{wire.OVERRIDES}"

    def file_url(self, token: str) -> str:
        return f"{self._public_url}{self._prefix}/file/{token}"

    async def _message(self, request: web.Request) -> web.Response:
        fields = await self._signed(request, "message")
        note = await self._answered(lambda: self._hooks.take_message(fields))
        answer = MessagingResponse()
        if note:
            answer.message(note)
        return web.Response(text=str(answer), content_type="text/xml")

    async def _status(self, request: web.Request) -> web.Response:
        fields = await self._signed(request, "status")
        nonce = request.query.get("n", "")[:64]
        await self._answered(lambda: self._hooks.take_status(fields, nonce))
        return web.Response(status=204)

    async def _answered(self, take: Callable[[], Awaitable[str | None]]) -> str | None:
        try:
            return await take()
        except Malformed:
            log.warning("whatsapp.malformed", extra={"account": self._account})
            raise web.HTTPBadRequest(text="malformed") from None
        except StoreError:
            # Twilio delivers again where the webhook's address says so (`#rc=`).
            raise web.HTTPServiceUnavailable(text="nothing was recorded") from None

    async def _signed(self, request: web.Request, path: str) -> wire.Fields:
        if request.content_type != _FORM:
            raise web.HTTPUnsupportedMediaType(text="a form is taken here")
        signature = request.headers.get(SIGNATURE_HEADER, "")
        if not 0 < len(signature) <= _HEADER_CHARS:
            raise web.HTTPForbidden(text="not signed")
        try:
            form = wire.parse_form(await self._body(request))
        except Malformed:
            raise web.HTTPBadRequest(text="malformed") from None
        query = request.raw_path.partition("?")[2]
        url = f"{self._public_url}{self._prefix}/{path}" + (f"?{query}" if query else "")
        settings = request.headers.get(SIGNATURE_SETTINGS_HEADER, "")[:_HEADER_CHARS]
        if not wire.is_signed(url=url, form=form, signature=signature, settings=settings, auth_token=self._auth_token):
            self._note_unsigned()
            raise web.HTTPForbidden(text="not signed")
        return form.first()

    def _note_unsigned(self) -> None:
        """Once a minute at most: whoever knocks ten thousand times fills no disk."""
        self._unsigned += 1
        now = asyncio.get_running_loop().time()
        if self._noted_at is None or now - self._noted_at >= NOTED_EVERY_S:
            log.warning("whatsapp.unsigned", extra={"account": self._account, "count": self._unsigned})
            self._unsigned, self._noted_at = 0, now

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > wire.BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=wire.BODY_BYTES, actual_size=request.content_length or 0)
        body = bytearray()
        try:
            async with asyncio.timeout(READ_S):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > wire.BODY_BYTES:
                        raise web.HTTPRequestEntityTooLarge(max_size=wire.BODY_BYTES, actual_size=len(body))
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="too slow") from None
        except ConnectionError:
            raise web.HTTPBadRequest(text="who sent it has left") from None
        return bytes(body)

    async def _file(self, request: web.Request) -> web.Response:
        try:
            found = await self._hooks.file(request.match_info["token"])
        except StoreError:
            raise web.HTTPServiceUnavailable(text="try again") from None
        if found is None:
            raise web.HTTPNotFound(text="there is nothing here")
        return web.Response(
            body=found.text.encode("utf-8", "replace"),
            headers={
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Disposition": 'inline; filename="output.txt"',
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "Cache-Control": "no-store",
                "Referrer-Policy": "no-referrer",
                "X-Robots-Tag": "noindex",
            },
        )
