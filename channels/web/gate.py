"""The gate before every route: whose page asks, who is signed in, how large and how slow a body may be.

Deliberately absent: the routes themselves, and every decision about one conversation.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from bot.errors import HomingError, Malformed
from bot.ports import ChatLog, ChatPerson
from channels.web import access

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebLimits:
    """What one page, one person and everybody may take."""

    body_bytes: int = 65_536
    """8,500 characters are at most 51 kB, written as JSON escapes; the rest is room for the words around."""
    body_timeout_s: float = 10.0
    """64 KiB in 10 s is slower than any line that can show the page."""
    streams_each: int = 8
    """Tabs of one person."""
    streams_total: int = 500
    """Half of the 1,024 files that a process may open by default."""
    beat_s: float = 15.0
    """Under the 30 to 60 s after which proxies cut a silent answer."""


class Refusal(Exception):
    """What a request is answered with instead."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of somebody who is signed in."""

    person: ChatPerson
    cookie: str

    @property
    def cookie_hash(self) -> str:
        return access.hash_of(self.cookie)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gate:
    """Wraps handlers: what it lets through is our own page's."""

    def __init__(self, chat_log: ChatLog, origins: access.Origins, limits: WebLimits) -> None:
        self._log = chat_log
        self._origins = origins
        self._limits = limits

    @property
    def is_secure(self) -> bool:
        """Whether people come over https, so that a cookie may demand it."""
        return self._origins.is_secure

    def page(self, handler: Handler) -> Handler:
        return self._guarded(handler, is_page=True)

    def call(self, handler: Handler) -> Handler:
        return self._guarded(handler, is_page=False)

    def _guarded(self, handler: Handler, *, is_page: bool) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._check_origin(request, is_page=is_page)
                response = await handler(request)
            except Refusal as refusal:
                response = refused(refusal.status, refusal.code, refusal.words)
            except Malformed as fault:
                response = refused(400, "malformed", str(fault))
            except HomingError as fault:
                log.warning("web.request_failed", extra={"error": type(fault).__name__})
                response = refused(503, "unavailable", "It could not be recorded just now. Please try again.")
            if not response.prepared:
                response.headers.update(access.HEADERS)
            return response

        return guarded

    def _check_origin(self, request: web.Request, *, is_page: bool) -> None:
        port = 0 if request.transport is None else request.transport.get_extra_info("sockname")[1]
        own = self._origins.origin(request.headers.get("Host", ""), port)
        if own is None:
            raise Refusal(421, "host", "This server does not answer to that name. Set web.public_url if it should.")
        caller = access.Caller(
            origin=request.headers.get("Origin"),
            fetch_site=request.headers.get("Sec-Fetch-Site"),
            fetch_mode=request.headers.get("Sec-Fetch-Mode"),
        )
        words = caller.refusal(own, changes=request.method == "POST", is_page=is_page)
        if words is not None:
            log.warning("web.foreign_request")
            raise Refusal(403, "foreign", words)

    async def visit(self, request: web.Request) -> Visit:
        visit = await self.visit_or_none(request)
        if visit is None:
            raise Refusal(401, "signed_out", "You are not signed in here.")
        return visit

    async def visit_or_none(self, request: web.Request) -> Visit | None:
        cookie = request.cookies.get(access.COOKIE_NAME, "")
        if access.cookie_issued_at(cookie) is None:
            return None
        person = await self._log.person_of(access.hash_of(cookie))
        return None if person is None else Visit(person=person, cookie=cookie)

    async def body(self, request: web.Request) -> bytes:
        limit = self._limits.body_bytes
        if request.content_type != "application/json":
            # Also what makes a browser ask before it sends for a foreign page.
            raise Refusal(415, "type", "The request is not application/json.")
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        raise Refusal(413, "too_large", "The request is too large.")
        except TimeoutError:
            raise Refusal(408, "too_slow", "The request took too long.") from None
        return bytes(body)


def as_json(fields: dict[str, object], *, status: int = 200) -> web.Response:
    return web.json_response(fields, status=status, dumps=json.dumps)


def refused(status: int, code: str, words: str) -> web.Response:
    response = as_json({"error": code, "words": words}, status=status)
    if status in {408, 413}:
        # What is left of the body would be read as the next request.
        response.force_close()
    return response
