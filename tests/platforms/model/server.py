"""The HTTP server of the model's service: `/v1/chat/completions` and `/v1/messages`."""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from types import ModuleType
from typing import Self

from aiohttp import web

from tests.platforms.model import anthropic, openai
from tests.platforms.model.script import Act, Acting, Asked, Break, Fail, Flood, Hang, Junk, Redirect, Say, Use
from tests.platforms.model.strict import Body, Refused, check_anthropic, check_openai

KEY = "sk-loopback-0123456789abcdef"
ENDS = 10.0
"""Seconds after which a request that hangs is let go, so that no test waits for the server's end."""


class ModelServer:
    """One service, and the model that answers in it."""

    def __init__(self, model: Acting | None = None) -> None:
        self.model = Acting() if model is None else model
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        """What was answered with 400. A test that did not mean to fails by it."""
        self.hanging = 0
        self.flooded = 0
        """Bytes of answers without end that were written."""
        self._ended = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 * 1_048_576)
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/v1/messages", self._anthropic)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def base_url(self, wire: str) -> str:
        return f"{self.url}/v1" if wire == "openai" else self.url

    def about(self, text: str) -> list[Asked]:
        """The requests whose prompt holds `text`."""
        return [asked for asked in self.asked if text in asked.prompt]

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return self._fault(openai, 401, "invalid_api_key", "Incorrect API key provided")
        body: Body = json.loads(await request.read())
        try:
            check_openai(body)
        except Refused as fault:
            self.refused.append(str(fault))
            return self._fault(openai, 400, "invalid_request_error", str(fault))
        return await self._answer(request, openai, body)

    async def _anthropic(self, request: web.Request) -> web.StreamResponse:
        # The service takes either; its own library has sent one, then the other.
        if KEY not in (
            request.headers.get("x-api-key"),
            request.headers.get("Authorization", "").removeprefix("Bearer "),
        ):
            return self._fault(anthropic, 401, "authentication_error", "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            return self._fault(anthropic, 400, "invalid_request_error", "anthropic-version: header is required")
        body: Body = json.loads(await request.read())
        try:
            check_anthropic(body)
        except Refused as fault:
            self.refused.append(str(fault))
            return self._fault(anthropic, 400, "invalid_request_error", str(fault))
        return await self._answer(request, anthropic, body)

    async def _answer(self, request: web.Request, wire: ModuleType, body: Body) -> web.StreamResponse:
        asked: Asked = wire.read(body)
        self.asked.append(asked)
        act: Act = self.model(asked)
        match act:
            case Fail():
                headers = {} if act.retry_after is None else {"Retry-After": act.retry_after}
                return self._fault(wire, act.status, act.code, "the service fails", headers)
            case Junk():
                return web.Response(text=act.body, content_type="text/html")
            case Hang():
                self.hanging += 1
                try:
                    async with asyncio.timeout(ENDS):
                        await self._ended.wait()
                except TimeoutError:
                    pass
                return web.Response(status=504)
            case Break():
                return await self._broken(request, wire, body, act)
            case Flood():
                return await self._flooding(request, wire, body, act)
            case Redirect():
                return web.Response(status=307, headers={"Location": act.to})
            case _:
                return await self._given(request, wire, body, act)

    async def _given(self, request: web.Request, wire: ModuleType, body: Body, act: Say | Use) -> web.StreamResponse:
        if not body.get("stream"):
            return web.json_response(wire.whole(body, act))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in wire.pieces(body, act):
            await response.write(piece.encode())
        await response.write_eof()
        return response

    async def _broken(self, request: web.Request, wire: ModuleType, body: Body, act: Break) -> web.StreamResponse:
        """Half of the pieces; then the socket is cut, or the stream ends as if that were all."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        listed = (
            list(wire.pieces(body, act.act)) if body.get("stream") else [json.dumps(wire.whole(body, act.act))[:40]]
        )
        for piece in listed[: max(1, len(listed) // 2)]:
            await response.write(piece.encode())
        if act.is_clean:
            await response.write_eof()
        elif request.transport is not None:
            request.transport.abort()
        return response

    async def _flooding(self, request: web.Request, wire: ModuleType, body: Body, act: Flood) -> web.StreamResponse:
        """Pieces of a stream, or one JSON text, for as long as somebody reads them."""
        is_stream = bool(body.get("stream")) and act.status == 200
        response = web.StreamResponse(status=act.status)
        response.content_type = "text/event-stream" if is_stream else "application/json"
        packer = zlib.compressobj(wbits=31) if act.encoding else None
        if act.encoding:
            response.headers["Content-Encoding"] = act.encoding
        await response.prepare(request)
        head, *middle, _ = wire.pieces(body, Say("all work and no play " * 40)) if is_stream else ('{"id": "', "")
        piece = ("".join(middle) if is_stream else "x" * 65_536).encode()
        pieces = itertools.chain([head.encode()], itertools.repeat(piece))
        while self.flooded < act.limit_bytes:
            written = next(pieces)
            self.flooded += len(written)
            try:
                await response.write(written if packer is None else packer.compress(written))
            except ConnectionError:
                break
        return response

    def _fault(
        self, wire: ModuleType, status: int, code: str, words: str, headers: dict[str, str] | None = None
    ) -> web.Response:
        return web.json_response(wire.fault(code, words), status=status, headers=headers or {})
