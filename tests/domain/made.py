"""Executions in every state, as the flows leave them. Deliberately absent: any way in which they came there."""

from __future__ import annotations

import itertools
from dataclasses import replace

from bot.domain.batch import BatchId, InBatch
from bot.domain.command import Command, FileDigest, Limits, NodeFingerprint, command_hash, parse_request
from bot.domain.execution import (
    ID_ALPHABET,
    Chunk,
    Ending,
    Execution,
    ExecutionId,
    ExecutionResult,
    ExecutionState,
    Output,
    Stream,
)
from bot.domain.message import Capabilities
from bot.domain.session import (
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

S = ExecutionState
PEER = Peer(
    agent=AgentName("main"),
    channel=ChannelName("discord"),
    kind=PeerKind.CHANNEL,
    id=NativeId("1469129735133932162"),
)
NODE = NodeFingerprint("f00d")
CHAT = Capabilities(text_chars=4_000, code_chars=3_000)
BATCH = BatchId("T7K3QAC")
IDS = [ExecutionId("".join(letters)) for letters in itertools.islice(itertools.product(ID_ALPHABET, repeat=6), 100)]


def command_of(text: str, *, files: tuple[FileDigest, ...] = ()) -> Command:
    request = parse_request(text)
    executable = "/usr/bin/dash" if request.script is not None else f"/usr/bin/{request.argv[0]}"
    return Command(
        node=NODE,
        argv=request.argv,
        script=request.script,
        executable=executable,
        cwd="/srv/app",
        cwd_id="64:2049",
        user="homing",
        env=(("PATH", "/usr/bin:/bin"),),
        limits=Limits(timeout_s=90.0),
        files=(FileDigest(path=executable, sha256="a" * 64), *files),
    )


def said(*chunks: tuple[str, str], omitted_bytes: int = 0) -> Output:
    head = tuple(Chunk(stream=Stream(stream), text=text) for stream, text in chunks)
    return Output(head=head, omitted_bytes=omitted_bytes)


def result(
    output: Output | None = None,
    *,
    ending: Ending = Ending.EXITED,
    exit_code: int | None = 0,
    signal: str | None = None,
    duration_s: float = 1.25,
) -> ExecutionResult:
    return ExecutionResult(
        ending=ending,
        exit_code=exit_code,
        signal=signal,
        duration_s=duration_s,
        output=said(("out", "all is well\n")) if output is None else output,
    )


def execution(
    state: ExecutionState, text: str = "df -h", *, ended: ExecutionResult | None = None, reason: str | None = None
) -> Execution:
    """As the flows leave it in this state; `reason` for those that have one."""
    command = None if state is S.PREPARING else command_of(text)
    one = Execution(
        id=ExecutionId("7K3QAC"),
        state=state,
        session=key_for(PEER),
        origin=ReturnAddress(peer=PEER, message_id=MessageId("m1")),
        asker=PersonId("discord:77"),
        asker_native="77",
        asker_name="Ada",
        request=parse_request(text),
        node=NODE,
        node_name="web-1",
        created_at=1_700_000_000.0,
        expires_at=1_700_001_800.0,
        rule="ask sre",
        deciders=(PersonId("bob"), PersonId("cleo")),
        command=command,
        command_hash=None if command is None else command_hash(command),
        reason=reason,
    )
    if state in {S.APPROVED, S.DISPATCHED, S.RUNNING, S.LOST, S.FINISHED, S.DENIED}:
        one = replace(one, decided_by=PersonId("bob"), decided_at=1_700_000_100.0)
    if state in {S.RUNNING, S.FINISHED}:
        one = replace(one, started_at=1_700_000_200.0)
    if state is S.FINISHED:
        one = replace(one, ended_at=1_700_000_201.25, result=result() if ended is None else ended)
    return one


def several(*texts: str, state: ExecutionState = S.AWAITING_APPROVAL) -> list[Execution]:
    """What one turn asked for, on the first card of its batch."""
    return [
        replace(execution(state, text), id=IDS[at], batch=InBatch(id=BATCH, at=at, card=1))
        for at, text in enumerate(texts)
    ]
