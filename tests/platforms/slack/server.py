"""Slack on loopback: the Web API, Socket Mode and response URLs over real sockets, going wrong on order.

Deliberately absent: what people do (`people.py`), and any knowledge of the adapter.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.platforms.faults import Fault, Order
from tests.platforms.slack.api import NEEDS, WebApi
from tests.platforms.slack.blocks import Refused, check_message
from tests.platforms.slack.delivery import Postman, Socket
from tests.platforms.slack.payloads import event_callback
from tests.platforms.slack.world import App, Form, World

MAX_SOCKETS = 10
_JSON_FIELDS = ("blocks", "metadata", "view", "files", "attachments", "file_ids")


@dataclass(slots=True)
class ResponseUrl:
    channel: str
    user: str
    app: App
    ts: str | None
    until: float
    left: int = 5


class SlackServer:
    """The network. `async with` starts and ends its server."""

    def __init__(self) -> None:
        self.world = World()
        self.postman = Postman(self.world)
        self.api = WebApi(self.world, lambda: self.url, self.tell, clock=time.monotonic)
        self.calls: list[tuple[str, str, Form]] = []
        """(account, method, arguments) of every call that reached us, also of those that went wrong."""
        self.trigger_s = 3.0
        self.pace_s = 0.0
        """At most one message in this time in a channel; 0 switches it off."""
        self.url = ""
        self._orders: list[tuple[Order, str]] = []
        self._response_urls: dict[str, ResponseUrl] = {}
        self._tickets: dict[str, App] = {}
        self._last_post: dict[str, float] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/api/{method}", self._answer)
        app.router.add_get("/link", self._link)
        app.router.add_post("/upload/{file}", self._upload)
        app.router.add_post("/response/{token}", self._respond)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_fault: object) -> None:
        for order, _ in self._orders:
            order.lift()
        await self.postman.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # --- what a test orders ------------------------------------------------------------------------

    def order(
        self,
        fault: Fault,
        method: str = "chat.postMessage",
        *,
        times: float = 1,
        seconds: float = 1.0,
        error: str = "internal_error",
        fits: Callable[[Form], bool] = lambda _form: True,
    ) -> Order:
        """Let the next `times` calls go wrong. `seconds`: the delay, or the Retry-After. `error`: of REJECTED."""
        order = Order(fault=fault, verb=method, times=times, seconds=seconds, fits=fits)
        self._orders.append((order, error))
        return order

    def called(self, method: str, account: str = "default") -> list[Form]:
        return [form for who, name, form in self.calls if (who, name) == (account, method)]

    def tell(self, channel: str, event: Form) -> None:
        """In the background, to every app that is in this conversation, its own doings included."""
        members = self.world.conversations[channel].members
        for app in self.world.apps.values():
            if app.bot_user in members:
                self.postman.in_background(
                    self.postman.deliver(app, event_callback(app, event, self.world), repeats=True)
                )

    def trigger(self) -> str:
        made = f"{self.world.id('')}.fake.trigger"
        self.api.triggers[made] = time.monotonic() + self.trigger_s
        return made

    def response_url(self, app: App, channel: str, user: str, ts: str | None = None) -> str:
        token = self.world.id("resp")
        self._response_urls[token] = ResponseUrl(channel, user, app, ts, time.monotonic() + 1_800)
        return f"{self.url}/response/{token}"

    async def send_raw(self, text: str, account: str = "default") -> None:
        """Anything at all on every open socket of the account."""
        for socket in self.postman.open_sockets(account):
            await socket.ws.send_str(text)

    async def disconnect(self, account: str = "default", reason: str = "refresh_requested") -> None:
        """Ask every open socket of the account to come back over a new connection."""
        for socket in self.postman.open_sockets(account):
            socket.is_leaving = True
            debug = {"host": "applink-fake"}
            await socket.ws.send_json({"type": "disconnect", "reason": reason, "debug_info": debug})

    def drop(self, account: str = "default") -> None:
        for socket in self.postman.open_sockets(account):
            socket.is_leaving = True
            socket.drop()

    # --- the Web API -------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        try:
            form = await _arguments(request)
            app, is_app_token = self._app_of(request, form)
        except Refused as refused:
            return _refusal(refused, None)
        self.calls.append((app.account, method, form))
        ordered = next((pair for pair in self._orders if pair[0].takes(method, form)), None)
        if ordered is not None:
            return await self._go_wrong(*ordered, request, method, app, is_app_token, form)
        return self._call(method, app, is_app_token, form)

    async def _go_wrong(
        self, order: Order, error: str, request: web.Request, method: str, app: App, is_app_token: bool, form: Form
    ) -> web.StreamResponse:
        match order.fault:
            case Fault.UNAVAILABLE:
                return web.Response(status=503, text="<html>service unavailable</html>", content_type="text/html")
            case Fault.THROTTLED:
                return _throttled(order.seconds)
            case Fault.REJECTED:
                return _refusal(Refused(error), app)
            case Fault.SLOW:
                answer = self._call(method, app, is_app_token, form)
                await asyncio.sleep(order.seconds)
                return answer
            case Fault.GATED:
                await order.gate.wait()
                return self._call(method, app, is_app_token, form)
            case Fault.LOST_ANSWER:
                self._call(method, app, is_app_token, form)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _call(self, method: str, app: App, is_app_token: bool, form: Form) -> web.StreamResponse:
        is_connect = method == "apps.connections.open"
        if app.error is not None:
            return _refusal(Refused(app.error), app)
        if is_app_token != is_connect:
            return _refusal(Refused("not_allowed_token_type"), app)
        if method == "chat.postMessage" and self._is_too_fast(str(form.get("channel"))):
            return _throttled(1)
        try:
            done = self._open_connection(app) if is_connect else self.api.call(method, app, form)
        except Refused as refused:
            return _refusal(refused, app)
        return _as_json({"ok": True, **done}, app, method)

    def _is_too_fast(self, channel: str) -> bool:
        now = time.monotonic()
        if now - self._last_post.get(channel, -1e9) < self.pace_s:
            return True
        self._last_post[channel] = now
        return False

    def _app_of(self, request: web.Request, form: Form) -> tuple[App, bool]:
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else str(form.pop("token", ""))
        if not token:
            raise Refused("not_authed")
        for app in self.world.apps.values():
            if token in (app.bot_token, app.app_token):
                return app, token == app.app_token
        raise Refused("invalid_auth")

    def _open_connection(self, app: App) -> Form:
        if not app.socket_mode:
            raise Refused("socket_mode_not_enabled")
        if len(self.postman.open_sockets(app.account)) >= MAX_SOCKETS:
            raise Refused("too_many_websockets")
        ticket = self.world.id("ticket")
        self._tickets[ticket] = app
        return {"url": f"{self.url.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id={app.id}"}

    # --- Socket Mode, files, response URLs ---------------------------------------------------------

    async def _link(self, request: web.Request) -> web.StreamResponse:
        app = self._tickets.pop(request.query.get("ticket", ""), None)
        if app is None:
            return web.Response(status=403)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        socket = Socket(ws, app, request)
        self.postman.sockets.append(socket)
        try:
            await ws.send_json(
                {
                    "type": "hello",
                    "num_connections": len(self.postman.open_sockets(app.account)),
                    "debug_info": {"host": "applink-fake", "approximate_connection_time": 18_060},
                    "connection_info": {"app_id": app.id},
                }
            )
            async for frame in ws:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    self.postman.acknowledged(json.loads(frame.data))
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            socket.is_leaving = True
            if socket in self.postman.sockets:
                self.postman.sockets.remove(socket)
        return ws

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        file = self.world.files.get(request.match_info["file"])
        body = await request.read()
        if file is None or file.content is not None:
            return web.Response(status=404)
        if len(body) != file.length:
            return web.Response(status=400, text="the length is not the one that was announced")
        file.content = body
        return web.Response(text=f"OK - {len(body)}")

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        link = self._response_urls.get(request.match_info["token"])
        if link is None or link.until < time.monotonic():
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if not link.left:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        form = json.loads(await request.read())
        self.calls.append((link.app.account, "response_url", form))
        try:
            check_message(form)
        except Refused as refused:
            return web.json_response({"ok": False, "error": refused.error}, status=400)
        link.left -= 1
        if form.get("replace_original") or form.get("delete_original") or form.get("response_type") == "in_channel":
            return web.json_response({"ok": False, "error": "not played here"}, status=500)
        self.api.whisper(link.channel, link.user, form)
        return web.Response(text="ok")


async def _arguments(request: web.Request) -> Form:
    """From the query, a form, or JSON: Slack takes all three."""
    form: Form = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.read())
        except ValueError as fault:
            raise Refused("invalid_json") from fault
        if not isinstance(body, dict):
            raise Refused("json_not_object")
        form |= {name: value for name, value in body.items() if value is not None}
    elif request.can_read_body:
        form |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    for name in _JSON_FIELDS:
        if isinstance(form.get(name), str):
            try:
                form[name] = json.loads(form[name])
            except ValueError as fault:
                raise Refused(f"invalid_{name}_format") from fault
    return form


def _as_json(body: Form, app: App | None, method: str = "") -> web.Response:
    headers = {"x-slack-req-id": "fake-request"}
    if app is not None:
        headers |= {"x-oauth-scopes": app.scopes, "x-accepted-oauth-scopes": NEEDS.get(method, "")}
    return web.json_response(body, headers=headers)


def _refusal(refused: Refused, app: App | None) -> web.Response:
    body: dict[str, Any] = {"ok": False, "error": refused.error, **refused.more}
    if refused.messages:
        body["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in refused.messages]}
    return _as_json(body, app)


def _throttled(seconds: float) -> web.Response:
    headers = {"Retry-After": str(max(1, round(seconds)))}
    return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
