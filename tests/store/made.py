"""Values to store, complete, with what matters to a test as an argument."""

from __future__ import annotations

from bot.domain.command import Command, FileDigest, Limits, NodeFingerprint, command_hash, parse_request
from bot.domain.event import EventState, InputKind, InputState, NewEvent, NewInput, Payload, Say
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
from bot.domain.message import Action, Button, ButtonPress, Reaction, Sender
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ReturnAddress,
    SessionKey,
    ThreadId,
    format_key,
)
from tests.clock import START

WEB = ChannelName("web")
DEFAULT = AccountName("default")
NODE = NodeFingerprint("node-1")
ALL_CHANNELS = ((WEB, DEFAULT),)
ALL_CLAIMABLE = frozenset({EventState.DUE})


def peer(room: str = "ops", *, thread: str | None = None, channel: str = "web", account: str = "default") -> Peer:
    return Peer(
        agent=AgentName("main"),
        channel=ChannelName(channel),
        account=AccountName(account),
        kind=PeerKind.CHANNEL,
        id=NativeId(room),
        thread=None if thread is None else ThreadId(thread),
    )


def address(room: str = "ops", *, message: str | None = "m1", thread: str | None = None) -> ReturnAddress:
    return ReturnAddress(peer=peer(room, thread=thread), message_id=None if message is None else MessageId(message))


def session(room: str = "ops") -> SessionKey:
    return format_key(peer(room))


def command(argv: tuple[str, ...] = ("df", "-h")) -> Command:
    return Command(
        node=NODE,
        argv=argv,
        script=None,
        executable="/usr/bin/df",
        cwd="/srv",
        cwd_id="64:2049",
        user="homing",
        env=(("LANG", "C.UTF-8"), ("PATH", "/usr/bin")),
        limits=Limits(),
        files=(FileDigest(path="/usr/bin/df", sha256="0" * 64),),
    )


def result(text: str = "all is well\n") -> ExecutionResult:
    return ExecutionResult(
        ending=Ending.EXITED,
        exit_code=0,
        signal=None,
        duration_s=1.5,
        output=Output(head=(Chunk(stream=Stream.OUT, text=text),)),
    )


def execution(
    execution_id: str = "7K3Q9A",
    *,
    state: ExecutionState = ExecutionState.PREPARING,
    room: str = "ops",
    node: NodeFingerprint = NODE,
    created_at: float = START,
    expires_at: float = START + 600,
    ended_at: float | None = None,
    stop_wanted_by: PersonId | None = None,
) -> Execution:
    return Execution(
        id=ExecutionId(execution_id),
        state=state,
        session=session(room),
        origin=address(room),
        asker=PersonId("ann"),
        asker_native="U1",
        asker_name="Ann",
        request=parse_request("df -h"),
        node=node,
        node_name="web-1",
        created_at=created_at,
        expires_at=expires_at,
        rule="owners decide",
        deciders=(PersonId("bob"), PersonId("web:cy")),
        command=command(),
        command_hash=command_hash(command()),
        ended_at=ended_at,
        stop_wanted_by=stop_wanted_by,
    )


def event(identity: str = "reply:1:0", *, room: str = "ops", payload: Payload | None = None) -> NewEvent:
    return NewEvent(
        identity=identity, session=session(room), address=address(room), payload=payload or Say(text="hello")
    )


def message(
    delivery: str = "d1",
    *,
    room: str = "ops",
    text: str = "run df -h",
    anchor: str = "m1",
    state: InputState = InputState.DUE,
) -> NewInput:
    return NewInput(
        session=session(room),
        address=address(room, message=anchor),
        kind=InputKind.MESSAGE,
        channel=WEB,
        account=DEFAULT,
        delivery=DeliveryId(delivery),
        person=PersonId("ann"),
        person_native="U1",
        person_name="Ann",
        text=text,
        state=state,
    )


def press(
    delivery: str = "p1", *, room: str = "ops", thread: str | None = None, message_id: str = "posted-1"
) -> ButtonPress:
    return ButtonPress(
        peer=peer(room, thread=thread),
        sender=Sender(native="U2", name="Bob"),
        delivery=DeliveryId(delivery),
        message_id=MessageId(message_id),
        button=Button(action=Action.DENY, execution_id="7K3Q9A", shown=command_hash(command())),
        reason="not on a Friday",
    )


def reaction(delivery: str = "r1", *, room: str = "ops", message_id: str = "posted-1") -> Reaction:
    return Reaction(
        peer=peer(room),
        sender=Sender(native="U2", name="Bob"),
        delivery=DeliveryId(delivery),
        message_id=MessageId(message_id),
        emoji="✅",
    )
