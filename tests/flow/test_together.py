"""One press or message about several: each is decided by itself, in one transaction, and told in one answer."""

from __future__ import annotations

import ast
import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.command import CommandHash
from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action
from bot.domain.policy import Rule, Verdict
from bot.domain.terms import Terms
from bot.ports import Tx
from tests.flow.ends import NODE
from tests.flow.stage import ANN, BOB, CY, DENY_ALL, Stage, a_peer, policy
from tests.flow.together import (
    asked_together,
    button,
    card_of,
    press,
    press_all,
    shown_together,
)
from tests.platforms.forms import buttons_of, text_of

S = ExecutionState
ROOT = Path(__file__).parents[2]
TWO = Rule(name="two of us", action=Verdict.ASK, deciders=("bob", "cy"), terms=Terms(quorum=2))


def ids(*several: Execution) -> str:
    return ", ".join(one.id for one in several)


async def states(stage: Stage, several: list[Execution]) -> list[ExecutionState]:
    return [(await stage.read(one)).state for one in several]


# --- all of a card -------------------------------------------------------------------------------------------


async def test_f048_allow_all_is_a_yes_to_each_that_stood_on_the_card(stage: Stage) -> None:
    several = await shown_together(stage)
    note = await press_all(stage)

    assert note == f"✅ You approved {ids(*several)}. Its result comes to the place that asked."
    assert await states(stage, several) == [S.APPROVED] * 3
    for one in several:
        assert ("all", "bob") in await stage.steps(one)
        assert ("approve", "bob") in await stage.steps(one)


async def test_each_line_of_the_audit_names_the_batch(stage: Stage) -> None:
    first, *_ = await shown_together(stage)
    await press_all(stage)

    lines = await stage.store.read(lambda tx: tx.audit.of_execution(first.id))
    approved = [line.body or "" for line in lines if line.kind == "approve"]
    assert first.batch is not None
    assert [f'"batch":"{first.batch.id}"' in body for body in approved] == [True]


async def test_deny_all_gives_each_the_reason(stage: Stage) -> None:
    several = await shown_together(stage)
    note = await press_all(stage, Action.DENY_ALL, reason="not today")

    assert note == f"❌ You denied {ids(*several)}; whoever asked is told: not today"
    assert [(await stage.read(one)).reason for one in several] == ["not today"] * 3


async def test_stop_all_cancels_what_waits_and_stops_what_runs(stage: Stage) -> None:
    first, second, third = await shown_together(stage)
    await press(stage, button(card_of(stage), Action.APPROVE, first.id))
    await press(stage, button(card_of(stage), Action.DENY, second.id))
    await stage.hand_over()
    await stage.reports.started(NODE, first.id, stage.clock.now())
    note = await press_all(stage, Action.STOP_ALL, who=ANN)

    assert (await stage.read(first)).stop_wanted_by == "discord:U1"
    assert await states(stage, [second, third]) == [S.DENIED, S.CANCELLED]
    assert f"⏹ {first.id} is being stopped" in note
    assert f"{second.id} is already settled by bob" in note
    assert f"⏹ {third.id} is cancelled" in note


async def test_f048_what_is_settled_already_is_not_touched_and_the_rest_counts(stage: Stage) -> None:
    first, second, third = await shown_together(stage)
    pressed = button(card_of(stage), Action.APPROVE_ALL)
    await press(stage, button(card_of(stage), Action.DENY, second.id))
    note = await press(stage, pressed)

    assert await states(stage, [first, second, third]) == [S.APPROVED, S.DENIED, S.APPROVED]
    assert note.splitlines() == [
        f"✅ You approved {first.id}, {third.id}. Its result comes to the place that asked.",
        f"{second.id} is already settled by bob: ❌ Denied, nothing ran.",
    ]
    assert ("all", "bob") not in await stage.steps(second)


async def test_f069_what_this_person_may_not_decide_is_said_and_the_rest_counts(stage: Stage) -> None:
    """The policy of this moment says who may: it has changed for one of them since they were shown."""
    first, second, third = await shown_together(stage)
    pressed = button(card_of(stage), Action.APPROVE_ALL)
    escalated = replace(await stage.read(second), is_escalated=True)
    await stage.store.write(lambda tx: tx.executions.amend(escalated))
    stage.policy = policy(
        Rule(
            name="cy, then bob",
            action=Verdict.ASK,
            deciders=("cy",),
            escalate_after_s=9.0,
            escalate_to=("bob",),
        )
    )
    note = await press(stage, pressed)

    assert await states(stage, [first, second, third]) == [S.AWAITING_APPROVAL, S.APPROVED, S.AWAITING_APPROVAL]
    assert f"You may not decide {first.id}, {third.id}. Who may: cy." in note
    assert f"✅ You approved {second.id}" in note


async def test_f069_who_may_decide_none_of_them_decides_none(stage: Stage) -> None:
    several = await shown_together(stage)
    note = await press_all(stage, who=CY)

    assert note == f"You may not decide {ids(*several)}. Who may: bob."
    assert await states(stage, several) == [S.AWAITING_APPROVAL] * 3


async def test_the_policy_of_this_moment_may_ask_nobody_any_more(stage: Stage) -> None:
    several = await shown_together(stage)
    stage.policy = DENY_ALL
    note = await press_all(stage)

    assert "nobody, as the policy stands now" in note
    assert await states(stage, several) == [S.AWAITING_APPROVAL] * 3


async def test_f064_a_quorum_is_counted_for_each(stage: Stage) -> None:
    stage.policy = policy(TWO)
    first, second, third = await shown_together(stage)
    await press(stage, button(card_of(stage), Action.APPROVE, second.id), who=CY)
    note = await press_all(stage)
    await stage.edit()

    assert await states(stage, [first, second, third]) == [S.AWAITING_APPROVAL, S.APPROVED, S.AWAITING_APPROVAL]
    assert f"✅ Your yes to {first.id}, {third.id} counts: 1 of 2" in note
    assert "1 of 2 said yes" in text_of(card_of(stage))
    await press_all(stage, who=CY)
    assert await states(stage, [first, second, third]) == [S.APPROVED] * 3


async def test_f064_four_eyes_hold_for_each(stage: Stage) -> None:
    stage.policy = policy(replace(TWO, terms=Terms(four_eyes=True)))
    several = await shown_together(stage, who=BOB)
    note = await press_all(stage)

    assert "that takes other eyes" in note
    assert "Whoever asked may not approve." in text_of(card_of(stage))
    await press_all(stage, who=CY)
    assert await states(stage, several) == [S.APPROVED] * 3


async def test_a_yes_that_needs_a_reason_needs_it_once_for_all(stage: Stage) -> None:
    stage.policy = policy(replace(TWO, terms=Terms(needs_reason=True)))
    several = await shown_together(stage)
    assert [bool(one.asks) for one in buttons_of(card_of(stage)) if one.action is Action.APPROVE_ALL] == [True]
    note = await press_all(stage)
    assert note == (
        f"{ids(*several)} needs a reason. Type: approve {ids(*several)} because <reason>. Nothing was decided."
    )
    await stage.say(f"approve {ids(*several)} because the disk is full", who=BOB)

    assert await states(stage, several) == [S.APPROVED] * 3


async def test_f050_what_has_expired_is_not_approved_with_the_rest(stage: Stage) -> None:
    first, second, third = await shown_together(stage)
    await stage.store.write(lambda tx: tx.executions.amend(replace(second, expires_at=tx.now)))
    note = await press_all(stage)

    assert await states(stage, [first, second, third]) == [S.APPROVED, S.EXPIRED, S.APPROVED]
    assert f"{second.id} has expired, nothing ran." in note


async def test_f051_a_press_that_is_made_twice_counts_once(stage: Stage) -> None:
    stage.policy = policy(TWO)
    several = await shown_together(stage)
    pressed = button(card_of(stage), Action.APPROVE_ALL)
    await press(stage, pressed)
    note = await press(stage, pressed)

    assert note == f"You have decided {ids(*several)} already; the first word counts."
    assert {(await stage.read(one)).approved_by for one in several} == {("bob",)}


# --- what a button binds to ----------------------------------------------------------------------------------


async def test_f080_a_button_for_other_commands_than_those_of_the_card_decides_nothing(stage: Stage) -> None:
    several = await shown_together(stage)
    pressed = button(card_of(stage), Action.APPROVE_ALL)
    for forged in (
        replace(pressed, shown=CommandHash("0" * 64)),
        replace(pressed, shown=several[0].command_hash or pressed.shown),
    ):
        assert "belongs to other commands" in await press(stage, forged)
        assert "belongs to other commands" in await press(stage, forged, message=None)

    assert await states(stage, several) == [S.AWAITING_APPROVAL] * 3


async def test_f080_the_button_of_one_card_decides_nothing_on_another(stage: Stage) -> None:
    several = await shown_together(stage, *(f"echo {number}" for number in range(12)))
    alone = await shown_together(stage, "df -h")
    second = card_of(stage, 2)
    note = await press(stage, button(second, Action.APPROVE_ALL), message="posted-1")
    assert "belongs to other commands" in note
    note = await press(stage, button(second, Action.APPROVE_ALL), message="posted-3")
    assert note == "That button does not belong to this card. Nothing was decided."
    note = await press(stage, button(second, Action.APPROVE, several[9].id), message="posted-1")
    assert note == "That button does not belong to this card. Nothing was decided."
    assert await states(stage, [*several, *alone]) == [S.AWAITING_APPROVAL] * 13

    await press(stage, button(second, Action.APPROVE_ALL), message="posted-2")
    assert await states(stage, several) == [S.AWAITING_APPROVAL] * 8 + [S.APPROVED] * 4


async def test_f080_each_button_of_one_is_bound_to_its_own_hash(stage: Stage) -> None:
    first, second, _ = await shown_together(stage)
    pressed = button(card_of(stage), Action.APPROVE, first.id)
    note = await press(stage, replace(pressed, shown=second.command_hash or pressed.shown))

    assert "that button belongs to another command" in note
    await stage.in_state(first, S.AWAITING_APPROVAL)


async def test_f071_a_press_that_is_quicker_than_the_card_s_receipt_counts(stage: Stage) -> None:
    several = await asked_together(stage)
    heartbeat = stage.heartbeat()
    notes: list[str] = []

    async def pressed() -> None:
        stage.channel.during_send = None
        post = stage.channel.sent[0].post
        notes.append(await press(stage, button(post, Action.APPROVE, several[0].id), delivery="a"))
        notes.append(await press(stage, button(post, Action.APPROVE_ALL), delivery="b"))

    stage.channel.during_send = pressed
    await heartbeat.step()
    await heartbeat.tasks.drain()
    assert all("It counts as soon as the card" in note for note in notes)
    assert await states(stage, several) == [S.AWAITING_APPROVAL] * 3
    await stage.intake.settle_early()
    assert await states(stage, several) == [S.APPROVED] * 3


async def test_f071_a_reaction_decides_none_of_several_and_says_so(stage: Stage) -> None:
    several = await shown_together(stage)
    note = await stage.react("✅")

    assert "decides none of them" in str(note)
    assert await states(stage, several) == [S.AWAITING_APPROVAL] * 3


# --- typed ---------------------------------------------------------------------------------------------------


async def test_several_ids_in_one_message_are_decided_each_by_itself(stage: Stage) -> None:
    first, second, third = await shown_together(stage)
    await stage.say(f"approve {first.id} {third.id.lower()}, QQQQQQ", who=BOB)
    await stage.say(f"deny {second.id}, {first.id} not today", who=BOB)
    await stage.tell_all()

    assert await states(stage, [first, second, third]) == [S.APPROVED, S.DENIED, S.APPROVED]
    told = "\n".join(stage.posts())
    assert f"✅ You approved {first.id}, {third.id}." in told
    assert "There is no execution QQQQQQ." in told
    assert f"❌ You denied {second.id}; whoever asked is told: not today" in told
    await stage.say(f"stop {first.id} {third.id}", who=ANN)
    assert await states(stage, [first, third]) == [S.CANCELLED] * 2


async def test_f082_a_word_typed_elsewhere_approves_none_that_a_list_cuts(stage: Stage) -> None:
    short, long = await shown_together(stage, "df -h", f"echo {'x' * 100}")
    await stage.say(f"approve {short.id} {long.id}", who=BOB, peer=a_peer("elsewhere"))

    assert await states(stage, [short, long]) == [S.APPROVED, S.AWAITING_APPROVAL]


# --- races ---------------------------------------------------------------------------------------------------


async def test_f048_two_people_who_press_different_ones_at_once_each_decide_theirs(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.policy = policy(replace(TWO, terms=Terms()))
    several = await shown_together(stage)
    post = card_of(stage)
    notes = await asyncio.gather(
        press(stage, button(post, Action.APPROVE, several[0].id), who=BOB, delivery="1"),
        press(stage, button(post, Action.DENY, several[1].id), who=CY, delivery="2"),
    )

    assert [note[0] for note in notes] == ["✅", "❌"]
    assert await states(stage, several) == [S.APPROVED, S.DENIED, S.AWAITING_APPROVAL]


@pytest.mark.parametrize("turn", range(6))
async def test_f048_all_against_single_presses_is_one_outcome_each_and_both_are_told(
    postgres_stage: Stage, turn: int
) -> None:
    stage = postgres_stage
    stage.policy = policy(replace(TWO, terms=Terms()))
    several = await shown_together(stage, *(f"echo {number}" for number in range(8)))
    post = card_of(stage)
    denied = several[turn % 8], several[7 - turn % 8]
    notes = await asyncio.gather(
        press(stage, button(post, Action.APPROVE_ALL), who=BOB, delivery="all"),
        *(press(stage, button(post, Action.DENY, one.id), who=CY, delivery=one.id) for one in denied),
        press(stage, button(post, Action.DENY_ALL), who=CY, delivery="none"),
    )
    for one in several:
        ended = await stage.read(one)
        votes = [what for what, _ in await stage.steps(one) if what in {"approve", "deny"}]
        assert len(votes) == 1, "one decision each"
        assert {S.APPROVED: "approve", S.DENIED: "deny"}[ended.state] == votes[0]
        by_bob, by_cy = notes[0], "\n".join(notes[1:])
        assert one.id in by_bob
        assert one.id in by_cy
    approved = [one.id for one in several if (await stage.read(one)).state is S.APPROVED]
    said = [line for line in notes[0].splitlines() if line.startswith("✅")]
    assert [line.split("approved ")[1].split(". ")[0].split(", ") for line in said] == ([approved] if approved else [])


async def test_f048_all_against_the_sweep_that_expires_them_is_one_outcome_each(postgres_stage: Stage) -> None:
    """The sweep locks all of them before it tells of the first, as the press does: neither waits for the other."""
    stage = postgres_stage
    several = await shown_together(stage, *(f"echo {number}" for number in range(8)))
    pressed = button(card_of(stage), Action.DENY_ALL)
    half = several[::2]

    def late(tx: Tx) -> None:
        for one in half:
            tx.executions.amend(replace(one, expires_at=tx.now))

    await stage.store.write(late)
    await asyncio.gather(stage.tidy(), press(stage, pressed))

    assert await states(stage, half) == [S.EXPIRED] * 4
    assert await states(stage, several[1::2]) == [S.DENIED] * 4


# --- who may reach it ----------------------------------------------------------------------------------------


def test_f076_no_turn_and_no_agent_reaches_a_decision_about_several() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "bot").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "bot.flow.together"
    }
    assert importers == {"bot/flow/intake.py"}


# --- codes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["pressed", "typed"])
async def test_a_code_in_a_reason_for_several_is_kept_with_none_of_them(stage: Stage, how: str) -> None:
    """After the first of them it counts no more, and is taken out of the others all the same."""
    device = await stage.enrol()
    several = await shown_together(stage)
    code = device.code(stage.clock.now())
    if how == "pressed":
        await press_all(stage, Action.DENY_ALL, reason=f"no, {code}")
    else:
        await stage.say(f"deny {ids(*several)} no, {code}", who=BOB)

    for one in several:
        ended = await stage.in_state(one, S.DENIED)
        assert ended.reason is not None
        assert ended.reason.startswith("no, ")
        assert code not in ended.reason


async def test_a_rule_that_comes_to_want_a_code_approves_none_of_a_card_without_one(stage: Stage) -> None:
    await stage.enrol()
    several = await shown_together(stage)
    stage.policy = policy(replace(TWO, terms=Terms(second_factor=True)))
    note = await press_all(stage)

    assert "a code of your own device" in note
    assert await states(stage, several) == [S.AWAITING_APPROVAL] * 3
