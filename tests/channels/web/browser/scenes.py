"""Realistic posts of the core, as the page is to show them. Deliberately absent: any second way to render."""

from __future__ import annotations

import time
from dataclasses import replace

from bot.domain.command import Command, CommandHash, Limits, NodeFingerprint, Request
from bot.domain.event import ShowCard, TellOutcome
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
from bot.domain.message import Capabilities, Post
from bot.domain.render import card, render
from bot.domain.session import MessageId, Peer, PersonId, ReturnAddress, format_key

S = ExecutionState


def execution(peer: Peer, *, id: str = "7K3QHM", text: str = "uptime", asker: str = "ana") -> Execution:  # noqa: A002 # the field's own name
    """One that waits for its approval, asked for a minute ago."""
    now = time.time()
    argv = tuple(text.split())
    return Execution(
        id=ExecutionId(id),
        state=S.AWAITING_APPROVAL,
        session=format_key(peer),
        origin=ReturnAddress(peer=peer, message_id=MessageId("1")),
        asker=PersonId(asker),
        asker_native=asker,
        asker_name={"ana": "Ana Sol", "ben": "Ben Ito"}.get(asker, asker),
        request=Request(text=text, argv=argv, script=None),
        node=NodeFingerprint("sha256:0f"),
        node_name="web-1",
        created_at=now - 60,
        expires_at=now + 14 * 60,
        rule="production needs a second person",
        deciders=(PersonId("ben"), PersonId("cleo")),
        command=Command(
            node=NodeFingerprint("sha256:0f"),
            argv=argv,
            script=None,
            executable=f"/usr/bin/{argv[0]}",
            cwd="/srv/shop",
            cwd_id="64:2049",
            user="homing",
            env=(),
            limits=Limits(timeout_s=600.0),
            files=(),
        ),
        command_hash=CommandHash("3c" * 32),
    )


def approved(asked: Execution) -> Execution:
    return replace(asked, state=S.APPROVED, decided_by=PersonId("ben"), decided_at=time.time() - 5)


def running(asked: Execution, tail: str = "", *, for_s: float = 3.0) -> Execution:
    return replace(approved(asked), state=S.RUNNING, started_at=time.time() - for_s, live_tail=tail)


def denied(asked: Execution, reason: str) -> Execution:
    return replace(asked, state=S.DENIED, decided_by=PersonId("ben"), decided_at=time.time(), reason=reason)


def finished(asked: Execution, text: str, *, code: int = 0, took_s: float = 4.2) -> Execution:
    return replace(
        running(asked, for_s=took_s),
        state=S.FINISHED,
        live_tail="",
        ended_at=time.time(),
        result=ExecutionResult(
            ending=Ending.EXITED,
            exit_code=code,
            signal=None,
            duration_s=took_s,
            output=Output(head=(Chunk(stream=Stream.OUT, text=text),)),
        ),
    )


def card_of(one: Execution, capabilities: Capabilities) -> Post:
    return card(one, capabilities)


def asked_post(one: Execution, capabilities: Capabilities) -> Post:
    return render(ShowCard(execution_id=one.id), one, capabilities, mention=one.asker_native)[0]


def result_post(one: Execution, capabilities: Capabilities) -> Post:
    return render(TellOutcome(execution_id=one.id, state=one.state), one, capabilities, mention=one.asker_native)[0]
