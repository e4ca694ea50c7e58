"""One life of the whole flow: what people, networks, machines and the clock do, in any order, around a real core.

Each happening is a name and a number; the number alone decides what exactly happens, so a life can be told again.
Deliberately absent: what must hold at its end (see `flow_judge`).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from zoneinfo import ZoneInfo

from sqlalchemy import text

from bot.agent.commands import CommandsAgent
from bot.agent.routed import ByName
from bot.app import CoreSettings
from bot.domain.command import parse_request
from bot.domain.directory import Directory, Person
from bot.domain.event import Event, EventState, Input, InputKind
from bot.domain.execution import FINAL, ExecutionId, ExecutionState
from bot.domain.message import (
    Action,
    Button,
    ButtonPress,
    Capabilities,
    Delivery,
    DeliveryReport,
    InboundMessage,
    Sender,
)
from bot.domain.policy import Policy, Rule, Verdict
from bot.domain.session import (
    DEFAULT_ACCOUNT,
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    SessionKey,
    ThreadId,
)
from bot.errors import HomingError, StoreError
from bot.flow.schedule import Planned
from bot.ports import Ask, NodeHub, Policies, Store, TurnStep, Tx
from bot.store.transaction import Connected
from tests.attack.flow_world import NODES, Fate, Gate, Gateway, HeldLoop, J, Machine, Network, Shown, database
from tests.clock import ManualClock
from tests.gates import OPEN_GATE

CHAIN, AFTER = "echo chain", "echo after"
"""A command after whose end the agent asks for another one."""
ANN, BOB = Sender(native="U1", name="Ann"), Sender(native="U2", name="Bob")
NETWORKS = (("discord", "default"), ("slack", "second"), ("whatsapp", "default"))
OWNER = Person(name="bob", ids=tuple(PersonId(f"{network}:U2") for network, _ in NETWORKS))
POLICY = Policy(
    directory=Directory(people=(OWNER,)),
    owners=("bob",),
    rules=(Rule(name="free", action=Verdict.ALLOW, node=("web-1",)),),
)
"""On `web-1` everything runs unasked; on `db-1` the owner decides."""


def _peer(network: str, room: str, *, account: str = "default", agent: str = "main", **more: object) -> Peer:
    kind, thread = more.get("kind", PeerKind.CHANNEL), more.get("thread")
    return Peer(
        agent=AgentName(agent),
        channel=ChannelName(network),
        account=AccountName(account) if account != "default" else DEFAULT_ACCOUNT,
        kind=PeerKind(str(kind)),
        id=NativeId(room),
        thread=None if thread is None else ThreadId(str(thread)),
    )


PEERS = (
    _peer("discord", "C0AB"),
    # Another room: ids are compared byte for byte.
    _peer("discord", "c0ab"),
    _peer("discord", "C0AB", thread="T1"),
    _peer("discord", "U1", kind="direct", agent="ops"),
    _peer("slack", "C0AB", account="second"),
    _peer("slack", "C0AB", account="second", thread="17.5"),
    _peer("whatsapp", "+4915112345678", kind="direct"),
)
HOURLY = Planned(
    label="hourly",
    session=SessionKey("agent:main:schedule:hourly"),
    cron="0 * * * *",
    zone=ZoneInfo("UTC"),
    to=PEERS[1],
    kind=InputKind.COMMAND,
    text="run on web-1: echo hourly",
)
JUMPS_S = (0.6, 1.0, 3.0, 12.0, 25.0, 65.0, 200.0, 700.0, 3_700.0)
"""Over a retry, an offer, a send, a lease, a turn, a loss, the catch-up horizon."""
HEALING_S = (1.0, 5.0, 30.0, 65.0, 65.0, 310.0, 310.0, 700.0, 1_000.0, 2_000.0, 4_000.0, 4_000.0)


_LEAVES_A_MARK = frozenset({"send", "answer", "go", "offer", "find", "write end", "write hand-over", "write receipt"})
_FATES = {
    "send": (Fate.LOST_BEFORE, Fate.LOST_AFTER, Fate.LOST_AFTER, Fate.AWAY, Fate.THROTTLED, Fate.REJECTED),
    "edit": (Fate.AWAY, Fate.LOST_AFTER),
}


class Breach(AssertionError):
    """What happened is not what was promised."""


class Happening(StrEnum):
    ASK = "ask"
    REPEAT = "repeat"
    DECIDE = "decide"
    WORK = "work"
    FAULT = "fault"
    KILL = "kill"
    CLOCK = "clock"
    NODE = "node"
    REPORT = "report"
    NETWORK = "network"
    WORD = "word"


@dataclass
class Said:
    """One message of a person, which its network brings until it was taken."""

    message: InboundMessage
    is_taken: bool = False


@dataclass
class Chaining:
    """The agent of the words, which asks for one more command after the end of some."""

    commands: CommandsAgent
    store: Store

    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        steps = list(await self.commands.answer(inputs))
        for one in inputs:
            if one.kind is InputKind.FINISHED and one.execution_id is not None:
                ended = await self.store.read(lambda tx, which=one.execution_id: tx.executions.get(which))  # type: ignore[misc]  # -- bound at once
                if ended is not None and ended.request.text == CHAIN and ended.state is ExecutionState.FINISHED:
                    steps.append(Ask(input_id=one.id, request=parse_request(AFTER), node_name="web-1"))
        return steps

    async def close(self) -> None:
        """Nothing was opened."""


def _agents(commands: CommandsAgent, store: Store, hub: NodeHub, policies: Policies) -> ByName:
    del hub, policies
    return ByName({AgentName(name): Chaining(commands, store) for name in ("main", "ops")}, commands)


SETTINGS = CoreSettings(policy=POLICY, gate=OPEN_GATE, agents=_agents, planned=(HOURLY,), settling_s=5.0, sweep_s=20.0)


class _Bugs(logging.Handler):
    """Faults that a loop survives, other than a store that is away: no test may hide them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        if record.msg in ("loop.fault", "task.fault") and kind is not None and not issubclass(kind, StoreError):
            self.found.append(f"{record.msg}: {record.exc_info[1]!r}" if record.exc_info else record.msg)


_BUGS = _Bugs()


@contextmanager
def noting_bugs() -> Iterator[None]:
    log = logging.getLogger("bot")
    before = log.level, log.propagate
    log.addHandler(_BUGS)
    # Nobody reads a million lines.
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(_BUGS)
        log.level, log.propagate = before


@dataclass
class Life:
    loop: HeldLoop
    clock: ManualClock
    networks: list[Network] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    presses: int = 0
    armed: int = 0
    """How many of the next things are to go wrong."""
    bugs: list[str] = field(default_factory=list)
    """Of gateways that were killed."""
    never_back: bool = False
    """Whether `db-1`, once gone, is gone for good."""

    def __post_init__(self) -> None:
        shows = Capabilities(text_chars=4_000, code_chars=3_000, edit_interval_s=1.0)
        self.networks = [
            Network(
                name=ChannelName(name),
                account=AccountName(account) if account != "default" else DEFAULT_ACCOUNT,
                capabilities=replace(shows, can_edit=name != "whatsapp"),
                can_find=name != "slack",
                confirms_later=name == "whatsapp",
            )
            for name, account in NETWORKS
        ]
        self.machines = {node: Machine(node=node, name=name, clock=self.clock) for node, name in NODES.items()}
        _BUGS.found.clear()
        database().renew(self.clock)
        self.gateway = self._a_gateway()

    def _a_gateway(self) -> Gateway:
        return Gateway(SETTINGS, self.networks, self.machines, self.clock)

    async def run(self, happenings: Sequence[tuple[Happening, int]]) -> None:
        self.gateway.start()
        await self.loop.settle()
        for machine in self.machines.values():
            self._connect(machine)
        await self.loop.settle()
        does = {
            Happening.ASK: self.ask,
            Happening.REPEAT: self.repeat,
            Happening.DECIDE: self.decide,
            Happening.WORK: self.work,
            Happening.FAULT: self.fault,
            Happening.KILL: self.kill,
            Happening.CLOCK: self.time_passes,
            Happening.NODE: self.node_comes_or_goes,
            Happening.REPORT: self.report,
            Happening.NETWORK: self.network_changes,
            Happening.WORD: self.word,
        }
        for happening, number in happenings:
            self.trace.append(happening.value)
            await does[happening](Random(number))  # noqa: S311 -- a story, not a secret
            await self.loop.settle()
            # What goes on by itself: sometimes nothing, so that the next blow falls on what has just begun.
            beside = Random(number + 1)  # noqa: S311
            await self._let_pass(beside, most=beside.choice([0, 1, 6, 20, 60]))
        await self.heal()

    async def end(self) -> None:
        await self.gateway.kill(lambda _gate: False)

    @property
    def step(self) -> int:
        return len(self.trace)

    # --- what goes on --------------------------------------------------------------------------------

    async def work(self, chance: Random) -> None:
        await self._let_pass(chance, most=chance.choice([10, 40, 120]))

    async def _let_pass(self, chance: Random, *, most: int) -> None:
        for _ in range(most):
            waiting = self.gateway.gates.waiting
            if not waiting:
                return
            doing = [gate for gate in waiting if gate.kind != "look"]
            # A look is let pass less often than what was found: then it has more to see.
            among = doing if doing and chance.random() < 0.8 else waiting
            gate = among[chance.randrange(len(among))]
            is_struck = self.armed > 0 and gate.kind in _LEAVES_A_MARK
            self.armed -= is_struck
            await self._pass(gate, _a_fate(gate, chance) if is_struck else Fate.WELL)

    async def _pass(self, gate: Gate, fate: Fate) -> None:
        self.trace.append(gate.kind if fate is Fate.WELL else f"{gate.kind} {fate.value}")
        self.gateway.gates.let_pass(gate, fate)
        await self.loop.settle()

    async def fault(self, chance: Random) -> None:
        """The next thing that leaves a mark outside goes wrong; or, more rarely, whatever waits just now."""
        waiting = self.gateway.gates.waiting
        if waiting and chance.random() < 0.2:
            await self._pass(gate := chance.choice(waiting), _a_fate(gate, chance))
        else:
            self.armed += 1

    async def kill(self, chance: Random) -> None:
        await self.gateway.kill(lambda _gate: chance.random() < 0.5)
        for machine in self.machines.values():
            machine.is_connected = False
        if chance.random() < 0.3:
            self.clock.advance(chance.choice(JUMPS_S))
        self.bugs += self.gateway.bugs
        self.gateway = self._a_gateway()
        self.gateway.start()
        await self.loop.settle()
        for machine in self.machines.values():
            if chance.random() < 0.8:
                self._connect(machine)

    async def time_passes(self, chance: Random) -> None:
        self.clock.advance(chance.choice(JUMPS_S))
        await self.loop.settle()
        self._note_connected()

    def _note_connected(self) -> None:
        """As the hub does every half a minute."""
        if connected := list(self.gateway.hub.connected()):
            self.gateway.begin(self.gateway.core.reports.seen(connected))

    # --- people --------------------------------------------------------------------------------------

    async def ask(self, chance: Random) -> None:
        peer, number = chance.choice(PEERS), len(self.said) + 1
        node = chance.choice(["web-1", "web-1", "web-1", "db-1"])
        # Few words, so that the same are often said twice.
        command = chance.choice(["echo a", "echo a", "echo b", CHAIN])
        self.say(peer, f"run on {node}: {command}", number)

    def say(self, peer: Peer, words: str, number: int) -> None:
        message = InboundMessage(
            peer=peer,
            sender=ANN,
            delivery=DeliveryId(f"d{number}"),
            message_id=MessageId(f"m{number}"),
            text=words,
            sent_at=self.clock.now(),
            is_addressed=True,
        )
        self.said.append(Said(message))
        self._bring(self.said[-1])

    async def repeat(self, chance: Random) -> None:
        """The network brings once more what it has brought, or could not bring."""
        if self.said:
            self._bring(chance.choice(self.said))

    def _bring(self, said: Said) -> None:
        inbox = self.gateway.inbox(said.message.peer)
        # They write again where it was closed.
        self._network_of(said.message.peer).closed.discard(said.message.peer)
        if inbox is None:
            return

        async def bring() -> None:
            await inbox.message(said.message)
            said.is_taken = True

        self.gateway.begin(bring())

    def _network_of(self, peer: Peer) -> Network:
        return next(one for one in self.networks if (one.name, one.account) == (peer.channel, peer.account))

    async def decide(self, chance: Random) -> None:
        cards = self._cards()
        if cards:
            shown, button = chance.choice(cards)
            for _ in range(chance.choice([1, 1, 2])):
                self._press(shown, button)

    def _cards(self, *wanted: Action) -> list[tuple[Shown, Button]]:
        actions = wanted or (Action.APPROVE, Action.APPROVE, Action.DENY, Action.STOP)
        return [
            (shown, button)
            for network in self.networks
            for shown in network.visible()
            for button in shown.post.buttons
            for action in actions
            if button.action is action
        ]

    def _press(self, shown: Shown, button: Button) -> None:
        inbox = self.gateway.inbox(shown.address.peer)
        if inbox is None:
            return
        self.presses += 1
        press = ButtonPress(
            peer=shown.address.peer,
            sender=BOB,
            delivery=DeliveryId(f"p{self.presses}"),
            message_id=shown.message_id,
            button=button,
        )
        self.gateway.begin(inbox.press(press))

    # --- networks ------------------------------------------------------------------------------------

    async def network_changes(self, chance: Random) -> None:
        network = chance.choice(self.networks)
        if network.confirms_later and chance.random() < 0.5:
            network.closed ^= {PEERS[-1]}
        else:
            network.is_away = not network.is_away

    async def word(self, chance: Random) -> None:
        """What a network says later of what it took: twice, or of something that is settled, or never."""
        later = [(network, one) for network in self.networks if network.confirms_later for one in network.visible()]
        if later:
            network, one = chance.choice(later)
            if one.word is Delivery.PENDING:
                one.word = chance.choice([Delivery.CONFIRMED, Delivery.CONFIRMED, Delivery.HELD, Delivery.FAILED])
            self._tell_word(network, one)

    def _tell_word(self, network: Network, one: Shown) -> None:
        if one.word in (Delivery.HELD, Delivery.FAILED):
            one.is_gone = True
            network.bounced.add(one.nonce)
        if one.word is Delivery.FAILED:
            network.rejected.add(one.nonce)
        inbox = self.gateway.inbox(one.address.peer)
        if inbox is not None:
            report = DeliveryReport(
                channel=network.name, account=network.account, message_id=one.message_id, delivery=one.word
            )
            self.gateway.begin(inbox.delivered(report))

    # --- machines ------------------------------------------------------------------------------------

    async def node_comes_or_goes(self, chance: Random) -> None:
        machine = chance.choice(list(self.machines.values()))
        match chance.choice(["flaps", "flaps", "leaves", "dies", "ends one", "ends one", "ends one"]):
            case "leaves":
                machine.is_connected = False
            case "flaps":
                machine.is_connected = False
                self._connect(machine)
            case "dies":
                machine.die()
                if chance.random() < 0.5:
                    self._connect(machine)
            case _:
                self._end_one(machine, chance)

    def _end_one(self, machine: Machine, chance: Random) -> None:
        running = [one for one, state in machine.journal.items() if state is J.RUNNING]
        if running:
            # Few words, so that different commands often have the same output.
            machine.finish(
                chance.choice(running),
                exit_code=chance.choice([0, 0, 3]),
                text=chance.choice(["done\n", "all is well\n"]),
            )

    def _connect(self, machine: Machine) -> None:
        machine.is_connected = True
        machine.session += 1
        if machine.node in self.gateway.hub.ready:
            self.gateway.hub.ready.remove(machine.node)
        self.gateway.begin(self._converse(self.gateway, machine, machine.session))

    async def _converse(self, gateway: Gateway, machine: Machine, session: int) -> None:
        """As the hub opens a connection: asked about first, served then."""
        reports, core = gateway.core.reports, gateway.core
        await reports.hello(machine.node, machine.name.encode(), machine.name)
        asked = await reports.open_executions(machine.node)
        if machine.session != session or not machine.is_connected:
            return
        answers = [(one, machine.known(one, handed_over=handed_over)) for one, handed_over in asked]
        gateway.hub.ready.append(machine.node)
        core.signals.all()
        for one, known in answers:
            await reports.known(machine.node, one, known)

    async def report(self, chance: Random) -> None:
        machines = list(self.machines.values())
        machine = chance.choice([one for one in machines if one.owed or J.RUNNING in one.journal.values()] or machines)
        if chance.random() < 0.8:
            self._end_one(machine, chance)
        owed = [(one, what) for one, reports in machine.owed.items() for what in reports]
        if owed and machine.is_connected:
            for _ in range(chance.choice([1, 1, 2])):
                self._bring_report(machine, *chance.choice(owed), is_ack_lost=chance.random() < 0.2)

    def _bring_report(self, machine: Machine, one: ExecutionId, what: str, *, is_ack_lost: bool) -> None:
        machine.first_told_at.setdefault(one, self.step)
        self.gateway.begin(self._reported(self.gateway, machine, one, what, is_ack_lost))

    async def _reported(
        self, gateway: Gateway, machine: Machine, one: ExecutionId, what: str, is_ack_lost: bool
    ) -> None:
        reports, began = gateway.core.reports, machine.started_at.get(one, 0.0)
        match what:
            case "started":
                await reports.started(machine.node, one, began)
            case "finished":
                await reports.finished(machine.node, one, machine.ends[one], began, self.clock.now())
            case "not_known":
                await reports.not_known(machine.node, one, "the node was restarted")
            case _:
                await reports.refused(machine.node, one, "it came too late")
        # The acknowledgement may be lost: then it is brought again.
        if not is_ack_lost and machine.is_connected:
            machine.acknowledged(one, what, self.step)

    # --- the end -------------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Everything is up, time goes on, and nothing new happens: until there is nothing left to do."""
        for network in self.networks:
            network.is_away = False
            network.closed.clear()
        for wait_s in HEALING_S:
            self.trace.append("heal")
            self._connect_all()
            await self._come_to_rest()
            self._end_and_report_all()
            for said in self.said:
                if not said.is_taken:
                    self._bring(said)
            self._confirm_all()
            await self._come_to_rest()
            for shown, button in self._cards(Action.APPROVE):
                self._press(shown, button)
            await self._come_to_rest()
            if not self.left():
                return
            for peer in {one.address.peer for one in database().read(_held)}:
                self.say(peer, "hello", len(self.said) + 1)
            self.clock.advance(wait_s)
            await self.loop.settle()
            self._note_connected()
        raise Breach(f"it never comes to rest: {self.left()}")

    def _connect_all(self) -> None:
        for machine in self.machines.values():
            is_gone = self.never_back and machine.name == "db-1"
            machine.is_connected &= not is_gone
            if machine.node not in self.gateway.hub.connected() and not is_gone:
                self._connect(machine)

    def _end_and_report_all(self) -> None:
        for machine in self.machines.values():
            if not machine.is_connected:
                continue
            for one in [one for one, state in machine.journal.items() if state is J.RUNNING]:
                machine.finish(one, exit_code=0, text="done\n")
            for one, owed in list(machine.owed.items()):
                for what in list(owed):
                    self._bring_report(machine, one, what, is_ack_lost=False)

    def _confirm_all(self) -> None:
        for network in self.networks:
            for shown in network.visible() if network.confirms_later else ():
                if shown.word is Delivery.PENDING:
                    shown.word = Delivery.CONFIRMED
                    self._tell_word(network, shown)

    async def _come_to_rest(self) -> None:
        await self.loop.settle()
        for _ in range(3_000):
            if not self.gateway.gates.waiting:
                return
            # Looks last: one sees what many wakes were for.
            gate = next(
                (one for one in self.gateway.gates.waiting if one.kind != "look"), self.gateway.gates.waiting[0]
            )
            self.gateway.gates.let_pass(gate, Fate.WELL)
            await self.loop.settle()
        raise Breach("it works for ever without any time passing")

    def left(self) -> list[str]:
        """What is still to be done, in words."""
        found = [f"{one.message.message_id} was not taken" for one in self.said if not one.is_taken]
        for machine in self.machines.values():
            if machine.is_connected:
                found += [f"{machine.name} owes {what} of {one}" for one, owed in machine.owed.items() for what in owed]
        return found + database().read(_unfinished)


def _a_fate(gate: Gate, chance: Random) -> Fate:
    return chance.choice(_FATES.get(gate.kind, (Fate.LOST_BEFORE, Fate.LOST_AFTER)))


def _held(tx: Tx) -> Sequence[Event]:
    return tx.events.listing(states={EventState.HELD})


def _unfinished(tx: Tx) -> list[str]:
    owed = frozenset(EventState) - {EventState.TOLD, EventState.DEAD}
    found = [f"{one.identity} is {one.state.value}" for one in tx.events.listing(states=owed)]
    open_ = frozenset(ExecutionState) - FINAL - {ExecutionState.LOST}
    found += [f"{one.id} is {one.state.value}" for one in tx.executions.in_states(open_, limit=100)]
    assert isinstance(tx.inputs, Connected)
    rows = tx.inputs.connection.execute(text("SELECT id, kind, state FROM inputs WHERE state <> 'answered'"))
    return found + [f"input {row.id} ({row.kind}) is {row.state}" for row in rows]


Judge = Callable[[Life], None]


def live(happenings: Sequence[tuple[Happening, int]], judge: Judge, *, never_back: bool = False) -> Life:
    """One life from its start to its end, judged. Raises `Breach`."""
    # What spreads retries is drawn from here.
    random.seed(0)
    clock = ManualClock()
    loop = HeldLoop(clock)
    try:
        life = loop.run_until_complete(_lived(loop, clock, happenings, judge, never_back))
    finally:
        loop.close()
    return life


async def _lived(
    loop: HeldLoop, clock: ManualClock, happenings: Sequence[tuple[Happening, int]], judge: Judge, never_back: bool
) -> Life:
    life = Life(loop, clock, never_back=never_back)
    try:
        await life.run(happenings)
        judge(life)
        if bugs := _BUGS.found + life.bugs + life.gateway.bugs:
            raise Breach(f"a fault that is none of the world's: {bugs}")
    except (AssertionError, HomingError) as fault:
        fault.add_note("the way of it: " + ", ".join(life.trace))
        raise
    finally:
        await life.end()
    return life
