"""What the node's tests share: a book that takes reports, a gateway's end on loopback, a node, bounded waiting."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
from aiohttp import web

from bot.domain.command import Command, Limits, NodeFingerprint, command_hash, parse_request
from bot.domain.execution import ExecutionId, ExecutionResult
from bot.domain.node import Known, Node, Pairing
from bot.errors import StoreError
from bot.node.client import run_node
from bot.node.hub import Hub, HubBounds
from bot.node.identity import KeyPair, new_key, new_nonce
from bot.node.inspect import Inspector
from bot.node.protocol import NodeEnd, State
from bot.node.rules_file import RulesFile
from bot.node.settings import NodeSettings
from bot.node.user import own_user
from bot.ports import Acceptance, NodeRefusal

ID = ExecutionId("7K3QA2")
OTHER = ExecutionId("7K3QA3")
NODE = NodeFingerprint("AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AAAA")
GATEWAY = NodeFingerprint("BBBB-BBBB-BBBB-BBBB-BBBB-BBBB-BBBB")


async def until(is_so: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Wait for a state; fails by its name when the bound is over."""
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, f"not so within {within_s} s: {is_so}"
        await asyncio.sleep(0.01)


@dataclass
class Book:
    """Reports in memory. Executions are nobody's: each test says what is open."""

    nodes: dict[NodeFingerprint, Node] = field(default_factory=dict)
    said: list[tuple[ExecutionId, str]] = field(default_factory=list)
    results: dict[ExecutionId, ExecutionResult] = field(default_factory=dict)
    words: dict[ExecutionId, str] = field(default_factory=dict)
    tails: list[str] = field(default_factory=list)
    open: list[tuple[ExecutionId, bool]] = field(default_factory=list)
    pairs_at_once: bool = True
    is_broken: bool = False
    hellos: int = 0
    asked: int = 0
    connects: int = 0
    looks: int = 0
    """At the pairings of all nodes."""

    def kinds(self, execution: ExecutionId) -> list[str]:
        """Without live tails, which may come or not."""
        return [kind for about, kind in self.said if about == execution and kind != "progress"]

    def pair(self, fingerprint: NodeFingerprint, pairing: Pairing = Pairing.PAIRED) -> None:
        self.nodes[fingerprint] = replace(self.nodes[fingerprint], pairing=pairing)

    def _note(self, node: NodeFingerprint, execution: ExecutionId, kind: str) -> None:
        assert self.nodes[node].pairing is Pairing.PAIRED
        if self.is_broken:
            raise StoreError("the disk is full")
        self.said.append((execution, kind))

    async def started(self, node: NodeFingerprint, execution_id: ExecutionId, started_at: float) -> None:
        assert started_at > 0
        self._note(node, execution_id, "started")

    async def progress(self, node: NodeFingerprint, execution_id: ExecutionId, live_tail: str) -> None:
        self._note(node, execution_id, "progress")
        self.tails.append(live_tail)

    async def finished(
        self,
        node: NodeFingerprint,
        execution_id: ExecutionId,
        result: ExecutionResult,
        started_at: float,
        ended_at: float,
    ) -> None:
        assert ended_at >= started_at
        self._note(node, execution_id, "finished")
        self.results[execution_id] = result

    async def refused(self, node: NodeFingerprint, execution_id: ExecutionId, reason: str) -> None:
        self._note(node, execution_id, "refused")
        self.words[execution_id] = reason

    async def not_known(self, node: NodeFingerprint, execution_id: ExecutionId, detail: str) -> None:
        self._note(node, execution_id, "not_known")
        self.words[execution_id] = detail

    async def open_executions(self, node: NodeFingerprint) -> Sequence[tuple[ExecutionId, bool]]:
        assert self.nodes[node].pairing is Pairing.PAIRED
        self.asked += 1
        return list(self.open)

    async def known(self, node: NodeFingerprint, execution_id: ExecutionId, known: Known) -> None:
        self._note(node, execution_id, f"known {known.value}")

    async def hello(self, fingerprint: NodeFingerprint, public_key: bytes, name: str) -> Node:
        self.hellos += 1
        pairing = Pairing.PAIRED if self.pairs_at_once else Pairing.PENDING
        new = Node(
            fingerprint=fingerprint,
            public_key=public_key,
            name=name,
            pairing=pairing,
            first_seen_at=1.0,
            last_seen_at=1.0,
        )
        return self.nodes.setdefault(fingerprint, new)

    async def pairing_of(self, fingerprint: NodeFingerprint) -> Node | None:
        return self.nodes.get(fingerprint)

    async def pairings(self) -> Mapping[NodeFingerprint, Pairing]:
        self.looks += 1
        return {node: known.pairing for node, known in self.nodes.items()}

    async def seen(self, nodes: Collection[NodeFingerprint]) -> None:
        assert self.nodes.keys() >= set(nodes)

    def connected(self) -> None:
        self.connects += 1


@dataclass
class Gateway:
    """The gateway's end, which can go away and come back at the same address."""

    book: Book
    key: KeyPair = field(default_factory=new_key)
    bounds: HubBounds = field(default_factory=lambda: HubBounds(pairing_s=0.05, heartbeat_s=2.0))
    port: int = 0
    hub: Hub = field(init=False)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/node"

    async def start(self) -> None:
        self.hub = Hub(self.key, self.book, on_connect=self.book.connected, bounds=self.bounds)
        app = web.Application()
        app.add_routes(self.hub.routes())
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self.hub.close()
            await self._runner.cleanup()
            self._runner = None

    async def node(self) -> NodeFingerprint:
        """The one node, when it is connected."""
        await until(lambda: self.hub.connected())
        (fingerprint,) = self.hub.connected()
        return fingerprint

    async def prepared(self, text: str, execution: ExecutionId = ID) -> Command:
        request = parse_request(text)
        found = await self.hub.inspect(await self.node(), execution, request, Limits(timeout_s=30.0))
        assert isinstance(found, Command), found
        assert (found.argv, found.script) == (request.argv, request.script)
        return found

    async def offered(self, command: Command, execution: ExecutionId = ID) -> Acceptance | NodeRefusal:
        return await self.hub.offer(await self.node(), execution, command, command_hash(command))

    async def hand_over(self, text: str, execution: ExecutionId = ID) -> Command:
        command = await self.prepared(text, execution)
        accepted = await self.offered(command, execution)
        assert isinstance(accepted, Acceptance), accepted
        await self.hub.go(await self.node(), execution, accepted)
        return command


@asynccontextmanager
async def gateway(book: Book | None = None, **fields: object) -> AsyncIterator[Gateway]:
    made = Gateway(book or Book(), **fields)  # type: ignore[arg-type]  # the caller names the fields as they are
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def settings(tmp_path: Path, url: str = "ws://127.0.0.1:1/node", **fields: object) -> NodeSettings:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    given = {"name": "web-1", "work_dir": work, "grace_s": 0.3} | fields
    return NodeSettings(gateway_url=url, state_dir=tmp_path / "state", **given)  # type: ignore[arg-type]  # as above


def with_rules(given: NodeSettings, text: str) -> NodeSettings:
    """The same node with this `node.toml`, which it reads anew at every look."""
    given.state_dir.mkdir(exist_ok=True, mode=0o700)
    path = given.state_dir / "node.toml"
    path.write_text(text)
    path.chmod(0o600)
    return given


def inspector(given: NodeSettings) -> Inspector:
    return Inspector(given, NODE, RulesFile.found(given.rules_file, given.state_dir))


@asynccontextmanager
async def node(given: NodeSettings, lines: list[str] | None = None) -> AsyncIterator[asyncio.Task[None]]:
    """A node of this process. On leaving it is cancelled: what runs is stopped, and its connection ends."""
    told = lines if lines is not None else []

    def tell(line: str) -> None:
        # What it says of its policy at the start depends on who runs the tests.
        if not line.startswith(("warning: ", "this node")):
            told.append(line)

    task = asyncio.create_task(run_node(given, tell=tell))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def raw_node(
    there: Gateway, key: KeyPair | None = None, *, wait: bool = True
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A node that says only what a test makes it say; with `wait` until it was welcomed and asked what is open."""
    async with aiohttp.ClientSession() as session, session.ws_connect(there.url) as socket:
        end = NodeEnd(key or new_key(), new_nonce(), "raw")
        await socket.send_str(end.hello())
        end.read(str((await socket.receive()).data))
        await socket.send_str(end.proof())
        if wait:
            end.read(str((await socket.receive()).data))
            assert end.state is State.OPEN
        yield socket


def command(*argv: str, cwd: Path | None = None, timeout_s: float = 20.0, output_bytes: int = 262_144) -> Command:
    """As an inspection would give it, for tests that start processes themselves."""
    found = sys.executable if argv[0] == "python" else shutil.which(argv[0])
    assert found is not None
    here = (cwd or Path.cwd()).resolve()
    seen = here.stat()
    return Command(
        node=NODE,
        argv=argv,
        script=None,
        executable=os.path.realpath(found),
        cwd=str(here),
        cwd_id=f"{seen.st_dev}:{seen.st_ino}",
        user=own_user().name,
        env=(("PATH", "/usr/bin:/bin"),),
        limits=Limits(timeout_s=timeout_s, output_bytes=output_bytes),
        files=(),
    )
