"""A gateway that has its key and says whatever a test makes it say, frame by frame, to a real node.

Deliberately absent: anything that an honest gateway would check.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from bot.domain.command import Command, Request, command_from_json, command_hash, command_to_json, request_to_json
from bot.domain.execution import ExecutionId
from bot.domain.node import Pairing
from bot.node.identity import KeyPair, new_key, new_nonce
from bot.node.protocol import GatewayEnd
from tests.node.made import ID

Form = dict[str, Any]
HUGE = {"timeout_s": 1e9, "output_bytes": 2**40, "memory_bytes": 2**52, "processes": 2**52, "open_files": 2**52}


@dataclass
class LyingGateway:
    key: KeyPair = field(default_factory=new_key)
    url: str = ""
    heard: list[Form] = field(default_factory=list)
    """Every frame of the node, its handshake included."""
    closed_with: int | None = None
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    _socket: web.WebSocketResponse | None = None
    _number: int = 0

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        end = GatewayEnd(self.key, new_nonce())
        for answer in (end.challenge, lambda: end.welcome(Pairing.PAIRED)):
            message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                self.closed_with = socket.close_code
                return socket
            self.heard.append(json.loads(message.data))
            end.read(message.data)
            await socket.send_str(answer())
        self._socket = socket
        self.is_open.set()
        async for message in socket:
            self.heard.append(json.loads(message.data))
        return socket

    async def say(self, form: Form) -> None:
        async with asyncio.timeout(10):
            await self.is_open.wait()
        assert self._socket is not None
        await self._socket.send_str(json.dumps(form))

    async def ask(self, form: Form) -> Form:
        """The node's answer to this question."""
        self._number += 1
        await self.say({**form, "number": self._number})
        return await self.hear(lambda heard: heard.get("number") == self._number)

    async def hear(self, fits: Any) -> Form:  # noqa: ANN401 -- a predicate of forms
        async with asyncio.timeout(10):
            while not (found := [heard for heard in self.heard if fits(heard)]):
                await asyncio.sleep(0.01)
        return found[0]

    async def inspect(self, request: Request, limits: Form | None = None) -> Form:
        form = {"kind": "inspect", "execution": ID, "request": request_to_json(request), "limits": limits or HUGE}
        return await self.ask(form)

    async def offer(self, command: Command | Form, said_hash: str | None = None, execution: ExecutionId = ID) -> Form:
        """With the hash that fits the lie, unless another one is given."""
        form = command_to_json(command) if isinstance(command, Command) else command
        fitting = command_hash(command_from_json(form)) if said_hash is None else said_hash
        return await self.ask({"kind": "offer", "execution": execution, "command": form, "hash": fitting})


@asynccontextmanager
async def lying_gateway(key: KeyPair | None = None) -> AsyncIterator[LyingGateway]:
    made = LyingGateway(key or new_key())
    app = web.Application()
    app.add_routes([web.get("/node", made.connect)])
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/node"
    try:
        yield made
    finally:
        await runner.cleanup()
