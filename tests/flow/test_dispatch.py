"""The hand-over: offered as often as needed, committed once, `go` once; and every reason not to, up to the commit."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.message import Action
from bot.errors import NodeAbsent, NodeSilent
from bot.flow import dispatch as dispatching
from bot.flow.decision import APPROVED_FOR_S
from bot.ports import NodeRefusal
from tests.flow.ends import NODE, nothing, the_store_is_away
from tests.flow.stage import ALLOW_ALL, ANN, BOB, CY_DECIDES, DENY_ALL, Stage, policy

S = ExecutionState


async def test_f088_an_approved_command_is_offered_committed_and_then_told_to_go_once(stage: Stage) -> None:
    execution = await stage.approved()
    states: list[ExecutionState] = []

    async def look() -> None:
        states.append((await stage.read(execution)).state)

    stage.hub.during_offer = look
    await stage.hand_over()
    await stage.hand_over()

    assert states == [S.APPROVED]
    await stage.in_state(execution, S.DISPATCHED)
    assert stage.hub.offers == [(NODE, execution.id, execution.command_hash)]
    assert stage.hub.gone == [(NODE, execution.id, "t1")]


async def test_f051_two_hand_overs_at_once_commit_one(stage: Stage) -> None:
    """Two replicas, or a pass beside a slow one: both have an acceptance in hand."""
    execution = await stage.approved()
    one, two = stage.dispatch(), stage.dispatch()
    both_offered = asyncio.Barrier(2)
    stage.hub.during_offer = both_offered.wait

    await one.step()
    await two.step()
    await asyncio.gather(one.tasks.drain(), two.tasks.drain())

    assert len(stage.hub.offers) == 2
    assert len(stage.hub.gone) == 1
    assert [what for what, _ in await stage.steps(execution)].count("dispatch") == 1


async def test_a_hand_over_is_begun_once_however_often_is_looked(stage: Stage) -> None:
    await stage.approved()
    dispatch = stage.dispatch()
    for _ in range(3):
        await dispatch.step()
    await dispatch.tasks.drain()

    assert len(stage.hub.offers) == 1
    assert dispatch.under_way == set()


async def test_a_hand_over_that_ends_during_a_look_is_not_begun_again(stage: Stage) -> None:
    execution = await stage.approved()
    dispatch = stage.dispatch()
    offering, may_answer = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        offering.set()
        await may_answer.wait()

    stage.hub.during_offer = wait
    await dispatch.step()
    await offering.wait()

    async def end_the_first() -> None:
        may_answer.set()
        await dispatch.tasks.drain()

    stage.store.after_read.append(end_the_first)
    await dispatch.step()
    await dispatch.tasks.drain()

    await stage.in_state(execution, S.DISPATCHED)
    assert len(stage.hub.offers) == 1


async def test_no_more_hand_overs_are_begun_than_there_is_room_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await stage.approved()
    stage.clock.advance(1.0)
    two = await stage.approved("uptime")
    monkeypatch.setattr(dispatching, "_MAX_HAND_OVERS", 1)
    dispatch = stage.dispatch()
    # There is room for one, and both are found.
    monkeypatch.setattr(dispatching, "_MAX_HAND_OVERS", 2)
    await dispatch.step()
    await dispatch.tasks.drain()
    assert [offered for _, offered, _ in stage.hub.offers] == [one.id]

    await dispatch.step()
    await dispatch.tasks.drain()
    assert [offered for _, offered, _ in stage.hub.offers] == [one.id, two.id]


async def test_without_a_connected_node_nothing_is_looked_for(stage: Stage) -> None:
    await stage.approved()
    stage.hub.nodes.clear()
    reads = stage.store.reads

    await stage.hand_over()

    assert stage.store.reads == reads


async def test_f050_a_row_that_says_approved_and_holds_no_command_is_never_offered(stage: Stage) -> None:
    """No flow makes it; a hand in the database could. Nothing that nobody was shown may run."""
    execution = await stage.approved()
    forged = replace(execution, id=ExecutionId("222222"), command=None, command_hash=None)
    await stage.store.write(lambda tx: tx.executions.insert(forged))

    await stage.hand_over()

    assert [offered for _, offered, _ in stage.hub.offers] == [execution.id]
    await stage.in_state(forged, S.APPROVED)


async def test_f028_a_hand_over_wakes_who_tells_and_who_edits(stage: Stage) -> None:
    await stage.approved()
    wakes = (stage.signals.heartbeat, stage.signals.cards)
    for wake in wakes:
        wake.clear()
    await stage.hand_over()

    assert [wake._event.is_set() for wake in wakes] == [True, True]


# --- between the offer and the commit ------------------------------------------------------------------------


async def test_f064_a_stop_between_the_offer_and_the_commit_starts_nothing(stage: Stage) -> None:
    execution = await stage.approved()

    async def stop() -> None:
        await stage.press(execution, Action.STOP, who=ANN)

    stage.hub.during_offer = stop
    await stage.hand_over()

    assert stage.hub.gone == []
    await stage.in_state(execution, S.CANCELLED)


async def test_a_pause_between_the_offer_and_the_commit_holds_it(stage: Stage) -> None:
    execution = await stage.approved()

    async def pause() -> None:
        await stage.say("pause", who=BOB)

    stage.hub.during_offer = pause
    await stage.hand_over()
    assert stage.hub.gone == []
    await stage.in_state(execution, S.APPROVED)

    stage.hub.during_offer = None
    await stage.hand_over()
    assert len(stage.hub.offers) == 1
    await stage.say("resume", who=BOB)
    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)


async def test_f079_a_node_that_is_revoked_between_the_offer_and_the_commit_gets_nothing(stage: Stage) -> None:
    execution = await stage.approved()

    async def revoke() -> None:
        await stage.revoke(NODE)

    stage.hub.during_offer = revoke
    await stage.hand_over()

    assert stage.hub.gone == []
    assert (await stage.in_state(execution, S.CANCELLED)).reason == "the node web-1 was revoked"


@pytest.mark.parametrize(("late_s", "state"), [(-0.001, S.DISPATCHED), (0.0, S.EXPIRED)])
async def test_f050_an_approval_is_good_for_ten_minutes_to_the_millisecond(
    stage: Stage, late_s: float, state: ExecutionState
) -> None:
    execution = await stage.approved()

    async def time_passes() -> None:
        stage.clock.advance(APPROVED_FOR_S + late_s)

    stage.hub.during_offer = time_passes
    await stage.hand_over()

    await stage.in_state(execution, state)
    assert len(stage.hub.gone) == (1 if state is S.DISPATCHED else 0)


async def test_f081_an_approval_of_somebody_who_may_not_decide_any_more_is_withdrawn(stage: Stage) -> None:
    execution = await stage.approved()
    stage.policy = CY_DECIDES

    await stage.hand_over()
    await stage.tell_all()

    assert stage.hub.gone == []
    cancelled = await stage.in_state(execution, S.CANCELLED)
    assert cancelled.reason == "whoever approved it may not decide it any more; who may: cy"
    assert "may not decide it any more" in stage.posts()[-1]


async def test_f081_what_the_policy_denies_meanwhile_is_withdrawn(stage: Stage) -> None:
    execution = await stage.approved()
    stage.policy = DENY_ALL

    await stage.hand_over()

    assert stage.hub.gone == []
    assert (await stage.in_state(execution, S.CANCELLED)).reason == "the rule “none” denies it"


async def test_f081_an_approval_that_still_counts_among_new_deciders_holds(stage: Stage) -> None:
    execution = await stage.approved()
    stage.policy = policy(owners=("cy", "bob"))

    await stage.hand_over()

    await stage.in_state(execution, S.DISPATCHED)


async def test_what_a_rule_allows_needs_no_vote(stage: Stage) -> None:
    stage.policy = ALLOW_ALL
    execution = await stage.asked()

    await stage.hand_over()

    await stage.in_state(execution, S.DISPATCHED)


async def test_f050_what_a_rule_allowed_and_a_newer_one_asks_about_is_not_run(stage: Stage) -> None:
    stage.policy = ALLOW_ALL
    execution = await stage.asked()
    stage.policy = CY_DECIDES

    await stage.hand_over()

    assert stage.hub.gone == []
    await stage.in_state(execution, S.CANCELLED)


async def test_an_execution_that_is_gone_when_the_offer_is_answered_is_nobody_s(stage: Stage) -> None:
    execution = await stage.approved()

    async def pruned() -> None:
        await stage.say(f"stop {execution.id}")
        await stage.tell_all()
        await stage.answer()
        stage.clock.advance(90_000.0)
        await stage.tidy()
        assert await stage.all_executions() == []

    stage.hub.during_offer = pruned
    await stage.hand_over()
    assert stage.hub.gone == []


# --- what the node says ----------------------------------------------------------------------------------


async def test_f082_a_refusal_of_the_node_is_the_end_and_told(stage: Stage) -> None:
    execution = await stage.approved()
    stage.hub.offer_answers.append(NodeRefusal(reason="the script has changed since it was shown"))

    await stage.hand_over()
    await stage.tell_all()

    assert stage.hub.gone == []
    await stage.in_state(execution, S.REFUSED)
    assert "the script has changed" in stage.posts()[-1]


async def test_a_refusal_that_comes_after_a_stop_changes_nothing(stage: Stage) -> None:
    execution = await stage.approved()

    async def stop() -> None:
        await stage.press(execution, Action.STOP, who=ANN)

    stage.hub.during_offer = stop
    stage.hub.offer_answers.append(NodeRefusal(reason="no"))
    await stage.hand_over()

    assert (await stage.in_state(execution, S.CANCELLED)).reason == "stopped by discord:U1 before it ran"


async def test_f036_a_store_older_than_the_hand_over_runs_nothing_again(stage: Stage) -> None:
    """Restored from a backup: the row says approved, the node's journal says that it was started."""
    execution = await stage.approved()
    stage.hub.offer_answers.append(NodeRefusal(reason="it was started here before", already_started=True))

    await stage.hand_over()

    assert stage.hub.gone == []
    lost = await stage.in_state(execution, S.LOST)
    assert lost.reason is not None
    assert "is older than that hand-over, so it is not run again" in lost.reason
    assert [by for what, by in await stage.steps(execution) if what == "dispatch"] == ["node's journal"]


@pytest.mark.parametrize("fault", [NodeAbsent("gone"), NodeSilent("no answer")])
async def test_f088_an_offer_that_was_not_answered_is_repeated(stage: Stage, fault: Exception) -> None:
    execution = await stage.approved()
    stage.hub.offer_answers.append(fault)

    await stage.hand_over()
    await stage.in_state(execution, S.APPROVED)
    await stage.hand_over()

    await stage.in_state(execution, S.DISPATCHED)
    assert len(stage.hub.gone) == 1


async def test_f088_a_go_that_did_not_leave_is_never_sent_again(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    execution = await stage.approved()
    stage.hub.go_faults.append(NodeAbsent("gone"))

    await stage.hand_over()
    await stage.hand_over()

    await stage.in_state(execution, S.DISPATCHED)
    assert len(stage.hub.offers) == len(stage.hub.gone) == 1
    assert "dispatch.node_away" in [record.message for record in caplog.records]


async def test_f088_a_gateway_that_dies_between_commit_and_go_sends_no_go_later(stage: Stage) -> None:
    execution = await stage.approved()
    dispatch = stage.dispatch()
    reached = asyncio.Event()

    async def the_process_ends() -> None:
        reached.set()
        await asyncio.Event().wait()

    stage.hub.before_go = the_process_ends
    await dispatch.step()
    await reached.wait()
    await dispatch.tasks.close()
    stage.hub.before_go = None

    await stage.in_state(execution, S.DISPATCHED)
    await stage.hand_over()
    assert stage.hub.gone == []


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching, "delay_s", lambda _attempt, **_: 0.0)


@pytest.mark.usefixtures("no_rest")
@pytest.mark.parametrize("away", [0, 1, 5])
async def test_f088_a_commit_whose_answer_is_lost_says_no_go_and_is_told_as_not_known(stage: Stage, away: int) -> None:
    """While the node stays connected nobody would ask it: then nothing would ever be told."""
    execution = await stage.approved()
    stage.store.after_write.append(the_store_is_away)
    stage.store.before_write.extend([nothing, *[the_store_is_away] * away])

    await stage.hand_over()
    await stage.tell_all()

    assert stage.hub.gone == []
    lost = await stage.in_state(execution, S.LOST)
    assert lost.reason == "the store failed in the moment of the hand-over: whether it ran is not known"
    assert "the store failed" in stage.posts()[-1]


@pytest.mark.usefixtures("no_rest")
async def test_f088_a_commit_that_failed_is_no_loss_and_made_again(stage: Stage) -> None:
    execution = await stage.approved()
    stage.store.before_write.append(the_store_is_away)

    await stage.hand_over()
    await stage.in_state(execution, S.APPROVED)
    await stage.hand_over()

    await stage.in_state(execution, S.DISPATCHED)
    assert len(stage.hub.gone) == 1


@pytest.mark.usefixtures("no_rest")
async def test_f088_a_store_that_stays_away_is_left_to_the_sweep(stage: Stage) -> None:
    execution = await stage.approved()
    stage.store.after_write.append(the_store_is_away)
    stage.store.before_write.extend([nothing, *[the_store_is_away] * 100])
    dispatch = stage.dispatch()
    writes = stage.store.writes
    await dispatch.step()
    await dispatch.tasks.drain()

    assert stage.store.writes == writes + 1 + 10
    assert dispatch.under_way == set()
    await stage.in_state(execution, S.DISPATCHED)


# --- stops -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [NodeAbsent("gone"), NodeSilent("no answer")])
async def test_a_stop_is_sent_until_the_node_has_answered(stage: Stage, fault: Exception) -> None:
    execution = await stage.running()
    await stage.press(execution, Action.STOP, who=ANN)
    stage.hub.stop_faults.append(fault)

    await stage.hand_over()
    await stage.hand_over()
    assert stage.hub.stops == [(NODE, execution.id)] * 2

    await stage.finish(execution)
    await stage.hand_over()
    assert len(stage.hub.stops) == 2


async def test_a_pause_holds_hand_overs_and_no_stop(stage: Stage) -> None:
    running, approved = await stage.running(), await stage.approved("uptime")
    await stage.say("pause", who=BOB)
    await stage.say(f"stop {running.id}")

    await stage.hand_over()

    assert stage.hub.stops == [(NODE, running.id)]
    await stage.in_state(approved, S.APPROVED)
