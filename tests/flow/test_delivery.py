"""Networks that confirm later: posted until their word, told by it, held until somebody writes, dead and visible."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.event import EventState
from bot.domain.execution import ExecutionState
from bot.domain.message import Capabilities, Delivery, DeliveryReport, Receipt
from bot.domain.retry import MAX_AGE_S
from bot.domain.session import DEFAULT_ACCOUNT, AccountName, MessageId, Peer
from bot.errors import ChannelHeld, ChannelRejected, ChannelUnavailable
from bot.flow import delivery as delivering
from bot.flow.delivery import ASK_AFTER_S, Deliveries
from bot.flow.heartbeat import Heartbeat
from bot.flow.intake import Intake
from bot.flow.sweep import Sweep
from tests.flow.ends import CHANNEL
from tests.flow.stage import LOST_AFTER_S, RETENTION_S, Stage, a_peer, words

S = EventState
OPS_ROOM = a_peer("wide")
FALLBACKS = {(CHANNEL, DEFAULT_ACCOUNT): OPS_ROOM}


def later(*ids: str) -> list[Receipt]:
    """The network takes it, and confirms later."""
    return [Receipt(message_id=MessageId(one), confirmed=False) for one in ids]


def report(message: str, delivery: Delivery, reason: str = "", account: str = "default") -> DeliveryReport:
    return DeliveryReport(
        channel=CHANNEL,
        account=AccountName(account),
        message_id=MessageId(message),
        delivery=delivery,
        reason=reason,
    )


async def posted(stage: Stage, *ids: str, text: str = "hello") -> None:
    """An event that the network took, in as many parts as there are ids."""
    stage.channel.send_answers.extend(later(*ids))
    await stage.add(words("e", text))
    await stage.beat()
    assert (await stage.event("e")).state is S.POSTED


def deliveries(stage: Stage) -> Deliveries:
    return Deliveries(stage.store, stage.channels, stage.clock, stage.signals)


async def ask_after(stage: Stage, one: Deliveries | None = None) -> None:
    one = one or deliveries(stage)
    await one.step()
    await one.tasks.drain()


async def test_what_the_network_only_took_is_told_by_its_later_word(stage: Stage) -> None:
    await posted(stage, "w1")

    await stage.intake.delivered(report("w1", Delivery.PENDING))
    assert (await stage.event("e")).state is S.POSTED
    await stage.intake.delivered(report("w1", Delivery.CONFIRMED))

    assert (await stage.event("e")).state is S.TOLD


async def test_an_event_is_told_when_all_its_parts_are_confirmed_in_any_order(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=1_000, code_chars=500)
    await posted(stage, "w1", "w2", "w3", text="x" * 2_000)

    for number in ("w3", "w1", "w1"):
        await stage.intake.delivered(report(number, Delivery.CONFIRMED))
        assert (await stage.event("e")).state is S.POSTED
    await stage.intake.delivered(report("w2", Delivery.CONFIRMED))

    assert (await stage.event("e")).state is S.TOLD


@pytest.mark.parametrize("again", [Delivery.CONFIRMED, Delivery.FAILED, Delivery.HELD, Delivery.PENDING])
async def test_a_word_that_comes_again_or_out_of_order_changes_nothing(stage: Stage, again: Delivery) -> None:
    await posted(stage, "w1")
    await stage.intake.delivered(report("w1", Delivery.CONFIRMED))

    await stage.intake.delivered(report("w1", again))

    assert (await stage.event("e")).state is S.TOLD


@pytest.mark.parametrize("account", ["default", "other"])
async def test_a_word_about_a_message_that_is_not_ours_changes_nothing(stage: Stage, account: str) -> None:
    await posted(stage, "w1")
    message = "w9" if account == "default" else "w1"

    await stage.intake.delivered(report(message, Delivery.FAILED, account=account))

    assert (await stage.event("e")).state is S.POSTED


async def test_a_failed_delivery_is_dead_and_visible_with_its_reason(stage: Stage) -> None:
    await posted(stage, "w1")

    await stage.intake.delivered(report("w1", Delivery.FAILED, "63024: no such recipient"))

    dead = await stage.event("e")
    assert (dead.state, dead.trouble) == (S.DEAD, "63024: no such recipient")


async def test_f103_what_a_closed_window_holds_back_is_told_when_somebody_writes_there(stage: Stage) -> None:
    await posted(stage, "w1")
    await stage.intake.delivered(report("w1", Delivery.HELD, "63016"))
    held = await stage.event("e")
    assert (held.state, held.trouble) == (S.HELD, "63016")
    await stage.say("what a day", room="elsewhere")
    assert (await stage.event("e")).state is S.HELD

    await stage.say("what a day")
    await stage.tell_all()

    assert (await stage.event("e")).state is S.TOLD
    first, again = (sent.nonce for sent in stage.channel.sent)
    assert first == again


async def test_a_part_that_is_held_is_sent_again_and_no_other(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=1_000, code_chars=500)
    await posted(stage, "w1", "w2", "w3", text="x" * 2_000)
    await stage.intake.delivered(report("w1", Delivery.CONFIRMED))
    await stage.intake.delivered(report("w2", Delivery.HELD))
    await stage.intake.delivered(report("w3", Delivery.CONFIRMED))
    assert (await stage.event("e")).state is S.HELD

    stage.channel.send_answers.extend(later("w4"))
    await stage.say("what a day")
    await stage.tell_all()

    assert [sent.nonce for sent in stage.channel.sent][3:] == [stage.channel.sent[1].nonce]
    assert (await stage.event("e")).state is S.POSTED
    await stage.intake.delivered(report("w4", Delivery.CONFIRMED))
    assert (await stage.event("e")).state is S.TOLD


async def test_a_word_about_one_part_while_another_is_being_sent_moves_nothing(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=1_000, code_chars=500)
    stage.channel.send_answers.extend(later("w1", "w2", "w3"))
    await stage.add(words("e", "x" * 2_000))
    numbers: list[int] = []

    async def fail_the_first() -> None:
        numbers.append(1)
        if len(numbers) == 2:
            await stage.intake.delivered(report("w1", Delivery.FAILED))

    stage.channel.during_send = fail_the_first
    await stage.beat()

    assert (await stage.event("e")).state is S.POSTED


# --- asking by ourselves -------------------------------------------------------------------------------------


async def test_a_word_that_stays_away_is_asked_for_after_a_minute(stage: Stage) -> None:
    await posted(stage, "w1")
    one = deliveries(stage)
    await ask_after(stage, one)
    assert stage.channel.asked_after == []
    stage.channel.delivery_answers.append(Delivery.CONFIRMED)

    stage.clock.advance(ASK_AFTER_S)
    await ask_after(stage, one)
    assert (await stage.event("e")).state is S.TOLD
    await ask_after(stage, one)

    assert [message for _, message in stage.channel.asked_after] == ["w1"]
    assert one.asked == {}


@pytest.mark.parametrize(
    ("word", "state", "trouble"),
    [
        (Delivery.HELD, S.HELD, "the network holds it back"),
        (Delivery.FAILED, S.DEAD, "the network could not deliver it"),
        (Delivery.PENDING, S.POSTED, None),
        (ChannelUnavailable("away"), S.POSTED, None),
        (TimeoutError(), S.POSTED, None),
    ],
)
async def test_what_is_asked_for_counts_as_if_it_had_come_by_itself(
    stage: Stage, word: Delivery | Exception, state: EventState, trouble: str | None
) -> None:
    await posted(stage, "w1")
    stage.channel.delivery_answers.append(word)

    stage.clock.advance(ASK_AFTER_S)
    await ask_after(stage, deliveries(stage))

    found = await stage.event("e")
    assert (found.state, found.trouble) == (state, trouble)


async def test_a_network_that_never_answers_is_asked_ever_more_rarely_and_given_up_after_a_day(stage: Stage) -> None:
    await posted(stage, "w1")
    one = deliveries(stage)
    for _ in range(3):
        stage.clock.advance(ASK_AFTER_S)
        await ask_after(stage, one)
    assert len(stage.channel.asked_after) == 3
    stage.clock.advance(MAX_AGE_S + 1.0)

    await ask_after(stage, one)

    dead = await stage.event("e")
    assert (dead.state, dead.trouble) == (S.DEAD, "the network took it and never confirmed it")


async def test_what_is_told_while_it_is_asked_after_for_the_last_time_is_not_given_up(stage: Stage) -> None:
    await posted(stage, "w1")
    stage.channel.delivery_answers.append(Delivery.CONFIRMED)
    stage.clock.advance(MAX_AGE_S + 1.0)

    await ask_after(stage)

    assert (await stage.event("e")).state is S.TOLD


async def test_an_account_that_is_gone_from_the_config_is_not_asked(stage: Stage) -> None:
    await posted(stage, "w1")
    stage.clock.advance(ASK_AFTER_S)
    one = Deliveries(stage.store, {}, stage.clock, stage.signals)

    await ask_after(stage, one)

    assert (await stage.event("e")).state is S.POSTED


async def test_no_more_are_asked_after_at_once_than_there_is_room_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.channel.send_answers.extend(later("w1", "w2"))
    await stage.add(words("e", room="a"), words("f", room="b"))
    await stage.beat()
    monkeypatch.setattr(delivering, "_MAX_ASKED", 1)
    stage.clock.advance(ASK_AFTER_S)
    one = deliveries(stage)

    await one.step()
    assert one.tasks.free == 0
    await one.tasks.drain()
    assert len(stage.channel.asked_after) == 1
    await ask_after(stage, one)

    assert {message for _, message in stage.channel.asked_after} == {"w1", "w2"}


async def test_a_claim_that_was_taken_over_accepts_nothing(stage: Stage) -> None:
    """The sender was away for longer than its lease: its late receipt moves nothing."""
    stage.channel.send_answers.extend(later("w1"))
    await stage.add(words("e"))

    async def lose_the_claim() -> None:
        stage.clock.advance(61.0)
        await stage.tidy()

    stage.channel.during_send = lose_the_claim
    await stage.beat()

    assert (await stage.event("e")).state is S.RECONCILING


# --- the word of a fallback ----------------------------------------------------------------------------------


def with_fallback(stage: Stage) -> Heartbeat:
    return Heartbeat(stage.store, stage.channels, stage.clock, stage.signals, fallbacks=FALLBACKS)


async def beat(heartbeat: Heartbeat) -> None:
    await heartbeat.step()
    await heartbeat.tasks.drain()


def in_place(stage: Stage, peer: Peer) -> list[str]:
    return [text for sent, text in zip(stage.channel.sent, stage.posts(), strict=True) if sent.address.peer == peer]


@pytest.mark.parametrize("fault", [ChannelRejected("gone"), ChannelHeld("archived")])
async def test_f024_a_place_that_cannot_be_told_leaves_a_word_where_the_operator_wants_it(
    stage: Stage, fault: Exception
) -> None:
    execution = await stage.finished(text="secret output\n")
    stage.channel.send_answers.append(fault)
    await beat(with_fallback(stage))
    await stage.tell_all()

    (word,) = in_place(stage, OPS_ROOM)
    assert execution.id in word
    assert "homing why" in word
    assert "secret output" not in word
    assert "df" not in word


async def test_a_word_that_cannot_be_left_either_leaves_no_further_one(stage: Stage) -> None:
    await stage.finished()
    heartbeat = with_fallback(stage)
    stage.channel.send_answers.extend([ChannelRejected("gone"), ChannelRejected("gone too")])
    await beat(heartbeat)
    await beat(heartbeat)
    await beat(heartbeat)

    assert len(in_place(stage, OPS_ROOM)) == 1
    assert [one.state for one in await stage.events(S.DEAD)] == [S.DEAD, S.DEAD]


async def test_words_of_the_agent_and_what_is_of_the_fallback_itself_leave_no_word(stage: Stage) -> None:
    heartbeat = with_fallback(stage)
    await stage.add(words("e"))
    stage.channel.send_answers.append(ChannelRejected("gone"))
    await beat(heartbeat)
    await stage.finished(room="wide")
    stage.channel.send_answers.append(ChannelRejected("gone"))
    await beat(heartbeat)
    await stage.tell_all()

    assert not any("homing why" in text for text in stage.posts())


@pytest.mark.parametrize("word", [Delivery.HELD, Delivery.FAILED])
async def test_a_later_word_that_holds_or_buries_leaves_a_word_too(stage: Stage, word: Delivery) -> None:
    execution = await stage.running()
    stage.channel.send_answers.extend(later("w1"))
    await stage.finish(execution)
    await stage.beat()
    intake = Intake(stage.store, stage.policies, stage.signals, fallbacks=FALLBACKS)

    await intake.delivered(report("w1", word))
    await stage.tell_all()

    assert len(in_place(stage, OPS_ROOM)) == 1


async def test_what_was_held_for_a_day_leaves_its_word_once(stage: Stage) -> None:
    await stage.finished()
    heartbeat = with_fallback(stage)
    stage.channel.send_answers.append(ChannelHeld("archived"))
    await beat(heartbeat)
    stage.clock.advance(MAX_AGE_S + 1.0)
    sweep = Sweep(stage.store, stage.signals, LOST_AFTER_S, RETENTION_S, fallbacks=FALLBACKS)
    await sweep.step()
    await stage.tell_all()

    assert len(in_place(stage, OPS_ROOM)) == 1
    assert (await stage.event("outcome:")).state is S.DEAD


async def test_what_moved_meanwhile_is_neither_held_nor_buried(stage: Stage) -> None:
    """A claim that was lost: whoever holds it now says what becomes of the event."""
    for fault in (ChannelHeld("archived"), ChannelRejected("gone")):
        identity = type(fault).__name__
        await stage.add(words(identity, room=identity))
        stage.channel.send_answers.append(fault)

        async def lose_the_claim() -> None:
            stage.clock.advance(61.0)
            await stage.tidy()

        stage.channel.during_send = lose_the_claim
        await beat(with_fallback(stage))
        assert (await stage.event(identity)).state is S.RECONCILING


async def test_two_words_at_once_tell_it_once(stage: Stage) -> None:
    execution = await stage.running()
    stage.channel.send_answers.extend(later("w1"))
    await stage.finish(execution)
    await stage.beat()
    await asyncio.gather(*(stage.intake.delivered(report("w1", Delivery.CONFIRMED)) for _ in range(5)))

    assert [what for what, _ in await stage.steps(execution)].count("told") == 2
    await stage.in_state(execution, ExecutionState.FINISHED)
