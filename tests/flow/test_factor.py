"""A second factor where a rule wants one: what counts as a yes, what is kept of a code, and who reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text as sql

from bot.domain.execution import ExecutionState
from bot.domain.factor import HIDDEN, MAX_FAILURES
from bot.domain.gate import Gate
from bot.domain.glass import GlassRule
from bot.domain.message import Action, FormField
from bot.domain.policy import Policy, Rule, Verdict
from bot.domain.session import Peer, PeerKind, PersonId
from bot.domain.terms import Terms
from bot.flow.demands import OVERHEARD
from bot.ports import Tx
from tests.device import STEP_S, Device
from tests.flow.stage import ANN, BOB, CY, Stage, a_peer, policy

S = ExecutionState
CODE = Rule(name="with a code", action=Verdict.ASK, deciders=("bob", "cy"), terms=Terms(second_factor=True))
BOTH = replace(CODE, terms=Terms(second_factor=True, needs_reason=True))
TWO = replace(CODE, terms=Terms(second_factor=True, quorum=2))
ALONE = a_peer("U2", kind=PeerKind.DIRECT)


@pytest.fixture
async def device(stage: Stage) -> Device:
    """Bob's."""
    stage.policy = policy(CODE)
    return await stage.enrol()


def now(stage: Stage, device: Device) -> str:
    return device.code(stage.clock.now())


async def everything(stage: Stage) -> str:
    """Every text that any table holds."""

    def look(tx: Tx) -> str:
        connection = tx.factors.connection  # type: ignore[attr-defined]
        tables = connection.execute(sql("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        rows = [row for name in tables for row in connection.execute(sql(f"SELECT * FROM {name}")).all()]  # noqa: S608
        return "\n".join(str(value) for row in rows for value in row if isinstance(value, str))

    return await stage.store.inner.read(look)


# --- what a yes needs ------------------------------------------------------------------------------


async def test_a_press_with_the_code_of_the_form_approves_and_the_code_is_kept_nowhere(
    stage: Stage, device: Device
) -> None:
    execution = await stage.shown()
    assert await stage.press(execution) == (
        f"{execution.id} needs a code of your own device. Press the button, which asks for it, or write to me alone: "
        f"approve {execution.id} code <code>. Nothing was decided."
    )
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    code = now(stage, device)
    note = await stage.press(execution, code=code)
    assert note == f"✅ You approved {execution.id}. Its result comes to the place that asked."
    await stage.in_state(execution, S.APPROVED)
    assert code not in await everything(stage)
    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)


async def test_reason_and_code_are_asked_for_together_and_no_code_is_used_up_without_the_reason(
    stage: Stage, device: Device
) -> None:
    stage.policy = policy(BOTH)
    execution = await stage.shown()
    code = now(stage, device)
    note = await stage.press(execution, code=code)
    assert note is not None
    assert note.startswith(f"{execution.id} needs a reason. ")
    assert f"approve {execution.id} because <reason> code <code>" in note
    assert "needs a reason and a code of your own device." in str(await stage.press(execution, reason=""))
    assert await stage.press(execution, reason="the disk is full", code=code) is not None
    await stage.in_state(execution, S.APPROVED)


@pytest.mark.parametrize("typed", ["12345", "123456789", "abcdef"])
@pytest.mark.usefixtures("device")
async def test_what_is_no_code_is_said_and_counts_as_no_guess(stage: Stage, typed: str) -> None:
    execution = await stage.shown()
    assert "a code has 6 digits" in str(await stage.press(execution, code=typed))
    found = await stage.store.inner.read(lambda tx: tx.factors.get(PersonId("bob")))
    assert found is not None
    assert found.failures == 0


async def test_whoever_has_no_device_says_no_yes_and_is_told_what_to_do(stage: Stage, device: Device) -> None:
    execution = await stage.shown()
    for code in (None, now(stage, device)):
        note = str(await stage.press(execution, who=CY, code=code))
        assert (
            "you have no device for codes yet: an operator enrols it at the gateway with `homing totp enroll cy`"
            in (note)
        )
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    # A no needs none.
    await stage.press(execution, Action.DENY, who=CY)
    await stage.in_state(execution, S.DENIED)


async def test_wrong_codes_lock_and_the_person_is_told_privately_for_how_long(stage: Stage, device: Device) -> None:
    execution = await stage.shown()
    wrong = device.wrong(stage.clock.now())
    notes = [str(await stage.press(execution, code=wrong)) for _ in range(MAX_FAILURES)]
    assert "that code is wrong. 4 more wrong ones lock your codes" in notes[0]
    assert "One more wrong one locks your codes" in notes[-2]
    assert "that code is wrong, and your codes are locked now for 15 min" in notes[-1]
    stage.clock.advance(61)
    assert "your codes are locked for 14 more min" in str(await stage.press(execution, code=now(stage, device)))
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.store.inner.write(lambda tx: tx.factors.unlock(PersonId("bob"), by="op"))
    await stage.press(execution, code=now(stage, device))
    await stage.in_state(execution, S.APPROVED)


async def test_a_code_carries_one_decision_and_not_the_next(stage: Stage, device: Device) -> None:
    one, other = await stage.shown(), await stage.shown("uptime", room="dev")
    code = now(stage, device)
    await stage.say(f"approve {one.id} code {code}", who=BOB, peer=ALONE)
    await stage.in_state(one, S.APPROVED)
    await stage.say(f"approve {other.id} code {code}", who=BOB, peer=ALONE)
    await stage.in_state(other, S.AWAITING_APPROVAL)
    await stage.tell_all()
    assert "that code was used already. Wait for the next one, at most 30 s" in stage.posts()[-1]


@pytest.mark.usefixtures("device")
async def test_a_recovery_code_works_where_a_code_does_and_says_how_many_are_left(stage: Stage) -> None:
    codes = await stage.store.inner.write(lambda tx: tx.factors.renew_codes(PersonId("bob"), by="op"))
    assert codes is not None
    execution = await stage.shown()
    note = str(await stage.press(execution, code=codes[0].lower()))
    assert note.endswith("That was a recovery code; 9 are left. `homing totp codes` makes new ones.")
    await stage.in_state(execution, S.APPROVED)
    assert codes[0] not in await everything(stage)


async def test_a_gateway_with_another_key_takes_no_code_and_says_whom_to_ask(stage: Stage, device: Device) -> None:
    def spoil(tx: Tx) -> None:
        tx.factors.connection.execute(sql("UPDATE factors SET sealed = x'00'"))  # type: ignore[attr-defined]

    await stage.store.inner.write(spoil)
    execution = await stage.shown()
    assert "an operator has to look at the gateway's key" in str(await stage.press(execution, code=now(stage, device)))
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_a_form_that_is_sent_in_twice_is_one_vote_and_uses_up_one_code(stage: Stage, device: Device) -> None:
    stage.policy = policy(TWO)
    execution = await stage.shown()
    press = stage.a_press(execution, code=now(stage, device))
    first, second = await stage.intake.press(press), await stage.intake.press(press)
    assert "counts: 1 of 2" in str(first.note)
    assert second.note == f"You have decided {execution.id} already; the first word counts."
    other = await stage.enrol("cy")
    late = stage.a_press(execution, who=CY, code=now(stage, other))
    await stage.intake.press(late)
    await stage.in_state(execution, S.APPROVED)
    assert "already settled" in str((await stage.intake.press(late)).note)
    found = await stage.store.inner.read(lambda tx: tx.factors.get(PersonId("cy")))
    assert found is not None
    assert found.failures == 0


async def test_always_needs_the_code_too_and_counts_no_more_without_where_the_rule_comes_to_want_one(
    stage: Stage, device: Device
) -> None:
    free = replace(CODE, terms=Terms(grant_for_s=3_600.0))
    strict = replace(CODE, terms=Terms(grant_for_s=3_600.0, second_factor=True))
    stage.policy = policy(free)
    before = await stage.shown()
    assert "always allowed" in str(await stage.press(before, Action.ALWAYS))
    stage.policy = policy(strict)
    asked = await stage.shown()
    await stage.in_state(asked, S.AWAITING_APPROVAL)
    await stage.say(f"approve {asked.id} always", who=BOB, peer=ALONE)
    await stage.in_state(asked, S.AWAITING_APPROVAL)
    await stage.say(f"approve {asked.id} always: df -* code {now(stage, device)}", who=BOB, peer=ALONE)
    await stage.in_state(asked, S.APPROVED)
    third = await stage.asked()
    assert third.grant is not None
    await stage.in_state(third, S.APPROVED)


# --- a sign is not enough --------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [CODE, replace(CODE, terms=Terms(needs_reason=True))])
async def test_a_reaction_is_not_enough_and_what_to_do_is_said_once(stage: Stage, rule: Rule) -> None:
    stage.policy = policy(rule)
    await stage.enrol()
    execution = await stage.shown()
    for _ in range(2):
        assert await stage.react("👍", who=BOB) is None
    await stage.react("👍", who=ANN)
    await stage.tell_all()
    said = [post for post in stage.posts() if "A reaction is not enough" in post]
    assert said == [
        f"A reaction is not enough for {execution.id}: press Allow on its card, which asks for what else it needs."
    ]
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.react("👎", who=BOB)
    await stage.in_state(execution, S.DENIED)
    await stage.react("👍", who=BOB)


async def test_a_reaction_of_who_has_said_yes_already_gets_no_such_word(stage: Stage, device: Device) -> None:
    stage.policy = policy(TWO)
    execution = await stage.shown()
    await stage.press(execution, code=now(stage, device))
    assert await stage.react("👍") == f"You have decided {execution.id} already; the first word counts."


# --- the policy of the moment ----------------------------------------------------------------------


async def test_f081_votes_without_a_factor_do_not_carry_a_hand_over_where_the_rule_wants_one_by_then(
    stage: Stage,
) -> None:
    stage.policy = policy(replace(CODE, terms=Terms()))
    execution = await stage.approved()
    stage.policy = policy(CODE)
    await stage.hand_over()
    gone = await stage.in_state(execution, S.CANCELLED)
    assert gone.reason == "the rules want a code of the device of whoever says yes by now, and it has none; ask again"
    assert stage.hub.gone == []


async def test_f081_a_yes_of_before_the_rule_wanted_a_code_can_be_given_one(stage: Stage) -> None:
    stage.policy = policy(replace(TWO, terms=Terms(quorum=2)))
    bobs, cys = await stage.enrol("bob"), await stage.enrol("cy")
    execution = await stage.shown()
    await stage.press(execution)
    stage.policy = policy(TWO)
    assert "counts: 1 of 2" in str(await stage.press(execution, who=CY, code=now(stage, cys)))
    await stage.press(execution, code=now(stage, bobs))
    await stage.in_state(execution, S.APPROVED)
    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)


async def test_a_card_of_before_the_rule_wanted_a_code_gets_the_form_that_its_person_is_sent_to(
    stage: Stage, device: Device
) -> None:
    stage.policy = policy(replace(CODE, terms=Terms()))
    execution = await stage.shown()
    stage.policy = policy(CODE)
    assert "Press the button, which asks for it" in str(await stage.press(execution))
    await stage.edit()
    allow = next(one for one in stage.channel.edits[-1][1].buttons if one.action is Action.APPROVE)
    assert allow.asks == (FormField.CODE,)
    assert (await stage.read(execution)).deciders == ("bob", "cy")
    revision = (await stage.read(execution)).revision
    await stage.press(execution)
    assert (await stage.read(execution)).revision == revision
    await stage.press(execution, code=now(stage, device))
    await stage.in_state(execution, S.APPROVED)


async def test_a_code_is_not_even_looked_at_where_no_rule_wants_one(stage: Stage, device: Device) -> None:
    stage.policy = policy()
    execution = await stage.shown()
    await stage.press(execution, code=device.wrong(stage.clock.now()))
    await stage.in_state(execution, S.APPROVED)
    found = await stage.store.inner.read(lambda tx: tx.factors.get(PersonId("bob")))
    assert found is not None
    assert found.failures == 0


async def test_break_glass_brings_the_code_along_and_counts_no_more_without_where_the_rule_comes_to_want_one(
    stage: Stage, device: Device
) -> None:
    law = GlassRule(people=("bob",), reviewers=("cy",), announce_to=(a_peer("announcements"),))
    free = replace(CODE, deciders=("cy", "discord:U9"), terms=Terms(quorum=2))
    strict = replace(free, terms=Terms(quorum=2, second_factor=True))
    stage.policy = replace(policy(strict), glass=law)
    await stage.say("break-glass the shop is down", who=BOB)
    execution = await stage.shown()
    await stage.say(f"approve {execution.id}", who=BOB)
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.say(f"approve {execution.id} code {now(stage, device)}", who=BOB, peer=ALONE)
    await stage.in_state(execution, S.APPROVED)
    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)

    stage.policy = replace(policy(free), glass=law)
    other = await stage.shown("uptime")
    await stage.say(f"approve {other.id}", who=BOB)
    await stage.in_state(other, S.APPROVED)
    stage.policy = replace(policy(strict), glass=law)
    await stage.hand_over()
    gone = await stage.in_state(other, S.CANCELLED)
    assert gone.reason == "the rules want a code of the device of whoever says yes by now, and it has none; ask again"


# --- where others read it --------------------------------------------------------------------------


@pytest.mark.parametrize("room", [a_peer(), a_peer("g", kind=PeerKind.GROUP), a_peer(thread="17")])
async def test_a_code_in_a_shared_room_is_refused_and_spent_and_kept_nowhere(
    stage: Stage, device: Device, room: Peer
) -> None:
    execution = await stage.shown()
    code = now(stage, device)
    await stage.say(f"approve {execution.id} code {code}", who=BOB, peer=room)
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.tell_all()
    assert OVERHEARD in stage.posts()
    assert code not in await everything(stage)
    # Whoever read it cannot use it, in no place.
    assert "used already" in str(await stage.press(execution, code=code))
    stage.clock.advance(STEP_S)
    await stage.say(f"approve {execution.id} code {now(stage, device)}", who=BOB, peer=ALONE)
    await stage.in_state(execution, S.APPROVED)


@pytest.mark.parametrize(
    "line",
    [
        "aprove {id} code {code}",
        "approve {id} {code}",
        "approve {id} the code is {code}",
        "my code is {code}, go ahead",
        "{code}",
        "deny {id} wrong one, code {code}",
        "pause code {code}",
        "approve {id} code {loose}",
        "rack 345 {code}",
        "deny 7K3Q9A {code}",
        "approve {id} 7K3Q9A code {code}",
        "approve {id}, 7K3Q9A because it must code {code}",
    ],
)
async def test_a_code_in_any_other_words_in_a_room_is_spent_and_kept_nowhere(
    stage: Stage, device: Device, line: str
) -> None:
    execution = await stage.shown()
    code = now(stage, device)
    spaced = f"{code[:3]} {code[3:]}"
    loose = f"{code[:2]} {code[2:4]} {code[4:]}"
    await stage.say(line.format(id=execution.id, code=spaced, loose=loose), who=BOB)
    await stage.answer()
    await stage.tell_all()
    kept = await everything(stage)
    assert code not in kept
    assert spaced not in kept
    assert loose not in kept
    assert not any(code in post or spaced in post for post in stage.posts())
    assert HIDDEN in kept
    other = await stage.shown("uptime", room="dev")
    message = f"posted-{len(stage.channel.sent)}"
    assert "used already" in str(await stage.press(other, code=code, message=message))


async def test_a_code_that_the_gate_keeps_out_or_that_comes_late_is_spent_all_the_same(
    stage: Stage, device: Device
) -> None:
    execution = await stage.shown()
    opened, stage.gate = stage.gate, Gate()
    code = now(stage, device)
    await stage.say(f"approve {execution.id} code {code}", who=BOB)
    stage.gate = opened
    assert "used already" in str(await stage.press(execution, code=code))
    codes = await stage.store.inner.write(lambda tx: tx.factors.renew_codes(PersonId("bob"), by="op"))
    assert codes is not None
    await stage.say(f"approve {execution.id} code {codes[0]}", who=BOB, age_s=4_000)
    assert "that code is wrong" in str(await stage.press(execution, code=codes[0]))
    assert codes[0] not in await everything(stage)


@pytest.mark.parametrize("line", ["{code}", "it says {code}", "approve {id} {code}", "deny {id} {code}"])
async def test_a_code_that_the_gate_keeps_out_is_spent_in_whatever_words(
    stage: Stage, device: Device, line: str
) -> None:
    execution = await stage.shown()
    opened, stage.gate = stage.gate, Gate()
    code = now(stage, device)
    await stage.say(line.format(id=execution.id, code=code), who=BOB)
    await stage.say(f"the ticket is {code}", who=ANN)
    stage.gate = opened
    assert "used already" in str(await stage.press(execution, code=code))
    lines = [one for one in await stage.store.inner.read(lambda tx: tx.audit.lines()) if one.kind == "factor_spent"]
    assert [one.fields()["by"] for one in lines] == ["bob"]


@pytest.mark.usefixtures("device")
async def test_a_recovery_code_in_a_reason_is_kept_nowhere_though_it_is_used_already(stage: Stage) -> None:
    codes = await stage.store.inner.write(lambda tx: tx.factors.renew_codes(PersonId("bob"), by="op"))
    assert codes is not None
    for command in ("df -h", "uptime"):
        execution = await stage.shown(command)
        await stage.say(f"deny {execution.id} wrong field {codes[0]}", who=BOB)
        await stage.in_state(execution, S.DENIED)
        await stage.tell_all()
    assert codes[0] not in await everything(stage)
    assert not any(codes[0] in post for post in stage.posts())


async def test_a_code_alone_with_the_bot_is_no_decision_and_not_used_up_by_a_slip(stage: Stage, device: Device) -> None:
    execution = await stage.shown()
    code = now(stage, device)
    await stage.say(f"aprove {execution.id} code {code}", who=BOB, peer=ALONE)
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert code not in await everything(stage)
    await stage.say(f"approve {execution.id} code {code}", who=BOB, peer=ALONE)
    await stage.in_state(execution, S.APPROVED)


async def test_a_code_in_a_reason_is_taken_out_before_it_is_told(stage: Stage, device: Device) -> None:
    stage.policy = policy(replace(CODE, terms=Terms(needs_reason=True)))
    execution = await stage.shown()
    code = now(stage, device)
    await stage.press(execution, reason=f"INC-482913, {code}")
    approved = await stage.in_state(execution, S.APPROVED)
    assert code not in await everything(stage)
    assert f"INC-482913, {HIDDEN}" in await everything(stage)
    assert approved.reason != code


async def test_a_press_with_a_code_before_the_cards_receipt_is_not_kept(stage: Stage, device: Device) -> None:
    execution = await stage.asked()
    code = now(stage, device)
    note = await stage.press(execution, code=code, message="not-yet")
    assert note == f"The card of {execution.id} is being recorded. Press again in a moment; nothing was decided."
    assert code not in await everything(stage)
    early = stage.a_press(execution, reason=f"see {code}", message="not-yet")
    assert "Noted." in str((await stage.intake.press(early)).note)
    assert code not in await everything(stage)


async def test_a_command_is_run_to_the_letter_whatever_digits_it_has(stage: Stage, device: Device) -> None:
    stage.policy = Policy()
    code = now(stage, device)
    execution = await stage.requested(f"echo code {code}")
    assert execution.request.argv == ("echo", "code", code)
