"""A world whose node is real: the hub on a real server, and the node's program as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bot.node.client import KEY_FILE
from bot.node.hub import Hub
from bot.node.identity import load_or_create_key
from bot.node.settings import NodeSettings
from bot.ports import NodeHub
from tests.story.processes import Forked, free_port, run_the_node
from tests.story.world import WITHIN_S, Asked, World


@dataclass(slots=True, kw_only=True)
class RealWorld(World):
    """`home` holds the keys, the node's state, and one file for each command, with a line for each time it ran."""

    home: Path
    port: int = field(default_factory=free_port)
    node: Forked[NodeSettings] | None = None
    _marks: int = 0

    async def connect(self, running: contextlib.AsyncExitStack) -> NodeHub:
        identity = load_or_create_key(self.home / "gateway.key")
        hub = Hub(identity, self.core.reports, on_connect=self.core.signals.all)
        key = load_or_create_key(self.state_dir / KEY_FILE)
        if await self.store.read(lambda tx: tx.nodes.get(key.fingerprint)) is None:
            await self.store.write(lambda tx: tx.nodes.hello(key.fingerprint, key.public_key, "web-1"))
            await self.store.write(lambda tx: tx.nodes.pair(key.fingerprint, name="web-1"))
        server = web.Application()
        server.add_routes(hub.routes())
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        running.push_async_callback(runner.cleanup)
        running.push_async_callback(hub.close)
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return hub

    @property
    def state_dir(self) -> Path:
        return self.home / "node"

    def start_node(self) -> Forked[NodeSettings]:
        """Its process, which connects as soon as it can."""
        settings = NodeSettings(
            gateway_url=f"ws://127.0.0.1:{self.port}/node",
            state_dir=self.state_dir,
            name="web-1",
            work_dir=self.home,
            grace_s=1.0,
        )
        self.node = Forked(run_the_node, settings, self.home / "node.log")
        self.node.start()
        return self.node

    async def until_connected(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not self.hub.connected():
                await asyncio.sleep(0.01)

    # --- commands that count how often they ran ----------------------------------------------------

    def command(self, output: str = "", then: str = "") -> tuple[str, Path]:
        """Shell that leaves a line in its own file, and that file."""
        self._marks += 1
        mark = self.home / f"mark-{self._marks}"
        words = [f"echo ran >> {shlex.quote(str(mark))}"]
        words += [f"echo {shlex.quote(output)}"] if output else []
        words += [then] if then else []
        return "; ".join(words), mark

    async def start_one(self, asked: Asked, mark: Path) -> None:
        """Approved, and running on the node."""
        await self.approve(asked)
        await self.until_ran(mark)

    async def until_ran(self, mark: Path) -> None:
        until = time.monotonic() + WITHIN_S
        while not runs(mark):
            assert time.monotonic() < until, f"{mark.name} never ran; the node's words are in {self.home}/node.log"
            await asyncio.sleep(0.01)


def runs(mark: Path) -> int:
    return len(mark.read_text().splitlines()) if mark.exists() else 0
