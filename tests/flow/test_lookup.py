"""What a channel asks for one person: completions, what waits for them, a kept output, where to read on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.command import CommandHash
from bot.domain.execution import ExecutionState
from bot.domain.message import Action, Attachment, Standing, Suggest
from bot.domain.session import DEFAULT_ACCOUNT, MessageId
from bot.flow.lookup import MAX_AWAITING
from tests.flow.ends import CHANNEL
from tests.flow.stage import ANN, BOB, CY, CY_DECIDES, DENY_ALL, Stage, a_peer

S = ExecutionState


async def completed(stage: Stage, what: Suggest, typed: str = "", who: str = "bob", room: str = "ops") -> list[str]:
    sender = {"ann": ANN, "bob": BOB, "cy": CY}[who]
    return [one.value for one in await stage.intake.suggest(a_peer(room), sender, what, typed)]


async def test_nodes_are_completed_by_their_beginning_whatever_the_case(stage: Stage) -> None:
    assert await completed(stage, Suggest.NODE) == ["web-1", "db-1"]
    assert await completed(stage, Suggest.NODE, "WE") == ["web-1"]
    assert await completed(stage, Suggest.NODE, "x") == []


async def test_only_what_a_person_may_decide_is_offered_to_be_decided(stage: Stage) -> None:
    execution = await stage.shown()

    assert await completed(stage, Suggest.PENDING) == [execution.id]
    assert await completed(stage, Suggest.PENDING, who="ann") == []
    stage.policy = CY_DECIDES
    assert await completed(stage, Suggest.PENDING) == []
    assert await completed(stage, Suggest.PENDING, who="cy") == [execution.id]
    stage.policy = DENY_ALL
    assert await completed(stage, Suggest.PENDING, who="cy") == []


async def test_executions_are_those_of_the_conversation(stage: Stage) -> None:
    execution = await stage.shown()

    assert await completed(stage, Suggest.EXECUTION, execution.id[:2].lower()) == [execution.id]
    assert await completed(stage, Suggest.EXECUTION, room="elsewhere") == []


async def test_a_completion_shows_the_command_in_a_line(stage: Stage) -> None:
    execution = await stage.shown("echo one\necho two")

    (one,) = await stage.intake.suggest(a_peer(), BOB, Suggest.PENDING, "")
    assert one.shown == f"{execution.id} · echo one ⏎ echo two"


async def test_f083_a_completion_shows_no_command_that_looks_like_another_or_that_hides(stage: Stage) -> None:
    alike, hidden = await stage.shown("c\u0430t x"), await stage.shown("echo 'a\u202eb'")

    shown = {one.value: one.shown for one in await stage.intake.suggest(a_peer(), BOB, Suggest.PENDING, "")}
    assert shown[alike.id] == f"{alike.id} · c⟨U+0430⟩t x"
    assert shown[hidden.id] == f"{hidden.id} · echo 'a⟨U+202E⟩b'"


async def test_the_private_view_holds_what_the_person_may_decide_and_its_buttons_decide(stage: Stage) -> None:
    execution = await stage.shown()
    assert await stage.intake.awaiting(CHANNEL, ANN) == ()

    (post,) = await stage.intake.awaiting(CHANNEL, BOB)
    assert post.execution_id == execution.id
    press = replace(stage.a_press(execution), message_id=None, button=post.buttons[0])
    assert post.buttons[0].action is Action.APPROVE
    note = (await stage.intake.press(press)).note

    assert note is not None
    assert "You approved" in note
    await stage.in_state(execution, S.APPROVED)
    assert await stage.intake.awaiting(CHANNEL, BOB) == ()


async def test_a_press_in_the_private_view_is_bound_to_the_hash_that_it_showed(stage: Stage) -> None:
    execution = await stage.shown()
    press = replace(stage.a_press(execution), message_id=None)
    other = replace(press, button=replace(press.button, shown=CommandHash("f" * 64)))

    assert "another command" in ((await stage.intake.press(other)).note or "")
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_a_person_who_may_not_decide_decides_nothing_from_a_private_view(stage: Stage) -> None:
    execution = await stage.shown()
    press = replace(stage.a_press(execution, who=ANN), message_id=None)

    assert "may not decide" in ((await stage.intake.press(press)).note or "")
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_the_private_view_is_bounded(stage: Stage) -> None:
    for number in range(MAX_AWAITING + 2):
        await stage.asked(f"echo {number}")

    assert len(await stage.intake.awaiting(CHANNEL, BOB)) == MAX_AWAITING


async def test_a_kept_output_is_given_whole_and_what_is_gone_is_nothing(stage: Stage) -> None:
    execution = await stage.finished(text="all of it\n")

    assert await stage.intake.output(execution.id) == Attachment(name=f"{execution.id}.txt", text="all of it\n")
    assert await stage.intake.output("WWWWWW") is None
    waiting = await stage.shown("sleep 1")
    assert await stage.intake.output(waiting.id) is None


async def test_f113_a_gap_is_read_from_what_was_recorded_with_room_for_what_failed(stage: Stage) -> None:
    await stage.say("whoami", message="old")
    stage.clock.advance(300.0)
    await stage.say("whoami", message="before")
    stage.clock.advance(60.0)
    await stage.say("whoami", message="newest")
    await stage.say("whoami", room="elsewhere", message="only")

    standings = await stage.intake.read_from(CHANNEL, DEFAULT_ACCOUNT)

    assert set(standings) == {
        Standing(peer=a_peer(), message_id=MessageId("old")),
        Standing(peer=a_peer("elsewhere"), message_id=MessageId("only")),
    }
    stage.clock.advance(3_601.0)
    assert list(await stage.intake.read_from(CHANNEL, DEFAULT_ACCOUNT)) == []


@pytest.mark.parametrize("action", [Action.APPROVE, Action.DENY])
async def test_open_cards_are_those_that_wait_for_a_decision(stage: Stage, action: Action) -> None:
    execution = await stage.shown()
    opened = [Standing(peer=execution.origin.peer, message_id=MessageId("posted-1"))]
    assert list(await stage.intake.open_cards(CHANNEL, DEFAULT_ACCOUNT)) == opened

    await stage.press(execution, action)

    assert list(await stage.intake.open_cards(CHANNEL, DEFAULT_ACCOUNT)) == []
