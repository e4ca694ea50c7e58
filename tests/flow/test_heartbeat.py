"""One event from claim to told: parts, receipts, repeats, doubts, and every way in which a send ends badly."""

from __future__ import annotations

import asyncio
import logging

import pytest

from bot.domain.event import ClaimToken, EventState, EventTrigger
from bot.domain.execution import ExecutionState
from bot.domain.message import Capabilities, NotPosted, Receipt
from bot.domain.retry import MAX_AGE_S, MAX_ATTEMPTS
from bot.domain.session import MessageId
from bot.errors import (
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)
from bot.flow import heartbeat as beating
from tests.flow.ends import nothing, the_store_is_away
from tests.flow.stage import BOB, Stage, at, words

S = ExecutionState
LONG = "x" * 2_000
"""Three messages of the narrow channel."""


def narrow(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=1_000, code_chars=500)


def network_has_it(message_id: str = "there") -> Receipt:
    return Receipt(message_id=MessageId(message_id))


async def state_of(stage: Stage, identity: str = "e") -> EventState:
    return (await stage.event(identity)).state


async def fail_once(stage: Stage, fault: Exception, identity: str = "e", text: str = "hello") -> None:
    await stage.add(words(identity, text))
    stage.channel.send_answers.append(fault)
    await stage.beat()


# --- the way that ends well --------------------------------------------------------------------------------


async def test_f047_told_means_a_receipt_of_the_network(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await stage.add(words("e"))
    states: list[EventState] = []

    async def look() -> None:
        states.append(await state_of(stage))

    stage.channel.during_send = look
    await stage.beat()

    assert states == [EventState.SENDING]
    told = await stage.event("e")
    assert (told.state, told.attempt, told.told_at) == (EventState.TOLD, 1, stage.clock.now())
    (sent,) = stage.channel.sent
    assert (sent.address, sent.nonce) == (at(), told.nonce)
    receipts = await stage.store.read(lambda tx: tx.events.receipts(told.id))
    assert receipts == [(0, sent.nonce, MessageId("posted-1"))]
    assert "event.told" in [record.message for record in caplog.records]


async def test_f001_nothing_is_told_before_it_is_due_and_nothing_waits_for_a_wake(stage: Stage) -> None:
    await fail_once(stage, ChannelThrottled("slowly", retry_after_s=60.0))
    await stage.beat()
    assert len(stage.channel.sent) == 1

    stage.clock.advance(61.0)
    await stage.beat()
    assert len(stage.channel.sent) == 2


async def test_f042_one_address_is_told_in_order_and_another_does_not_wait(stage: Stage) -> None:
    await stage.add(words("a1"), words("a2"), words("b1", room="dev"))
    gate = asyncio.Event()
    stage.channel.during_send = gate.wait
    heartbeat = stage.heartbeat()
    await heartbeat.step()
    await heartbeat.step()
    await asyncio.sleep(0)

    assert [sent.address.peer.id for sent in stage.channel.sent] == ["ops", "dev"]
    gate.set()
    await heartbeat.tasks.drain()
    assert await state_of(stage, "a2") is EventState.DUE


async def test_no_more_is_claimed_than_there_is_room_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "_MAX_SENDS", 2)
    heartbeat = stage.heartbeat()
    await stage.add(*(words(f"e{number}", room=f"room-{number}") for number in range(3)))
    gate = asyncio.Event()
    stage.channel.during_send = gate.wait

    await heartbeat.step()
    writes = stage.store.writes
    await heartbeat.step()

    assert stage.store.writes == writes
    assert len(await stage.events(EventState.DUE)) == 1
    gate.set()
    await heartbeat.tasks.drain()


async def test_a_gateway_without_channels_claims_nothing(stage: Stage) -> None:
    await stage.add(words("e"))
    heartbeat = beating.Heartbeat(stage.store, {}, stage.clock, stage.signals)
    writes, reads = stage.store.writes, stage.store.reads

    await heartbeat.step()
    await heartbeat.bring_cards_up_to_date()

    assert (stage.store.writes, stage.store.reads) == (writes, reads)


async def test_f012_what_is_owed_on_an_account_that_is_not_configured_waits_for_it(stage: Stage) -> None:
    name = stage.channel.name
    await stage.add(words("e"))
    stage.channel.name = "slack"  # type: ignore[assignment]  # a name
    await stage.beat()
    assert await state_of(stage) is EventState.DUE

    stage.channel.name = name
    await stage.beat()
    assert await state_of(stage) is EventState.TOLD


async def test_what_the_network_confirms_later_is_posted_and_not_told(stage: Stage) -> None:
    await stage.add(words("e"), words("later"))
    stage.channel.send_answers.append(Receipt(message_id=MessageId("sms"), confirmed=False))
    await stage.tell_all()

    assert await state_of(stage) is EventState.POSTED
    assert await state_of(stage, "later") is EventState.TOLD


async def test_a_told_outcome_is_a_step_of_its_execution(stage: Stage) -> None:
    execution = await stage.finished()
    await stage.tell_all()

    steps = await stage.store.read(lambda tx: tx.executions.steps(execution.id))
    told = [step.detail for step in steps if step.what == "told"]
    assert told == [f"card:{execution.id}", f"outcome:{execution.id}:finished"]


# --- parts -------------------------------------------------------------------------------------------


async def test_f041_a_long_message_is_parts_in_order_each_with_its_own_nonce_and_receipt(stage: Stage) -> None:
    narrow(stage)
    await stage.add(words("e", LONG))
    await stage.beat()

    told = await stage.event("e")
    assert told.state is EventState.TOLD
    receipts = await stage.store.read(lambda tx: tx.events.receipts(told.id))
    assert [part for part, _, _ in receipts] == [0, 1, 2]
    assert [nonce for _, nonce, _ in receipts] == [sent.nonce for sent in stage.channel.sent]
    assert len({sent.nonce for sent in stage.channel.sent}) == 3
    assert "".join(stage.posts()).count("x") == 2_000


async def test_f041_a_part_with_a_receipt_is_never_sent_again(stage: Stage) -> None:
    narrow(stage)
    await stage.add(words("e", LONG))
    stage.channel.send_answers.extend([network_has_it("one"), ChannelUnavailable("away")])
    await stage.beat()
    assert (await state_of(stage), len(stage.channel.sent)) == (EventState.DUE, 2)

    stage.clock.advance(2.0)
    await stage.beat()

    assert await state_of(stage) is EventState.TOLD
    nonces = [sent.nonce for sent in stage.channel.sent]
    assert nonces[1] == nonces[2]
    assert len(set(nonces)) == 3
    texts = stage.posts()
    assert (texts[0] + texts[2] + texts[3]).count("x") == 2_000


async def test_f040_a_process_that_dies_after_a_receipt_goes_on_behind_it(stage: Stage) -> None:
    narrow(stage)
    await stage.add(words("e", LONG))
    heartbeat = stage.heartbeat()
    second = asyncio.Event()

    async def die_in_the_second_part() -> None:
        if len(stage.channel.sent) == 2:
            second.set()
            await asyncio.Event().wait()

    stage.channel.during_send = die_in_the_second_part
    await heartbeat.step()
    await second.wait()
    await heartbeat.tasks.close()
    assert (await stage.event("e")).part == 1

    stage.channel.during_send = None
    await stage.store.write(lambda tx: tx.events.take_over())
    await stage.tidy()
    await stage.beat()
    assert stage.channel.asked == [stage.channel.sent[1].nonce]
    stage.clock.advance(2.0)
    await stage.beat()

    assert await state_of(stage) is EventState.TOLD
    assert [sent.nonce for sent in stage.channel.sent][1:3] == [stage.channel.asked[0]] * 2
    assert len(stage.channel.sent) == 4


async def test_f040_the_part_in_doubt_says_so_and_no_other(stage: Stage) -> None:
    narrow(stage)
    await stage.add(words("e", LONG))
    stage.channel.send_answers.extend([network_has_it("one"), ChannelUncertain("no answer")])
    stage.channel.find_answers.append(NotPosted.UNKNOWN)
    await stage.beat()
    await stage.beat()
    stage.clock.advance(2.0)
    await stage.beat()

    assert ["may be a repeat" in text for text in stage.posts()] == [False, False, True, False]
    texts = stage.posts()
    assert (texts[0] + texts[2] + texts[3]).count("x") == 2_000


# --- the claim is lost on the way ------------------------------------------------------------------------


async def lose_the_claim(stage: Stage) -> None:
    """The lease runs out and the sweep takes the event away from its sender."""
    stage.clock.advance(61.0)
    await stage.tidy()


async def test_f040_a_receipt_that_comes_after_the_lease_is_not_believed_twice(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """The network took it; meanwhile the claim is somebody else's, who will ask the network."""
    await stage.add(words("e"))
    stage.channel.during_send = lambda: lose_the_claim(stage)
    await stage.beat()

    assert await state_of(stage) is EventState.RECONCILING
    assert "event.claim_lost" in [record.message for record in caplog.records]
    assert "event.told" not in [record.message for record in caplog.records]

    stage.channel.during_send = None
    stage.channel.find_answers.append(network_has_it("posted-1"))
    await stage.tell_all()
    stage.clock.advance(1.0)
    await stage.tell_all()
    assert await state_of(stage) is EventState.TOLD
    assert len(stage.channel.sent) == 1


async def test_f040_a_sender_without_its_claim_sends_no_further_part(stage: Stage) -> None:
    narrow(stage)
    await stage.add(words("e", LONG))
    stage.channel.during_send = lambda: lose_the_claim(stage)
    await stage.beat()

    assert len(stage.channel.sent) == 1


@pytest.mark.parametrize(
    "fault",
    [ChannelUnavailable("away"), ChannelHeld("closed"), ChannelRejected("never"), ChannelUncertain("?")],
    ids=lambda fault: type(fault).__name__,
)
async def test_f040_whoever_lost_the_claim_moves_nothing(stage: Stage, fault: Exception) -> None:
    stage.channel.during_send = lambda: lose_the_claim(stage)
    await fail_once(stage, fault)

    assert await state_of(stage) is EventState.RECONCILING


async def test_f062_whoever_lost_the_claim_of_a_card_ends_no_request(stage: Stage) -> None:
    """Another sender may just be posting it."""
    execution = await stage.asked()
    stage.channel.during_send = lambda: lose_the_claim(stage)
    stage.channel.send_answers.append(ChannelRejected("no right to post"))
    await stage.beat()

    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_f040_whoever_lost_the_claim_tells_nothing_that_was_found(stage: Stage) -> None:
    """All parts have receipts; between the claim and the word `told` the lease runs out."""
    execution = await stage.asked()
    stage.channel.send_answers.append(ChannelUncertain("?"))
    stage.channel.find_answers.append(network_has_it())
    await stage.beat()
    await stage.beat()
    assert (await stage.event("card")).state is EventState.DUE

    stage.store.before_write.extend([nothing, lambda: lose_the_claim(stage)])
    await stage.beat()
    assert (await stage.event("card")).state is EventState.RECONCILING
    assert ("told", None) not in await stage.steps(execution)

    stage.channel.find_answers.append(network_has_it())
    await stage.tell_all()
    await stage.tell_all()
    await stage.tell_all()
    assert (await stage.event("card")).state is EventState.TOLD
    assert len(stage.channel.sent) == 1


# --- faults that a channel names ---------------------------------------------------------------------------


async def test_f039_what_surely_did_not_arrive_is_repeated_later_with_the_same_nonce(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await fail_once(stage, ChannelUnavailable("away"))
    due = await stage.event("e")
    assert (due.state, due.maybe_repeat, due.trouble) == (EventState.DUE, False, "ChannelUnavailable: away")
    assert stage.clock.now() < due.not_before <= stage.clock.now() + 0.7
    assert "event.retry" in [record.message for record in caplog.records]

    stage.clock.advance(1.0)
    await stage.beat()
    told = await stage.event("e")
    assert (told.state, told.attempt) == (EventState.TOLD, 2)
    assert len({sent.nonce for sent in stage.channel.sent}) == 1
    assert "may be a repeat" not in stage.posts()[1]


async def test_f099_a_network_that_asks_for_patience_gets_it(stage: Stage) -> None:
    await fail_once(stage, ChannelThrottled("slowly", retry_after_s=30.0))

    assert (await stage.event("e")).not_before == stage.clock.now() + 30.0


async def test_f103_what_is_held_lets_later_words_pass_and_is_told_when_it_opens(stage: Stage) -> None:
    await fail_once(stage, ChannelHeld("the window is closed"))
    await stage.add(words("later"))
    await stage.beat()
    assert (await state_of(stage), await state_of(stage, "later")) == (EventState.HELD, EventState.TOLD)

    held = await stage.event("e")
    await stage.store.write(lambda tx: tx.events.move(held, EventTrigger.OPEN, token=None))
    await stage.beat()
    assert await state_of(stage) is EventState.TOLD


async def test_f041_what_is_rejected_is_dead_and_visible_and_lets_the_next_pass(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await fail_once(stage, ChannelRejected("it will never be posted"))
    await stage.add(words("later"))
    await stage.beat()

    dead = await stage.event("e")
    assert (dead.state, dead.trouble) == (EventState.DEAD, "ChannelRejected: it will never be posted")
    assert await state_of(stage, "later") is EventState.TOLD
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (error.message, error.__dict__["reason"]) == ("event.dead", "ChannelRejected")


async def test_f062_a_card_that_cannot_be_posted_ends_its_request(stage: Stage) -> None:
    execution = await stage.asked()
    stage.channel.send_answers.append(ChannelRejected("no right to post"))
    await stage.tell_all()

    cancelled = await stage.in_state(execution, S.CANCELLED)
    assert cancelled.reason == "its card could not be posted here, so nobody could be asked"
    assert "could not be posted here" in stage.posts()[-1]


async def test_f064_a_card_that_cannot_be_posted_takes_no_decision_back(stage: Stage) -> None:
    execution = await stage.asked()
    await stage.say(f"approve {execution.id}", who=BOB)
    stage.channel.send_answers.append(ChannelRejected("no right to post"))
    await stage.tell_all()

    await stage.in_state(execution, S.APPROVED)


async def test_f041_an_event_that_fails_thirty_times_is_dead(stage: Stage) -> None:
    await stage.add(words("e"))
    for _ in range(MAX_ATTEMPTS):
        assert await state_of(stage) is EventState.DUE
        stage.channel.send_answers.append(ChannelUnavailable("away"))
        await stage.beat()
        stage.clock.advance(400.0)

    assert await state_of(stage) is EventState.DEAD
    assert len(stage.channel.sent) == MAX_ATTEMPTS


async def test_f042_an_event_of_yesterday_gets_three_tries_and_is_dead_then(stage: Stage) -> None:
    await stage.add(words("e"))
    stage.clock.advance(MAX_AGE_S)
    for _ in range(3):
        assert await state_of(stage) is EventState.DUE
        stage.channel.send_answers.append(ChannelUnavailable("away"))
        await stage.beat()
        stage.clock.advance(400.0)

    assert await state_of(stage) is EventState.DEAD


# --- doubt -------------------------------------------------------------------------------------------


async def test_f098_a_send_in_doubt_that_arrived_is_not_repeated(stage: Stage) -> None:
    await fail_once(stage, ChannelUncertain("no answer"))
    assert await state_of(stage) is EventState.RECONCILING
    stage.channel.find_answers.append(network_has_it())
    await stage.beat()
    await stage.beat()

    assert await state_of(stage) is EventState.TOLD
    assert stage.channel.asked == [stage.channel.sent[0].nonce]
    assert len(stage.channel.sent) == 1


async def test_f040_a_send_in_doubt_that_surely_did_not_arrive_is_repeated_without_a_mark(stage: Stage) -> None:
    await fail_once(stage, ChannelUncertain("no answer"))
    stage.channel.find_answers.append(NotPosted.SURELY)
    await stage.beat()
    stage.clock.advance(1.0)
    await stage.beat()

    assert await state_of(stage) is EventState.TOLD
    assert len(stage.channel.sent) == 2
    assert "may be a repeat" not in stage.posts()[1]


async def test_f040_a_send_whose_fate_is_unknown_is_repeated_and_says_so(stage: Stage) -> None:
    await fail_once(stage, ChannelUncertain("no answer"))
    stage.channel.find_answers.append(NotPosted.UNKNOWN)
    await stage.beat()
    stage.clock.advance(1.0)
    await stage.beat()

    assert await state_of(stage) is EventState.TOLD
    assert "may be a repeat" in stage.posts()[1]
    assert stage.channel.sent[0].nonce == stage.channel.sent[1].nonce


async def test_f040_a_mark_once_earned_stays(stage: Stage) -> None:
    await fail_once(stage, ChannelUncertain("no answer"))
    stage.channel.find_answers.extend([NotPosted.UNKNOWN, NotPosted.SURELY])
    for _ in range(2):
        await stage.beat()
        stage.clock.advance(2.0)
        stage.channel.send_answers.append(ChannelUncertain("no answer again"))
        await stage.beat()
    await stage.beat()
    stage.clock.advance(5.0)
    stage.channel.send_answers.clear()
    await stage.beat()

    assert "may be a repeat" in stage.posts()[-1]


@pytest.mark.parametrize("text", ["hello", LONG])
async def test_a_network_that_does_not_answer_in_time_is_asked_what_became_of_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(beating, "SEND_TIMEOUT_S", 0.01)
    narrow(stage)
    stage.channel.during_send = asyncio.Event().wait
    await stage.add(words("e", text))
    await stage.beat()

    found = await stage.event("e")
    assert (found.state, found.trouble) == (EventState.RECONCILING, "TimeoutError: ")


@pytest.mark.parametrize("kind", ["fault", "silence"])
async def test_a_question_that_is_not_answered_is_asked_again_when_its_claim_is_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    await fail_once(stage, ChannelUncertain("no answer"))
    if kind == "fault":
        stage.channel.find_answers.append(ChannelUnavailable("away"))
    else:
        monkeypatch.setattr(beating, "SEND_TIMEOUT_S", 0.01)
        stage.channel.during_find = asyncio.Event().wait
    await stage.beat()
    await stage.beat()
    assert (await state_of(stage), len(stage.channel.asked)) == (EventState.RECONCILING, 1)

    monkeypatch.undo()
    stage.channel.during_find = None
    stage.channel.find_answers.append(network_has_it())
    stage.clock.advance(60.0)
    await stage.tidy()
    await stage.beat()
    await stage.beat()
    assert await state_of(stage) is EventState.TOLD
    assert len(stage.channel.asked) == 2


async def test_f042_a_network_that_never_answers_the_question_blocks_its_address_for_a_day_at_most(
    stage: Stage,
) -> None:
    await fail_once(stage, ChannelUncertain("no answer"))
    await stage.add(words("later"))
    stage.clock.advance(MAX_AGE_S - 1.0)
    stage.channel.find_answers.append(ChannelUnavailable("away"))
    await stage.beat()
    assert await state_of(stage) is EventState.RECONCILING

    stage.clock.advance(61.0)
    stage.channel.find_answers.append(ChannelUnavailable("away"))
    await stage.beat()
    await stage.beat()
    assert await state_of(stage) is EventState.DEAD
    assert await state_of(stage, "later") is EventState.TOLD


async def test_a_doubt_after_thirty_sends_is_the_end(stage: Stage) -> None:
    await stage.add(words("e"))
    for _ in range(MAX_ATTEMPTS):
        stage.channel.send_answers.append(ChannelUncertain("no answer"))
        await stage.beat()
        await stage.beat()
        stage.clock.advance(400.0)

    assert await state_of(stage) is EventState.DEAD
    assert len(stage.channel.sent) == MAX_ATTEMPTS


async def test_a_card_that_is_found_again_is_known_and_brought_up_to_date(stage: Stage) -> None:
    execution = await stage.asked()
    stage.channel.send_answers.append(ChannelUncertain("no answer"))
    stage.channel.find_answers.append(network_has_it("the-card"))
    for _ in range(3):
        await stage.beat()

    await stage.edit()
    assert [message_id for message_id, _ in stage.channel.edits] == ["the-card"]
    note = await stage.press(execution, message="the-card")
    assert note is not None
    assert "You approved" in note


# --- our own faults -----------------------------------------------------------------------------------


async def test_f044_a_channel_with_a_bug_harms_its_own_event_alone(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.add(words("e"), words("other", room="dev"))
    stage.channel.send_answers.append(KeyError("metadata"))
    await stage.beat()
    assert await state_of(stage, "other") is EventState.TOLD
    assert await state_of(stage) is EventState.SENDING
    assert "task.fault" in [record.message for record in caplog.records]

    stage.clock.advance(61.0)
    await stage.tidy()
    await stage.beat()
    stage.clock.advance(1.0)
    await stage.beat()
    assert await state_of(stage) is EventState.TOLD


async def test_f034_a_receipt_that_could_not_be_kept_is_asked_for(stage: Stage) -> None:
    await stage.add(words("e"))
    stage.store.before_write.extend([nothing, the_store_is_away])
    await stage.beat()
    assert await state_of(stage) is EventState.SENDING

    stage.clock.advance(61.0)
    await stage.tidy()
    stage.channel.find_answers.append(network_has_it("posted-1"))
    await stage.beat()
    await stage.beat()
    assert await state_of(stage) is EventState.TOLD
    assert len(stage.channel.sent) == 1


async def test_a_claim_that_nobody_began_to_send_is_due_again(stage: Stage) -> None:
    await stage.add(words("e"))
    token = ClaimToken("somebody who died")
    await stage.store.write(
        lambda tx: tx.events.claim(
            token=token, lease_s=60.0, limit=1, channels=stage.channels.keys(), states={EventState.DUE}
        )
    )
    await stage.tidy()
    assert await state_of(stage) is EventState.CLAIMED

    stage.clock.advance(60.0)
    await stage.tidy()
    assert await state_of(stage) is EventState.DUE
    await stage.beat()
    assert stage.channel.asked == []
    assert await state_of(stage) is EventState.TOLD


async def test_a_gateway_that_ends_while_it_claims_gives_back_what_no_byte_of_has_left(stage: Stage) -> None:
    """What a network is to be asked about stays as it is: its claim runs out, and then it is asked."""
    await fail_once(stage, ChannelUncertain("silence"), "unclear")
    await stage.add(words("plain", room="elsewhere"))
    heartbeat, sent = stage.heartbeat(), len(stage.channel.sent)
    step = asyncio.create_task(heartbeat.step())

    async def end() -> None:
        step.cancel()
        await asyncio.sleep(0)

    stage.store.after_write.append(end)
    with pytest.raises(asyncio.CancelledError):
        await step
    assert len(stage.channel.sent) == sent
    assert await state_of(stage, "plain") is EventState.DUE
    assert await state_of(stage, "unclear") is EventState.RECONCILING
    await stage.tell_all()
    assert await state_of(stage, "plain") is EventState.TOLD
