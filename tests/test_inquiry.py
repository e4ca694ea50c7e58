"""`why` and `status` as facts: what the chain waits for, at each place where it can be open. On a real SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.command import NodeFingerprint
from bot.domain.event import ClaimToken, EventState, EventTrigger, Say, ShowCard, ShowOutput, TellOutcome
from bot.domain.execution import Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.message import Nonce, Receipt
from bot.domain.session import MessageId, PersonId
from bot.flow.outcome import leave, owe
from bot.inquiry import HEARD_WITHIN_S, Chain, is_heard, standing, told_by, why
from bot.ports import Tx
from bot.store import OpenStore, open_store
from tests.clock import ManualClock
from tests.store import made

ID = ExecutionId("7K3Q9A")
TOKEN = ClaimToken("t")
WAYS: dict[ExecutionState, tuple[Trigger, ...]] = {
    ExecutionState.PREPARING: (),
    ExecutionState.AWAITING_APPROVAL: (Trigger.ASK,),
    ExecutionState.APPROVED: (Trigger.ALLOW,),
    ExecutionState.DISPATCHED: (Trigger.ALLOW, Trigger.DISPATCH),
    ExecutionState.RUNNING: (Trigger.ALLOW, Trigger.DISPATCH, Trigger.START),
    ExecutionState.LOST: (Trigger.ALLOW, Trigger.DISPATCH, Trigger.LOSE),
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[OpenStore]:
    opened = open_store(f"sqlite:///{tmp_path / 'homing.db'}", clock=clock, gateway=True)
    await opened.write(paired)
    clock.advance(1)
    yield opened
    await opened.close()


def paired(tx: Tx) -> None:
    tx.nodes.hello(made.NODE, b"\x01" * 32, "web-1")
    tx.nodes.pair(made.NODE)


def put(tx: Tx, state: ExecutionState, **changes: object) -> Execution:
    tx.nodes.seen(made.NODE)
    execution = replace(made.execution(ID), **changes)  # type: ignore[arg-type]  # a test names the fields
    tx.executions.insert(execution)
    for trigger in WAYS[state]:
        execution = tx.executions.move(execution, trigger)
    return execution


async def chain_of(store: OpenStore) -> Chain:
    chain = await store.read(lambda tx: why(tx, ID))
    assert chain is not None
    return chain


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (ExecutionState.PREPARING, "the node web-1 is to say what would really run"),
        (ExecutionState.AWAITING_APPROVAL, "one of bob, web:cy is to decide"),
        (ExecutionState.APPROVED, "the node web-1 is to take it"),
        (ExecutionState.DISPATCHED, "the node web-1 is to report the end"),
        (ExecutionState.RUNNING, "the node web-1 is to report the end"),
        (ExecutionState.LOST, "nobody knows whether it ran; a late report of the node web-1 is still told"),
    ],
)
async def test_each_open_state_says_who_moves_it_on(store: OpenStore, state: ExecutionState, said: str) -> None:
    await store.write(lambda tx: put(tx, state))
    assert (await chain_of(store)).open == (said,)


@pytest.mark.parametrize("state", [ExecutionState.PREPARING, ExecutionState.APPROVED, ExecutionState.RUNNING])
async def test_a_node_that_is_away_is_said(store: OpenStore, clock: ManualClock, state: ExecutionState) -> None:
    await store.write(lambda tx: put(tx, state))
    clock.advance(HEARD_WITHIN_S + 1)
    (said,) = (await chain_of(store)).open
    assert said.endswith(f"; it is away, last heard from {round(HEARD_WITHIN_S + 1)} s ago")


async def test_a_node_that_was_never_seen_is_said(store: OpenStore) -> None:
    await store.write(lambda tx: tx.executions.insert(made.execution(ID, node=NodeFingerprint("another"))))
    assert "it is away, never seen" in (await chain_of(store)).open[0]


async def test_a_pause_and_a_stop_are_said(store: OpenStore) -> None:
    def approved(tx: Tx) -> None:
        put(tx, ExecutionState.APPROVED)
        tx.switches.pause(by="ann", reason="freeze")

    await store.write(approved)
    assert (await chain_of(store)).open[0] == "dispatch is paused by ann: freeze; `homing resume`"


async def test_who_asked_for_a_stop_is_said(store: OpenStore) -> None:
    await store.write(lambda tx: put(tx, ExecutionState.RUNNING, stop_wanted_by=PersonId("ann")))
    assert "; ann asked to stop it" in (await chain_of(store)).open[0]


def denied(tx: Tx) -> None:
    leave(tx, put(tx, ExecutionState.AWAITING_APPROVAL), Trigger.DENY, by="bob", reason="not now")


def bring_to(tx: Tx, state: EventState) -> None:
    """The one event that is owed, along the ways of its table."""
    if state is EventState.DUE:
        return
    (event,) = tx.events.claim(token=TOKEN, lease_s=60, limit=1, channels=made.ALL_CHANNELS, states=made.ALL_CLAIMABLE)
    sending = tx.events.begin_send(event, token=TOKEN, nonce=Nonce("n"), part=0, lease_s=60)
    assert sending is not None
    triggers = {
        EventState.DEAD: EventTrigger.BURY,
        EventState.HELD: EventTrigger.HOLD,
        EventState.POSTED: EventTrigger.ACCEPT,
        EventState.RECONCILING: EventTrigger.UNCERTAIN,
        EventState.TOLD: EventTrigger.TELL,
    }
    if state is EventState.TOLD:
        receipt = Receipt(message_id=MessageId("posted-1"))
        assert tx.events.receipt(sending, token=TOKEN, part=0, nonce=Nonce("n"), receipt=receipt)
    if state in triggers:
        assert tx.events.move(sending, triggers[state], token=TOKEN, trouble="no such room")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (EventState.DUE, "event 1 (denied) is due and waits for the gateway to tell it"),
        (EventState.SENDING, "event 1 (denied) is due and waits for the gateway to tell it"),
        (EventState.DEAD, "event 1 (denied) is dead and was not told; last trouble: no such room; "),
        (EventState.HELD, "event 1 (denied) is held until its channel is open"),
        (EventState.POSTED, "event 1 (denied) was taken by the network, which has not confirmed it yet"),
        (EventState.RECONCILING, "event 1 (denied) may have arrived; the network is asked"),
    ],
)
async def test_each_untold_state_of_an_event_keeps_the_chain_open(
    store: OpenStore, state: EventState, said: str
) -> None:
    await store.write(denied)
    await store.write(lambda tx: bring_to(tx, state))
    (waits,) = (await chain_of(store)).open
    assert waits.startswith(said)


async def test_a_retry_says_when(store: OpenStore) -> None:
    await store.write(denied)

    def retry(tx: Tx) -> None:
        bring_to(tx, EventState.SENDING)
        (event,) = tx.events.listing(states={EventState.SENDING})
        tx.events.move(event, EventTrigger.RETRY, token=TOKEN, not_before=tx.now + 30, trouble="away")

    await store.write(retry)
    (waits,) = (await chain_of(store)).open
    assert waits == "event 1 (denied) is tried again in 30 s, attempt 2; last trouble: away"


async def test_a_told_chain_is_closed_and_holds_the_receipt(store: OpenStore) -> None:
    await store.write(denied)
    await store.write(lambda tx: bring_to(tx, EventState.TOLD))
    chain = await chain_of(store)
    assert chain.open == ()
    assert chain.tellings[0].receipts == ((0, "posted-1"),)
    assert chain.place == "agent:main:web:channel:ops"
    assert [link.what for link in chain.links] == ["ask", "deny"]


async def test_an_end_of_which_nothing_was_owed_is_no_closed_chain(store: OpenStore) -> None:
    def end(tx: Tx) -> None:
        tx.executions.move(put(tx, ExecutionState.AWAITING_APPROVAL), Trigger.DENY)

    await store.write(end)
    assert (await chain_of(store)).open[0].startswith("nothing says that it was told")


async def test_an_execution_that_is_not_kept_has_no_chain(store: OpenStore) -> None:
    assert await store.read(lambda tx: why(tx, ID)) is None


async def test_standing_counts_what_is_open_and_owed(store: OpenStore, clock: ManualClock) -> None:
    def fill(tx: Tx) -> None:
        execution = put(tx, ExecutionState.AWAITING_APPROVAL)
        owe(tx, execution, ShowCard(execution_id=ID), identity="card")

    await store.write(fill)
    clock.advance(200)
    now = await store.read(standing)
    assert now.executions[ExecutionState.AWAITING_APPROVAL] == 1
    assert now.events[EventState.DUE] == 1
    assert now.oldest_untold_at == now.now - 200
    assert not is_heard(now.nodes[0], now.now)


def test_what_an_event_tells_is_a_word() -> None:
    outcome = TellOutcome(execution_id=ID, state=ExecutionState.FINISHED)
    told = [
        told_by(payload) for payload in (ShowCard(execution_id=ID), outcome, ShowOutput(execution_id=ID), Say(text="x"))
    ]
    assert told == ["card", "finished", "output", "reply"]


async def test_a_node_that_was_paired_and_has_not_come_since_is_not_connected(
    store: OpenStore, clock: ManualClock
) -> None:
    (node,) = (await store.read(standing)).nodes
    assert not is_heard(node, clock.now())
    await store.write(lambda tx: tx.nodes.seen(made.NODE))
    (node,) = (await store.read(standing)).nodes
    assert is_heard(node, clock.now())
