"""A world without processes for the whole flow: a database in memory, networks, machines, and time that stands still.

Every write, send and frame of the gateway waits at a gate until the test lets it pass, with the fate that the test
draws for it. Networks and machines outlive the gateway, and keep records of their own. Deliberately absent: what
happens (see `flow_life`), what must hold (see `flow_judge`), and the threads and files of the store, which have their
own tests: here are its rows, statements and transactions, on one connection.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, create_engine, pool
from sqlalchemy.exc import StatementError

from bot.app import Core, CoreSettings
from bot.domain.command import Command, CommandHash, Limits, NodeFingerprint, Request
from bot.domain.execution import ExecutionId, ExecutionResult
from bot.domain.message import Capabilities, Delivery, Nonce, NotPosted, Post, Receipt
from bot.domain.node import Known
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress
from bot.errors import (
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
    NodeAbsent,
    NodeSilent,
    StoreError,
)
from bot.node.desk import GO_WITHIN_S
from bot.ports import Acceptance, Check, Inbox, NodeRefusal, Tx
from bot.store import migrate
from bot.store.audit_key import AuditKey
from bot.store.faults import as_store_error
from bot.store.tx import Keys, OpenTx, run
from bot.store.vault import Vault
from tests.clock import ManualClock
from tests.flow.ends import NODE, OTHER_NODE, inspected
from tests.flow.stage import a_result

R = TypeVar("R")
NODES = {NODE: "web-1", OTHER_NODE: "db-1"}


class HeldLoop(asyncio.SelectorEventLoop):
    """Its time is the test's: a timer comes due when the test moves the clock, never by waiting."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        super().__init__()

    def time(self) -> float:
        return self._clock.now()

    async def settle(self) -> None:
        """Until nothing is left that can run: all that goes on waits at a gate or for the clock."""
        ready = cast("Collection[object]", vars(self)["_ready"])
        await asyncio.sleep(0)
        while ready:
            await asyncio.sleep(0)


class Fate(StrEnum):
    """What becomes of something that waits at a gate."""

    WELL = "well"
    LOST_BEFORE = "lost before"  # it did not get there, and nobody is told
    LOST_AFTER = "lost after"  # it got there, and the answer did not come back
    AWAY = "away"  # surely not there, and that is said
    THROTTLED = "throttled"
    REJECTED = "rejected"


@dataclass(slots=True, eq=False)
class Gate:
    kind: str
    passed: asyncio.Future[Fate]
    took_effect: Callable[[], object] | None = None
    """What still happens out there when whoever waits here dies."""


@dataclass
class Gates:
    """What one gateway waits for. Once it is dead nothing of it passes any more."""

    waiting: list[Gate] = field(default_factory=list)
    is_dead: bool = False

    async def at(self, kind: str, took_effect: Callable[[], object] | None = None) -> Fate:
        if self.is_dead:
            raise asyncio.CancelledError
        gate = Gate(kind, asyncio.get_running_loop().create_future(), took_effect)
        self.waiting.append(gate)
        try:
            return await gate.passed
        finally:
            if gate in self.waiting:
                self.waiting.remove(gate)

    def let_pass(self, gate: Gate, fate: Fate) -> None:
        self.waiting.remove(gate)
        if not gate.passed.done():
            gate.passed.set_result(fate)


# --- the store ---------------------------------------------------------------------------------------


class Database:
    """One database in memory, made anew from the migrated bytes for each life."""

    def __init__(self, migrated: bytes) -> None:
        self._migrated = migrated
        self._raw = sqlite3.connect(":memory:", isolation_level=None, cached_statements=1_000)
        engine = create_engine(
            "sqlite://",
            creator=lambda: self._raw,
            poolclass=pool.StaticPool,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        self._connection: Connection = engine.connect()
        self._keys = Keys(audit=AuditKey(None), vault=Vault(None))
        self.clock = ManualClock()

    def keep(self) -> None:
        """From now on every life begins with what is in it at this moment."""
        self._migrated = self._raw.serialize()

    def renew(self, clock: ManualClock) -> None:
        self._raw.deserialize(self._migrated)
        self._raw.execute("PRAGMA foreign_keys = ON")
        self.clock = clock

    def write(self, fn: Callable[[Tx], R]) -> R:
        return self._transact(fn, begin="BEGIN IMMEDIATE", end="COMMIT")

    def read(self, fn: Callable[[Tx], R]) -> R:
        return self._transact(fn, begin="BEGIN", end="ROLLBACK")

    def _transact(self, fn: Callable[[Tx], R], *, begin: str, end: str) -> R:
        self._raw.execute(begin)
        try:
            value = run(cast("Callable[[OpenTx], R]", fn), OpenTx(self._connection, self.clock.now, self._keys))
            self._raw.execute(end)
        except StatementError as fault:
            raise as_store_error(fault, "memory") or fault from fault
        else:
            return value
        finally:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")


@cache
def database() -> Database:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "homing.db"
        migrate(f"sqlite:///{path}")
        raw = sqlite3.connect(path)
        # A database in memory has no file for a log.
        raw.execute("PRAGMA journal_mode = DELETE")
        migrated = raw.serialize()
        raw.close()
    made = Database(migrated)
    made.renew(ManualClock())
    for node, name in NODES.items():
        made.write(lambda tx, node=node, name=name: tx.nodes.hello(node, name.encode(), name))  # type: ignore[misc]  # -- bound at once
        made.write(lambda tx, node=node, name=name: tx.nodes.pair(node, name=name))  # type: ignore[misc]  # -- bound at once
    made.keep()
    return made


_NAMED = {
    # They claim what is due, and mostly find nothing.
    "Turns.step": "look",
    "Heartbeat.step": "look",
    "Intake.settle_early": "look",
    "Heartbeat.commit": "write end",
    "Dispatch._offer_and_go": "write hand-over",
    "keep_receipt": "write receipt",
}


def _kind_of(fn: Callable[[Tx], Any]) -> str:
    name: str = getattr(getattr(fn, "func", fn), "__qualname__", "")
    return _NAMED.get(name.partition(".<locals>")[0], "write")


@dataclass
class HeldStore:
    """The `Store` of one gateway: each write waits at its gate, and may fail before its commit or after it."""

    inner: Database
    gates: Gates

    async def write(self, fn: Callable[[Tx], R]) -> R:
        fate = await self.gates.at(_kind_of(fn), lambda: self.inner.write(fn))
        if fate is Fate.LOST_BEFORE:
            raise StoreError("the connection broke before the commit")
        value = self.inner.write(fn)
        if fate is Fate.LOST_AFTER:
            raise StoreError("the connection broke after the commit")
        return value

    async def read(self, fn: Callable[[Tx], R]) -> R:
        # Waits as well: what is read now may have been otherwise when somebody was woken to read it.
        await self.gates.at("look")
        return self.inner.read(fn)


# --- networks ----------------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Shown:
    """One message as it stands on a network."""

    address: ReturnAddress
    post: Post
    nonce: Nonce
    message_id: MessageId
    is_gone: bool = False
    """It came back later: nobody has seen it."""
    word: Delivery = Delivery.PENDING


@dataclass
class Network:
    """One account on a network, and all that it ever showed."""

    name: ChannelName
    account: AccountName
    capabilities: Capabilities
    can_find: bool = True
    """Whether it knows afterwards what it posted."""
    confirms_later: bool = False
    is_away: bool = False
    shown: list[Shown] = field(default_factory=list)
    edits: list[tuple[Peer, MessageId, Post]] = field(default_factory=list)
    closed: set[Peer] = field(default_factory=set)
    """Conversations whose window is over."""
    bounced: set[Nonce] = field(default_factory=set)
    """Held back, or refused for good: they keep no order."""
    rejected: set[Nonce] = field(default_factory=set)

    def take(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Shown:
        number = len(self.shown) + 1
        message = MessageId(f"{self.name}-{self.account}-{number}")
        word = Delivery.PENDING if self.confirms_later else Delivery.CONFIRMED
        self.shown.append(Shown(address=address, post=post, nonce=nonce, message_id=message, word=word))
        return self.shown[-1]

    def visible(self) -> list[Shown]:
        return [one for one in self.shown if not one.is_gone]


@dataclass
class HeldChannel:
    """The `Channel` of one gateway on one account."""

    network: Network
    gates: Gates
    inbox: Inbox | None = None

    @property
    def name(self) -> ChannelName:
        return self.network.name

    @property
    def account(self) -> AccountName:
        return self.network.account

    @property
    def capabilities(self) -> Capabilities:
        return self.network.capabilities

    async def start(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def close(self) -> None:
        """Nothing was opened."""

    async def check(self) -> Sequence[Check]:
        return ()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        network = self.network
        fate = await self.gates.at("send", lambda: network.is_away or network.take(address, post, nonce))
        if network.is_away or fate is Fate.AWAY:
            raise ChannelUnavailable("the network is away")
        if fate is Fate.THROTTLED:
            raise ChannelThrottled("too many", retry_after_s=7.0)
        if fate is Fate.LOST_BEFORE:
            raise ChannelUncertain("no answer came")
        if address.peer in network.closed:
            network.bounced.add(nonce)
            raise ChannelHeld("its window is closed")
        if fate is Fate.REJECTED or nonce in network.rejected:
            network.rejected.add(nonce)
            network.bounced.add(nonce)
            raise ChannelRejected("it takes no such message")
        shown = network.take(address, post, nonce)
        # The answer is under way: people see it already.
        answer = await self.gates.at("answer")
        if Fate.LOST_AFTER in (fate, answer):
            raise ChannelUncertain("the answer was lost")
        return Receipt(message_id=shown.message_id, confirmed=not network.confirms_later)

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        fate = await self.gates.at("edit")
        if self.network.is_away or fate is Fate.AWAY:
            raise ChannelUnavailable("the network is away")
        self.network.edits.append((peer, message_id, post))
        if fate is Fate.LOST_AFTER:
            raise ChannelUncertain("the answer was lost")

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        fate = await self.gates.at("find")
        network = self.network
        if network.is_away or fate is not Fate.WELL:
            raise ChannelUnavailable("the network is away")
        if not network.can_find:
            return NotPosted.UNKNOWN
        for one in network.shown:
            if one.nonce == nonce and one.address.peer == address.peer and not one.is_gone:
                return Receipt(message_id=one.message_id, confirmed=one.word is Delivery.CONFIRMED)
        return NotPosted.SURELY

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        del peer
        if self.network.is_away:
            raise ChannelUnavailable("the network is away")
        return next(one.word for one in self.network.shown if one.message_id == message_id)


# --- machines ----------------------------------------------------------------------------------------


class Journal(StrEnum):
    """What a machine's disk says of one execution."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    FINISHED = "finished"
    UNKNOWN = "unknown"
    REFUSED = "refused"


J = Journal
_NEVER = NodeRefusal(reason="it was put away for good; it never started")
_BEFORE = NodeRefusal(reason="it was started before", already_started=True)


@dataclass
class Machine:
    """One node: its journal, the commands that it really started, and the reports that it owes."""

    node: NodeFingerprint
    name: str
    clock: ManualClock
    is_connected: bool = False
    session: int = 0
    """Counts its connections."""
    journal: dict[ExecutionId, Journal] = field(default_factory=dict)
    settled: dict[ExecutionId, Known] = field(default_factory=dict)
    """What was acknowledged, or answered for good."""
    tokens: dict[str, tuple[ExecutionId, float]] = field(default_factory=dict)
    starts: Counter[ExecutionId] = field(default_factory=Counter)
    commands: dict[ExecutionId, Command] = field(default_factory=dict)
    ends: dict[ExecutionId, ExecutionResult] = field(default_factory=dict)
    """How each really ended; kept for the judge."""
    owed: dict[ExecutionId, list[str]] = field(default_factory=dict)
    """Reports on its disk that nobody has acknowledged: `started`, and one of the ends."""
    started_at: dict[ExecutionId, float] = field(default_factory=dict)
    acked_at: dict[ExecutionId, int] = field(default_factory=dict)
    """Numbers of the world's steps at which ends were acknowledged."""
    first_told_at: dict[ExecutionId, int] = field(default_factory=dict)
    """Numbers of the world's steps at which ends were first brought to a gateway."""

    def offer(self, execution: ExecutionId, command: Command) -> Acceptance | NodeRefusal:
        if execution in self.settled:
            return _NEVER if self.settled[execution] is Known.NEVER_STARTED else _BEFORE
        state = self.journal.get(execution)
        if state not in (None, J.ACCEPTED):
            return _NEVER if state is J.REFUSED else _BEFORE
        self.journal[execution] = J.ACCEPTED
        self.commands[execution] = command
        token = f"{execution}-{len(self.tokens)}"
        self.tokens[token] = (execution, self.clock.now())
        return Acceptance(token=token)

    def go(self, execution: ExecutionId, token: str) -> None:
        if execution in self.settled or self.journal.get(execution) not in (None, J.ACCEPTED):
            return
        accepted, at = self.tokens.get(token, (None, 0.0))
        if accepted != execution or self.clock.now() - at > GO_WITHIN_S:
            self._end(execution, J.REFUSED, "refused")
            return
        self.starts[execution] += 1
        self.journal[execution] = J.RUNNING
        self.started_at[execution] = self.clock.now()
        self.owed[execution] = ["started"]

    def stop(self, execution: ExecutionId) -> None:
        match self.journal.get(execution):
            case J.RUNNING:
                self.finish(execution, exit_code=143, text="stopped\n")
            case J.ACCEPTED:
                self._end(execution, J.REFUSED, "refused")
            case None if execution not in self.settled:
                self._end(execution, J.UNKNOWN, "not_known")

    def finish(self, execution: ExecutionId, *, exit_code: int, text: str) -> None:
        self.ends[execution] = a_result(text, exit_code=exit_code)
        self._end(execution, J.FINISHED, "finished")

    def die(self) -> None:
        """Its process is another one: what ran is not known, and no acceptance counts any more."""
        self.is_connected = False
        self.tokens.clear()
        for execution, state in self.journal.items():
            if state is J.RUNNING:
                self._end(execution, J.UNKNOWN, "not_known")

    def _end(self, execution: ExecutionId, state: Journal, report: str) -> None:
        self.journal[execution] = state
        self.owed.setdefault(execution, []).append(report)

    def known(self, execution: ExecutionId, *, handed_over: bool) -> Known:
        """As the desk of a real node answers."""
        if execution in self.settled:
            return self.settled[execution]
        match self.journal.get(execution):
            case J.RUNNING | J.FINISHED:
                return Known.RUNNING
            case J.ACCEPTED if handed_over:
                self._settle(execution, Known.NEVER_STARTED)
                return Known.NEVER_STARTED
            case None if handed_over:
                self._settle(execution, Known.UNSEEN)
                return Known.UNSEEN
            case J.ACCEPTED | None:
                return Known.UNSEEN
            case J.UNKNOWN:
                return Known.UNKNOWN
            case J.REFUSED:
                return Known.NEVER_STARTED
        raise AssertionError("every state has its answer")

    def acknowledged(self, execution: ExecutionId, report: str, step: int) -> None:
        owed = self.owed.get(execution, [])
        if report in owed:
            owed.remove(report)
        if report == "started":
            return
        self.acked_at.setdefault(execution, step)
        said = {"finished": Known.FINISHED, "not_known": Known.UNKNOWN, "refused": Known.NEVER_STARTED}[report]
        self._settle(execution, said)

    def _settle(self, execution: ExecutionId, known: Known) -> None:
        self.settled[execution] = known
        self.owed.pop(execution, None)


@dataclass
class HeldHub:
    """The `NodeHub` of one gateway."""

    machines: dict[NodeFingerprint, Machine]
    gates: Gates
    ready: list[NodeFingerprint] = field(default_factory=list)

    def connected(self) -> Collection[NodeFingerprint]:
        return [node for node in self.ready if self.machines[node].is_connected]

    async def inspect(
        self, node: NodeFingerprint, execution_id: ExecutionId, request: Request, limits: Limits
    ) -> Command | NodeRefusal:
        del execution_id
        machine = self._machine(node)
        fate = await self.gates.at("inspect")
        if fate is not Fate.WELL or not machine.is_connected:
            raise NodeSilent("no answer came")
        return inspected(node, request, limits)

    async def offer(
        self, node: NodeFingerprint, execution_id: ExecutionId, command: Command, command_hash: CommandHash
    ) -> Acceptance | NodeRefusal:
        del command_hash
        machine = self._machine(node)
        fate = await self.gates.at("offer", lambda: machine.is_connected and machine.offer(execution_id, command))
        if fate is Fate.LOST_BEFORE or not machine.is_connected:
            raise NodeSilent("no answer came")
        answer = machine.offer(execution_id, command)
        if fate is Fate.LOST_AFTER:
            raise NodeSilent("no answer came")
        return answer

    async def go(self, node: NodeFingerprint, execution_id: ExecutionId, acceptance: Acceptance) -> None:
        machine = self._machine(node)

        def arrives() -> None:
            if machine.is_connected:
                machine.go(execution_id, acceptance.token)

        fate = await self.gates.at("go", arrives)
        if not machine.is_connected or fate is Fate.LOST_BEFORE:
            # It lay in a socket that broke.
            machine.is_connected = False
            return
        machine.go(execution_id, acceptance.token)

    async def stop(self, node: NodeFingerprint, execution_id: ExecutionId) -> None:
        self._machine(node).stop(execution_id)

    def _machine(self, node: NodeFingerprint) -> Machine:
        if node not in self.connected():
            raise NodeAbsent("it is not connected")
        return self.machines[node]


# --- the gateway -------------------------------------------------------------------------------------


class Gateway:
    """One life of the real core over the world's store, networks and machines, until it is killed."""

    def __init__(
        self,
        settings: CoreSettings,
        networks: Sequence[Network],
        machines: dict[NodeFingerprint, Machine],
        clock: ManualClock,
    ) -> None:
        self.gates = Gates()
        self.channels = {(one.name, one.account): HeldChannel(one, self.gates) for one in networks}
        self.hub = HeldHub(machines, self.gates)
        self.core = Core(settings, HeldStore(database(), self.gates), dict(self.channels), clock)
        self._tasks: set[asyncio.Task[object]] = set()
        self.bugs: list[str] = []

    def start(self) -> None:
        # As `run_gateway` does on SQLite: the claims of an earlier boot are nobody's.
        database().write(lambda tx: (tx.events.take_over(), tx.inputs.take_over()))
        self.begin(self._run())

    async def _run(self) -> None:
        async with self.core.running(self.hub):
            await asyncio.Event().wait()

    def begin(self, work: Coroutine[object, object, object]) -> None:
        """In a task of this gateway: it dies with it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        # A store that is away is what whoever called hears; anything else is a bug that no test may hide.
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), StoreError):
            self.bugs.append(repr(task.exception()))

    def inbox(self, peer: Peer) -> Inbox | None:
        return self.channels[peer.channel, peer.account].inbox

    async def kill(self, decide: Callable[[Gate], bool]) -> None:
        """As SIGKILL: whatever was under way got there or did not; no line of it runs to any end that counts."""
        self.gates.is_dead = True
        for gate in list(self.gates.waiting):
            if gate.took_effect is not None and decide(gate):
                # In a task: whoever would have heard of a fault is dead.
                (done,), _ = await asyncio.wait([asyncio.create_task(_in_a_task(gate.took_effect))])
                done.exception()
        me = asyncio.current_task()
        while others := [task for task in asyncio.all_tasks() if task is not me]:
            for task in others:
                task.cancel()
            await asyncio.wait(others)


async def _in_a_task(act: Callable[[], object]) -> None:
    act()
