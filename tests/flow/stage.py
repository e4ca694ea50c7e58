"""One gateway's flows over a store, a recording hub and a recording channel, stepped by hand.

States are reached by the flows themselves, as in production. Deliberately absent: loops, which have tests of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from bot.agent.commands import CommandsAgent
from bot.domain.command import CommandHash, Limits, NodeFingerprint
from bot.domain.directory import Directory, Person
from bot.domain.event import ClaimToken, Event, EventState, Input, NewEvent, NewInput, Say
from bot.domain.execution import (
    Chunk,
    Ending,
    Execution,
    ExecutionId,
    ExecutionResult,
    ExecutionState,
    Output,
    Stream,
)
from bot.domain.gate import Closed, Gate
from bot.domain.mask import Masker
from bot.domain.message import Action, Answer, Button, ButtonPress, Capabilities, InboundMessage, Reaction, Sender
from bot.domain.policy import Policy, Rule, Verdict
from bot.domain.session import (
    DEFAULT_ACCOUNT,
    AgentName,
    DeliveryId,
    DirectScope,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ReturnAddress,
    SessionKey,
    ThreadId,
    key_for,
)
from bot.flow.completion import Completion
from bot.flow.dispatch import Dispatch
from bot.flow.heartbeat import Channels, Heartbeat
from bot.flow.intake import Intake
from bot.flow.prepare import Preparation
from bot.flow.signals import Signals
from bot.flow.sweep import Sweep
from bot.flow.turn import Turns
from bot.ports import Agent, Policies, Tx
from tests.clock import START, ManualClock
from tests.device import STEP_S, Device
from tests.flow.ends import CHANNEL, NODE, RecordingChannel, RecordingHub, WatchedStore
from tests.gates import OPEN_GATE
from tests.platforms.forms import text_of

LOST_AFTER_S = 600.0
RETENTION_S = 86_400.0
ANN = Sender(native="U1", name="Ann")
"""May ask."""
BOB = Sender(native="U2", name="Bob")
"""The owner: decides where no rule says otherwise."""
CY = Sender(native="U3", name="Cy")
"""Decides where a rule names `cy`."""
PEOPLE = Directory(
    people=(
        Person(name="bob", ids=(PersonId("discord:U2"),)),
        Person(name="cy", ids=(PersonId("discord:U3"),)),
    )
)
_numbers = itertools.count(1)


def policy(*rules: Rule, owners: tuple[str, ...] = ("bob",)) -> Policy:
    return Policy(directory=PEOPLE, owners=owners, rules=rules)


ALLOW_ALL = policy(Rule(name="all", action=Verdict.ALLOW))
DENY_ALL = policy(Rule(name="none", action=Verdict.DENY))
CY_DECIDES = policy(Rule(name="cy decides", action=Verdict.ASK, deciders=("cy",)))


def a_peer(room: str = "ops", *, thread: str | None = None, kind: PeerKind = PeerKind.CHANNEL) -> Peer:
    return Peer(
        agent=AgentName("main"),
        channel=CHANNEL,
        account=DEFAULT_ACCOUNT,
        kind=kind,
        id=NativeId(room),
        thread=None if thread is None else ThreadId(thread),
    )


def at(room: str = "ops", message: str = "m1") -> ReturnAddress:
    return ReturnAddress(peer=a_peer(room), message_id=MessageId(message))


def session(room: str = "ops") -> SessionKey:
    return key_for(a_peer(room))


def words(identity: str, text: str = "hello", *, room: str = "ops", code: str | None = None) -> NewEvent:
    return NewEvent(identity=identity, session=session(room), address=at(room), payload=Say(text=text, code=code))


def a_result(text: str = "all is well\n", *, exit_code: int = 0) -> ExecutionResult:
    return ExecutionResult(
        ending=Ending.EXITED,
        exit_code=exit_code,
        signal=None,
        duration_s=1.5,
        output=Output(head=(Chunk(stream=Stream.OUT, text=text),)),
    )


@dataclass
class Stage:
    store: WatchedStore
    clock: ManualClock
    policy: Policy = field(default_factory=policy)
    hub: RecordingHub = field(default_factory=RecordingHub)
    channel: RecordingChannel = field(default_factory=RecordingChannel)
    signals: Signals = field(default_factory=Signals)
    limits: Limits = field(default_factory=Limits)
    agent: Agent | None = None
    """Ours where a test lays no other one ready."""
    scope: DirectScope = DirectScope.PER_ACCOUNT_CHANNEL_PEER
    gate: Gate = OPEN_GATE
    """Hears everybody everywhere, where a test lays no other one ready."""
    masker: Masker = field(default_factory=Masker)
    _policies: Policies | None = None
    noted: dict[tuple[str, str, Closed], float] = field(default_factory=dict)
    listening_since: float = START
    settled_at: float = START

    # --- the flows, made anew at each use: a policy that has changed counts from the next step -------

    @property
    def channels(self) -> Channels:
        return {(self.channel.name, self.channel.account): self.channel}

    @property
    def policies(self) -> Policies:
        """One for all flows, as in production: asking for it brings it up to date, under a step as well."""
        if self._policies is None:
            self._policies = Policies(self.policy)
        self._policies.now = self.policy
        return self._policies

    @property
    def intake(self) -> Intake:
        return Intake(
            self.store, self.policies, self.signals, self.scope, gate=self.gate, noted=self.noted, masker=self.masker
        )

    @property
    def reports(self) -> Completion:
        return Completion(self.store, self.signals, self.masker)

    def turns(self) -> Turns:
        agent = self.agent or CommandsAgent(self.store, self.hub, self.policies)
        return Turns(
            self.store, agent, self.hub, self.policies, self.signals, self.limits, self.settled_at, self.masker
        )

    def preparation(self) -> Preparation:
        return Preparation(
            self.store, self.hub, self.policies, self.signals, self.limits, self._capabilities_at, self.masker
        )

    def _capabilities_at(self, peer: Peer) -> Capabilities | None:
        channel = self.channels.get((peer.channel, peer.account))
        return None if channel is None else channel.capabilities

    def dispatch(self) -> Dispatch:
        return Dispatch(self.store, self.hub, self.policies, self.signals, self.masker)

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.store, self.channels, self.clock, self.signals)

    def sweep(self) -> Sweep:
        return Sweep(self.store, self.signals, LOST_AFTER_S, RETENTION_S, self.listening_since)

    # --- one pass of each, with all that it began ----------------------------------------------------

    async def answer(self) -> None:
        turns = self.turns()
        await turns.step()
        await turns.tasks.drain()

    async def inspect(self) -> None:
        preparation = self.preparation()
        await preparation.step()
        await preparation.tasks.drain()

    async def hand_over(self) -> None:
        dispatch = self.dispatch()
        await dispatch.step()
        await dispatch.tasks.drain()

    async def beat(self) -> None:
        heartbeat = self.heartbeat()
        await heartbeat.step()
        await heartbeat.tasks.drain()

    async def edit(self) -> None:
        heartbeat = self.heartbeat()
        await heartbeat.bring_cards_up_to_date()
        await heartbeat.tasks.drain()

    def restart(self) -> None:
        """The gateway was away until now. What it had in memory lay in the flows, which are made anew anyway."""
        self.listening_since = self.clock.now()

    async def tidy(self) -> None:
        await self.sweep().step()

    async def tell_all(self) -> None:
        """Beat until nothing that is due now is left."""
        for _ in range(50):
            before = len(self.channel.sent)
            await self.beat()
            if len(self.channel.sent) == before:
                return
        raise AssertionError("it never comes to rest")

    # --- people ------------------------------------------------------------------------------------

    async def say(
        self,
        text: str,
        *,
        who: Sender = ANN,
        room: str = "ops",
        peer: Peer | None = None,
        delivery: str | None = None,
        message: str | None = None,
        age_s: float = 0.0,
        is_addressed: bool = True,
    ) -> Answer:
        number = next(_numbers)
        return await self.intake.message(
            InboundMessage(
                peer=peer or a_peer(room),
                sender=who,
                delivery=DeliveryId(delivery or f"d{number}"),
                message_id=MessageId(message or f"m{number}"),
                text=text,
                sent_at=self.clock.now() - age_s,
                is_addressed=is_addressed,
            )
        )

    def a_press(
        self,
        execution: Execution,
        action: Action = Action.APPROVE,
        *,
        who: Sender = BOB,
        message: str = "posted-1",
        delivery: str | None = None,
        shown: CommandHash | None = None,
        reason: str = "",
        code: str | None = None,
    ) -> ButtonPress:
        shown = shown or execution.command_hash
        assert shown is not None
        return ButtonPress(
            peer=execution.origin.peer,
            sender=who,
            delivery=DeliveryId(delivery or f"p{next(_numbers)}"),
            message_id=MessageId(message),
            button=Button(action=action, execution_id=execution.id, shown=shown),
            reason=reason,
            code=code,
        )

    async def press(
        self,
        execution: Execution,
        action: Action = Action.APPROVE,
        *,
        who: Sender = BOB,
        message: str = "posted-1",
        reason: str = "",
        code: str | None = None,
    ) -> str | None:
        press = self.a_press(execution, action, who=who, message=message, reason=reason, code=code)
        return (await self.intake.press(press)).note

    async def enrol(self, person: str = "bob") -> Device:
        """A device that has shown its first code, and shows another one by now."""
        secret = await self.store.inner.write(lambda tx: tx.factors.begin(PersonId(person), by="op"))
        device = Device(secret or "")
        code = device.code(self.clock.now())
        assert await self.store.inner.write(lambda tx: tx.factors.enrol(PersonId(person), code, by="op"))
        self.clock.advance(STEP_S)
        return device

    async def react(self, emoji: str, *, who: Sender = BOB, message: str = "posted-1", room: str = "ops") -> str | None:
        reaction = Reaction(
            peer=a_peer(room),
            sender=who,
            delivery=DeliveryId(f"r{next(_numbers)}"),
            message_id=MessageId(message),
            emoji=emoji,
        )
        return (await self.intake.reaction(reaction)).note

    # --- the way to each state -----------------------------------------------------------------------

    async def requested(self, command: str = "df -h", *, room: str = "ops") -> Execution:
        before = {one.id for one in await self.all_executions()}
        await self.say(f"run {command}", room=room)
        await self.answer()
        (new,) = [one for one in await self.all_executions() if one.id not in before]
        return new

    async def asked(self, command: str = "df -h", *, room: str = "ops") -> Execution:
        """Awaiting approval, its card not posted yet."""
        execution = await self.requested(command, room=room)
        await self.inspect()
        return await self.read(execution)

    async def shown(self, command: str = "df -h", *, room: str = "ops") -> Execution:
        """Awaiting approval, its card posted as the channel's newest message."""
        execution = await self.asked(command, room=room)
        await self.tell_all()
        return execution

    async def approved(self, command: str = "df -h", *, room: str = "ops") -> Execution:
        execution = await self.shown(command, room=room)
        await self.say(f"approve {execution.id}", who=BOB, room=room)
        await self.tell_all()
        return await self.in_state(execution, ExecutionState.APPROVED)

    async def dispatched(self, command: str = "df -h", *, room: str = "ops") -> Execution:
        execution = await self.approved(command, room=room)
        await self.hand_over()
        return await self.in_state(execution, ExecutionState.DISPATCHED)

    async def running(self, command: str = "df -h", *, room: str = "ops") -> Execution:
        execution = await self.dispatched(command, room=room)
        await self.reports.started(NODE, execution.id, self.clock.now())
        return await self.in_state(execution, ExecutionState.RUNNING)

    async def finished(self, command: str = "df -h", *, room: str = "ops", text: str = "all is well\n") -> Execution:
        execution = await self.running(command, room=room)
        await self.finish(execution, text)
        return await self.in_state(execution, ExecutionState.FINISHED)

    async def finish(self, execution: Execution, text: str = "all is well\n", *, node: NodeFingerprint = NODE) -> None:
        now = self.clock.now()
        await self.reports.finished(node, execution.id, a_result(text), now, now)

    async def pair(self, node: NodeFingerprint, name: str) -> None:
        await self.store.inner.write(lambda tx: tx.nodes.hello(node, name.encode(), name))
        await self.store.inner.write(lambda tx: tx.nodes.pair(node, name=name))

    async def revoke(self, node: NodeFingerprint) -> None:
        await self.store.inner.write(lambda tx: tx.nodes.revoke(node))

    # --- what the store holds ------------------------------------------------------------------------

    async def only(self) -> Execution:
        """The only one there is."""
        (found,) = await self.all_executions()
        return found

    async def all_executions(self) -> Sequence[Execution]:
        return await self.store.inner.read(lambda tx: tx.executions.in_states(frozenset(ExecutionState), limit=500))

    async def read(self, execution: Execution | ExecutionId) -> Execution:
        execution_id = execution.id if isinstance(execution, Execution) else execution
        found = await self.store.inner.read(lambda tx: tx.executions.get(execution_id))
        assert found is not None
        return found

    async def in_state(self, execution: Execution, state: ExecutionState) -> Execution:
        found = await self.read(execution)
        assert found.state is state, found
        return found

    async def events(self, *states: EventState) -> Sequence[Event]:
        wanted = frozenset(states or EventState)
        return await self.store.inner.read(lambda tx: tx.events.listing(states=wanted))

    async def event(self, identity: str) -> Event:
        (found,) = [one for one in await self.events() if one.identity.startswith(identity)]
        return found

    async def add(self, *new: NewEvent) -> None:
        for one in new:
            assert await self.store.inner.write(partial(_add_event, one))

    async def put(self, new: NewInput) -> None:
        assert await self.store.inner.write(lambda tx: tx.inputs.add(new)) is not None

    async def steps(self, execution: Execution) -> list[tuple[str, str | None]]:
        steps = await self.store.inner.read(lambda tx: tx.executions.steps(execution.id))
        return [(step.what, step.by) for step in steps]

    async def waiting_inputs(self) -> Sequence[Input]:
        """What the agents of all sessions would be given now; looked at without being kept."""

        def look(tx: Tx) -> list[Input]:
            found: list[Input] = []
            while claimed := tx.inputs.claim(token=ClaimToken("look"), lease_s=1.0, limit=100):
                found += claimed
            raise _Looked(found)

        try:
            await self.store.inner.write(look)
        except _Looked as seen:
            return seen.found
        raise AssertionError("a look never ends without what it saw")

    def posts(self) -> list[str]:
        """All that was sent, each message as lines."""
        return [text_of(sent.post) for sent in self.channel.sent]


class _Looked(Exception):
    """Rolls a look back."""

    def __init__(self, found: list[Input]) -> None:
        self.found = found
        super().__init__()


def _add_event(new: NewEvent, tx: Tx) -> bool:
    return tx.events.add(new)
