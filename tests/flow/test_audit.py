"""Heads are told to places outside, a rewritten past is noticed, and old bodies are redacted a day at a time."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

import bot.flow.audit
from bot.domain.audit import Head
from bot.domain.audit_check import Sound, check, redactions
from bot.domain.execution import ExecutionState
from bot.errors import HomingError
from bot.flow.audit import DAY_S, Forgetting, Witnessing
from bot.ports import Tx, Witnessed
from tests.clock import ManualClock
from tests.flow.stage import CY, Stage

HOUR_S = 3_600.0


@dataclass
class Place:
    """Takes heads, unless it is told otherwise."""

    name: str = "file"
    heads: list[Head] = field(default_factory=list)
    fault: str | None = None
    hangs: bool = False

    async def keep(self, head: Head) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise HomingError(self.fault)
        self.heads.append(head)


async def note(stage: Stage, *kinds: str) -> None:
    for kind in kinds:
        await stage.store.write(lambda tx, kind=kind: tx.audit.note(kind, "ann", {"why": kind}))  # type: ignore[misc]


async def head(stage: Stage) -> Head:
    found = await stage.store.read(lambda tx: tx.audit.head())
    assert found is not None
    return found


async def known(stage: Stage) -> list[Witnessed]:
    return list(await stage.store.read(lambda tx: tx.audit.witnesses()))


async def kinds(stage: Stage) -> list[tuple[str, object]]:
    lines = await stage.store.read(lambda tx: tx.audit.lines())
    return [(line.kind, line.fields()["by"]) for line in lines if line.kind != "node_paired"]


async def test_the_life_of_an_execution_stands_in_the_audit_from_the_request_to_the_telling(stage: Stage) -> None:
    await stage.finished()
    await stage.tell_all()
    assert await kinds(stage) == [
        ("requested", "discord:U1"),
        ("ask", "default: ask the owners"),
        ("told", None),
        ("yes", "bob"),
        ("approve", "bob"),
        ("dispatch", "gateway"),
        ("start", "web-1"),
        ("finish", "web-1"),
        ("told", None),
    ]
    lines = await stage.store.read(lambda tx: tx.audit.lines())
    assert isinstance(check(lines, redactions(lines)), Sound)
    assert "all is well" not in "".join(line.body or "" for line in lines), "an output stands there by its hash"


async def test_f076_who_tries_what_they_may_not_stands_in_the_audit(stage: Stage) -> None:
    execution = await stage.shown()
    before = len(await kinds(stage))
    await stage.press(execution, who=CY)
    await stage.say(f"stop {execution.id}", who=CY)
    await stage.say("pause for me", who=CY)
    await stage.say("resume", who=CY)
    tried = (await kinds(stage))[before:]
    names = [kind for kind, _ in tried]
    assert names == ["refused_vote", "refused_stop", "refused_switch", "refused_switch"]
    assert len({by for _, by in tried}) == 1
    assert (await stage.read(execution)).state is ExecutionState.AWAITING_APPROVAL


async def test_a_head_is_told_at_once_and_then_every_hour(stage: Stage) -> None:
    place = Place()
    telling = Witnessing(stage.store, stage.clock, [place], HOUR_S)
    first = await head(stage)
    assert await telling.step() is False
    await note(stage, "paused")
    for _ in range(59):
        stage.clock.advance(60)
        await telling.step()
    assert place.heads == [first]
    stage.clock.advance(60)
    await telling.step()
    assert place.heads == [first, await head(stage)]
    (witnessed,) = await known(stage)
    assert (witnessed.name, witnessed.head, witnessed.trouble) == ("file", place.heads[-1], None)


async def test_a_place_that_fails_is_told_at_the_next_pass_and_holds_up_no_other(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    file, url = Place(), Place("url", fault="it answered 500")
    telling = Witnessing(stage.store, stage.clock, [url, file], HOUR_S)
    with caplog.at_level(logging.WARNING):
        await telling.step()
    assert [record.message for record in caplog.records] == ["audit.head_not_told"]
    assert len(file.heads) == 1
    _, of_url = await known(stage)
    assert (of_url.trouble, of_url.failing_since, of_url.head) == ("it answered 500", stage.clock.now(), None)
    stage.clock.advance(60)
    url.fault = None
    await telling.step()
    assert (len(file.heads), len(url.heads)) == (1, 1)
    assert [one.trouble for one in await known(stage)] == [None, None]


async def test_a_place_that_never_answers_is_given_up_for_now(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot.flow.audit, "TELL_TIMEOUT_S", 0.01)
    await Witnessing(stage.store, stage.clock, [Place(hangs=True)], HOUR_S).step()
    (witnessed,) = await known(stage)
    assert witnessed.trouble == "it did not answer within 0 s"


async def test_where_there_is_no_line_yet_nothing_is_told(stage: Stage, clock: ManualClock) -> None:
    await stage.store.write(lambda tx: raw(tx, "DROP TRIGGER audit_lines_stay", "DELETE FROM audit_lines"))
    place = Place()
    await Witnessing(stage.store, clock, [place], HOUR_S).step()
    assert place.heads == []


async def test_a_clock_that_was_set_back_delays_no_head(stage: Stage, clock: ManualClock) -> None:
    place = Place()
    telling = Witnessing(stage.store, clock, [place], HOUR_S)
    await telling.step()
    clock.advance(-DAY_S)
    await telling.step()
    assert len(place.heads) == 2


def raw(tx: Tx, *statements: str) -> None:
    """As somebody who owns the database."""
    for statement in statements:
        tx.audit.connection.execute(text(statement))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "forge",
    [
        "UPDATE audit_lines SET hash = 'forged' WHERE seq = (SELECT max(seq) FROM audit_lines) - 1",
        "DELETE FROM audit_lines WHERE seq >= (SELECT max(seq) FROM audit_lines) - 1",
    ],
    ids=["changed", "cut"],
)
async def test_f076_a_past_that_is_rewritten_under_a_running_gateway_is_noticed(
    stage: Stage, caplog: pytest.LogCaptureFixture, forge: str
) -> None:
    place = Place()
    telling = Witnessing(stage.store, stage.clock, [place], HOUR_S)
    await note(stage, "paused")
    await telling.step()
    told = place.heads[-1].seq
    await note(stage, "resumed")
    await stage.store.write(lambda tx: raw(tx, "DROP TRIGGER audit_lines_keep", "DROP TRIGGER audit_lines_stay", forge))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            stage.clock.advance(HOUR_S)
            await telling.step()
    assert [record.message for record in caplog.records] == ["audit.rewritten"]
    assert len(place.heads) == 3, "it is told all the same: whoever compares sees both"
    (witnessed,) = await known(stage)
    assert witnessed.trouble is not None
    assert witnessed.trouble.startswith(f"line {told} is another than the one that was told before")


async def test_what_is_too_old_is_looked_for_once_a_day(stage: Stage) -> None:
    forgetting = Forgetting(stage.store, stage.clock, 30 * DAY_S)
    stage.clock.advance(30 * DAY_S - HOUR_S)
    assert await forgetting.step() is False
    stage.clock.advance(2 * HOUR_S)
    assert await forgetting.step() is False, "something is old by now, and waits for tomorrow"
    stage.clock.advance(DAY_S - 2 * HOUR_S)
    assert await forgetting.step() is True


async def test_old_bodies_are_redacted_once_a_day_and_the_chain_holds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot.flow.audit, "_BATCH", 3)
    forgetting = Forgetting(stage.store, stage.clock, 30 * DAY_S)
    await note(stage, *(f"old-{number}" for number in range(5)))
    assert await forgetting.step() is False
    old = (await head(stage)).seq
    stage.clock.advance(31 * DAY_S)
    await note(stage, "new")
    passes = 0
    while await forgetting.step():
        passes += 1
    lines = await stage.store.read(lambda tx: tx.audit.lines())
    assert passes == -(-old // 3)
    assert [line.seq for line in lines if line.body is None] == list(range(1, old + 1))
    assert [line.kind for line in lines[old:]] == ["new"] + ["redacted"] * passes
    assert lines[-1].fields()["reason"] == "kept for 30 days"
    sound = check(lines, redactions(lines))
    assert isinstance(sound, Sound)
    assert sound.redacted == old

    stage.clock.advance(31 * DAY_S)
    while await forgetting.step():
        pass
    count = (await head(stage)).seq
    for _ in range(3):
        stage.clock.advance(31 * DAY_S)
        assert await forgetting.step() is False
    assert (await head(stage)).seq == count, "where nothing happens nothing is said about it for ever"
