"""What the store promises of executions, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from bot.domain.command import NodeFingerprint
from bot.domain.event import ClaimToken, Event, EventTrigger, InputState, TellOutcome
from bot.domain.execution import FINAL, WAITING, Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.message import Nonce
from bot.domain.session import PersonId
from bot.errors import IllegalTransition, Malformed, StaleRow
from bot.ports import Tx
from bot.store import OpenStore, rows
from bot.store.rows import execution_values
from bot.store.schema import executions
from tests.clock import START, ManualClock
from tests.store.made import (
    ALL_CHANNELS,
    ALL_CLAIMABLE,
    NODE,
    command,
    event,
    execution,
    message,
    result,
    session,
)

S = ExecutionState
EVERY_COLUMN = replace(
    execution(),
    reason="because",
    decided_by=PersonId("bob"),
    decided_at=START + 1,
    started_at=START + 2,
    ended_at=START + 3,
    stop_wanted_by=PersonId("cy"),
    live_tail="…50 %\n",
    result=result("ünïcode 🎉\n"),
)


def test_every_field_has_a_column_and_every_column_is_written() -> None:
    """One that is forgotten would keep what stood there before, in silence."""
    apart = {"id", "state", "revision"}
    assert {*execution_values(execution()), *apart} == {column.name for column in executions.c}
    written = {*rows._PLAIN, *(field for field, _ in rows._MADE.values())}
    assert {*written, *apart} == {field.name for field in fields(Execution)}


def test_only_what_changed_is_written() -> None:
    ended = replace(execution(), reason="because", is_escalated=True)
    assert execution_values(ended, unlike=execution()) == {"reason": "because", "is_escalated": 1}


async def insert(store: OpenStore, *executions: Execution) -> None:
    for one in executions:
        assert await store.write(inserting(one))


def inserting(one: Execution) -> Callable[[Tx], bool]:
    return lambda tx: tx.executions.insert(one)


async def get(store: OpenStore, execution_id: str = "7K3Q9A") -> Execution:
    found = await store.read(lambda tx: tx.executions.get(ExecutionId(execution_id)))
    assert found is not None
    return found


async def test_an_execution_comes_back_as_it_was_stored(store: OpenStore) -> None:
    await insert(store, EVERY_COLUMN, replace(execution("222222"), command=None, command_hash=None, deciders=()))
    assert await get(store) == EVERY_COLUMN
    assert (await get(store, "222222")).command is None
    assert await store.read(lambda tx: tx.executions.get(ExecutionId("nobody"))) is None


async def test_a_taken_id_is_said_and_what_stands_stays(store: OpenStore) -> None:
    await insert(store, execution())
    assert not await store.write(lambda tx: tx.executions.insert(execution(room="elsewhere")))
    assert (await get(store)).session == session("ops")


async def test_a_move_writes_state_columns_step_and_revision(store: OpenStore, clock: ManualClock) -> None:
    await insert(store, execution())
    clock.advance(5)
    before = await get(store)
    moved = await store.write(
        lambda tx: tx.executions.move(
            replace(before, reason="said so", ended_at=tx.now), Trigger.CANCEL, by="ann", detail="oops"
        )
    )
    assert moved.state is S.CANCELLED
    assert moved.revision == 1
    assert moved == await get(store)
    assert moved.ended_at == START + 5
    steps = await store.read(lambda tx: tx.executions.steps(moved.id))
    assert [(step.at, step.what, step.by, step.detail) for step in steps] == [(START + 5, "cancel", "ann", "oops")]


async def test_a_move_from_a_state_that_has_passed_is_stale_and_changes_nothing(store: OpenStore) -> None:
    await insert(store, execution(state=S.AWAITING_APPROVAL))
    seen = await get(store)
    await store.write(lambda tx: tx.executions.move(seen, Trigger.APPROVE))
    with pytest.raises(StaleRow):
        await store.write(lambda tx: tx.executions.move(seen, Trigger.DENY))
    with pytest.raises(StaleRow):
        await store.write(lambda tx: tx.executions.amend(seen))
    with pytest.raises(StaleRow):
        await store.write(lambda tx: tx.executions.amend(execution("222222")))
    assert (await get(store)).state is S.APPROVED
    assert [step.what for step in await store.read(lambda tx: tx.executions.steps(seen.id))] == ["approve"]


async def test_a_move_that_the_table_does_not_hold_is_refused(store: OpenStore) -> None:
    await insert(store, execution(state=S.FINISHED))
    seen = await get(store)
    with pytest.raises(IllegalTransition):
        await store.write(lambda tx: tx.executions.move(seen, Trigger.DISPATCH))
    assert await get(store) == seen


async def test_an_amendment_writes_every_column_but_id_and_state(store: OpenStore) -> None:
    await insert(store, execution())
    await store.write(lambda tx: tx.executions.amend(EVERY_COLUMN))
    assert await get(store) == replace(EVERY_COLUMN, revision=1)


async def test_of_two_who_decide_at_once_one_wins(store: OpenStore, another: OpenStore) -> None:
    await insert(store, execution(state=S.AWAITING_APPROVAL))

    def decide(tx: Tx, trigger: Trigger) -> bool:
        found = tx.executions.lock(ExecutionId("7K3Q9A"))
        assert found is not None
        if found.state is not S.AWAITING_APPROVAL:
            return False
        tx.executions.move(found, trigger)
        return True

    for number in range(5):
        await insert(store, execution(f"22222{number}", state=S.AWAITING_APPROVAL))
    won = await asyncio.gather(
        store.write(lambda tx: decide(tx, Trigger.APPROVE)), another.write(lambda tx: decide(tx, Trigger.DENY))
    )
    assert sorted(won) == [False, True]
    assert len(await store.read(lambda tx: tx.executions.steps(ExecutionId("7K3Q9A")))) == 1


async def test_the_first_vote_of_a_person_is_final(store: OpenStore) -> None:
    await insert(store, execution())
    bob, cy, id_ = PersonId("bob"), PersonId("cy" + "🎉" * 700), ExecutionId("7K3Q9A")
    assert await store.write(lambda tx: tx.executions.vote(id_, bob, approves=True, reason=""))
    assert not await store.write(lambda tx: tx.executions.vote(id_, bob, approves=False, reason="no"))
    assert await store.write(lambda tx: tx.executions.vote(id_, cy, approves=False, reason="no"))
    assert await store.read(lambda tx: tx.executions.approvers(id_)) == [bob]


async def test_executions_are_listed_by_state_node_and_session(store: OpenStore) -> None:
    other = NodeFingerprint("node-2")
    await insert(
        store,
        execution("AAAAA2", created_at=START + 2),
        execution("AAAAA3", created_at=START + 1),
        execution("AAAAA4", created_at=START + 3, node=other, room="dev"),
        execution("AAAAA5", state=S.FINISHED),
    )

    def ids(found: object) -> list[str]:
        assert isinstance(found, list)
        return [one.id for one in found]

    read = store.read
    assert ids(await read(lambda tx: tx.executions.in_states({S.PREPARING}))) == ["AAAAA3", "AAAAA2", "AAAAA4"]
    newest = await read(lambda tx: tx.executions.in_states(WAITING, newest_first=True, limit=2))
    assert ids(newest) == ["AAAAA4", "AAAAA2"]
    assert ids(await read(lambda tx: tx.executions.in_states(WAITING, nodes=[other]))) == ["AAAAA4"]
    assert ids(await read(lambda tx: tx.executions.in_states(WAITING, nodes=[]))) == []
    assert ids(await read(lambda tx: tx.executions.in_states(WAITING, session=session("dev")))) == ["AAAAA4"]
    assert ids(await read(lambda tx: tx.executions.in_states(FINAL))) == ["AAAAA5"]


async def test_only_waiting_executions_expire_and_only_when_their_time_has_come(
    store: OpenStore, clock: ManualClock
) -> None:
    await insert(
        store,
        execution("AAAAA2", expires_at=START + 20),
        execution("AAAAA3", expires_at=START + 10, state=S.APPROVED),
        execution("AAAAA4", expires_at=START + 10, state=S.RUNNING),
    )
    clock.advance(10)
    assert [one.id for one in await store.read(lambda tx: tx.executions.expired())] == ["AAAAA3"]
    clock.advance(10)
    assert [one.id for one in await store.read(lambda tx: tx.executions.expired())] == ["AAAAA3", "AAAAA2"]


async def test_a_stop_is_wanted_until_the_node_has_answered(store: OpenStore) -> None:
    ann = PersonId("ann")
    await insert(
        store,
        execution("AAAAA2", state=S.RUNNING, stop_wanted_by=ann),
        execution("AAAAA3", state=S.RUNNING),
        execution("AAAAA4", state=S.FINISHED, stop_wanted_by=ann),
        execution("AAAAA5", state=S.LOST, stop_wanted_by=ann, node=NodeFingerprint("node-2")),
    )
    assert [one.id for one in await store.read(lambda tx: tx.executions.stop_wanted([NODE]))] == ["AAAAA2"]


async def test_what_is_pruned_leaves_a_tombstone_that_keeps_its_id(store: OpenStore) -> None:
    await insert(store, execution(state=S.FINISHED, ended_at=START), execution("222222", state=S.RUNNING))
    outcome = event("outcome:7K3Q9A", payload=TellOutcome(execution_id=ExecutionId("7K3Q9A"), state=S.FINISHED))
    await store.write(lambda tx: tx.executions.step(ExecutionId("7K3Q9A"), "requested", by="ann"))
    await store.write(lambda tx: tx.events.add(outcome))
    await store.write(
        lambda tx: tx.inputs.add(replace(message(state=InputState.ANSWERED), execution_id=ExecutionId("7K3Q9A")))
    )

    async def prune() -> int:
        return await store.write(lambda tx: tx.executions.prune(ended_before=START + 1))

    assert await prune() == 0, "its result is not told yet"
    await tell_all(store)
    assert await store.write(lambda tx: tx.executions.prune(ended_before=START)) == 0, "it is not that old"
    assert await prune() == 1
    assert await store.read(lambda tx: tx.executions.get(ExecutionId("7K3Q9A"))) is None
    assert await store.read(lambda tx: tx.executions.steps(ExecutionId("7K3Q9A"))) == []
    assert not await store.write(lambda tx: tx.executions.insert(execution())), "the id is taken for ever"
    assert not await store.write(lambda tx: tx.events.add(outcome)), "and it cannot be told again"
    assert await prune() == 0
    assert (await get(store, "222222")).state is S.RUNNING


async def test_what_the_agent_has_not_been_told_is_not_pruned(store: OpenStore) -> None:
    await insert(store, execution(state=S.FINISHED, ended_at=START))
    await store.write(lambda tx: tx.inputs.add(replace(message(), execution_id=ExecutionId("7K3Q9A"))))
    assert await store.write(lambda tx: tx.executions.prune(ended_before=START + 1)) == 0


async def test_pruning_is_bounded(store: OpenStore) -> None:
    await insert(store, *(execution(f"AAAAA{n}", state=S.DENIED, ended_at=START) for n in (2, 3, 4)))
    assert await store.write(lambda tx: tx.executions.prune(ended_before=START + 1, limit=2)) == 2
    assert await store.write(lambda tx: tx.executions.prune(ended_before=START + 1, limit=2)) == 1


async def test_text_that_no_database_takes_is_stored_visibly_and_ids_are_refused(store: OpenStore) -> None:
    nasty = "a\x00b\ud800c"
    shell = ("printf", nasty)
    stored = replace(
        execution(),
        asker_name=nasty,
        reason=nasty,
        live_tail=nasty,
        result=result(nasty),
        request=replace(execution().request, text=nasty, argv=shell),
        command=command(shell),
    )
    await insert(store, stored)
    await store.write(lambda tx: tx.executions.step(stored.id, "told", by=nasty, detail=nasty))
    found = await get(store)
    seen = "a\u2400b\ufffdc"
    assert (found.asker_name, found.reason, found.live_tail) == (seen, seen, seen)
    assert found.result is not None
    assert found.result.output.text() == seen
    assert found.command is not None
    assert found.command.argv == shell, "what was approved comes back to the letter"
    assert found.request.argv == shell
    for bad in (ExecutionId("7K3Q\x00"), ExecutionId("\ud800")):
        with pytest.raises(Malformed):
            await store.write(inserting(replace(execution(), id=bad)))


async def tell_all(store: OpenStore) -> None:
    """Claim, send and tell whatever is due."""
    token = ClaimToken("teller")
    claimed = await store.write(
        lambda tx: tx.events.claim(token=token, lease_s=60, limit=100, channels=ALL_CHANNELS, states=ALL_CLAIMABLE)
    )
    for one in claimed:
        assert await store.write(telling(one, token))


def telling(found: Event, token: ClaimToken) -> Callable[[Tx], bool]:
    def tell(tx: Tx) -> bool:
        sending = tx.events.begin_send(found, token=token, nonce=Nonce("n"), part=0, lease_s=60)
        assert sending is not None
        return tx.events.move(sending, EventTrigger.TELL, token=token)

    return tell
