"""The fast path: a result is committed already claimed and told by this process at once; and what may go wrong then."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from bot.agent.commands import CommandsAgent
from bot.domain.event import EventState, TellOutcome
from bot.domain.execution import Execution, ExecutionState
from bot.domain.mask import Masker
from bot.domain.session import DEFAULT_ACCOUNT, ChannelName
from bot.errors import ChannelHeld, ChannelRejected, StoreError
from bot.flow.completion import Completion
from bot.flow.heartbeat import Heartbeat
from tests.flow.ends import CHANNEL, NODE, the_store_is_away
from tests.flow.stage import Stage, a_result, words

S = EventState
HERE = (CHANNEL, DEFAULT_ACCOUNT)


async def report(stage: Stage, heartbeat: Heartbeat, execution: Execution) -> None:
    now = stage.clock.now()
    reports = Completion(stage.store, stage.signals, stage.masker, heartbeat)
    await reports.finished(NODE, execution.id, a_result(), now, now)


async def finish(stage: Stage, execution: Execution) -> None:
    heartbeat = stage.heartbeat()
    await report(stage, heartbeat, execution)
    await heartbeat.tasks.drain()


async def outcome(stage: Stage) -> EventState:
    (found,) = [one for one in await stage.events() if isinstance(one.payload, TellOutcome)]
    return found.state


async def test_a_result_is_told_by_the_commit_that_owes_it_and_the_one_of_its_receipt(stage: Stage) -> None:
    execution = await stage.running()
    seen: list[tuple[EventState, ExecutionState]] = []
    sent, writes = len(stage.channel.sent), stage.store.writes

    async def look() -> None:
        seen.append((await outcome(stage), (await stage.read(execution)).state))

    stage.channel.during_send = look
    await finish(stage, execution)

    assert seen == [(S.SENDING, ExecutionState.FINISHED)], "committed before the bytes left"
    assert stage.store.writes == writes + 2
    assert len(stage.channel.sent) == sent + 1
    assert "all is well" in stage.posts()[-1]
    told = await stage.event("outcome:")
    assert (told.state, told.attempt) == (S.TOLD, 1)
    assert told.nonce == stage.channel.sent[-1].nonce
    assert [what for what, _ in await stage.steps(execution)][-2:] == ["finish", "told"]


async def test_a_report_that_comes_again_is_told_once(stage: Stage) -> None:
    execution = await stage.running()
    sent = len(stage.channel.sent)
    await finish(stage, execution)
    await finish(stage, execution)
    assert len(stage.channel.sent) == sent + 1


async def test_a_result_waits_behind_what_its_room_is_owed_already(stage: Stage) -> None:
    execution = await stage.running()
    await stage.add(words("earlier", "before it"))
    await finish(stage, execution)
    assert await outcome(stage) is S.DUE
    await stage.tell_all()
    assert ["before it" in post for post in stage.posts()[-2:]] == [True, False]


async def test_f034_a_connection_that_ends_at_the_commit_holds_up_no_result(stage: Stage) -> None:
    """What serves a node's connection is cancelled with it: here between the commit and the word that it is done."""
    execution, heartbeat = await stage.running(), stage.heartbeat()
    reporting = asyncio.create_task(report(stage, heartbeat, execution))

    async def cut_off() -> None:
        reporting.cancel()
        await asyncio.sleep(0)

    stage.store.after_write.append(cut_off)
    with pytest.raises(asyncio.CancelledError):
        await reporting
    await heartbeat.tasks.drain()
    assert await outcome(stage) is S.TOLD


async def test_a_gateway_that_ends_between_commit_and_send_gives_the_claim_back_at_once(stage: Stage) -> None:
    execution, heartbeat = await stage.running(), stage.heartbeat()
    sent = len(stage.channel.sent)
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        ending.append(asyncio.create_task(heartbeat.tasks.close()))
        await asyncio.sleep(0)

    stage.store.after_write.append(end)
    with contextlib.suppress(asyncio.CancelledError):
        await report(stage, heartbeat, execution)
    await ending[0]

    assert len(stage.channel.sent) == sent
    given_back = await stage.event("outcome:")
    assert (given_back.state, given_back.not_before) == (S.DUE, stage.clock.now()), "not a lease later"
    await stage.beat()
    assert await outcome(stage) is S.TOLD
    assert "may be a repeat" not in stage.posts()[-1], "no byte of it had left"


async def test_a_gateway_that_ends_where_nothing_was_claimed_has_nothing_to_give_back(stage: Stage) -> None:
    execution, heartbeat = await stage.running(), stage.heartbeat()
    await stage.add(words("earlier"))
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        ending.append(asyncio.create_task(heartbeat.tasks.close()))
        await asyncio.sleep(0)

    stage.store.after_write.append(end)
    await report(stage, heartbeat, execution)
    await ending[0]
    assert await outcome(stage) is S.DUE


async def test_without_a_free_place_nothing_is_claimed_and_all_is_due(
    stage: Stage,
) -> None:
    execution = await stage.running()
    heartbeat = stage.heartbeat()
    heartbeat.tasks._limit = 0
    stage.signals.heartbeat.clear()
    await report(stage, heartbeat, execution)
    assert await outcome(stage) is S.DUE
    await asyncio.wait_for(stage.signals.heartbeat.wait(5.0), 1.0)


async def test_what_came_first_is_not_overtaken_while_more_waits_than_there_are_places(stage: Stage) -> None:
    execution, heartbeat = await stage.running(), stage.heartbeat()
    heartbeat.places.each = 2
    for number in range(3):
        await stage.add(words(f"e{number}", room=f"room-{number}"))
    await heartbeat.step()
    await heartbeat.tasks.drain()
    assert heartbeat.places.waiting == {HERE}, "as many were found as there were places: there may be more"
    await report(stage, heartbeat, execution)
    assert await outcome(stage) is S.DUE

    heartbeat.places.each = 64
    await heartbeat.step()
    await heartbeat.tasks.drain()
    assert heartbeat.places.waiting == set()
    assert await outcome(stage) is S.TOLD
    assert heartbeat.places.free(HERE) == 64, "every place was given back"


async def test_places_that_are_all_taken_are_waited_for(stage: Stage) -> None:
    heartbeat = stage.heartbeat()
    heartbeat.places.each = 0
    await heartbeat.step()
    assert heartbeat.places.waiting == {HERE}


async def test_what_is_committed_at_the_same_time_takes_no_more_places_than_there_are(stage: Stage) -> None:
    """Whether a transaction takes a place, and on which account, is known when it is committed."""
    first, second = await stage.running(room="a"), await stage.running(room="b")
    heartbeat = stage.heartbeat()
    heartbeat.places.each = 1
    await asyncio.gather(report(stage, heartbeat, first), report(stage, heartbeat, second))
    await heartbeat.tasks.drain()
    told = [one for one in await stage.events(S.TOLD) if isinstance(one.payload, TellOutcome)]
    assert len(told) == 1
    await stage.tell_all()
    assert len([one for one in await stage.events(S.TOLD) if isinstance(one.payload, TellOutcome)]) == 2


async def test_what_another_process_speaks_for_is_left_to_it(stage: Stage) -> None:
    execution = await stage.running()
    stage.channel.name = ChannelName("slack")
    await finish(stage, execution)
    assert await outcome(stage) is S.DUE


async def test_a_store_that_is_away_is_heard_by_the_report_alone(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    execution, heartbeat = await stage.running(), stage.heartbeat()
    stage.store.before_write.append(the_store_is_away)
    with pytest.raises(StoreError):
        await report(stage, heartbeat, execution)
    await heartbeat.tasks.drain()
    assert (await stage.read(execution)).state is ExecutionState.RUNNING
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_claim_that_died_with_its_gateway_is_asked_about_before_it_is_sent_again(stage: Stage) -> None:
    """After the commit and before the send the process is gone: the next one finds the claim, and takes it over."""
    execution, heartbeat = await stage.running(), stage.heartbeat()
    stage.channel.during_send = asyncio.Event().wait
    await report(stage, heartbeat, execution)
    await asyncio.sleep(0)
    assert await outcome(stage) is S.SENDING
    dead = list(heartbeat.tasks._running)

    await stage.store.inner.write(lambda tx: tx.events.take_over())
    await stage.tidy()
    stage.channel.during_send = None
    await stage.tell_all()
    stage.clock.advance(1.0)
    await stage.tell_all()
    assert len(stage.channel.asked) == 1
    assert await outcome(stage) is S.TOLD
    for task in dead:
        task.cancel()
    await asyncio.gather(*dead, return_exceptions=True)


# --- who looks again after it ------------------------------------------------------------------------------------


async def is_woken(stage: Stage) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stage.signals.heartbeat.wait(60.0), 0.01)
        return True
    return False


async def test_nobody_looks_for_more_where_nothing_else_is_owed(stage: Stage) -> None:
    execution = await stage.running()
    stage.signals.heartbeat.clear()
    await finish(stage, execution)
    assert await outcome(stage) is S.TOLD
    assert not await is_woken(stage)


async def test_what_came_meanwhile_at_that_address_is_looked_for_at_once(stage: Stage) -> None:
    execution = await stage.running()

    async def more() -> None:
        stage.channel.during_send = None
        await stage.add(words("later"))

    stage.channel.during_send = more
    stage.signals.heartbeat.clear()
    await finish(stage, execution)
    assert await is_woken(stage)


async def test_a_place_that_others_wait_for_is_offered_when_it_is_free(stage: Stage) -> None:
    execution, heartbeat = await stage.running(), stage.heartbeat()

    async def fill() -> None:
        heartbeat.places.waiting.add(HERE)

    stage.channel.during_send = fill
    stage.signals.heartbeat.clear()
    await report(stage, heartbeat, execution)
    await heartbeat.tasks.drain()
    await asyncio.sleep(0)
    assert await is_woken(stage)


@pytest.mark.parametrize("fault", [ChannelHeld("the window is closed"), ChannelRejected("no such room")])
async def test_what_cannot_be_told_lets_the_next_one_pass_at_once(stage: Stage, fault: Exception) -> None:
    execution = await stage.running()
    stage.channel.send_answers.append(fault)
    stage.signals.heartbeat.clear()
    await finish(stage, execution)
    assert await is_woken(stage)


async def test_an_agent_that_never_says_a_word_to_a_result_gets_no_turn_for_it(stage: Stage) -> None:
    execution, heartbeat = await stage.running(), stage.heartbeat()
    await stage.answer()
    stage.signals.turn.clear()
    now = stage.clock.now()
    hears = CommandsAgent.HEARS_RESULTS
    reports = Completion(stage.store, stage.signals, stage.masker, heartbeat, for_agent=hears)
    await reports.finished(NODE, execution.id, a_result(), now, now)
    await heartbeat.tasks.drain()
    assert await outcome(stage) is S.TOLD
    assert await stage.waiting_inputs() == []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stage.signals.turn.wait(60.0), 0.01)
    agent = CommandsAgent(stage.store, stage.hub, stage.policies)
    other = await stage.running(room="other")
    await stage.finish(other)
    assert await agent.answer(await stage.waiting_inputs()) == [], "it is as silent as it says"


async def test_a_long_output_is_masked_like_a_short_one(stage: Stage) -> None:
    stage.masker = Masker(["correct-horse-battery"])
    for room, length in (("short", 10), ("long", 10_000)):
        execution = await stage.running(room=room)
        text = "x " * length + "correct-horse-battery"
        now = stage.clock.now()
        await stage.reports.finished(NODE, execution.id, a_result(text), now, now)
        kept = await stage.read(execution)
        assert kept.result is not None
        assert kept.result.output.text().endswith("x ‹secret›")
        await stage.answer()
