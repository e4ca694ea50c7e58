"""How many yeses it takes, whose, and with what: counted at each press and again at the hand-over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action
from bot.domain.policy import Rule, Verdict
from bot.domain.terms import Terms
from tests.flow.stage import ANN, BOB, CY, Stage, policy
from tests.platforms.forms import text_of

S = ExecutionState
TWO = Rule(name="two of us", action=Verdict.ASK, deciders=("bob", "cy", "discord:U1"), terms=Terms(quorum=2))
FOUR_EYES = replace(TWO, terms=Terms(four_eyes=True))


@pytest.fixture
async def half(stage: Stage) -> Execution:
    """Asked by ann, with one yes of the two that it takes."""
    stage.policy = policy(TWO)
    execution = await stage.shown()
    note = await stage.press(execution, who=BOB)
    assert note == f"✅ Your yes to {execution.id} counts: 1 of 2. Still needed: 1 of cy, discord:U1."
    return await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_one_yes_of_two_is_shown_and_runs_nothing(stage: Stage, half: Execution) -> None:
    assert half.approved_by == ("bob",)
    assert ("vote", "bob") in await stage.steps(half)
    await stage.hand_over()
    await stage.edit()

    assert stage.hub.offers == []
    await stage.in_state(half, S.AWAITING_APPROVAL)
    assert "1 of 2 approved: bob. Waiting for one more of: cy, discord:U1." in text_of(stage.channel.edits[-1][1])


async def test_the_yes_that_makes_the_quorum_approves(stage: Stage, half: Execution) -> None:
    await stage.press(half, who=CY)

    approved = await stage.in_state(half, S.APPROVED)
    assert approved.approved_by == ("bob", "cy")
    assert approved.decided_by == "cy"


async def test_f051_one_person_counts_once_however_often_and_on_how_many_networks_they_press(
    stage: Stage, half: Execution
) -> None:
    note = await stage.press(half, who=BOB)

    assert note == f"You have decided {half.id} already; the first word counts."
    await stage.in_state(half, S.AWAITING_APPROVAL)


async def test_one_no_is_enough_whatever_the_quorum(stage: Stage, half: Execution) -> None:
    await stage.press(half, Action.DENY, who=CY)

    await stage.in_state(half, S.DENIED)


async def test_f081_a_vote_of_somebody_who_may_no_longer_decide_is_not_counted(stage: Stage, half: Execution) -> None:
    stage.policy = policy(replace(TWO, deciders=("cy", "discord:U1")))

    await stage.press(half, who=CY)

    still = await stage.in_state(half, S.AWAITING_APPROVAL)
    assert still.approved_by == ("cy",)
    await stage.press(half, who=ANN)
    await stage.in_state(half, S.APPROVED)


async def test_f081_a_quorum_that_no_longer_holds_at_the_hand_over_withdraws_it(stage: Stage, half: Execution) -> None:
    await stage.press(half, who=CY)
    stage.policy = policy(replace(TWO, deciders=("cy", "discord:U1")))

    await stage.hand_over()
    await stage.tell_all()

    await stage.in_state(half, S.CANCELLED)
    assert stage.hub.gone == []
    assert "it has 1 of 2 votes that count by now; who may decide: cy, discord:U1" in stage.posts()[-1]


async def test_a_quorum_that_was_raised_meanwhile_counts_at_the_hand_over(stage: Stage, half: Execution) -> None:
    await stage.press(half, who=CY)
    stage.policy = policy(replace(TWO, terms=Terms(quorum=3)))

    await stage.hand_over()

    await stage.in_state(half, S.CANCELLED)
    assert stage.hub.gone == []


async def test_f069_with_four_eyes_the_asker_is_refused_and_told_why(stage: Stage) -> None:
    stage.policy = policy(FOUR_EYES)
    execution = await stage.shown()

    note = await stage.press(execution, who=ANN)

    assert note is not None
    assert "Whoever asked may not approve it" in note
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.press(execution, who=BOB)
    await stage.in_state(execution, S.APPROVED)


async def test_a_yes_that_lacks_its_reason_is_none_and_says_what_to_type(stage: Stage) -> None:
    stage.policy = policy(replace(TWO, terms=Terms(needs_reason=True)))
    execution = await stage.shown()

    note = await stage.press(execution, who=BOB)

    assert note == (
        f"{execution.id} needs a reason. Type: approve {execution.id} because <reason>. Nothing was decided."
    )
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.say(f"approve {execution.id} because the disk is full", who=BOB)
    await stage.in_state(execution, S.APPROVED)
    steps = await stage.store.read(lambda tx: tx.executions.steps(execution.id))
    assert ("approve", "the disk is full") in [(step.what, step.detail) for step in steps]


async def test_a_command_that_is_allowed_by_now_asks_for_no_yes_and_says_so(stage: Stage) -> None:
    stage.policy = policy(TWO)
    execution = await stage.shown()
    stage.policy = policy(Rule(name="all", action=Verdict.ALLOW))

    note = await stage.press(execution, who=BOB)

    assert note is not None
    assert "allows it unasked by now: ask again" in note
    await stage.in_state(execution, S.AWAITING_APPROVAL)
