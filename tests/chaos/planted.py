"""Ten deliberate faults. Each is put into the program of a test at composition, and the harness has to find it.

They are the faults of systems like ours, and what our invariants forbid. Deliberately absent: any in the product.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar
from unittest.mock import patch

from bot.domain.command import NodeFingerprint
from bot.domain.event import ClaimToken, Event, EventState, NewEvent
from bot.domain.execution import Execution, ExecutionId, ExecutionResult
from bot.domain.message import Answer, InboundMessage, Receipt
from bot.domain.render import render
from bot.domain.session import NativeId, Peer, SessionKey
from bot.flow.completion import Completion
from bot.flow.dispatch import Dispatch
from bot.flow.express import LEASE_S, Claimed, Express, nonce_for
from bot.flow.heartbeat import Heartbeat
from bot.flow.intake import Intake
from bot.flow.telling import begun, keep_receipt
from bot.node.frames import Finished
from bot.node.journal import EndReport, Entry, State
from bot.node.spool import Spool
from bot.ports import NodeRefusal, Tx
from bot.store.events import StoredEvents
from tests.chaos.points import Moment, commit

R = TypeVar("R")


class Planted(StrEnum):
    ACK_BEFORE_COMMIT = "ack before commit"
    SEND_BEFORE_ATTEMPT = "send before its attempt is committed"
    WRONG_KEY = "event under the wrong key"
    FOLDED = "key folded to lower case"
    GO_BEFORE_COMMIT = "dispatch after send"
    DROP_AT_20 = "drop at 20"
    DEDUPE_BY_TEXT = "dedupe by text"
    NO_RECONCILE = "retry without reconcile"
    LAST_ROUTE = "last-route delivery"
    NOT_SPOOLED = "report not spooled"


P = Planted
_FINISHED = commit("flow.heartbeat.Heartbeat.commit write again")
_GO = commit("flow.dispatch.Dispatch._offer_and_go _commit")
SHOWS_IN: dict[Planted, tuple[tuple[str, str | None], ...]] = {
    P.ACK_BEFORE_COMMIT: (("web", f"{Moment.BEFORE} {_FINISHED}"),),
    P.SEND_BEFORE_ATTEMPT: (("slack", f"{Moment.AFTER} slack sends"),),
    P.WRONG_KEY: (("web", None),),
    P.FOLDED: (("slack", None),),
    P.GO_BEFORE_COMMIT: (("web", f"{Moment.BEFORE} {_GO}"), ("web", None)),
    P.DROP_AT_20: (("flood", None),),
    P.DEDUPE_BY_TEXT: (("same_words", None),),
    P.NO_RECONCILE: (("slack", f"{Moment.AFTER} slack sends"),),
    P.LAST_ROUTE: (("elsewhere", None),),
    P.NOT_SPOOLED: (("web", f"{Moment.AFTER} journal finished"),),
}
"""Where each is looked for first: stories and points of the harness as they are."""

SAYS: dict[Planted, str] = {
    P.ACK_BEFORE_COMMIT: "did not come to the store",
    P.SEND_BEFORE_ATTEMPT: "nobody has a receipt for",
    P.WRONG_KEY: "is owed to the session agent:main:main",
    P.FOLDED: "is owed to the session agent:main:slack:channel:c0",
    P.GO_BEFORE_COMMIT: "before its hand-over was committed",
    P.DROP_AT_20: "its end is owed to nobody",
    P.DEDUPE_BY_TEXT: "was asked for by twos, and 1 executions",
    P.NO_RECONCILE: "nobody has a receipt for",
    P.LAST_ROUTE: "its output stands elsewhere",
    P.NOT_SPOOLED: "did not come to the store",
}
"""What is found of each: the fault itself, and not that something took too long."""
SPEAKS: dict[Planted, tuple[str, ...]] = {
    P.SEND_BEFORE_ATTEMPT: ("slack",),
    P.FOLDED: ("slack",),
    P.DROP_AT_20: ("discord",),
    P.NO_RECONCILE: ("slack",),
    P.LAST_ROUTE: ("slack",),
}
"""Networks that the world of the search has beside the web chat."""


@contextmanager
def plant_in_gateway(planted: Planted) -> Iterator[None]:
    owner, name, made = {
        P.ACK_BEFORE_COMMIT: (Completion, "finished", _acknowledged_first),
        P.SEND_BEFORE_ATTEMPT: (Heartbeat, "step", _sent_first),
        P.WRONG_KEY: (StoredEvents, "add", _adding(_under_main)),
        P.FOLDED: (StoredEvents, "add", _adding(_folded)),
        P.GO_BEFORE_COMMIT: (Dispatch, "_offer_and_go", _gone_first),
        P.DROP_AT_20: (StoredEvents, "add", _dropping),
        P.DEDUPE_BY_TEXT: (Intake, "message", _deduping),
        P.NO_RECONCILE: (Heartbeat, "_reconcile", _not_asking),
        P.LAST_ROUTE: (StoredEvents, "add", _adding(_at_the_last_route)),
        P.NOT_SPOOLED: (Planted, "__doc__", None),
    }[planted]
    if made is None:
        yield
        return
    with contextlib.ExitStack() as further:
        further.enter_context(patch.object(owner, name, made))
        if planted is P.LAST_ROUTE:
            further.enter_context(patch.object(Intake, "message", _remembering(Intake.message)))
        if owner is StoredEvents and planted in _CHANGED:
            further.enter_context(patch.object(StoredEvents, "add_sending", _adding_claimed(_CHANGED[planted])))
        if planted is P.SEND_BEFORE_ATTEMPT:
            # What is committed already claimed leaves no room for it.
            further.enter_context(patch.object(Heartbeat, "commit", _owed_only))
        yield


@contextmanager
def plant_in_node(planted: Planted) -> Iterator[None]:
    if planted is not P.NOT_SPOOLED:
        yield
        return
    kept: dict[str, Finished] = {}
    write, report = Spool.write, Spool.report

    def in_memory(self: Spool, entry: Entry) -> None:
        if entry.state is State.FINISHED and isinstance(entry.report, Finished):
            kept[entry.execution] = entry.report
            self._open[entry.execution] = replace(entry, report=None)
        else:
            write(self, entry)

    def found(self: Spool, execution: ExecutionId) -> EndReport | None:
        return kept.get(execution) or report(self, execution)

    with patch.object(Spool, "write", in_memory), patch.object(Spool, "report", found):
        yield


_tasks: set[asyncio.Task[None]] = set()
_finished = Completion.finished


async def _acknowledged_first(
    self: Completion,
    node: NodeFingerprint,
    execution_id: ExecutionId,
    result: ExecutionResult,
    started_at: float,
    ended_at: float,
) -> None:
    async def later() -> None:
        await asyncio.sleep(0.2)
        await _finished(self, node, execution_id, result, started_at, ended_at)

    task = asyncio.create_task(later())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


class _Undone(Exception):
    """What was claimed, and is not written."""

    def __init__(self, claimed: list[Claimed]) -> None:
        super().__init__("not written")
        self.claimed = claimed


async def _sent_first(self: Heartbeat) -> bool:
    token = ClaimToken(secrets.token_hex(8))

    def claim(tx: Tx) -> list[Claimed]:
        states = {EventState.DUE}
        events = tx.events.claim(token=token, lease_s=LEASE_S, limit=1, channels=self.channels.keys(), states=states)
        return [found for event in events if (found := begun(tx, event, token)) is not None]

    def undone(tx: Tx) -> None:
        raise _Undone(claim(tx))

    try:
        await self.store.write(undone)
    except _Undone as found:
        for one in found.claimed:
            channel = self.channels[one.event.address.peer.channel, one.event.address.peer.account]
            here = one.event.address.peer
            posts = render(one.event.payload, one.execution, channel.capabilities, here=here, mention=None)
            receipt = await channel.send(one.event.address, posts[0], nonce_for(one.event.identity, 0))

            def keep(tx: Tx, one: Claimed = one, receipt: Receipt = receipt, parts: int = len(posts)) -> None:
                if [again.event.id for again in claim(tx)] != [one.event.id]:
                    raise _Undone([])
                keep_receipt(tx, found=one, token=token, receipt=receipt, parts=parts)

            with contextlib.suppress(_Undone):
                await self.store.write(keep)
    return False


_add, _add_sending = StoredEvents.add, StoredEvents.add_sending


def _adding(change: Callable[[NewEvent], NewEvent]) -> Callable[[StoredEvents, NewEvent], bool]:
    return lambda self, event: _add(self, change(event))


def _adding_claimed(change: Callable[[NewEvent], NewEvent]) -> Callable[..., Event | None]:
    return lambda self, event, **claim: _add_sending(self, change(event), **claim)


async def _owed_only(self: Heartbeat, write: Callable[[Tx, Express | None], tuple[R, Claimed | None]]) -> R:
    value, _ = await self.store.write(lambda tx: write(tx, None))
    return value


def _under_main(event: NewEvent) -> NewEvent:
    return replace(event, session=SessionKey("agent:main:main"))


def _folded(event: NewEvent) -> NewEvent:
    peer = replace(event.address.peer, id=NativeId(event.address.peer.id.lower()))
    address = replace(event.address, peer=peer)
    return replace(event, session=SessionKey(event.session.lower()), address=address)


_route: list[Peer] = []


def _remembering(real: Callable[..., Any]) -> Callable[..., Any]:
    async def message(self: Intake, said: InboundMessage) -> Answer:
        _route[:] = [said.peer]
        answer: Answer = await real(self, said)
        return answer

    return message


def _at_the_last_route(event: NewEvent) -> NewEvent:
    same = [peer for peer in _route if peer.channel == event.address.peer.channel]
    return replace(event, address=replace(event.address, peer=same[0])) if same else event


_CHANGED = {P.WRONG_KEY: _under_main, P.FOLDED: _folded, P.LAST_ROUTE: _at_the_last_route}


def _dropping(self: StoredEvents, event: NewEvent) -> bool:
    waiting = [one for one in self.listing(states={EventState.DUE}, limit=1_000) if one.session == event.session]
    return True if len(waiting) >= 20 else _add(self, event)


async def _gone_first(self: Dispatch, execution: Execution) -> None:
    assert execution.command is not None
    assert execution.command_hash is not None
    accepted = await self.hub.offer(execution.node, execution.id, execution.command, execution.command_hash)
    if isinstance(accepted, NodeRefusal):
        await self.store.write(lambda tx: self._refused(tx, execution.id, accepted))
        return
    await self.hub.go(execution.node, execution.id, accepted)
    await asyncio.sleep(0.5)
    await self.store.write(lambda tx: self._commit(tx, execution.id))


_message = Intake.message
_heard: set[tuple[Peer, str]] = set()


async def _deduping(self: Intake, said: InboundMessage) -> Answer:
    if (said.peer, said.text) in _heard:
        return Answer()
    _heard.add((said.peer, said.text))
    return await _message(self, said)


async def _not_asking(self: Heartbeat, claimed: Claimed, token: ClaimToken) -> None:
    await self._retry(claimed.event, token, None)
