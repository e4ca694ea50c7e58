"""Messages, presses and reactions: recorded once, decided at once, or kept for a moment until their card is known."""

from __future__ import annotations

import pytest

from bot.domain.command import CommandHash
from bot.domain.event import EventState, Say
from bot.domain.execution import ExecutionState
from bot.domain.message import Action, Answer, Receipt
from bot.domain.session import DirectScope, MessageId, PeerKind, PersonId
from tests.flow.stage import ANN, BOB, CY, Stage, a_peer, at, session, words

S = ExecutionState


async def test_a_message_is_an_input_of_its_session_with_its_return_address(stage: Stage) -> None:
    assert await stage.say("run df -h", message="m7") == Answer(is_working=True)

    (found,) = await stage.waiting_inputs()
    assert (found.session, found.address, found.text) == (session(), at(message="m7"), "run df -h")
    assert (found.person, found.person_native, found.person_name) == (PersonId("discord:U1"), "U1", "Ann")


async def test_a_person_that_the_directory_knows_goes_by_that_name(stage: Stage) -> None:
    await stage.say("run df -h", who=BOB)

    (found,) = await stage.waiting_inputs()
    assert found.person == PersonId("bob")


async def test_f108_a_repeated_delivery_is_one_input(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await stage.say("run df -h", delivery="d")
    await stage.say("run df -h", delivery="d")

    assert len(await stage.waiting_inputs()) == 1
    assert [record.message for record in caplog.records if record.name == "bot.flow.intake"] == ["message.repeated"]


async def test_f108_a_repeated_delivery_decides_once(stage: Stage) -> None:
    execution = await stage.asked()
    for _ in range(3):
        await stage.say(f"approve {execution.id}", who=BOB, delivery="d")

    await stage.tell_all()
    assert sum("You approved" in text for text in stage.posts()) == 1
    assert not any("already" in text for text in stage.posts())


@pytest.mark.parametrize("text", ["run df -h", "approve {id}", "pause", "hello"])
async def test_what_is_seen_late_does_nothing_and_says_so(stage: Stage, text: str) -> None:
    execution = await stage.asked()
    await stage.say(text.format(id=execution.id), who=BOB, age_s=3_601.0)
    await stage.answer()

    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert len(await stage.all_executions()) == 1
    assert await stage.store.read(lambda tx: tx.switches.paused()) is None
    (late,) = [event for event in await stage.events(EventState.DUE) if event.identity.startswith("late:")]
    assert isinstance(late.payload, Say)
    assert "ask again" in late.payload.text


async def test_what_is_an_hour_old_to_the_second_still_counts(stage: Stage) -> None:
    await stage.say("run df -h", age_s=3_600.0)

    assert len(await stage.waiting_inputs()) == 1


async def test_f058_a_typed_decision_does_not_wait_for_the_session_s_turn(stage: Stage) -> None:
    execution = await stage.asked()
    await stage.say("run uptime")
    await stage.say(f"approve {execution.id}", who=BOB)

    await stage.in_state(execution, S.APPROVED)
    assert [one.text for one in await stage.waiting_inputs()] == ["run uptime"]


async def test_a_typed_denial_carries_its_reason(stage: Stage) -> None:
    execution = await stage.asked()
    await stage.say(f"deny {execution.id} not on a Friday", who=BOB)

    assert (await stage.in_state(execution, S.DENIED)).reason == "not on a Friday"


async def test_a_typed_stop_cancels_what_waits(stage: Stage) -> None:
    execution = await stage.asked()
    await stage.say(f"stop {execution.id}")

    assert (await stage.in_state(execution, S.CANCELLED)).reason == "stopped by discord:U1 before it ran"


async def test_pause_and_resume_are_for_owners(stage: Stage) -> None:
    await stage.say("pause the disk is full", who=ANN)
    assert await stage.store.read(lambda tx: tx.switches.paused()) is None

    await stage.say("pause the disk is full", who=BOB)
    paused = await stage.store.read(lambda tx: tx.switches.paused())
    assert paused is not None
    assert (paused.by, paused.reason) == ("bob", "the disk is full")

    await stage.say("resume", who=ANN)
    assert await stage.store.read(lambda tx: tx.switches.paused()) is not None

    await stage.say("resume", who=BOB)
    assert await stage.store.read(lambda tx: tx.switches.paused()) is None

    await stage.tell_all()
    assert [text.splitlines()[0][:9] for text in stage.posts()] == ["Only owne", "⏸ Paused:", "Only owne", "▶️ Resume"]


async def test_direct_conversations_share_a_session_where_the_scope_says_so(stage: Stage) -> None:
    stage.scope = DirectScope.MAIN
    await stage.say("help", peer=a_peer("dm-1", kind=PeerKind.DIRECT))
    await stage.say("help", peer=a_peer("dm-2", kind=PeerKind.DIRECT))

    found = await stage.waiting_inputs()
    assert {one.session for one in found} == {"agent:main:main"}
    assert [one.address.peer.id for one in found if one.address is not None] == ["dm-1", "dm-2"]


# --- presses -----------------------------------------------------------------------------------------


async def test_a_press_on_the_card_decides_and_is_answered_privately(stage: Stage) -> None:
    execution = await stage.shown()

    note = await stage.press(execution)

    assert note is not None
    assert "You approved" in note
    approved = await stage.in_state(execution, S.APPROVED)
    assert (approved.decided_by, approved.decided_at) == ("bob", stage.clock.now())
    assert len(stage.channel.sent) == 1


async def test_a_denial_by_button_keeps_the_reason_of_the_field_beside_it(stage: Stage) -> None:
    execution = await stage.shown()
    press = stage.a_press(execution, Action.DENY, reason="  " + "x" * 600)

    await stage.intake.press(press)

    assert (await stage.in_state(execution, S.DENIED)).reason == "x" * 500


async def test_f048_a_button_that_does_not_belong_to_the_card_under_it_decides_nothing(stage: Stage) -> None:
    one, two = await stage.shown("df -h"), await stage.shown("uptime")

    note = await stage.press(two, message="posted-1")

    assert note == "That button does not belong to this card. Nothing was decided."
    await stage.in_state(one, S.AWAITING_APPROVAL)
    await stage.in_state(two, S.AWAITING_APPROVAL)


async def test_f083_a_button_with_the_hash_of_another_command_decides_nothing(stage: Stage) -> None:
    execution = await stage.shown()

    answer = await stage.intake.press(stage.a_press(execution, shown=CommandHash("0" * 64)))

    assert answer.note is not None
    assert "belongs to another command" in answer.note
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert await stage.store.read(lambda tx: tx.executions.approvers(execution.id)) == []


async def test_f071_a_press_before_the_receipt_counts_when_the_receipt_is_there(stage: Stage) -> None:
    """The person is quicker than our commit: the message stands on the network, its receipt is on the way."""
    execution = await stage.asked()
    notes: list[str | None] = []

    async def press() -> None:
        notes.append(await stage.press(execution))

    stage.channel.during_send = press
    await stage.beat()
    assert notes == [f"Noted. It counts as soon as the card of {execution.id} is recorded, within a minute at most."]
    await stage.in_state(execution, S.AWAITING_APPROVAL)

    assert await stage.intake.settle_early() is False

    await stage.in_state(execution, S.APPROVED)
    stage.channel.during_send = None
    await stage.intake.settle_early()
    assert len(await stage.store.read(lambda tx: tx.executions.approvers(execution.id))) == 1


async def test_a_press_on_a_card_that_is_never_recorded_lapses(stage: Stage) -> None:
    execution = await stage.asked()
    await stage.press(execution)

    stage.clock.advance(60.0)
    await stage.beat()
    await stage.intake.settle_early()

    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_a_press_on_a_message_that_is_no_card_is_handed_out_once_and_decides_nothing(stage: Stage) -> None:
    execution = await stage.shown()
    await stage.add(words("a word"))
    await stage.tell_all()

    await stage.press(execution, message="posted-2")
    for _ in range(3):
        await stage.intake.settle_early()

    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert await stage.store.write(lambda tx: tx.inputs.take_early()) == []


@pytest.mark.parametrize("action", [Action.AGAIN, Action.OUTPUT])
async def test_again_and_output_are_the_typed_words_asked_where_the_button_is(stage: Stage, action: Action) -> None:
    execution = await stage.shown()
    press = stage.a_press(execution, action, who=CY, message="posted-1")

    for _ in range(2):
        assert await stage.intake.press(press) == Answer()

    (found,) = await stage.waiting_inputs()
    assert found.text == f"{action.value} {execution.id}"
    assert found.address == at(message="posted-1")
    assert found.person == PersonId("cy")


# --- reactions ---------------------------------------------------------------------------------------


async def test_f071_a_tick_on_the_card_decides_like_its_button(stage: Stage) -> None:
    execution = await stage.shown()

    note = await stage.react("👍🏽")

    assert note is not None
    assert "You approved" in note
    await stage.in_state(execution, S.APPROVED)


async def test_f071_a_cross_of_somebody_who_may_not_decide_changes_nothing(stage: Stage) -> None:
    execution = await stage.shown()

    assert await stage.react("❌", who=CY) == f"You may not decide {execution.id}. Who may: bob."
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_a_reaction_that_is_no_word_touches_nothing(stage: Stage) -> None:
    await stage.shown()
    before = stage.store.writes

    assert await stage.react("🎉") is None
    assert stage.store.writes == before


async def test_f071_a_tick_on_any_other_message_decides_nothing_and_says_nothing(stage: Stage) -> None:
    execution = await stage.shown()

    assert await stage.react("✅", message="somebody-else-s") is None
    await stage.intake.settle_early()
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_f071_a_tick_before_the_receipt_counts_when_the_receipt_is_there(stage: Stage) -> None:
    execution = await stage.asked()
    stage.channel.send_answers.append(Receipt(message_id=MessageId("the-card")))
    assert await stage.react("✅", message="the-card") is None

    await stage.intake.settle_early()
    await stage.in_state(execution, S.AWAITING_APPROVAL)

    await stage.beat()
    await stage.intake.settle_early()
    await stage.in_state(execution, S.APPROVED)
