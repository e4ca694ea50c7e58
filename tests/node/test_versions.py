"""Two sides without a version in common: each is told which of them to upgrade, and nothing else happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.node.frames import VERSION
from bot.node.protocol import Close
from tests.node.made import gateway, node, settings, until


def hello(versions: list[int]) -> str:
    return json.dumps(
        {"kind": "hello", "versions": versions, "public_key": "0" * 64, "nonce": "0" * 64, "name": "web-1"}
    )


@pytest.mark.parametrize(("spoken", "side"), [([1], "node"), ([7, VERSION + 1], "gateway")])
async def test_a_gateway_says_which_side_to_upgrade(spoken: list[int], side: str) -> None:
    async with gateway() as there, aiohttp.ClientSession() as session, session.ws_connect(there.url) as socket:
        await socket.send_str(hello(spoken))
        message = await asyncio.wait_for(socket.receive(), 5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, Close.VERSION)
        said = f"the node speaks version {max(spoken)}, the gateway version {VERSION}: upgrade the {side}"
        assert message.extra == said
        assert there.book.hellos == 0


async def test_one_version_in_common_is_enough() -> None:
    async with gateway() as there, aiohttp.ClientSession() as session, session.ws_connect(there.url) as socket:
        await socket.send_str(hello([VERSION, VERSION + 1]))
        message = await asyncio.wait_for(socket.receive(), 5)
        assert json.loads(message.data)["version"] == VERSION


@asynccontextmanager
async def a_gateway_that_closes_with(reason: str) -> AsyncIterator[str]:
    async def refuse(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.close(code=Close.VERSION, message=reason.encode())
        return socket

    app = web.Application()
    app.add_routes([web.get("/node", refuse)])
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/node"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("no version of the protocol in common; update the older side", "older than this node: upgrade the gateway"),
        ("the node speaks version 2, the gateway version 3: upgrade the node", "version 3: upgrade the node"),
        ("upgrade the \x1b]0;owned\x07node", "upgrade the ?]0;owned?node"),
    ],
)
async def test_a_node_says_which_side_to_upgrade(tmp_path: Path, reason: str, told: str) -> None:
    lines: list[str] = []
    async with a_gateway_that_closes_with(reason) as url, node(settings(tmp_path, url), lines):
        await until(lambda: any("no version" in line for line in lines))
    (line,) = [line for line in lines if "no version" in line]
    assert told in line
    assert line.isprintable()
