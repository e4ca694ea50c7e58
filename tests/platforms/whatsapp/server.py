"""Twilio on loopback: its REST API over a real socket, going wrong on order. Deliberately absent: people."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from tests.platforms.faults import Fault, Order
from tests.platforms.whatsapp.api import Refused, RestApi
from tests.platforms.whatsapp.carrier import Carrier
from tests.platforms.whatsapp.world import Account, new_sid

SEND = "POST Messages"


class TwilioServer:
    """`async with` starts and ends it."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.carrier = Carrier()
        self.api = RestApi(self.carrier.carry)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        """`METHOD path` and form of every call that was let in."""
        self.url = ""
        self._orders: list[tuple[Order, int]] = []
        self._runner: web.AppRunner | None = None

    def account(self, name: str) -> Account:
        """Made at the first call."""
        if name not in self.accounts:
            number = f"+155501{len(self.accounts):05d}"
            self.accounts[name] = Account(
                name=name,
                sid=new_sid("AC"),
                token=secrets.token_hex(16),
                number=number,
                public_url=f"https://{name}.homing.example",
            )
        return self.accounts[name]

    def order(
        self,
        fault: Fault,
        *,
        verb: str = SEND,
        times: float = 1,
        seconds: float = 1.0,
        code: int = 20429,
        fits: Callable[[dict[str, Any]], bool] = lambda _form: True,
    ) -> Order:
        """Let the next `times` calls go wrong. `seconds`: the delay, or the Retry-After. `code`: of REJECTED."""
        order = Order(fault=fault, verb=verb, times=times, seconds=seconds, fits=fits)
        self._orders.append((order, code))
        return order

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        self.carrier.open()
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.carrier.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        account = self._known(request)
        if account is None:
            return _refused(Refused(401, 20003, "Authenticate"))
        form = await _form(request)
        self.calls.append((f"{request.method} {request.path}", form))
        verb = f"{request.method} {request.path.rpartition('/')[2].removesuffix('.json')}"
        taken = next((each for each in self._orders if each[0].takes(verb, form)), None)
        if taken is not None:
            return await self._go_wrong(*taken, request, account, form)
        return self._right(request, account, form)

    def _right(self, request: web.Request, account: Account, form: dict[str, Any]) -> web.Response:
        try:
            status, answer = self.api.answer(account, request.method, request.path, request.query, form)
        except Refused as fault:
            return _refused(fault)
        return _json(status, answer)

    async def _go_wrong(
        self, order: Order, code: int, request: web.Request, account: Account, form: dict[str, Any]
    ) -> web.Response:
        match order.fault:
            case Fault.UNAVAILABLE:
                return _refused(Refused(503, 20503, "not now"))
            case Fault.THROTTLED:
                answer = _refused(Refused(429, 20429, "too many requests"))
                answer.headers["Retry-After"] = f"{order.seconds:.0f}"
                return answer
            case Fault.REJECTED:
                return _refused(Refused(401 if code == 20003 else 400, code, "as ordered"))
            case Fault.SLOW:
                answer = self._right(request, account, form)
                await asyncio.sleep(order.seconds)
                return answer
            case Fault.GATED:
                await order.gate.wait()
                return self._right(request, account, form)
            case Fault.LOST_ANSWER:
                self._right(request, account, form)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _known(self, request: web.Request) -> Account | None:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            sid, _, token = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            return None
        fits = [each for each in self.accounts.values() if (each.sid, each.token) == (sid, token)]
        return fits[0] if kind == "Basic" and fits else None


async def _form(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        loaded = json.loads(await request.text() or "{}")
        assert isinstance(loaded, dict)
        return loaded
    return {name: str(value) for name, value in (await request.post()).items()}


def _refused(fault: Refused) -> web.Response:
    form = {"code": fault.code, "message": fault.words, "more_info": "", "status": fault.status}
    return _json(fault.status, form)


def _json(status: int, form: dict[str, Any] | None) -> web.Response:
    if form is None:
        return web.Response(status=status)
    return web.Response(status=status, text=json.dumps(form), content_type="application/json")
