"""Cards that stand elsewhere too, and cards where nothing can be edited."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.event import EventState
from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action, Capabilities, Receipt
from bot.domain.policy import Rule, Verdict
from bot.domain.session import ChannelName, MessageId, Peer
from bot.errors import ChannelRejected
from bot.flow.heartbeat import Heartbeat
from tests.flow.stage import BOB, Stage, a_peer, policy

S = ExecutionState
WIDE = a_peer("wide")
ASKED_IN_WIDE = policy(Rule(name="in wide too", action=Verdict.ASK, copy_to=(WIDE,)))


def shown_in(stage: Stage, peer: Peer) -> list[str]:
    return [text for sent, text in zip(stage.channel.sent, stage.posts(), strict=True) if sent.address.peer == peer]


def message_in(stage: Stage, peer: Peer) -> str:
    """The network's id of the newest message there."""
    return f"posted-{[number for number, sent in enumerate(stage.channel.sent, 1) if sent.address.peer == peer][-1]}"


async def press_in(stage: Stage, execution: Execution, peer: Peer, action: Action) -> str | None:
    press = stage.a_press(execution, action, who=BOB, message=message_in(stage, peer))
    return (await stage.intake.press(replace(press, peer=peer))).note


async def settle(stage: Stage) -> None:
    for _ in range(3):
        await stage.tell_all()
        await stage.edit()


async def test_a_copy_shows_the_command_and_where_it_was_asked_and_decides(stage: Stage) -> None:
    stage.policy = ASKED_IN_WIDE
    execution = await stage.shown("df -h")

    (copy,) = shown_in(stage, WIDE)
    assert "df -h" in copy
    assert "Asked in: discord channel ops" in copy
    assert "Asked in" not in shown_in(stage, execution.origin.peer)[-1]
    await press_in(stage, execution, WIDE, Action.APPROVE)

    await stage.in_state(execution, S.APPROVED)


async def test_f056_every_copy_is_edited_after_the_decision_and_loses_its_buttons(stage: Stage) -> None:
    stage.policy = ASKED_IN_WIDE
    execution = await stage.shown()
    await press_in(stage, execution, WIDE, Action.DENY)
    await settle(stage)

    assert {message for message, _ in stage.channel.edits} == {"posted-1", "posted-2"}
    assert all(post.buttons == () for _, post in stage.channel.edits)


async def test_f073_output_stands_only_where_it_was_asked(stage: Stage) -> None:
    stage.policy = ASKED_IN_WIDE
    execution = await stage.running()
    await stage.reports.progress(execution.node, execution.id, "live secret")
    await settle(stage)
    await stage.finish(execution, "final secret\n")
    await settle(stage)

    copies = {message_in(stage, WIDE)}
    in_wide = [str(post.blocks) for message, post in stage.channel.edits if message in copies]
    assert in_wide
    assert not any("secret" in text for text in [*in_wide, *shown_in(stage, WIDE)])
    assert any("live secret" in str(post.blocks) for _, post in stage.channel.edits)


async def test_the_place_that_asked_gets_no_copy_of_its_own_card(stage: Stage) -> None:
    stage.policy = policy(Rule(name="here too", action=Verdict.ASK, copy_to=(a_peer("ops"),)))
    await stage.shown()

    assert len(stage.channel.sent) == 1


async def test_an_allowed_command_has_no_copies(stage: Stage) -> None:
    stage.policy = policy(Rule(name="all", action=Verdict.ALLOW, copy_to=(WIDE,)))
    await stage.requested()
    await stage.inspect()
    await stage.tell_all()

    assert shown_in(stage, WIDE) == []


async def test_where_a_card_cannot_be_shown_whole_or_no_account_is_there_is_no_copy(stage: Stage) -> None:
    strange = replace(WIDE, channel=ChannelName("slack"))
    stage.policy = policy(Rule(name="too", action=Verdict.ASK, copy_to=(strange, WIDE)))
    execution = await stage.shown()

    assert len(stage.channel.sent) == 2
    assert ("no_copy", "gateway") in await stage.steps(execution)


async def test_a_copy_that_cannot_be_posted_ends_nothing_and_leaves_no_word(stage: Stage) -> None:
    """Where it was asked it stands, and people can decide it there."""
    stage.policy = ASKED_IN_WIDE
    execution = await stage.asked()
    stage.channel.send_answers.extend([Receipt(message_id=MessageId("posted-1")), ChannelRejected("no such room")])
    fallbacks = {(WIDE.channel, WIDE.account): a_peer("operators")}
    heartbeat = Heartbeat(stage.store, stage.channels, stage.clock, stage.signals, fallbacks=fallbacks)
    await heartbeat.step()
    await heartbeat.tasks.drain()

    assert [event.address.peer for event in await stage.events(EventState.DEAD)] == [WIDE]
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.tell_all()
    assert shown_in(stage, a_peer("operators")) == []


async def test_nobody_is_mentioned_where_the_operator_wants_no_mentions(stage: Stage) -> None:
    await stage.requested()
    await stage.inspect()
    heartbeat = Heartbeat(stage.store, stage.channels, stage.clock, stage.signals, notify_asker=False)
    await heartbeat.step()
    await heartbeat.tasks.drain()

    assert [sent.post.mention for sent in stage.channel.sent] == [None]


# --- where nothing can be edited -----------------------------------------------------------------------------


@pytest.fixture
def fixed(stage: Stage) -> Stage:
    stage.channel.capabilities = Capabilities(text_chars=4_000, code_chars=3_000, can_edit=False)
    return stage


async def test_a_line_follows_the_approval_once(fixed: Stage) -> None:
    execution = await fixed.running()
    await settle(fixed)
    await fixed.reports.progress(execution.node, execution.id, "tail")
    await settle(fixed)
    await fixed.finish(execution)
    await settle(fixed)

    assert fixed.channel.edits == []
    lines = [text for text in fixed.posts() if text == f"✅ {execution.id} was approved by bob."]
    assert len(lines) == 1
    assert [text.splitlines()[0] for text in fixed.posts()][-1] == f"✅ Finished, exit 0 · {execution.id}"


async def test_the_line_answers_the_card(fixed: Stage) -> None:
    await fixed.running()
    await settle(fixed)

    (line,) = [sent for sent, text in zip(fixed.channel.sent, fixed.posts(), strict=True) if "was approved" in text]
    assert line.address.message_id == "posted-1"


async def test_a_copy_gets_the_outcome_in_a_word(fixed: Stage) -> None:
    fixed.policy = ASKED_IN_WIDE
    execution = await fixed.shown()
    await press_in(fixed, execution, WIDE, Action.DENY)
    await settle(fixed)

    assert shown_in(fixed, WIDE)[-1] == f"{execution.id}: ❌ Denied, nothing ran."
    assert not any(text.startswith(f"{execution.id}:") for text in shown_in(fixed, execution.origin.peer))
