"""What has a faster way that failed: expiry, loss, revocation, lapsed leases, what is held too long, pruning."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.domain.event import ClaimToken, EventState
from bot.domain.execution import Execution, ExecutionState, Trigger
from bot.domain.message import NotPosted
from bot.domain.retry import MAX_AGE_S
from bot.errors import ChannelHeld, ChannelUncertain
from bot.flow.decision import APPROVED_FOR_S
from bot.ports import Tx
from bot.store.transaction import Connected
from tests.flow.ends import NODE
from tests.flow.races import beaten
from tests.flow.stage import LOST_AFTER_S, RETENTION_S, Stage, words

S = ExecutionState


async def heard(stage: Stage) -> None:
    """The node's connection is alive."""
    await stage.reports.seen([NODE])


async def told(stage: Stage) -> list[str]:
    return [event.identity.split(":")[-1] for event in await stage.events() if event.identity.startswith("outcome:")]


# --- expiry ------------------------------------------------------------------------------------------


async def test_f061_what_nobody_decides_expires_and_is_told(stage: Stage) -> None:
    execution = await stage.shown()
    stage.clock.advance(1_799.9)
    await stage.tidy()
    await stage.in_state(execution, S.AWAITING_APPROVAL)

    stage.clock.advance(0.1)
    await stage.tidy()
    await stage.tell_all()
    assert (await stage.in_state(execution, S.EXPIRED)).reason == "nobody decided it in time"
    assert "nobody decided it in time" in stage.posts()[-1]


async def test_f061_what_the_node_does_not_inspect_in_time_expires(stage: Stage) -> None:
    execution = await stage.requested()
    stage.clock.advance(60.0)
    await stage.tidy()

    assert (await stage.in_state(execution, S.EXPIRED)).reason == "the node did not answer in time"


async def test_f050_an_approval_that_the_node_does_not_take_in_time_expires(stage: Stage) -> None:
    execution = await stage.approved()
    stage.clock.advance(APPROVED_FOR_S)
    await stage.tidy()

    expired = await stage.in_state(execution, S.EXPIRED)
    assert expired.reason == "its node did not take it in time after the approval"


async def test_what_has_ended_does_not_expire(stage: Stage) -> None:
    execution = await stage.finished()
    stage.clock.advance(3_600.0)
    await stage.tidy()

    await stage.in_state(execution, S.FINISHED)


# --- loss --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.DISPATCHED, S.RUNNING])
async def test_f090_a_node_that_is_silent_for_too_long_has_lost_what_it_had(
    stage: Stage, state: ExecutionState
) -> None:
    execution = await (stage.dispatched() if state is S.DISPATCHED else stage.running())
    await heard(stage)
    stage.clock.advance(LOST_AFTER_S)
    await stage.tidy()
    await stage.in_state(execution, state)

    stage.clock.advance(0.1)
    await stage.tidy()
    lost = await stage.in_state(execution, S.LOST)
    assert lost.reason == "the node web-1 has not been heard from; whether it ran is not known"
    assert (await told(stage))[-1].isdigit()


async def test_f090_a_gateway_that_was_away_itself_holds_no_silence_against_a_node(stage: Stage) -> None:
    """It was down for an hour: nothing could be heard. Nodes come back within seconds of its start."""
    execution = await stage.running()
    await heard(stage)
    stage.clock.advance(3_600.0)
    stage.restart()
    stage.clock.advance(LOST_AFTER_S)
    await stage.tidy()
    await stage.in_state(execution, S.RUNNING)

    stage.clock.advance(0.1)
    await stage.tidy()
    await stage.in_state(execution, S.LOST)


async def test_what_runs_far_past_its_limit_is_lost_though_its_node_is_there(stage: Stage) -> None:
    execution = await stage.running()
    assert execution.command is not None
    sweep = stage.sweep()
    stage.clock.advance(APPROVED_FOR_S + execution.command.limits.timeout_s + LOST_AFTER_S)
    await heard(stage)
    await sweep.step()
    await stage.in_state(execution, S.RUNNING)

    stage.clock.advance(0.1)
    await heard(stage)
    await sweep.step()
    lost = await stage.in_state(execution, S.LOST)
    assert lost.reason == "no report came in its time; whether it ran is not known"


async def test_a_loss_is_told_once_however_often_is_swept(stage: Stage) -> None:
    await stage.running()
    sweep = stage.sweep()
    stage.clock.advance(LOST_AFTER_S + 1.0)
    for _ in range(3):
        await sweep.step()
        stage.clock.advance(1.0)

    assert len(await told(stage)) == 1


# --- revocation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "state"),
    [
        (Stage.requested, S.CANCELLED),
        (Stage.shown, S.CANCELLED),
        (Stage.approved, S.CANCELLED),
        (Stage.dispatched, S.LOST),
        (Stage.running, S.LOST),
        (Stage.finished, S.FINISHED),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
async def test_f079_what_a_revoked_node_was_to_do_ends_and_what_it_has_is_lost(
    stage: Stage, reach: Callable[[Stage], Awaitable[Execution]], state: ExecutionState
) -> None:
    execution = await reach(stage)
    await stage.revoke(NODE)
    await stage.tidy()
    await stage.tidy()

    ended = await stage.in_state(execution, state)
    assert (ended.reason == "the node web-1 was revoked") is (state is not S.FINISHED)
    assert len(await told(stage)) == 1


# --- leases ------------------------------------------------------------------------------------------


async def test_f040_a_sender_that_died_leaves_a_question_to_the_network(stage: Stage) -> None:
    await stage.add(words("e"))
    heartbeat = stage.heartbeat()
    begun = asyncio.Event()

    async def die() -> None:
        begun.set()
        await asyncio.Event().wait()

    stage.channel.during_send = die
    await heartbeat.step()
    await begun.wait()
    await heartbeat.tasks.close()

    stage.clock.advance(59.9)
    await stage.tidy()
    assert (await stage.event("e")).state is EventState.SENDING
    stage.clock.advance(0.1)
    await stage.tidy()
    found = await stage.event("e")
    assert (found.state, found.trouble) == (EventState.RECONCILING, "the sender died")


async def test_a_question_that_lapsed_needs_no_sweep(stage: Stage) -> None:
    await stage.add(words("e"))
    stage.channel.send_answers.append(ChannelUncertain("?"))
    await stage.beat()
    stage.channel.find_answers.append(ChannelUncertain("?"))
    await stage.beat()
    stage.clock.advance(60.0)

    await stage.tidy()

    assert (await stage.event("e")).state is EventState.RECONCILING
    stage.channel.find_answers.append(NotPosted.SURELY)
    await stage.beat()
    assert (await stage.event("e")).state is EventState.DUE


async def test_a_turn_that_died_gives_its_inputs_back(stage: Stage) -> None:
    await stage.say("run df -h")
    await stage.store.write(lambda tx: tx.inputs.claim(token=ClaimToken("died"), lease_s=180.0, limit=1))
    stage.clock.advance(180.0)
    stage.signals.turn.clear()

    await stage.tidy()

    assert len(await stage.waiting_inputs()) == 1
    assert stage.signals.turn._event.is_set()


async def test_a_pass_that_finds_nothing_wakes_nobody(stage: Stage) -> None:
    stage.signals.turn.clear()
    await stage.tidy()

    assert not stage.signals.turn._event.is_set()


async def test_f103_what_is_held_for_a_day_is_dead_and_visible(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    await stage.add(words("e"))
    stage.channel.send_answers.append(ChannelHeld("closed"))
    await stage.beat()
    stage.clock.advance(MAX_AGE_S)
    await stage.tidy()
    assert (await stage.event("e")).state is EventState.HELD

    stage.clock.advance(0.1)
    await stage.tidy()
    dead = await stage.event("e")
    assert (dead.state, dead.trouble) == (EventState.DEAD, "held for a day")
    assert "event.dead" in [record.message for record in caplog.records]


# --- pruning -----------------------------------------------------------------------------------------


async def test_what_is_told_and_answered_goes_after_its_time_and_what_is_owed_stays(stage: Stage) -> None:
    await stage.finished()
    await stage.tell_all()
    await stage.answer()
    dead = words("dead", room="dev")
    await stage.add(dead)
    stage.clock.advance(RETENTION_S + 1.0)
    await stage.finished("uptime")
    await stage.tidy()
    await stage.tidy()

    assert [one.request.text for one in await stage.all_executions()] == ["uptime"]
    assert "dead" in [event.identity for event in await stage.events()]
    assert "outcome" in [event.identity.split(":")[0] for event in await stage.events()]


# --- races that one file cannot have: another replica is quicker between the look and the lock ----------------


def approve(tx: Tx, execution: Execution) -> None:
    tx.executions.move(replace(execution, expires_at=tx.now + APPROVED_FOR_S), Trigger.APPROVE, by="bob")


def prolong(tx: Tx, execution: Execution) -> None:
    tx.executions.amend(replace(execution, expires_at=tx.now + 60.0))


def finish(tx: Tx, execution: Execution) -> None:
    tx.executions.move(replace(execution, ended_at=tx.now), Trigger.FINISH, by="web-1")


def delete(tx: Tx, execution: Execution) -> None:
    assert isinstance(tx.executions, Connected)
    tx.executions.connection.execute(text("DELETE FROM executions WHERE id = :id"), {"id": execution.id})


@pytest.mark.parametrize(("change", "state"), [(approve, S.APPROVED), (prolong, S.AWAITING_APPROVAL)])
async def test_f050_an_expiry_that_a_decision_has_beaten_changes_nothing(
    postgres_stage: Stage, change: Callable[[Tx, Execution], None], state: ExecutionState
) -> None:
    execution = await postgres_stage.shown()
    postgres_stage.clock.advance(1_800.0)

    await beaten(postgres_stage, execution, change)

    await postgres_stage.in_state(execution, state)
    assert await told(postgres_stage) == []


async def test_f090_a_loss_that_a_report_has_beaten_changes_nothing(postgres_stage: Stage) -> None:
    execution = await postgres_stage.running()
    postgres_stage.clock.advance(LOST_AFTER_S + 1.0)

    await beaten(postgres_stage, execution, finish)

    await postgres_stage.in_state(execution, S.FINISHED)
    assert await told(postgres_stage) == []


async def test_f079_a_revocation_that_a_report_has_beaten_loses_nothing(postgres_stage: Stage) -> None:
    execution = await postgres_stage.running()
    await postgres_stage.revoke(NODE)

    await beaten(postgres_stage, execution, finish)

    await postgres_stage.in_state(execution, S.FINISHED)


@pytest.mark.parametrize("advance_s", [0.0, 1_800.0])
async def test_what_is_deleted_between_the_look_and_the_lock_is_left_alone(
    postgres_stage: Stage, advance_s: float
) -> None:
    execution = await postgres_stage.shown()
    if advance_s:
        postgres_stage.clock.advance(advance_s)
    else:
        await postgres_stage.revoke(NODE)

    await beaten(postgres_stage, execution, delete)

    assert await postgres_stage.all_executions() == []
    assert await told(postgres_stage) == []
