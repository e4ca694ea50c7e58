"""One decision: who, on what, when. The policy of the moment says who may; no answer is never a yes."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.message import Action, Sender
from bot.domain.policy import Rule, Verdict
from bot.domain.session import PersonId
from bot.flow.decision import APPROVED_FOR_S
from tests.flow.ends import NODE
from tests.flow.stage import ANN, BOB, CY, CY_DECIDES, DENY_ALL, Stage, policy

S = ExecutionState


async def test_an_id_that_nobody_gave_is_said_and_changes_nothing(stage: Stage) -> None:
    execution = await stage.asked()
    other = ExecutionId("222222" if execution.id != "222222" else "333333")

    await stage.say(f"approve {other}", who=BOB)
    await stage.tell_all()

    assert any(f"There is no execution {other}" in text for text in stage.posts())
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_an_approval_names_who_when_and_until_when(stage: Stage) -> None:
    execution = await stage.shown()
    stage.clock.advance(100.0)

    await stage.press(execution)

    approved = await stage.in_state(execution, S.APPROVED)
    assert approved.decided_by == "bob"
    assert approved.decided_at == stage.clock.now()
    assert approved.expires_at == stage.clock.now() + APPROVED_FOR_S
    assert ("approve", "bob") in await stage.steps(execution)


@pytest.mark.parametrize(("late_s", "state"), [(-0.001, S.APPROVED), (0.0, S.EXPIRED), (0.001, S.EXPIRED)])
async def test_f050_a_yes_counts_until_the_expiry_and_not_from_it_on(
    stage: Stage, late_s: float, state: ExecutionState
) -> None:
    execution = await stage.shown()
    stage.clock.advance(execution.expires_at - stage.clock.now() + late_s)

    note = await stage.press(execution)

    await stage.in_state(execution, state)
    assert note is not None
    assert ("expired" in note) is (state is S.EXPIRED)


async def test_f050_what_expires_at_a_press_is_told_where_it_was_asked(stage: Stage) -> None:
    execution = await stage.shown()
    stage.clock.advance(execution.expires_at - stage.clock.now())

    await stage.press(execution)
    await stage.tell_all()

    assert "Expired, nothing ran" in stage.posts()[-1]
    assert stage.channel.sent[-1].address == execution.origin


async def test_f051_a_hundred_presses_at_once_are_one_decision(stage: Stage) -> None:
    stage.policy = policy(owners=("bob", "cy"))
    execution = await stage.shown()

    presses = [stage.a_press(execution, who=BOB if number % 2 else CY) for number in range(100)]
    answers = await asyncio.gather(*(stage.intake.press(press) for press in presses))

    assert sum(answer.note is not None and "You approved" in answer.note for answer in answers) == 1
    assert sum(answer.note is not None and "already settled" in answer.note for answer in answers) == 99
    assert [what for what, _ in await stage.steps(execution)].count("approve") == 1


async def test_f051_a_no_after_a_yes_says_who_was_first(stage: Stage) -> None:
    stage.policy = policy(owners=("bob", "cy"))
    execution = await stage.shown()
    await stage.press(execution)

    note = await stage.press(execution, Action.DENY, who=CY)

    assert note == f"{execution.id} is already settled by bob: ✅ Approved, waiting for the node."
    await stage.in_state(execution, S.APPROVED)


async def test_what_is_settled_by_nobody_names_nobody(stage: Stage) -> None:
    execution = await stage.shown()
    await stage.say(f"stop {execution.id}")

    assert await stage.press(execution) == f"{execution.id} is already settled: ⏹ Cancelled, nothing ran."


async def test_nothing_is_decided_before_the_node_has_said_what_would_run(stage: Stage) -> None:
    execution = await stage.requested()

    await stage.say(f"approve {execution.id}", who=BOB)

    await stage.in_state(execution, S.PREPARING)
    assert await stage.store.read(lambda tx: tx.executions.approvers(execution.id)) == []


async def test_f069_a_refused_vote_is_recorded_with_who_may(stage: Stage) -> None:
    execution = await stage.shown()

    assert await stage.press(execution, who=ANN) == f"You may not decide {execution.id}. Who may: bob."

    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert ("refused_vote", "discord:U1") in await stage.steps(execution)


async def test_f068_who_may_decide_is_asked_of_the_policy_of_this_moment(stage: Stage) -> None:
    """The card names bob; between the card and the press the rules have changed."""
    execution = await stage.shown()
    stage.policy = CY_DECIDES

    assert await stage.press(execution, who=BOB) == f"You may not decide {execution.id}. Who may: cy."
    note = await stage.press(execution, who=CY)

    assert note is not None
    assert "You approved" in note
    await stage.in_state(execution, S.APPROVED)


@pytest.mark.parametrize(
    "rules", [DENY_ALL.rules, (Rule(name="nobody", action=Verdict.ASK, deciders=()),)], ids=["denied", "nobody"]
)
async def test_f068_where_the_policy_asks_nobody_any_more_nobody_may(stage: Stage, rules: tuple[Rule, ...]) -> None:
    execution = await stage.shown()
    stage.policy = policy(*rules)

    note = await stage.press(execution, who=BOB)

    assert note == f"You may not decide {execution.id}. Who may: nobody, as the policy stands now."
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_somebody_whose_vote_stands_already_votes_no_second_time(stage: Stage) -> None:
    """A vote that is stored counts, whatever became of the answer to it."""
    execution = await stage.shown()
    await stage.store.write(
        lambda tx: tx.executions.vote(execution.id, PersonId("bob"), approves=False, reason="from before")
    )

    assert await stage.press(execution) == f"You have decided {execution.id} already; the first word counts."
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_a_denial_is_told_with_its_reason_and_answered_with_it(stage: Stage) -> None:
    execution = await stage.shown()
    press = stage.a_press(execution, Action.DENY, reason="not on a Friday")

    answer = await stage.intake.press(press)
    await stage.tell_all()

    assert answer.note == f"❌ You denied {execution.id}; whoever asked is told: not on a Friday"
    assert "not on a Friday" in stage.posts()[-1]


async def test_a_denial_without_a_reason_is_a_denial(stage: Stage) -> None:
    execution = await stage.shown()

    assert await stage.press(execution, Action.DENY) == f"❌ You denied {execution.id}; whoever asked is told."
    assert (await stage.in_state(execution, S.DENIED)).reason is None


@pytest.mark.parametrize(("length", "state"), [(80, S.APPROVED), (81, S.AWAITING_APPROVAL)])
async def test_f083_a_yes_that_is_typed_elsewhere_counts_only_for_what_a_list_shows_whole(
    stage: Stage, length: int, state: ExecutionState
) -> None:
    execution = await stage.shown("echo " + "x" * (length - 5))

    await stage.say(f"approve {execution.id}", who=BOB, room="dev")

    await stage.in_state(execution, state)
    assert len(await stage.store.read(lambda tx: tx.executions.approvers(execution.id))) == (state is S.APPROVED)


async def test_f083_a_yes_that_is_typed_elsewhere_counts_for_no_command_that_looks_like_another(stage: Stage) -> None:
    execution = await stage.shown("c\u0430t x")

    await stage.say(f"approve {execution.id}", who=BOB, room="dev")

    await stage.in_state(execution, S.AWAITING_APPROVAL)


@pytest.mark.parametrize(("words", "room", "state"), [("approve", "ops", S.APPROVED), ("deny", "dev", S.DENIED)])
async def test_f083_where_its_card_stands_a_typed_yes_counts_and_a_no_counts_anywhere(
    stage: Stage, words: str, room: str, state: ExecutionState
) -> None:
    execution = await stage.shown("echo " + "x" * 200)

    await stage.say(f"{words} {execution.id}", who=BOB, room=room)

    await stage.in_state(execution, state)


# --- stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [ANN, BOB])
async def test_f064_the_asker_and_the_deciders_may_stop_what_waits(stage: Stage, who: Sender) -> None:
    execution = await stage.shown()

    note = await stage.press(execution, Action.STOP, who=who)

    assert note == f"⏹ {execution.id} is cancelled, nothing ran."
    await stage.in_state(execution, S.CANCELLED)


async def test_somebody_else_may_stop_nothing(stage: Stage) -> None:
    execution = await stage.running()

    await stage.say(f"stop {execution.id}", who=CY)

    assert (await stage.in_state(execution, S.RUNNING)).stop_wanted_by is None


async def test_an_owner_may_stop_also_where_a_rule_asks_nobody(stage: Stage) -> None:
    execution = await stage.running()
    stage.policy = DENY_ALL

    await stage.say(f"stop {execution.id}", who=BOB)

    assert (await stage.in_state(execution, S.RUNNING)).stop_wanted_by == "bob"


async def test_a_stop_of_what_runs_is_stored_once_and_said_once(stage: Stage) -> None:
    execution = await stage.running()

    first = await stage.press(execution, Action.STOP, who=ANN)
    second = await stage.press(execution, Action.STOP, who=BOB)

    assert first == f"⏹ {execution.id} is being stopped; what it wrote until then comes as its result."
    assert second == f"{execution.id} is being stopped already, since discord:U1 asked."
    assert (await stage.in_state(execution, S.RUNNING)).stop_wanted_by == "discord:U1"
    assert [what for what, _ in await stage.steps(execution)].count("stop") == 1


async def test_what_is_lost_can_still_be_stopped(stage: Stage) -> None:
    """Nobody knows whether it runs: then the stop goes to the node as soon as it is back."""
    execution = await stage.running()
    await stage.reports.not_known(NODE, execution.id, "the node was restarted")

    await stage.press(execution, Action.STOP, who=ANN)
    await stage.hand_over()

    assert stage.hub.stops == [(NODE, execution.id)]


async def test_what_has_ended_cannot_be_stopped(stage: Stage) -> None:
    execution = await stage.finished()

    note = await stage.press(execution, Action.STOP)

    assert note == f"{execution.id} is already settled by bob: ✅ Finished, exit 0."
