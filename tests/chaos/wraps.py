"""Where the named points are: around the product's own functions, in this process alone, for as long as it lives.

The product has no hook. What is wrapped is what `app.py` and `node/client.py` compose: the store, the channels, the
inbox, both ends of the node's connection, the journal. Deliberately absent: what happens at a point (see `fuse`).
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from bot import app
from bot.config import Settings
from bot.domain.execution import ExecutionId
from bot.domain.message import ButtonPress, DeliveryReport, InboundMessage, Reaction
from bot.domain.node import Known
from bot.flow.intake import Intake
from bot.networks import Channels, build_channels
from bot.node.client import _Connection
from bot.node.codec import kind_of
from bot.node.frames import Frame, Welcome
from bot.node.journal import Entry
from bot.node.link import Link
from bot.node.process import Process
from bot.node.spool import Spool
from bot.ports import ChatLog, Clock, Tx
from bot.store import OpenStore, open_store
from bot.store.audit import StoredAudit
from bot.store.chatlog import StoredChatLog
from bot.store.transaction import Connected
from tests.chaos.fuse import Fuse
from tests.chaos.points import RECORDS, Moment, Site, commit, sites

R = TypeVar("R")
Recorded = InboundMessage | ButtonPress | Reaction | DeliveryReport
SENT_S = 0.05
"""After the inbox has returned: the acknowledgement is a frame or an answer of some bytes, and has left by then."""


@dataclass(frozen=True, slots=True)
class FusedStore:
    """The store, with a point before and after each commit that changes something."""

    inner: OpenStore
    fuse: Fuse

    @property
    def chat_log(self) -> ChatLog:
        return StoredChatLog(self)  # type: ignore[arg-type]  # -- it writes through us

    def write(self, fn: Callable[[Tx], R]) -> Awaitable[R]:
        # Not a coroutine itself: the frame above is whoever calls, or whoever awaits the one that calls.
        return self._write(fn, sites().at(sys._getframe(1)))

    async def _write(self, fn: Callable[[Tx], R], site: Site | None) -> R:
        name = "commit by somebody else" if site is None else commit(site.name)
        changed = False

        def noted(tx: Tx) -> R:
            nonlocal changed
            before = _changes(tx)
            value = fn(tx)
            # Its lines come last in each transaction, and some transactions leave nothing else.
            if isinstance(tx.audit, StoredAudit):
                tx.audit.flush()
            changed = _changes(tx) != before
            if changed:
                self.fuse.passes(f"{Moment.BEFORE} {name}")
            return value

        value = await self.inner.write(noted)
        if changed:
            self.fuse.passes(f"{Moment.AFTER} {name}")
        return value

    async def read(self, fn: Callable[[Tx], R]) -> R:
        return await self.inner.read(fn)

    async def backup(self, path: Path) -> None:
        await self.inner.backup(path)

    async def close(self) -> None:
        await self.inner.close()


@contextmanager
def gateway_wrapped(fuse: Fuse) -> Iterator[None]:
    """`run_gateway` composes with these in the place of its own."""

    def opened(url: str, **more: object) -> OpenStore:
        return FusedStore(open_store(url, **more), fuse)  # type: ignore[arg-type, return-value]  # -- passed on; an awaitable

    def built(settings: Settings, store: OpenStore, clock: Clock) -> Channels:
        channels = build_channels(settings, store, clock)
        for channel in channels.values():
            for verb, does in (("send", "sends"), ("edit", "edits"), ("find", "finds"), ("delivery", "looks after")):
                setattr(channel, verb, around(getattr(channel, verb), fuse, f"{channel.name} {does}"))
        return channels

    with ExitStack() as stack:
        stack.enter_context(patch.object(app, "open_store", opened))
        stack.enter_context(patch.object(app, "build_channels", built))
        for verb, kind in zip(("message", "press", "reaction", "delivered"), RECORDS, strict=True):
            stack.enter_context(patch.object(Intake, verb, _recording(getattr(Intake, verb), fuse, kind)))
        stack.enter_context(patch.object(Link, "_send_text", _sending(Link._send_text, fuse, "gateway")))
        stack.enter_context(patch.object(Link, "receive", _receiving(Link.receive, fuse, "gateway")))
        yield


@contextmanager
def node_wrapped(fuse: Fuse) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(patch.object(_Connection, "send_text", _sending(_Connection.send_text, fuse, "node")))
        stack.enter_context(patch.object(_Connection, "receive", _receiving(_Connection.receive, fuse, "node")))
        stack.enter_context(patch.object(Spool, "write", _journalling(Spool.write, fuse)))
        stack.enter_context(patch.object(Spool, "settle", _settling(Spool.settle, fuse)))
        stack.enter_context(patch.object(Spool, "reserve", _between(Spool.reserve, fuse, "reserves")))
        start = _between(Process.__init__, fuse, "starts")
        stack.enter_context(patch.object(Process, "__init__", start))
        stack.enter_context(patch.object(Process, "ended", _ending(Process.ended, fuse)))
        yield


def around(real: Callable[..., Awaitable[R]], fuse: Fuse, what: str) -> Callable[..., Awaitable[R]]:
    @functools.wraps(real)
    async def call(*args: object, **more: object) -> R:
        fuse.passes(f"{Moment.BEFORE} {what}")
        value = await real(*args, **more)
        fuse.passes(f"{Moment.AFTER} {what}")
        return value

    return call


def _recording(real: Callable[..., Awaitable[R]], fuse: Fuse, kind: str) -> Callable[..., Awaitable[R]]:
    @functools.wraps(real)
    async def record(self: Intake, said: Recorded) -> R:
        channel = said.channel if isinstance(said, DeliveryReport) else said.peer.channel
        fuse.passes(f"{Moment.BEFORE} {channel} records {kind}")
        answer = await real(self, said)
        fuse.passes(f"{Moment.AFTER} {channel} records {kind}")
        asyncio.get_running_loop().call_later(SENT_S, fuse.passes, f"{Moment.ON} {channel} acknowledged {kind}")
        return answer

    return record


def _sending(real: Callable[..., Awaitable[None]], fuse: Fuse, end: str) -> Callable[..., Awaitable[None]]:
    @functools.wraps(real)
    async def send(self: object, text: str) -> None:
        form = json.loads(text)
        word = f"welcome {form['pairing']}" if form["kind"] == "welcome" else form["kind"]
        fuse.passes(f"{Moment.BEFORE} {end} sends {word}")
        await real(self, text)
        fuse.passes(f"{Moment.AFTER} {end} sends {word}")

    return send


def _receiving(real: Callable[..., Awaitable[Frame]], fuse: Fuse, end: str) -> Callable[..., Awaitable[Frame]]:
    @functools.wraps(real)
    async def receive(self: object) -> Frame:
        frame = await real(self)
        word = f"welcome {frame.pairing.value}" if isinstance(frame, Welcome) else kind_of(frame)
        fuse.passes(f"{Moment.ON} {end} receives {word}")
        return frame

    return receive


def _journalling(real: Callable[..., None], fuse: Fuse) -> Callable[..., None]:
    @functools.wraps(real)
    def write(self: Spool, entry: Entry) -> None:
        fuse.passes(f"{Moment.BEFORE} journal {entry.state.value}", entry.execution)
        real(self, entry)
        fuse.passes(f"{Moment.AFTER} journal {entry.state.value}", entry.execution)

    return write


def _settling(real: Callable[..., None], fuse: Fuse) -> Callable[..., None]:
    @functools.wraps(real)
    def settle(self: Spool, execution: ExecutionId, known: Known) -> None:
        fuse.passes(f"{Moment.BEFORE} tombstone {known.value}", execution)
        real(self, execution, known)
        fuse.passes(f"{Moment.AFTER} tombstone {known.value}", execution)

    return settle


def _between(real: Callable[..., Any], fuse: Fuse, what: str) -> Callable[..., Any]:
    @functools.wraps(real)
    def call(*args: object, **more: object) -> object:
        fuse.passes(f"{Moment.BEFORE} {what}")
        value = real(*args, **more)
        fuse.passes(f"{Moment.AFTER} {what}")
        return value

    return call


def _ending(real: Callable[..., Awaitable[R]], fuse: Fuse) -> Callable[..., Awaitable[R]]:
    @functools.wraps(real)
    async def ended(self: Process) -> R:
        result = await real(self)
        fuse.passes(f"{Moment.ON} process ended")
        return result

    return ended


def _changes(tx: Tx) -> int:
    assert isinstance(tx.inputs, Connected)
    raw = tx.inputs.connection.connection.driver_connection
    return int(getattr(raw, "total_changes"))  # noqa: B009 -- sqlite3's, which the pool's type does not know
