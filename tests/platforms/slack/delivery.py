"""How Slack reaches an app: over one of its open sockets, or by a signed HTTP request; again where nobody acknowledged.

Deliberately absent: what is said (`payloads.py`).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import itertools
import json
import time
import urllib.parse
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.platforms.slack.world import App, Form, World

KIND_OF = {"event_callback": "events_api", "block_actions": "interactive", "view_submission": "interactive"}


@dataclass(slots=True)
class Socket:
    """One open connection of one app."""

    ws: web.WebSocketResponse
    app: App
    request: web.Request
    is_leaving: bool = False
    """It was told to disconnect: nothing new goes to it."""
    delivered: int = 0

    def drop(self) -> None:
        """The connection is gone, without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    body: Form | None
    """What the app answered beside the acknowledgement."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One delivery that was tried, for tests to look at."""

    account: str
    body: Form
    attempt: int
    is_acknowledged: bool
    status: int | None = None


@dataclass(slots=True)
class Postman:
    """Deliveries of all apps."""

    world: World
    ack_s: float = 3.0
    """Slack's limit for an acknowledgement."""
    retry_after_s: tuple[float, ...] = (0.05, 0.4, 1.5)
    """Slack waits hardly, a minute, five minutes."""
    sockets: list[Socket] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    acks: list[tuple[str, Form | None]] = field(default_factory=list)
    _waiting: dict[str, asyncio.Future[Form | None]] = field(default_factory=dict)
    _turn: itertools.count[int] = field(default_factory=itertools.count)
    _tasks: set[asyncio.Task[object]] = field(default_factory=set)
    _client: aiohttp.ClientSession | None = None

    async def deliver(self, app: App, body: Form, *, repeats: bool) -> Acknowledged | None:
        """Give it over; None where it was not acknowledged. `repeats`: events are tried again, later, by themselves."""
        first = await self._try(app, body, 0)
        if first is None and repeats:
            self.in_background(self._again(app, body))
        return first

    async def _again(self, app: App, body: Form) -> None:
        for number, wait_s in enumerate(self.retry_after_s, start=1):
            await asyncio.sleep(wait_s)
            if await self._try(app, body, number) is not None:
                return

    async def _try(self, app: App, body: Form, number: int) -> Acknowledged | None:
        attempt = Attempt(account=app.account, body=body, attempt=number, is_acknowledged=False)
        self.attempts.append(attempt)
        if app.request_url is not None:
            got = await self._over_http(app, body, attempt)
        else:
            got = await self._over_socket(app, body, number)
        attempt.is_acknowledged = got is not None
        return got

    # --- Socket Mode -------------------------------------------------------------------------------

    def open_sockets(self, account: str = "default") -> list[Socket]:
        return [each for each in self.sockets if each.app.account == account and not each.is_leaving]

    async def _over_socket(self, app: App, body: Form, number: int) -> Acknowledged | None:
        open_ones = self.open_sockets(app.account)
        if not open_ones:
            return None
        socket = open_ones[next(self._turn) % len(open_ones)]
        envelope = self.world.id("env-")
        kind = "slash_commands" if "command" in body else KIND_OF[body["type"]]
        frame: Form = {
            "envelope_id": envelope,
            "type": kind,
            "payload": body,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            frame |= {"retry_attempt": number, "retry_reason": "timeout" if number else ""}
        answer: asyncio.Future[Form | None] = asyncio.get_running_loop().create_future()
        self._waiting[envelope] = answer
        try:
            async with asyncio.timeout(self.ack_s):
                socket.delivered += 1
                await socket.ws.send_json(frame)
                return Acknowledged(body=await answer)
        except (TimeoutError, ConnectionError, aiohttp.ClientError):
            return None
        finally:
            self._waiting.pop(envelope, None)

    def acknowledged(self, frame: Form) -> None:
        envelope, body = frame.get("envelope_id", ""), frame.get("payload")
        self.acks.append((envelope, body))
        answer = self._waiting.get(envelope)
        if answer is not None and not answer.done():
            answer.set_result(body)

    # --- HTTP --------------------------------------------------------------------------------------

    async def _over_http(self, app: App, body: Form, attempt: Attempt) -> Acknowledged | None:
        retry = {}
        if attempt.attempt:
            retry = {"X-Slack-Retry-Num": str(attempt.attempt), "X-Slack-Retry-Reason": "http_timeout"}
        if "command" in body:
            raw, kind = urllib.parse.urlencode(body).encode(), "application/x-www-form-urlencoded"
        elif KIND_OF.get(body["type"]) == "interactive":
            raw = urllib.parse.urlencode({"payload": json.dumps(body)}).encode()
            kind = "application/x-www-form-urlencoded"
        else:
            raw, kind = json.dumps(body).encode(), "application/json"
        try:
            attempt.status, text = await self.http(app, raw, kind=kind, headers=retry)
        except (aiohttp.ClientError, TimeoutError):
            return None
        if attempt.status != 200:
            return None
        return Acknowledged(body=_as_form(text))

    async def http(
        self,
        app: App,
        raw: bytes,
        *,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
        signed_at: float | None = None,
        secret: str | None = None,
        signature: str | None = None,
    ) -> tuple[int, str]:
        """One signed request to the app's address; what a stranger can vary is a parameter."""
        stamp = str(int(time.time() if signed_at is None else signed_at))
        key = (app.signing_secret if secret is None else secret).encode()
        mac = "v0=" + hmac.new(key, b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        sent = {"Content-Type": kind, "X-Slack-Request-Timestamp": stamp}
        sent |= {"X-Slack-Signature": mac if signature is None else signature, **(headers or {})}
        sent = {name: value for name, value in sent.items() if value}
        if self._client is None:
            self._client = aiohttp.ClientSession()
        assert app.request_url is not None
        timeout = aiohttp.ClientTimeout(total=self.ack_s)
        async with self._client.post(app.request_url, data=io.BytesIO(raw), headers=sent, timeout=timeout) as response:
            return response.status, await response.text()

    # --- for both ----------------------------------------------------------------------------------

    def in_background(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self.sockets:
            socket.drop()
        if self._client is not None:
            await self._client.close()


def _as_form(text: str) -> Form | None:
    if not text:
        return None
    try:
        form = json.loads(text)
    except ValueError:
        return {"text": text}
    return form if isinstance(form, dict) else None
