"""The gate at the intake, on real rows: what is ignored leaves nothing behind, and a code lets a person in once."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.domain.directory import Directory
from bot.domain.event import EventState, Say
from bot.domain.execution import ExecutionState
from bot.domain.gate import CODE_LASTS_S, MAX_PENDING, Admission, DirectPolicy, Gate, PersonPairing
from bot.domain.message import Action, Answer, ButtonPress, InboundMessage, Sender, Suggest
from bot.domain.policy import Policy
from bot.domain.session import DEFAULT_ACCOUNT, ChannelName, DeliveryId, MessageId, Peer, PeerKind
from bot.flow.admission import NOT_HEARD, NOTED_EVERY_S, let_in
from bot.ports import Tx
from tests.flow.ends import CHANNEL
from tests.flow.stage import ANN, BOB, Stage, a_peer

EVE = Sender(native="U9", name="Eve")
OPS = Admission(rooms=frozenset({"ops"}))


def gated(admission: Admission = OPS) -> Gate:
    return Gate(admissions={(CHANNEL, DEFAULT_ACCOUNT): admission})


def direct(who: Sender = EVE) -> Peer:
    return a_peer(who.native, kind=PeerKind.DIRECT)


async def code_of(stage: Stage, who: Sender = EVE) -> str:
    pairing = await pairing_of(stage, who)
    assert pairing is not None
    assert pairing.code is not None
    return pairing.code


async def pairing_of(stage: Stage, who: Sender = EVE) -> PersonPairing | None:
    return await stage.store.read(lambda tx: tx.pairings.get(CHANNEL, DEFAULT_ACCOUNT, who.native))


async def approve(stage: Stage, code: str) -> PersonPairing | None:
    return await stage.store.inner.write(lambda tx: let_in(tx, code, by="op (terminal)"))


async def rows(stage: Stage) -> tuple[int, int, int]:
    """Events, inputs and pairings."""

    def count(tx: Tx) -> tuple[int, int]:
        return len(tx.events.listing(states=frozenset(EventState))), len(tx.pairings.listing())

    events, pairings = await stage.store.inner.read(count)
    return events, len(await stage.waiting_inputs()), pairings


# --- ignored -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["run df -h", "approve {id}", "pause", "hello", "stop {id}"])
async def test_what_is_ignored_makes_no_input_no_reply_and_no_write(stage: Stage, text: str) -> None:
    execution = await stage.asked()
    stage.gate = gated(Admission(dm_policy=DirectPolicy.ALLOWLIST, rooms=frozenset({"ops"})))
    before, writes = await rows(stage), stage.store.writes

    said = text.format(id=execution.id)
    assert await stage.say(said, who=EVE, room="elsewhere") == Answer()
    assert await stage.say(said, who=EVE, peer=direct()) == Answer()
    assert await stage.say(said, who=EVE, is_addressed=False) == Answer()

    assert stage.store.writes == writes
    assert await rows(stage) == before
    await stage.in_state(execution, ExecutionState.AWAITING_APPROVAL)


async def test_what_is_ignored_is_logged_once_a_minute_with_ids_of_ours_alone(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG", logger="bot.flow.admission")
    stage.gate = gated(Admission(dm_policy=DirectPolicy.ALLOWLIST, rooms=frozenset({"ops"})))
    loop, ahead_s = asyncio.get_running_loop(), 0.0
    time: Callable[[], float] = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + ahead_s)

    for _ in range(5):
        await stage.say("secret words", who=EVE, room="elsewhere")
        await stage.say("secret words", who=EVE, peer=direct())
        await stage.say("secret words", who=EVE, is_addressed=False)
    logged = [(one.levelno, one.message, getattr(one, "reason", None)) for one in caplog.records]
    assert logged == [
        (logging.INFO, "gate.ignored", "room_not_allowed"),
        (logging.INFO, "gate.ignored", "not_on_the_list"),
        (logging.DEBUG, "gate.ignored", "not_addressed"),
    ]
    assert not any("secret" in str(one.__dict__) or "Eve" in str(one.__dict__) for one in caplog.records)

    caplog.clear()
    ahead_s = NOTED_EVERY_S
    await stage.say("secret words", who=EVE, room="elsewhere")
    assert len(caplog.records) == 1


async def test_a_thread_of_an_allowed_room_is_heard(stage: Stage) -> None:
    stage.gate = gated()
    await stage.say("run df -h", who=EVE, peer=a_peer("ops", thread="17"))

    assert len(await stage.waiting_inputs()) == 1


async def test_an_unknown_account_hears_nobody(stage: Stage) -> None:
    stage.gate = Gate()
    assert await stage.say("run df -h", who=BOB) == Answer()
    assert await rows(stage) == (0, 0, 0)


async def test_an_ignored_slash_command_is_refused_in_private_and_leaves_nothing_behind(stage: Stage) -> None:
    stage.gate = gated()
    writes = stage.store.writes
    command = InboundMessage(
        peer=a_peer("elsewhere"),
        sender=EVE,
        delivery=DeliveryId("s"),
        message_id=None,
        text="run df -h",
        sent_at=stage.clock.now(),
    )
    assert await stage.intake.message(command) == Answer(note=NOT_HEARD)
    assert stage.store.writes == writes
    assert await stage.intake.message(replace(command, peer=a_peer("ops"))) == Answer(is_working=True)


# --- presses, reactions, completions -----------------------------------------------------------------


async def test_a_press_that_asks_in_a_room_that_is_not_heard_is_refused_in_private(stage: Stage) -> None:
    execution = await stage.finished()
    await stage.tell_all()
    await stage.answer()
    stage.gate = gated(Admission(rooms=frozenset({"elsewhere"})))

    for action in (Action.AGAIN, Action.OUTPUT):
        assert await stage.press(execution, action, who=ANN) == NOT_HEARD
    assert await stage.waiting_inputs() == []
    stage.gate = gated()
    assert await stage.press(execution, Action.AGAIN, who=ANN) is None
    assert len(await stage.waiting_inputs()) == 1


async def test_a_deciders_press_and_reaction_count_though_the_room_is_no_longer_heard(stage: Stage) -> None:
    first, second = await stage.shown(), await stage.shown("uptime")
    stage.gate = gated(Admission(allow_from=(), rooms=frozenset({"elsewhere"})))

    assert "You approved" in (await stage.press(first) or "")
    assert "You denied" in (await stage.react("❌", message="posted-2") or "")
    await stage.in_state(first, ExecutionState.APPROVED)
    await stage.in_state(second, ExecutionState.DENIED)


async def test_whoever_may_not_decide_is_told_who_may_and_a_strangers_reaction_elsewhere_is_nothing(
    stage: Stage,
) -> None:
    execution = await stage.shown()
    stage.gate = gated(Admission(rooms=frozenset({"elsewhere"})))

    assert "Who may: bob" in (await stage.press(execution, who=EVE) or "")
    writes = stage.store.writes
    assert await stage.react("✅", who=EVE) is None
    assert stage.store.writes == writes
    await stage.in_state(execution, ExecutionState.AWAITING_APPROVAL)


async def test_a_deciders_typed_verdict_needs_an_allowed_room_and_no_list(stage: Stage) -> None:
    execution = await stage.shown()
    stage.gate = gated(Admission(allow_from=(), rooms=frozenset({"ops"})))

    await stage.say(f"approve {execution.id}", who=BOB, room="elsewhere")
    await stage.in_state(execution, ExecutionState.AWAITING_APPROVAL)
    await stage.say(f"approve {execution.id}", who=BOB)
    await stage.in_state(execution, ExecutionState.APPROVED)


async def test_completions_name_nothing_to_whom_the_gate_does_not_hear(stage: Stage) -> None:
    stage.gate = gated(Admission(spaces=frozenset({"G1"})))

    async def nodes(peer: Peer, space: str | None = None) -> list[str]:
        found = await stage.intake.suggest(peer, EVE, Suggest.NODE, "", space)
        return [one.value for one in found]

    assert sorted(await nodes(a_peer("ops"), "G1")) == ["db-1", "web-1"]
    assert await nodes(a_peer("ops"), "G2") == []
    assert await nodes(a_peer("ops")) == []
    assert await nodes(direct()) == []
    await stage.say("hello", who=EVE, peer=direct())
    assert await nodes(direct()) == []
    assert await approve(stage, await code_of(stage)) is not None
    assert len(await nodes(direct())) == 2


# --- pairing -----------------------------------------------------------------------------------------


async def test_an_unknown_person_alone_with_us_gets_one_code_and_nothing_is_done(stage: Stage) -> None:
    stage.gate = gated()
    writes = stage.store.writes
    for _ in range(3):
        assert await stage.say("run df -h", who=EVE, peer=direct()) == Answer()
    assert stage.store.writes == writes + 1
    await stage.tell_all()

    assert await stage.waiting_inputs() == []
    (sent,) = stage.channel.sent
    code = await code_of(stage)
    assert f"homing pairing approve {code}" in stage.posts()[0]
    assert sent.address.peer == direct()
    assert re.fullmatch(r"[2-9A-Z]{8}", code)


async def test_the_code_and_its_reply_are_one_transaction(stage: Stage) -> None:
    stage.gate = gated()
    writes = stage.store.writes
    await stage.say("run df -h", who=EVE, peer=direct())

    assert stage.store.writes == writes + 1
    (owed,) = await stage.events(EventState.DUE)
    assert isinstance(owed.payload, Say)
    assert await code_of(stage) in (owed.payload.code or "")


async def test_an_approved_code_lets_the_person_in_and_tells_them_once(stage: Stage) -> None:
    stage.gate = gated()
    await stage.say("run df -h", who=EVE, peer=direct())
    code = await code_of(stage)
    paired = await approve(stage, code)
    assert paired is not None
    assert (paired.native, paired.name, paired.paired_by, paired.code) == ("U9", "Eve", "op (terminal)", None)
    assert await approve(stage, code) is None

    await stage.tell_all()
    assert [("let in" in text) for text in stage.posts()] == [False, True]
    await stage.say("run df -h", who=EVE, peer=direct())
    assert [one.text for one in await stage.waiting_inputs()] == ["run df -h"]


async def test_being_paired_opens_no_room_and_no_other_account(stage: Stage) -> None:
    stage.gate = gated()
    await stage.say("hello", who=EVE, peer=direct())
    assert await approve(stage, await code_of(stage)) is not None

    assert await stage.say("run df -h", who=EVE, room="elsewhere") == Answer()
    assert await stage.waiting_inputs() == []
    other = ChannelName("slack")
    assert await stage.store.read(lambda tx: tx.pairings.get(other, DEFAULT_ACCOUNT, EVE.native)) is None


async def test_a_code_is_over_after_its_hour_and_another_one_is_given(stage: Stage) -> None:
    stage.gate = gated()
    await stage.say("hello", who=EVE, peer=direct())
    first = await code_of(stage)
    stage.clock.advance(CODE_LASTS_S)
    assert await approve(stage, first) is None

    await stage.say("hello", who=EVE, peer=direct())
    assert await code_of(stage) != first
    await stage.tell_all()
    assert len(stage.posts()) == 2


async def test_no_more_codes_wait_than_an_operator_reads(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="bot.flow.admission")
    stage.gate = gated()
    crowd = [Sender(native=f"U{number}", name="somebody") for number in range(100, 100 + MAX_PENDING + 3)]
    writes = stage.store.writes
    for one in crowd:
        await stage.say("hello", who=one, peer=direct(one))
    assert stage.store.writes == writes + MAX_PENDING

    events, inputs, pairings = await rows(stage)
    assert (events, inputs, pairings) == (MAX_PENDING, 0, MAX_PENDING)
    assert [getattr(one, "reason", None) for one in caplog.records] == ["too_many_pending"]
    assert await approve(stage, await code_of(stage, crowd[0])) is not None
    await stage.say("hello", who=crowd[-1], peer=direct(crowd[-1]))
    assert await pairing_of(stage, crowd[-1]) is not None


async def test_a_message_that_is_seen_late_gives_no_code(stage: Stage) -> None:
    stage.gate = gated()
    await stage.say("hello", who=EVE, peer=direct(), age_s=3_601.0)

    assert await rows(stage) == (0, 0, 0)


async def test_whom_the_file_names_needs_no_code_and_whoever_is_named_later_needs_none_any_more(stage: Stage) -> None:
    stage.gate = gated()
    await stage.say("run df -h", who=BOB, peer=direct(BOB))
    assert len(await stage.waiting_inputs()) == 1

    stage.policy = Policy(directory=Directory())
    await stage.say("run uptime", who=BOB, peer=direct(BOB))
    assert len(await stage.waiting_inputs()) == 1
    assert await pairing_of(stage, BOB) is not None


async def test_nothing_that_is_written_in_a_chat_lets_anybody_in(stage: Stage) -> None:
    stage.gate = gated()
    await stage.say("hello", who=EVE, peer=direct())
    code = await code_of(stage)
    for who, peer in ((EVE, direct()), (BOB, direct(BOB)), (BOB, a_peer("ops"))):
        for text in (f"homing pairing approve {code}", f"pairing approve {code}", f"approve {code}", code):
            await stage.say(text, who=who, peer=peer)
            await stage.answer()

    pairing = await pairing_of(stage)
    assert pairing is not None
    assert pairing.paired_at is None


async def test_a_press_of_somebody_unknown_alone_with_us_gives_no_code(stage: Stage) -> None:
    execution = await stage.finished()
    stage.gate = gated()
    button = stage.a_press(execution, Action.AGAIN).button
    press = ButtonPress(peer=direct(), sender=EVE, delivery=DeliveryId("p"), message_id=MessageId("x"), button=button)
    assert await stage.intake.press(press) == Answer(note=NOT_HEARD)
    assert await pairing_of(stage) is None


async def test_two_replicas_give_one_person_one_code(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.gate = gated()
    await asyncio.gather(*(stage.say("hello", who=EVE, peer=direct()) for _ in range(8)))

    assert await rows(stage) == (1, 0, 1)
