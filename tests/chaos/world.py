"""One home: the gateway and a node as processes that are started again whenever they die, platform servers, people.

The platform servers run in this process, which outlives all the others. Deliberately absent: what people do (see
`stories`), and what must hold afterwards (see `records`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bot.domain.execution import ExecutionState
from bot.domain.message import Action
from bot.domain.session import MessageId, Peer
from bot.node.client import KEY_FILE
from bot.node.identity import load_or_create_key
from bot.node.settings import NodeSettings
from bot.store import OpenStore, open_store
from channels.web.access import invite
from tests.chaos.config import PUBLIC_URL, config_of
from tests.chaos.fuse import Ledger, Order
from tests.chaos.people import AWAY, OnNetwork, OnWeb, People, Said
from tests.chaos.planted import Planted
from tests.chaos.programs import PRELOAD, AheadClock, GatewayPlan, NodePlan, run_the_gateway, run_the_node
from tests.platforms.discord.network import DiscordNetwork
from tests.platforms.driver import Network
from tests.platforms.slack.network import SlackNetwork
from tests.platforms.whatsapp.network import WhatsAppNetwork
from tests.story.processes import Forked, free_port

WITHIN_S = 150.0
"""Of anything that must come by itself, restarts included. A node whose gateway is away for long tries again
once in a minute, and on a machine that does much else a start takes many seconds."""
UP_WITHIN_S = 240.0
"""Of the very first start, which loads all libraries for those that follow: seconds, or minutes where seven others load
theirs at the same time."""
HEARD_WITHIN_S = 6.0
"""Then people write again: what is caught up after a restart is caught up by then."""
SCRIPT = """#!/bin/sh
# Its own record of having run: nobody else writes there.
date +%s.%N >> "{marks}/$1"
echo "begins:$1"
sleep "$2"
echo "ended:$1"
"""


class Stuck(Exception):
    """What must come by itself did not come."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """One request, as the one who wrote it knows it."""

    token: str
    people: People
    peer: Peer
    message_id: MessageId
    is_acknowledged: bool
    id: str | None = None
    """Of its execution, once there is one."""
    is_repeated: bool = False
    """Nobody had heard it, so it was written again. Where it is heard after all, later, it is denied."""
    may_be_lost: bool = False
    """The node died before it ended, or the story took something from it that it needs."""
    is_cut_off: bool = False
    """Its node's key was revoked, or its journal taken away: what it had to report cannot come any more."""
    may_be_dead: bool = False
    """The story itself closed the room for good: it may stay untold, dead and visible."""


@dataclass(slots=True, kw_only=True)
class World:
    home: Path
    planted: Planted | None = None
    speaks: tuple[str, ...] = ("discord", "slack", "whatsapp")
    """Networks beside the web chat. Each costs a gateway's start some tenths of a second."""
    has_local_node: bool = False
    within_s: float = WITHIN_S
    first: Order | None = None
    """What the very first gateway is told to do."""
    port: int = field(default_factory=free_port)
    node_port: int = 0
    """Where the node connects to, if that is not the gateway itself."""
    discord: DiscordNetwork = field(default_factory=DiscordNetwork)
    slack: SlackNetwork = field(default_factory=SlackNetwork)
    whatsapp: WhatsAppNetwork = field(default_factory=WhatsAppNetwork)
    asked: list[Asked] = field(default_factory=list)
    kills: dict[str, int] = field(default_factory=lambda: {"gateway": 0, "node": 0})
    running: dict[str, Forked[GatewayPlan] | Forked[NodePlan]] = field(default_factory=dict)
    held_down: set[str] = field(default_factory=set)
    """Processes that stay down for now."""
    told_to_end: set[int] = field(default_factory=set)
    """Process ids that may end in their own order."""
    past: set[MessageId] = field(default_factory=set)
    """What stood when the store forgot it: it was compared before."""
    tokens: set[str] = field(default_factory=set)
    ahead_s: float = 0.0
    _store: OpenStore | None = None
    _web: OnWeb | None = None

    @property
    def web(self) -> OnWeb:
        if self._web is None:
            self._web = OnWeb(f"http://127.0.0.1:{self.port}")
        return self._web

    @property
    def networks(self) -> list[People]:
        return [self.web, *(self.on(name) for name in self.speaks)]

    def on(self, name: str) -> OnNetwork:
        played: dict[str, Network] = {"discord": self.discord, "slack": self.slack, "whatsapp": self.whatsapp}
        return OnNetwork(played[name])

    @property
    def database(self) -> Path:
        return self.home / "data" / "homing.db"

    @property
    def marks(self) -> Path:
        return self.home / "marks"

    @property
    def store(self) -> OpenStore:
        """A tool's look, beside the gateway."""
        if self._store is None:
            self._store = open_store(f"sqlite:///{self.database}", clock=self.clock, gateway=False)
        return self._store

    @property
    def clock(self) -> AheadClock:
        return AheadClock(self.home / "ahead")

    def ledger(self, who: str) -> Ledger:
        return Ledger(self.home, who)

    def ahead(self, seconds: float) -> None:
        """The gateway's clock from now on, ahead of the machine's."""
        self.ahead_s = seconds
        draft = self.home / "ahead.draft"
        draft.write_text(str(seconds))
        draft.replace(self.home / "ahead")

    # --- processes ---------------------------------------------------------------------------------

    @property
    def state_dir(self) -> Path:
        return self.home / "node"

    def _new(self, who: str) -> Forked[GatewayPlan] | Forked[NodePlan]:
        log = self.home / f"{who}.log"
        if who == "gateway":
            plan = GatewayPlan(home=self.home, planted=self.planted)
            return Forked(run_the_gateway, plan, log, preload=PRELOAD)
        settings = NodeSettings(
            gateway_url=f"ws://127.0.0.1:{self.node_port or self.port}/node",
            state_dir=self.state_dir,
            name="web-1",
            work_dir=self.home,
            grace_s=1.0,
            max_executions=3,
        )
        return Forked(run_the_node, NodePlan(home=self.home, settings=settings, planted=self.planted), log)

    async def keep_alive(self, who: str) -> None:
        """Start it, wait for its death, start it again. A death that nobody ordered ends the world."""
        while True:
            while who in self.held_down:
                await asyncio.sleep(0.02)
            process = self.running[who] = self._new(who)
            process.start()
            code = await process.ended(within_s=1e9)
            if code != -signal.SIGKILL and process.pid not in self.told_to_end:
                raise Stuck(f"the {who} ended by itself with {code}; its words are in {process.log}")
            self.kills[who] += 1
            if who == "node":
                # What it had under way then: whether it ended, and how, nobody may know.
                for asked in self.asked:
                    asked.may_be_lost |= self.state(asked) not in {"finished", "refused"}

    async def kill(self, who: str) -> None:
        """From outside, at any moment."""
        process = self.running.get(who)
        if process is not None and process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            while process.is_alive():
                await asyncio.sleep(0.01)

    async def stop(self, who: str, *, within_s: float) -> int | None:
        """SIGTERM; its exit code. It stays down until `up`."""
        process = self.running[who]
        self.held_down.add(who)
        self.told_to_end.add(process.pid)
        os.kill(process.pid, signal.SIGTERM)
        return await process.ended(within_s=within_s)

    async def down(self, who: str) -> None:
        self.held_down.add(who)
        await self.kill(who)

    def up(self, who: str) -> None:
        self.held_down.discard(who)

    async def is_listening(self) -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()
        await writer.wait_closed()
        return True

    def tell_what_they_do(self) -> None:
        """Into their logs: for whoever finds them stuck."""
        for process in self.running.values():
            if process.is_alive():
                os.kill(process.pid, signal.SIGUSR1)

    def order(self, who: str, *orders: Order) -> None:
        self.ledger(who).order(list(orders))

    async def pair(self) -> None:
        """As an operator does, once the node has shown its key."""
        key = load_or_create_key(self.state_dir / KEY_FILE)
        await self.until(
            lambda: self.scalar("SELECT count(*) FROM nodes WHERE fingerprint = ?", key.fingerprint), "node"
        )
        await self.store.write(lambda tx: tx.nodes.pair(key.fingerprint))

    # --- people ------------------------------------------------------------------------------------

    def command(self, token: str, seconds: float = 0.0) -> str:
        return f"{self.home}/mark {token} {seconds}"

    async def ask(self, people: People, peer: Peer, seconds: float = 0.0, *, words: str | None = None) -> Asked:
        """`run …`, written again where it was not heard, until an execution stands for it."""
        for _ in range(8):
            token = f"t{len(self.tokens)}x{secrets.token_hex(4)}"
            self.tokens.add(token)
            try:
                command = words.format(token=token) if words else self.command(token, seconds)
                on = "run " if command.startswith("on ") else "run on web-1: " if self.has_local_node else "run "
                said = await people.say(peer, f"{on}{command}")
            except AWAY:
                # Perhaps it stands there all the same.
                said = Said(id=MessageId(""), is_acknowledged=False)
            asked = Asked(
                token=token,
                people=people,
                peer=peer,
                message_id=said.id,
                is_acknowledged=said.is_acknowledged,
            )
            self.asked.append(asked)
            patience_s = self.within_s if said.is_acknowledged else HEARD_WITHIN_S
            with contextlib.suppress(Stuck):
                await self.until(partial(self._execution_of, asked), f"an execution of {token}", within_s=patience_s)
                return asked
            asked.is_repeated = True
            if said.is_acknowledged:
                raise Stuck(f"{token} was acknowledged on {people.name}, and no execution stands for it")
        raise Stuck(f"nobody hears on {people.name}")

    def _execution_of(self, asked: Asked) -> bool:
        found = self.scalar("SELECT id FROM executions WHERE request LIKE ?", f"%{asked.token}%")
        asked.id = None if found is None else str(found)
        return found is not None

    def state(self, asked: Asked) -> str:
        return str(self.scalar("SELECT state FROM executions WHERE id = ?", asked.id))

    def told(self, asked: Asked, begins: str) -> bool:
        query = "SELECT count(*) FROM events WHERE identity = ? AND state = 'told'"
        return bool(self.scalar(query, f"{begins}{asked.id}"))

    async def until_asked(self, asked: Asked) -> None:
        """Until its card stands there, or it ended before anybody was asked: its node may just be away."""
        waiting = {ExecutionState.PREPARING.value, ExecutionState.AWAITING_APPROVAL.value}

        async def found() -> bool:
            return self.state(asked) not in waiting or await self.card(asked) is not None

        await self.until_async(found, f"a card of {asked.id}")

    def put_away(self, asked: Asked) -> bool:
        """Its end is owed no more for now: told, held, or dead and visible."""
        query = "SELECT state FROM events WHERE identity = ?"
        return self.scalar(query, f"outcome:{asked.id}:{self.state(asked)}") in {"told", "held", "dead"}

    async def decide(self, asked: Asked, action: Action = Action.APPROVE) -> None:
        """Press until it counts."""
        waiting = {ExecutionState.PREPARING.value, ExecutionState.AWAITING_APPROVAL.value}
        until, pause_s = time.monotonic() + self.within_s, 0.05
        while self.state(asked) in waiting:
            if time.monotonic() > until:
                raise Stuck(f"{asked.id} could not be decided")
            with contextlib.suppress(*AWAY):
                card = await self.card(asked, action)
                if card is not None:
                    async with asyncio.timeout(8.0):
                        await asked.people.press(asked.peer, card, action)
            await asyncio.sleep(pause_s)
            pause_s = min(3.0, 2 * pause_s)

    async def card(self, asked: Asked, action: Action = Action.APPROVE) -> MessageId | None:
        """The newest message there that offers this for it."""
        for seen in reversed(await asked.people.shown(asked.peer)):
            if any(does is action and str(asked.id) in token for does, token in seen.buttons):
                return seen.id
        return None

    async def _deny_what_was_heard_late(self) -> None:
        for asked in self.asked:
            if asked.is_repeated and self._execution_of(asked) and self.state(asked) == "awaiting_approval":
                await self.decide(asked, Action.DENY)

    async def until_state(self, asked: Asked, *states: ExecutionState, within_s: float | None = None) -> None:
        wanted = {state.value for state in states}
        what = f"{asked.id} to be {' or '.join(sorted(wanted))}"
        await self.until(lambda: self.state(asked) in wanted, what, within_s=within_s)

    # --- what the store says -----------------------------------------------------------------------

    def scalar(self, query: str, *given: object) -> object:
        """One value, read beside whoever writes; None where the file is not there yet."""
        with contextlib.suppress(sqlite3.OperationalError):
            with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5.0)) as database:
                row = database.execute(query, given).fetchone()
            return None if row is None else row[0]
        return None

    async def until(self, holds: Callable[[], object], what: str, *, within_s: float | None = None) -> None:
        within_s = self.within_s if within_s is None else within_s
        until = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > until:
                raise Stuck(f"not within {within_s:.0f} s: {what}")
            await asyncio.sleep(0.03)

    async def until_async(
        self, holds: Callable[[], Awaitable[object]], what: str, *, within_s: float | None = None
    ) -> None:
        within_s = self.within_s if within_s is None else within_s
        until = time.monotonic() + within_s
        while True:
            with contextlib.suppress(*AWAY):
                if await holds():
                    return
            if time.monotonic() > until:
                raise Stuck(f"not within {within_s:.0f} s: {what}")
            await asyncio.sleep(0.05)

    def owed(self) -> str | None:
        """What is not at rest; None where nothing is owed and every card shows what is known."""
        queries = {
            "execution": "SELECT id || ' ' || state FROM executions WHERE state IN "
            "('preparing', 'awaiting_approval', 'approved', 'dispatched', 'running')",
            "event": "SELECT identity || ' ' || state FROM events WHERE state NOT IN ('told', 'held', 'dead')",
            "input": "SELECT delivery || ' ' || state FROM inputs WHERE state <> 'answered'",
            "card": "SELECT execution_id || ' shows too little' FROM cards JOIN executions "
            "ON executions.id = execution_id WHERE closed = 0 AND cards.batch IS NULL AND shown_revision < revision",
        }
        if not self.database.exists():
            return "no store"
        for what, query in queries.items():
            found = self.scalar(f"{query} LIMIT 1")
            if found is not None:
                return f"{what} {found}"
        return None

    async def settled(self, *, within_s: float | None = None) -> None:
        quiet_since: float | None = None
        within_s = self.within_s if within_s is None else within_s
        until = time.monotonic() + within_s
        while True:
            owed = self.owed()
            now = time.monotonic()
            quiet_since = None if owed else quiet_since or now
            # A wake or two later: what follows from the last commit has been written as well.
            if quiet_since is not None and now - quiet_since > 0.15:
                return
            if owed is not None and "awaiting_approval" in owed:
                await self._deny_what_was_heard_late()
            if now > until:
                raise Stuck(f"not at rest within {within_s:.0f} s: {owed}")
            await asyncio.sleep(0.03)


@contextlib.asynccontextmanager
async def a_world(home: Path, migrated: Path | None = None, **more: object) -> AsyncIterator[World]:
    """Everything up, paired and signed in; each room has been spoken in once."""
    world = World(home=home, **more)  # type: ignore[arg-type]  # -- what the caller names is the fields of a world
    # Coming up is no part of any story: a loaded machine gets its time.
    patience_s, world.within_s = world.within_s, UP_WITHIN_S
    (home / "data").mkdir(parents=True)
    world.marks.mkdir()
    script = home / "mark"
    script.write_text(SCRIPT.format(marks=world.marks))
    script.chmod(0o755)
    if migrated is not None:
        shutil.copy(migrated, world.database)
        world.database.chmod(0o600)
    keeping: list[asyncio.Task[None]] = []
    async with contextlib.AsyncExitStack() as stack:
        for name in world.speaks:
            await stack.enter_async_context(world.on(name).network)
        world.slack.server.postman.ack_s = 1.0
        account = world.whatsapp.server.account("default")
        account.local_url, account.public_url = f"http://127.0.0.1:{world.port}", PUBLIC_URL
        (home / "config.toml").write_text(config_of(world))
        (home / "config.toml").chmod(0o600)
        if world.first is not None:
            world.order("gateway", world.first)
        try:
            # The node when there is somebody to connect to: else it waits longer and longer between its attempts.
            world.held_down.add("node")
            keeping += [asyncio.create_task(world.keep_alive(who), name=who) for who in ("gateway", "node")]

            async def is_up() -> bool:
                if keeping[0].done():
                    # It ended by itself, and says why.
                    keeping[0].result()
                return await world.is_listening()

            await world.until_async(is_up, "the gateway listens")
            world.up("node")
            await _settle_in(world)
            world.within_s = patience_s
            yield world
        finally:
            world.held_down |= {"gateway", "node"}
            for task in keeping:
                task.cancel()
            faults = await asyncio.gather(*keeping, return_exceptions=True)
            for who in ("gateway", "node"):
                await world.kill(who)
            if world._store is not None:
                await world._store.close()
            if world._web is not None:
                await world._web.close()
        for fault in faults:
            if isinstance(fault, Stuck):
                raise fault


async def _settle_in(world: World) -> None:
    await world.until(lambda: world.scalar("SELECT count(*) FROM nodes"), "the node to show its key")
    await world.pair()
    for visitor in (world.web.ada, world.web.owner):
        link = await invite(world.store.chat_log, native=visitor.name, name=visitor.name, now=world.clock.now())
        await world.until_async(lambda: _joined(visitor.join(link)), "signed in")  # noqa: B023 -- awaited at once
    said = await world.web.say(world.web.room("general"), "let us talk about this")
    world.web.thread = said.id
    for people in world.networks:
        for peer in people.places():
            # From now on an adapter knows where to read on after a gap.
            await world.until_async(lambda: people.say(peer, "help"), f"heard on {people.name}")  # noqa: B023
    await world.settled()


async def _joined(joining: Awaitable[None]) -> bool:
    await joining
    return True


def all_places(world: World) -> Sequence[tuple[People, Peer]]:
    return [(people, peer) for people in world.networks for peer in people.places()]
