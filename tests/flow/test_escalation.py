"""What nobody decides for a while: further people may, and copies of the card go where the rule says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.execution import Execution, ExecutionState
from bot.domain.policy import Rule, Verdict
from bot.domain.terms import Terms
from bot.flow.escalation import Escalations
from bot.ports import Tx
from tests.flow.races import beaten
from tests.flow.stage import BOB, CY, DENY_ALL, Stage, a_peer, policy

S = ExecutionState
AFTER_S = 300.0
RULE = Rule(
    name="bob, then cy",
    action=Verdict.ASK,
    deciders=("bob",),
    escalate_after_s=AFTER_S,
    escalate_to=("cy",),
    escalate_copy_to=(a_peer("leads"),),
)


async def look(stage: Stage) -> None:
    escalations = Escalations(stage.store, stage.policies, stage.signals, stage._capabilities_at)
    assert not await escalations.step()


@pytest.fixture
async def waiting(stage: Stage) -> Execution:
    stage.policy = policy(RULE)
    return await stage.shown()


async def test_until_then_only_the_first_may_decide(stage: Stage, waiting: Execution) -> None:
    stage.clock.advance(AFTER_S - 0.001)
    await look(stage)

    assert "You may not decide" in str(await stage.press(waiting, who=CY))
    assert (await stage.read(waiting)).deciders == ("bob",)


async def test_from_then_on_the_others_may_too_and_the_card_and_a_copy_name_them(
    stage: Stage, waiting: Execution
) -> None:
    stage.clock.advance(AFTER_S)
    await look(stage)
    await look(stage)
    await stage.tell_all()
    await stage.edit()

    assert (await stage.read(waiting)).deciders == ("bob", "cy")
    assert ("escalate", "bob, then cy") in await stage.steps(waiting)
    assert [sent.address.peer.id for sent in stage.channel.sent] == ["ops", "leads"]
    assert "bob, cy" in stage.posts()[-1]
    await stage.press(waiting, who=CY)
    await stage.in_state(waiting, S.APPROVED)


async def test_what_is_settled_by_then_stays_as_it_is(stage: Stage, waiting: Execution) -> None:
    await stage.press(waiting, who=BOB)
    stage.clock.advance(AFTER_S)
    await look(stage)
    await stage.tell_all()

    approved = await stage.in_state(waiting, S.APPROVED)
    assert (approved.escalates_at, approved.is_escalated) == (None, False)
    assert [sent.address.peer.id for sent in stage.channel.sent] == ["ops"]


async def test_a_policy_that_asks_nobody_by_then_asks_nobody_further(stage: Stage, waiting: Execution) -> None:
    stage.policy = DENY_ALL
    stage.clock.advance(AFTER_S)
    await look(stage)

    assert (await stage.in_state(waiting, S.AWAITING_APPROVAL)).is_escalated is False


async def test_a_quorum_that_needs_the_others_waits_for_them(stage: Stage) -> None:
    stage.policy = policy(replace(RULE, terms=Terms(quorum=2)))
    execution = await stage.shown()
    await stage.press(execution, who=BOB)
    stage.clock.advance(AFTER_S)
    await look(stage)

    await stage.press(execution, who=CY)
    await stage.in_state(execution, S.APPROVED)


async def test_who_could_decide_later_still_counts_at_the_hand_over(stage: Stage, waiting: Execution) -> None:
    stage.clock.advance(AFTER_S)
    await look(stage)
    await stage.press(waiting, who=CY)

    await stage.hand_over()

    await stage.in_state(waiting, S.DISPATCHED)


async def test_a_rule_that_asks_nobody_further_by_then_posts_no_copies(stage: Stage, waiting: Execution) -> None:
    stage.policy = policy(replace(RULE, escalate_after_s=None, escalate_to=(), escalate_copy_to=()))
    stage.clock.advance(AFTER_S)
    await look(stage)
    await stage.tell_all()

    assert (await stage.read(waiting)).deciders == ("bob",)
    assert [sent.address.peer.id for sent in stage.channel.sent] == ["ops"]


async def test_two_replicas_that_look_at_once_ask_further_once(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.policy = policy(RULE)
    execution = await stage.shown()
    stage.clock.advance(AFTER_S)

    def escalate(tx: Tx, locked: Execution) -> None:
        tx.executions.amend(replace(locked, escalates_at=None, is_escalated=True))

    await beaten(stage, execution, escalate, act=lambda: look(stage))

    assert "escalate" not in [what for what, _ in await stage.steps(execution)]
    await stage.tell_all()
    assert [sent.address.peer.id for sent in stage.channel.sent] == ["ops"]
