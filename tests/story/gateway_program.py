"""A gateway as a process of its own that kills itself with SIGKILL at one exact moment of the path.

It composes `Core` as production does. Deliberately absent: any fault but the kill.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from bot.app import Core, SystemClock
from bot.domain.message import Capabilities, Delivery, Nonce, NotPosted, Post, Receipt
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress
from bot.flow.signals import Signals
from bot.node.hub import Hub
from bot.node.identity import load_or_create_key
from bot.ports import Channel, Check, Inbox, Store, Tx
from bot.store import open_store
from bot.store.transaction import Connected
from tests.platforms.loopback import channels_of
from tests.story.cast import ACCOUNTS, a_settings

R = TypeVar("R")


class Moment(StrEnum):
    BEFORE_COMMIT = "before the commit"
    AFTER_COMMIT = "after the commit"
    AFTER_SEND = "after the send, before its receipt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a gateway process is started with; it travels by pickle."""

    url: str
    platform_url: str
    port: int
    key: Path
    counts: Path
    """`<commits> <sends>` so far, rewritten after each."""
    connected: Path
    """Made when the node is connected."""
    moment: Moment | None = None
    number: int = 0
    """The commit or the send at which it dies, counted from 1."""


@dataclass(slots=True)
class Fuse:
    """Counts, and kills the process when its number comes up."""

    plan: Plan
    commits: int = 0
    sends: int = 0

    def note(self) -> None:
        # Of one length, over what stood there: whoever reads it meanwhile reads the one or the other.
        with self.plan.counts.open("r+b", buffering=0) as counts:
            counts.write(f"{self.commits:6} {self.sends:6}".encode())

    def burn(self, moment: Moment, count: int) -> None:
        if self.plan.moment is moment and count >= self.plan.number:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class FusedStore:
    """The store; a write that changes nothing is no commit and is not counted."""

    inner: Store
    fuse: Fuse

    async def write(self, fn: Callable[[Tx], R]) -> R:
        fuse = self.fuse

        def counted(tx: Tx) -> R:
            before = _changes(tx)
            value = fn(tx)
            if _changes(tx) != before:
                fuse.commits += 1
                fuse.note()
                fuse.burn(Moment.BEFORE_COMMIT, fuse.commits)
            return value

        value = await self.inner.write(counted)
        fuse.burn(Moment.AFTER_COMMIT, fuse.commits)
        return value

    async def read(self, fn: Callable[[Tx], R]) -> R:
        return await self.inner.read(fn)


@dataclass(frozen=True, slots=True)
class FusedChannel:
    inner: Channel
    fuse: Fuse

    @property
    def name(self) -> ChannelName:
        return self.inner.name

    @property
    def account(self) -> AccountName:
        return self.inner.account

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def start(self, inbox: Inbox) -> None:
        await self.inner.start(inbox)

    async def close(self) -> None:
        await self.inner.close()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        receipt = await self.inner.send(address, post, nonce)
        self.fuse.sends += 1
        self.fuse.note()
        self.fuse.burn(Moment.AFTER_SEND, self.fuse.sends)
        return receipt

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        await self.inner.edit(peer, message_id, post)

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        return await self.inner.find(address, nonce)

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        return await self.inner.delivery(peer, message_id)

    async def check(self) -> Sequence[Check]:
        return await self.inner.check()


def run(plan: Plan) -> None:
    """Until it is killed, by itself or by the test."""
    asyncio.run(_run(plan))


async def _run(plan: Plan) -> None:
    fuse, signals, clock = Fuse(plan), Signals(), SystemClock()
    opened = open_store(plan.url, clock=clock, gateway=True)
    await opened.write(lambda tx: (tx.events.take_over(), tx.inputs.take_over()))
    store = FusedStore(opened, fuse)
    channels = {name: FusedChannel(channel, fuse) for name, channel in channels_of(plan.platform_url, ACCOUNTS).items()}
    core = Core(a_settings(), store, channels, clock, signals)

    def connected() -> None:
        plan.connected.touch()
        signals.all()

    hub = Hub(load_or_create_key(plan.key), core.reports, on_connect=connected)
    server = web.Application()
    server.add_routes(hub.routes())
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", plan.port).start()
    async with core.running(hub):
        await asyncio.Event().wait()


def _changes(tx: Tx) -> int:
    assert isinstance(tx.inputs, Connected)
    raw = tx.inputs.connection.connection.driver_connection
    return int(getattr(raw, "total_changes"))  # noqa: B009 -- sqlite3's, which the pool's type does not know
