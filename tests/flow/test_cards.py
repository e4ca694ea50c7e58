"""A card's life by edits: the newest state only, at the network's pace, never backwards, never after its end."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.domain.execution import ExecutionState
from bot.domain.message import Action, Receipt
from bot.domain.retry import MAX_ATTEMPTS
from bot.domain.session import MessageId
from bot.errors import ChannelRejected, ChannelThrottled, ChannelUnavailable, ChannelUncertain
from bot.flow import heartbeat as beating
from tests.flow.ends import NODE, nothing, the_store_is_away
from tests.flow.stage import Stage, words
from tests.platforms.forms import text_of

S = ExecutionState


def shown(stage: Stage) -> list[str]:
    """The first line of every edit."""
    return [text_of(post).splitlines()[0] for _, post in stage.channel.edits]


async def settle(stage: Stage) -> None:
    """Tell what is owed, then bring cards up to date, until nothing is left for this moment."""
    await stage.tell_all()
    await stage.edit()


async def test_a_card_that_shows_what_is_known_is_left_alone(stage: Stage) -> None:
    await stage.shown()
    await stage.edit()

    assert stage.channel.edits == []


async def test_f056_a_decision_takes_the_buttons_away(stage: Stage) -> None:
    execution = await stage.shown()
    await stage.press(execution, Action.DENY)
    await settle(stage)

    ((message_id, post),) = stage.channel.edits
    assert message_id == "posted-1"
    assert (post.status, post.buttons) == ("denied", ())


async def test_a_card_waits_for_the_words_that_are_owed_at_its_address(stage: Stage) -> None:
    execution = await stage.shown()
    await stage.press(execution, Action.DENY)

    await stage.edit()
    assert stage.channel.edits == []
    await settle(stage)
    assert len(stage.channel.edits) == 1


async def test_many_changes_are_one_edit_with_the_newest(stage: Stage) -> None:
    execution = await stage.running()
    for line in ("one", "two", "three"):
        await stage.reports.progress(NODE, execution.id, line)
    await settle(stage)

    (edit,) = stage.channel.edits
    assert "three" in text_of(edit[1])
    assert "two" not in text_of(edit[1])


async def test_edits_keep_the_pace_of_the_network(stage: Stage) -> None:
    execution = await stage.running()
    await settle(stage)
    await stage.reports.progress(NODE, execution.id, "one")
    await stage.edit()
    assert len(stage.channel.edits) == 1

    stage.clock.advance(stage.channel.capabilities.edit_interval_s)
    await stage.edit()
    assert len(stage.channel.edits) == 2


async def test_f056_after_the_end_a_card_is_never_edited_again(stage: Stage) -> None:
    execution = await stage.finished()
    await settle(stage)
    assert shown(stage) == [f"✅ Finished, exit 0 · {execution.id}"]

    await stage.store.write(lambda tx: tx.executions.amend(execution))
    stage.clock.advance(60.0)
    await stage.edit()
    assert len(stage.channel.edits) == 1


async def test_a_lost_execution_s_card_is_not_at_its_end(stage: Stage) -> None:
    execution = await stage.running()
    await stage.reports.not_known(NODE, execution.id, "the node died")
    await settle(stage)
    await stage.finish(execution)
    stage.clock.advance(1.0)
    await settle(stage)

    assert [line.split(" · ")[0] for line in shown(stage)] == ["❓ Not known whether it ran", "✅ Finished, exit 0"]


async def test_f056_what_changes_during_an_edit_is_shown_by_the_next(stage: Stage) -> None:
    execution = await stage.running()

    async def it_ends() -> None:
        stage.channel.during_edit = None
        await stage.finish(execution)

    stage.channel.during_edit = it_ends
    await settle(stage)
    assert [line.split(" · ")[0] for line in shown(stage)] == ["⏳ Running"]

    stage.clock.advance(1.0)
    await settle(stage)
    assert [line.split(" · ")[0] for line in shown(stage)] == ["⏳ Running", "✅ Finished, exit 0"]


async def test_f056_an_edit_that_is_slow_does_not_take_a_newer_one_back(stage: Stage) -> None:
    """Two replicas edit one card; the older view is written to the network and noted last."""
    execution = await stage.running()
    await stage.tell_all()
    slow, quick = stage.heartbeat(), stage.heartbeat()
    gate = asyncio.Event()
    stage.channel.during_edit = gate.wait
    await slow.bring_cards_up_to_date()
    await _until(lambda: len(stage.channel.edits) == 1)

    await stage.finish(execution)
    await stage.tell_all()
    stage.channel.during_edit = None
    await quick.bring_cards_up_to_date()
    await quick.tasks.drain()
    gate.set()
    await slow.tasks.drain()

    card = await stage.store.read(lambda tx: tx.cards.at(execution.origin.peer, stage.channel.edits[0][0]))
    assert card is not None
    assert card.shown_revision == (await stage.read(execution)).revision


async def test_a_card_is_edited_by_one_at_a_time(stage: Stage) -> None:
    await stage.running()
    await stage.tell_all()
    heartbeat = stage.heartbeat()
    gate = asyncio.Event()
    stage.channel.during_edit = gate.wait
    for _ in range(3):
        await heartbeat.bring_cards_up_to_date()
    gate.set()
    await heartbeat.tasks.drain()

    assert len(stage.channel.edits) == 1
    assert heartbeat.editing == set()


async def test_edits_leave_room_for_results(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "_MAX_EDITS", 1)
    await stage.running()
    await stage.running("uptime", room="dev")
    await stage.tell_all()
    heartbeat = stage.heartbeat()
    account = (stage.channel.name, stage.channel.account)
    before = heartbeat.places.free(account)
    await heartbeat.bring_cards_up_to_date()
    assert (heartbeat.edits.free(account), heartbeat.places.free(account)) == (0, before)
    await heartbeat.tasks.drain()
    assert len(stage.channel.edits) == 1


async def test_without_room_no_card_is_looked_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "_MAX_EDITS", 0)
    heartbeat = stage.heartbeat()
    reads = stage.store.reads
    await heartbeat.bring_cards_up_to_date()

    assert stage.store.reads == reads


async def test_an_execution_that_is_pruned_between_the_look_and_the_edit_is_left_alone(
    stage: Stage, tmp_path: Path
) -> None:
    await stage.running()
    await stage.tell_all()
    heartbeat = stage.heartbeat()

    async def another_process_prunes() -> None:
        with sqlite3.connect(tmp_path / "homing.db") as other:
            other.execute("PRAGMA foreign_keys = ON")
            other.execute("DELETE FROM executions")
        other.close()

    stage.store.before_read.extend([nothing, another_process_prunes])
    await heartbeat.bring_cards_up_to_date()
    await heartbeat.tasks.drain()

    assert stage.channel.edits == []
    assert heartbeat.editing == set()


# --- edits that fail ---------------------------------------------------------------------------------


async def test_an_edit_that_fails_is_tried_again_and_holds_up_no_result(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    execution = await stage.running()
    stage.channel.edit_faults.append(ChannelUnavailable("away"))
    await settle(stage)
    await stage.edit()
    assert len(stage.channel.edits) == 1
    (warning,) = [record for record in caplog.records if record.message == "card.edit_failed"]
    assert warning.__dict__["given_up"] is False

    await stage.finish(execution)
    await stage.tell_all()
    assert "all is well" in stage.posts()[-1]
    stage.clock.advance(1.0)
    await stage.edit()
    assert len(stage.channel.edits) == 2


async def test_f099_a_network_that_asks_for_patience_gets_it_for_edits_too(stage: Stage) -> None:
    await stage.running()
    stage.channel.edit_faults.append(ChannelThrottled("slowly", retry_after_s=30.0))
    await settle(stage)
    stage.clock.advance(29.9)
    await stage.edit()
    assert len(stage.channel.edits) == 1

    stage.clock.advance(0.1)
    await stage.edit()
    assert len(stage.channel.edits) == 2


async def test_an_edit_that_hangs_is_ended_and_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beating, "SEND_TIMEOUT_S", 0.01)
    await stage.running()
    stage.channel.during_edit = asyncio.Event().wait
    await settle(stage)
    stage.channel.during_edit = None
    stage.clock.advance(1.0)
    await stage.edit()

    assert len(stage.channel.edits) == 2


async def test_a_card_that_was_deleted_is_given_up_and_its_result_is_told(stage: Stage) -> None:
    execution = await stage.running()
    stage.channel.edit_faults.append(ChannelRejected("there is no such message"))
    await settle(stage)
    await stage.finish(execution)
    stage.clock.advance(600.0)
    await settle(stage)

    assert len(stage.channel.edits) == 1
    assert "all is well" in stage.posts()[-1]


async def test_a_card_that_cannot_be_edited_thirty_times_is_given_up(stage: Stage) -> None:
    await stage.running()
    await stage.tell_all()
    for _ in range(MAX_ATTEMPTS + 5):
        stage.channel.edit_faults.append(ChannelUnavailable("away"))
        await stage.edit()
        stage.clock.advance(400.0)

    assert len(stage.channel.edits) == MAX_ATTEMPTS


async def test_a_full_disk_does_not_make_edits_as_fast_as_they_fail(stage: Stage) -> None:
    """The network took the edit and we cannot note it: the next try is the poll's, not at once."""

    await stage.running()
    await stage.tell_all()
    stage.store.before_write.append(the_store_is_away)
    stage.signals.cards.clear()
    await stage.edit()

    assert len(stage.channel.edits) == 1
    assert not stage.signals.cards._event.is_set()


async def test_what_is_told_wakes_cards_and_a_card_early_presses_too(stage: Stage) -> None:
    early, cards = stage.signals.early, stage.signals.cards
    await stage.asked()
    early.clear()
    cards.clear()
    await stage.beat()
    assert (early._event.is_set(), cards._event.is_set()) == (True, True)

    await stage.add(words("e"))
    early.clear()
    cards.clear()
    await stage.beat()
    assert (early._event.is_set(), cards._event.is_set()) == (False, True)


async def test_a_card_that_is_found_again_wakes_early_presses(stage: Stage) -> None:
    await stage.asked()
    stage.channel.send_answers.append(ChannelUncertain("no answer"))
    stage.channel.find_answers.append(Receipt(message_id=MessageId("the-card")))
    await stage.beat()
    stage.signals.early.clear()
    await stage.beat()

    assert stage.signals.early._event.is_set()


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not is_so():
            await asyncio.sleep(0.001)
