"""The gateway's side of the measurement, three times over one pair of sockets.

core   the whole of it: hub, completion, heartbeat, a loopback channel
store  a frame in, the completion's own transaction through the store, a POST out: no heartbeat, no receipts
bare   a frame in, one durable commit by raw sqlite3 with synchronous=FULL, a POST out: what the machine can do
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import aiohttp
from aiohttp import web

from bot.agent.commands import CommandsAgent
from bot.app import Core, CoreSettings, SystemClock
from bot.domain.command import NodeFingerprint, Request
from bot.domain.directory import Directory, Person
from bot.domain.execution import (
    Chunk,
    Ending,
    Execution,
    ExecutionId,
    ExecutionResult,
    ExecutionState,
    Output,
    Stream,
    Trigger,
)
from bot.domain.gate import Admission, Gate, RoomPolicy
from bot.domain.policy import Policy
from bot.domain.session import (
    DEFAULT_ACCOUNT,
    AccountName,
    AgentName,
    ChannelName,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ReturnAddress,
    key_for,
)
from bot.flow.outcome import leave
from bot.flow.turn import draw_id
from bot.node.hub import Hub
from bot.node.identity import fingerprint, new_key
from bot.ports import Tx
from bot.store import OpenStore, open_store
from tests.platforms.loopback import channels_of

CHANNEL = ChannelName("discord")
ACCOUNTS = (DEFAULT_ACCOUNT, AccountName("second"))
"""Two, so that one can be slow while the other is measured."""
OWNER = Person(name="owner", ids=(PersonId("discord:owner"),))
GROUP = 200
"""Executions that are made in one transaction."""
Taker = Callable[[str], Coroutine[None, None, None]]


@asynccontextmanager
async def core(
    database: Path,
    network_url: str,
    public_keys: list[bytes],
    *,
    retention_s: float = 30 * 86_400.0,
    sweep_s: float = 5.0,
) -> AsyncIterator[tuple[str, OpenStore, Core]]:
    """The whole core behind a real socket; gives the node's URL, the store and the core itself."""
    store = open_store(f"sqlite:///{database}", clock=SystemClock(), gateway=True)
    try:
        await store.write(lambda tx: _pair(tx, public_keys))
        channels = channels_of(network_url, [(CHANNEL, account) for account in ACCOUNTS])
        heard = Admission(room_policy=RoomPolicy.OPEN, require_mention=False)
        settings = CoreSettings(
            policy=Policy(directory=Directory(people=(OWNER,)), owners=(OWNER.name,)),
            gate=Gate(admissions=dict.fromkeys(channels, heard)),
            agent_hears_results=CommandsAgent.HEARS_RESULTS,
            retention_s=retention_s,
            sweep_s=sweep_s,
        )
        parts = Core(settings, store, channels, SystemClock())
        hub = Hub(new_key(), parts.reports, on_connect=parts.signals.all)
        server = web.Application()
        server.add_routes(hub.routes())
        async with parts.running(hub), _serving(server) as port:
            yield f"ws://127.0.0.1:{port}/node", store, parts
            await hub.close()
    finally:
        await store.close()


@asynccontextmanager
async def store_alone(
    database: Path, network_url: str, public_keys: list[bytes]
) -> AsyncIterator[tuple[str, OpenStore]]:
    """The completion's transaction by the store itself, between a bare socket and a bare POST."""
    store = open_store(f"sqlite:///{database}", clock=SystemClock(), gateway=True)
    try:
        await store.write(lambda tx: _pair(tx, public_keys))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def take(text: str) -> None:
                form = json.loads(text)
                execution_id, output = ExecutionId(form["execution"]), str(form["output"])
                await store.write(lambda tx: _complete(tx, execution_id, output))
                await _post(session, network_url, execution_id, output)

            async with _bare_socket(take) as url:
                yield url, store
    finally:
        await store.close()


@asynccontextmanager
async def bare(path: Path, network_url: str) -> AsyncIterator[str]:
    """One durable commit by hand: the floor."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE told (id TEXT PRIMARY KEY, body TEXT)")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            def record(name: str, text: str) -> None:
                database.execute("INSERT INTO told VALUES (?, ?)", (name, text))

            async def take(text: str) -> None:
                form = json.loads(text)
                record(form["execution"], text)
                await _post(session, network_url, form["execution"], form["output"])

            async with _bare_socket(take, lambda text: record(secrets.token_hex(), text)) as url:
                yield url


async def running(
    store: OpenStore, public_key: bytes, count: int, *, room: str | None = None, account: str = DEFAULT_ACCOUNT
) -> list[ExecutionId]:
    """So many executions that a node has and has not reported, each of a session of its own, or all of one room."""
    node, made = fingerprint(public_key), named(count)
    for at in range(0, count, GROUP):
        await store.write(partial(_run, node=node, some=made[at : at + GROUP], room=room, account=account))
    return made


def named(count: int) -> list[ExecutionId]:
    """Names of executions, twice as long as the real ones: the world counts what it is told by name alone, over all
    sides and processes of a run, and of some thousand real names two are the same. A turn looks, and draws again."""
    return [ExecutionId(draw_id(secrets.token_hex()) + draw_id(secrets.token_hex())) for _ in range(count)]


def peer_of(room: str, account: str = DEFAULT_ACCOUNT) -> Peer:
    return Peer(
        agent=AgentName("main"),
        channel=CHANNEL,
        account=AccountName(account),
        kind=PeerKind.CHANNEL,
        id=NativeId(room),
    )


def _run(tx: Tx, node: NodeFingerprint, some: Sequence[ExecutionId], room: str | None, account: str) -> None:
    for one in some:
        _running(tx, node, one, room or one, account)


def _running(tx: Tx, node: NodeFingerprint, execution_id: ExecutionId, room: str, account: str) -> None:
    peer = peer_of(room, account)
    execution = Execution(
        id=execution_id,
        state=ExecutionState.PREPARING,
        session=key_for(peer),
        origin=ReturnAddress(peer=peer, message_id=MessageId("1")),
        asker=PersonId("discord:1"),
        asker_native="1",
        asker_name="somebody",
        request=Request(text="uptime", argv=("uptime",), script=None),
        node=node,
        node_name="bench",
        created_at=time.time(),
        expires_at=time.time() + 3_600,
        rule="bench",
    )
    tx.executions.insert(execution)
    for trigger in (Trigger.ALLOW, Trigger.DISPATCH, Trigger.START):
        execution = tx.executions.move(execution, trigger)


def _complete(tx: Tx, execution_id: ExecutionId, output: str) -> None:
    execution = tx.executions.lock(execution_id)
    if execution is None:
        raise LookupError(execution_id)
    result = ExecutionResult(
        ending=Ending.EXITED,
        exit_code=0,
        signal=None,
        duration_s=1.0,
        output=Output(head=(Chunk(stream=Stream.OUT, text=output),)),
    )
    leave(tx, replace(execution, result=result), Trigger.FINISH, by="bench", reason=None)


def _pair(tx: Tx, public_keys: list[bytes]) -> None:
    for public_key in public_keys:
        node = fingerprint(public_key)
        tx.nodes.hello(node, public_key, f"bench-{node[:12]}")
        tx.nodes.pair(node)


async def _post(session: aiohttp.ClientSession, network_url: str, name: str, output: str) -> None:
    async with session.post(
        f"{network_url}/post", data=json.dumps({"peer": {"id": name}, "execution": name, "text": output})
    ) as answer:
        await answer.read()


@asynccontextmanager
async def _bare_socket(take: Taker, record: Callable[[str], object] = len) -> AsyncIterator[str]:
    """A WebSocket that hands every text to `take`, all at the same time; a POST is given to `record`."""

    async def connect(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async with asyncio.TaskGroup() as group:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    group.create_task(take(message.data))
        return socket

    async def post(request: web.Request) -> web.Response:
        """The floor of an inbound webhook: its body, committed, then the answer."""
        record(await request.text())
        return web.Response()

    server = web.Application()
    server.router.add_get("/bare", connect)
    server.router.add_post("/bare", post)
    async with _serving(server) as port:
        yield f"ws://127.0.0.1:{port}/bare"


@asynccontextmanager
async def _serving(server: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
