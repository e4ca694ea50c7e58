"""How many yeses it takes, whose, and with what: counted at each press and again at the hand-over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.directory import Directory, Person
from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action, Sender
from bot.domain.policy import Policy, Rule, Verdict
from bot.domain.session import PersonId
from bot.domain.terms import Terms
from tests.flow.stage import ANN, BOB, CY, PEOPLE, Stage, policy
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
    assert note == f"✅ Your yes to {execution.id} counts: 1 of 2. Still needed: 1 of: cy, discord:U1."
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


async def test_f069_whoever_asked_stays_whoever_asked_when_the_config_gives_them_another_name(stage: Stage) -> None:
    stage.policy = policy(FOUR_EYES)
    execution = await stage.shown()
    ann = Person(name="ann", ids=(PersonId("discord:U1"),))
    rule = replace(FOUR_EYES, deciders=("bob", "ann"))
    stage.policy = Policy(directory=Directory(people=(*PEOPLE.people, ann)), owners=("bob",), rules=(rule,))

    note = await stage.press(execution, who=ANN)

    assert note is not None
    assert "Whoever asked may not approve it" in note
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert await stage.press(execution, Action.STOP, who=ANN) == f"⏹ {execution.id} is cancelled, nothing ran."


async def test_f069_nobody_is_taken_for_whoever_asked_by_a_name_that_they_were_given_since(stage: Stage) -> None:
    ann = Person(name="ann", ids=(PersonId("discord:U1"),))
    rule = replace(FOUR_EYES, deciders=("bob", "ann"))
    stage.policy = Policy(directory=Directory(people=(*PEOPLE.people, ann)), owners=("bob",), rules=(rule,))
    execution = await stage.shown()
    assert execution.asker == "ann"
    another = Person(name="ann", ids=(PersonId("discord:U9"),))
    stage.policy = Policy(directory=Directory(people=(*PEOPLE.people, another)), owners=("bob",), rules=(rule,))

    await stage.press(execution, who=Sender(native="U9", name="Ann"))

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


@pytest.mark.parametrize("tail", ["", " code 123456"])
async def test_f050_a_code_that_nobody_can_check_is_no_yes(stage: Stage, tail: str) -> None:
    stage.policy = policy(replace(TWO, terms=Terms(second_factor=True)))
    execution = await stage.shown()

    await stage.say(f"approve {execution.id}{tail}", who=BOB)
    await stage.press(execution, who=BOB)

    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert await stage.store.read(lambda tx: tx.executions.approvers(execution.id)) == []


async def test_a_command_that_is_allowed_by_now_asks_for_no_yes_and_says_so(stage: Stage) -> None:
    stage.policy = policy(TWO)
    execution = await stage.shown()
    stage.policy = policy(Rule(name="all", action=Verdict.ALLOW))

    note = await stage.press(execution, who=BOB)

    assert note is not None
    assert "allows it unasked by now: ask again" in note
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_a_decider_replaces_a_command_by_a_request_of_its_own_with_its_own_hash(stage: Stage) -> None:
    stage.policy = policy(TWO)
    first = await stage.shown("rm -rf /srv/old")

    await stage.say(f"edit {first.id} rm -r /srv/old/logs", who=BOB)
    await stage.answer()
    await stage.inspect()
    await stage.tell_all()

    gone = await stage.in_state(first, S.DENIED)
    (second,) = [one for one in await stage.all_executions() if one.id != first.id]
    assert gone.reason == f"replaced by {second.id}, which has its own card"
    assert (second.asker, second.request.text, second.origin.peer) == ("bob", "rm -r /srv/old/logs", first.origin.peer)
    assert second.command_hash != first.command_hash
    assert ("instead_of", "bob") in await stage.steps(second)
    assert "already settled" in str(await stage.press(first, who=CY))
    await stage.in_state(second, S.AWAITING_APPROVAL)


async def test_f069_with_four_eyes_whoever_replaced_it_does_not_approve_their_own(stage: Stage) -> None:
    stage.policy = policy(FOUR_EYES)
    first = await stage.shown()
    await stage.say(f"edit {first.id} df -i", who=BOB)
    await stage.answer()
    await stage.inspect()
    (second,) = [one for one in await stage.all_executions() if one.id != first.id]

    await stage.say(f"approve {second.id}", who=BOB)

    await stage.in_state(second, S.AWAITING_APPROVAL)


@pytest.mark.parametrize("asks", ["stranger", "late", "voted"])
async def test_who_may_not_decide_it_replaces_nothing(stage: Stage, asks: str) -> None:
    stage.policy = policy(TWO if asks == "voted" else replace(TWO, deciders=("bob",), terms=Terms()))
    first = await stage.shown()
    if asks == "late":
        await stage.press(first, Action.DENY, who=BOB)
    if asks == "voted":
        await stage.press(first, who=BOB)
    before = (await stage.read(first)).state

    await stage.say(f"edit {first.id} df -i", who=CY if asks == "stranger" else BOB)
    await stage.answer()
    await stage.tell_all()

    assert len(await stage.all_executions()) == 1
    assert (await stage.read(first)).state is before
    said = {
        "stranger": "You may not decide",
        "late": "waits for no decision any more",
        "voted": "the first word counts",
    }
    assert said[asks] in stage.posts()[-1]


async def test_what_is_replaced_by_nothing_readable_stays(stage: Stage) -> None:
    first = await stage.shown()
    for tail in ("", " -x; ls"):
        await stage.say(f"edit {first.id}{tail}", who=BOB)
        await stage.answer()
    await stage.say("edit 222222 ls", who=BOB)
    await stage.answer()
    await stage.tell_all()

    await stage.in_state(first, S.AWAITING_APPROVAL)
    assert "Did you mean: edit" in stage.posts()[-3]
    assert "There is no execution 222222" in stage.posts()[-1]
