"""The clock's own inputs: cadences and schedules, their hours and zones, what is skipped and why, what was missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from bot.domain.event import InputKind, Say
from bot.domain.session import AgentName, MainKey, ReturnAddress, ScheduleKey, SessionKey, format_key
from bot.flow import schedule as room
from bot.flow.enqueue import NOWHERE, Refused, Wanted, enqueue
from bot.flow.schedule import ActiveHours, Cadence, Clocks, Missed, Planned, Schedule, Target
from bot.ports import Tick
from tests.flow.agents import ScriptedAgent
from tests.flow.stage import Stage, a_peer, session

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
DAY = ActiveHours(start=time(8), end=time(22), zone=BERLIN)
NIGHT = ActiveHours(start=time(22), end=time(6), zone=BERLIN)
MAIN = format_key(MainKey(agent=AgentName("main")))
NIGHTLY = format_key(ScheduleKey(agent=AgentName("main"), name="nightly"))


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


LOOK = Cadence(agent=AgentName("main"), session=MAIN, every_s=600.0, prompt="Look.", target=Target.NONE)
PLANNED = Planned(
    label="nightly",
    session=NIGHTLY,
    cron="0 3 * * *",
    zone=BERLIN,
    to=a_peer(),
    kind=InputKind.SCHEDULE,
    text="Good night.",
)


def schedule(stage: Stage, *cadences: Cadence, planned: tuple[Planned, ...] = ()) -> Schedule:
    clocks = Clocks(cadences=cadences, planned=planned)
    return Schedule(store=stage.store, clock=stage.clock, signals=stage.signals, clocks=clocks)


async def tick(stage: Stage, name: str = "heartbeat:main") -> Tick:
    found = await stage.store.read(lambda tx: tx.ticks.get(name))
    assert found is not None
    return found


async def said(stage: Stage) -> list[str]:
    return [event.payload.text for event in await stage.events() if isinstance(event.payload, Say)]


# --- cadences ------------------------------------------------------------------------------------------


async def test_the_cadence_is_an_input_of_main_without_a_place(stage: Stage) -> None:
    stage.signals.turn.clear()
    assert await schedule(stage, LOOK).step() is False

    (found,) = await stage.waiting_inputs()
    assert (found.kind, found.session, found.text) == (InputKind.CADENCE, "agent:main:main", "Look.")
    assert (found.address, found.person) == (None, "heartbeat:main")
    assert stage.signals.turn._event.is_set()
    assert (await tick(stage)).said == "done"


async def test_f026_the_next_one_comes_when_the_time_is_over_and_not_before(stage: Stage) -> None:
    await schedule(stage, LOOK).step()
    await stage.answer()
    stage.signals.turn.clear()
    stage.clock.advance(599.9)
    await schedule(stage, LOOK).step()
    assert await stage.waiting_inputs() == []
    assert not stage.signals.turn._event.is_set()

    stage.clock.advance(0.1)
    await schedule(stage, LOOK).step()
    assert len(await stage.waiting_inputs()) == 1


@pytest.mark.parametrize("every_s", [0.0, -1.0])
async def test_a_cadence_of_nothing_is_off(stage: Stage, every_s: float) -> None:
    await schedule(stage, replace(LOOK, every_s=every_s)).step()

    assert stage.store.writes == 0


async def test_f024_a_busy_session_is_looked_at_again_soon_and_not_after_the_whole_cadence(stage: Stage) -> None:
    busy = replace(LOOK, session=session(), every_s=3_600.0)
    await stage.say("hello")
    await schedule(stage, busy).step()
    found = await tick(stage)
    assert found.said == "skipped: the session is busy"
    assert found.ran_at is None
    assert found.due_at == stage.clock.now() + 60.0

    await stage.answer()
    stage.clock.advance(60.0)
    await schedule(stage, busy).step()
    assert (await tick(stage)).said == "done"
    assert (await tick(stage)).due_at == stage.clock.now() + 3_600.0
    assert len(await stage.waiting_inputs()) == 1


async def test_f120_what_is_skipped_leaves_its_reason_and_its_next_time(stage: Stage) -> None:
    await schedule(stage, replace(LOOK, prompt=" ")).step()
    assert (await tick(stage)).said == "skipped: nothing to do: it has no prompt"
    assert (await tick(stage)).due_at == stage.clock.now() + 600.0

    stage.clock.advance(at("2027-07-01T23:00") - stage.clock.now())
    await schedule(stage, replace(LOOK, agent=AgentName("ops"), active_hours=DAY)).step()
    found = await tick(stage, "heartbeat:ops")
    assert (found.said, found.due_at) == ("skipped: outside its hours", at("2027-07-02T08:00"))
    assert await stage.waiting_inputs() == []


async def test_f027_a_look_whose_words_would_have_no_place_is_skipped_before_any_model(stage: Stage) -> None:
    last = replace(LOOK, session=session(), target=Target.LAST)
    await schedule(stage, last).step()
    assert (await tick(stage)).said == f"skipped: {NOWHERE}"
    assert await stage.waiting_inputs() == []

    await stage.say("hello", message="m7")
    await stage.answer()
    stage.clock.advance(600.0)
    await schedule(stage, last).step()
    (found,) = await stage.waiting_inputs()
    assert found.address is not None
    # Nothing asked: it answers no message.
    assert (found.address.peer, found.address.message_id) == (a_peer(), None)


async def test_f017_an_end_goes_by_the_key_of_its_own_and_only_a_look_by_the_configured_session(stage: Stage) -> None:
    """Key carried with the event > configured session, for looks alone > main, where nothing is configured."""
    execution = await stage.running(room="ops")
    configured = replace(LOOK, session=session("dev"), target=Target.NONE)
    await schedule(stage, configured).step()
    await stage.finish(execution)

    found = {one.kind: one.session for one in await stage.waiting_inputs()}
    assert found == {InputKind.FINISHED: session("ops"), InputKind.CADENCE: session("dev")}
    (owed,) = [one for one in await stage.events() if one.identity == f"outcome:{execution.id}:finished"]
    assert (owed.session, owed.address) == (session("ops"), execution.origin)

    stage.clock.advance(600.0)
    await schedule(stage, LOOK).step()
    assert [one.session for one in await stage.waiting_inputs() if one.kind is InputKind.CADENCE][-1] == MAIN


async def test_f018_a_look_gets_no_session_of_its_own_and_the_turn_that_runs_receives_what_was_owed(
    stage: Stage,
) -> None:
    """The design differs: nothing is isolated. A look is an input of the session that its config names, however often
    it comes, so the turn of that session gets whatever else is owed there."""
    look, agent = replace(LOOK, session=session(), target=Target.NONE), ScriptedAgent()
    execution = await stage.running()
    stage.agent = agent
    await stage.answer()
    agent.turns.clear()
    for _ in range(3):
        await schedule(stage, look).step()
        await stage.answer()
        stage.clock.advance(600.0)
    await schedule(stage, look).step()
    await stage.finish(execution)
    await stage.answer()

    *earlier, last = agent.turns
    assert [[one.session for one in turn] for turn in earlier] == [[session()]] * 3
    assert [(one.kind, one.session) for one in last] == [
        (InputKind.CADENCE, session()),
        (InputKind.FINISHED, session()),
    ]
    assert last[-1].execution_id == execution.id
    assert await stage.waiting_inputs() == []


async def test_a_look_is_told_where_its_config_says(stage: Stage) -> None:
    await schedule(stage, replace(LOOK, target=a_peer("dev"))).step()
    (found,) = await stage.waiting_inputs()
    assert found.address is not None
    assert (found.address.peer, found.session) == (a_peer("dev"), MAIN)


async def test_a_cadence_that_is_changed_counts_from_its_change(stage: Stage) -> None:
    await schedule(stage, LOOK).step()
    await stage.answer()
    stage.clock.advance(1.0)
    await schedule(stage, replace(LOOK, every_s=60.0)).step()
    assert len(await stage.waiting_inputs()) == 1
    assert (await tick(stage)).due_at == stage.clock.now() + 60.0


async def test_f051_of_two_replicas_that_look_at_once_one_enqueues(stage: Stage) -> None:
    """The other finds the next time, under the row's lock."""
    await schedule(stage, LOOK).step()
    await stage.store.write(lambda tx: room._look(LOOK, tx))
    assert len(await stage.waiting_inputs()) == 1
    for _ in range(2):
        await stage.store.write(lambda tx: room._run(PLANNED, tx))
    assert len(await stage.waiting_inputs()) == 1
    stage.clock.advance(86_400.0 - 5 * 3_600.0 - 1.0)
    for _ in range(2):
        await stage.store.write(lambda tx: room._run(PLANNED, tx))
    assert [one.kind for one in await stage.waiting_inputs()].count(InputKind.SCHEDULE) == 1


@pytest.mark.parametrize(
    ("hours", "moment", "is_active", "next_start"),
    [
        (DAY, "2026-07-01T07:59:59", False, "2026-07-01T08:00"),
        (DAY, "2026-07-01T08:00:00", True, "2026-07-02T08:00"),
        (DAY, "2026-07-01T21:59:59", True, "2026-07-02T08:00"),
        (DAY, "2026-07-01T22:00:00", False, "2026-07-02T08:00"),
        (NIGHT, "2026-07-01T21:59:59", False, "2026-07-01T22:00"),
        (NIGHT, "2026-07-01T22:00:00", True, "2026-07-02T22:00"),
        (NIGHT, "2026-07-02T00:00:00", True, "2026-07-02T22:00"),
        (NIGHT, "2026-07-02T05:59:59", True, "2026-07-02T22:00"),
        (NIGHT, "2026-07-02T06:00:00", False, "2026-07-02T22:00"),
        # The wall's clock counts: at 02:00 on 29 March 2026 it is put forward to 03:00, on 25 October 03:00 is 02:00.
        (DAY, "2026-03-29T08:00:00", True, "2026-03-30T08:00"),
        (DAY, "2026-03-28T23:00:00", False, "2026-03-29T08:00"),
        (DAY, "2026-10-25T08:00:00", True, "2026-10-26T08:00"),
        (DAY, "2026-10-24T23:00:00", False, "2026-10-25T08:00"),
        (ActiveHours(start=time(2, 30), end=time(3, 30), zone=BERLIN), "2026-03-29T03:00:00", True, "2026-03-30T02:30"),
        (ActiveHours(start=time(2, 30), end=time(3, 0), zone=BERLIN), "2026-10-25T02:45:00", True, "2026-10-26T02:30"),
    ],
)
def test_active_hours_go_by_the_wall_clock_of_their_zone(
    hours: ActiveHours, moment: str, is_active: bool, next_start: str
) -> None:
    assert hours.holds(at(moment)) is is_active
    # Within an hour that the clock leaves out nobody asks for the next one.
    assert moment == "2026-03-29T03:00:00" or hours.next_start(at(moment)) == at(next_start)


def test_an_hour_that_comes_twice_is_active_twice() -> None:
    once = datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN)
    hours = ActiveHours(start=time(2, 30), end=time(3, 0), zone=BERLIN)

    assert once.replace(fold=1).timestamp() - once.timestamp() == 3_600.0
    assert hours.holds(once.timestamp())
    assert hours.holds(once.replace(fold=1).timestamp())


async def test_f022_quiet_hours_hold_the_cadence_and_no_result(stage: Stage) -> None:
    stage.clock.advance(at("2027-07-01T23:00") - stage.clock.now())
    await schedule(stage, replace(LOOK, active_hours=DAY)).step()
    assert await stage.waiting_inputs() == []

    await stage.finished()
    await stage.tell_all()
    assert "all is well" in stage.posts()[-1]


# --- schedules -----------------------------------------------------------------------------------------


def test_a_run_comes_once_on_the_day_when_the_clock_changes() -> None:
    """02:30 does not exist on 29 March 2026 and comes twice on 25 October."""
    half = replace(PLANNED, cron="30 2 * * *")
    times, moment = [], at("2026-03-27T12:00")
    for _ in range(3):
        moment = half.after(moment)
        times.append(datetime.fromtimestamp(moment, BERLIN).isoformat(timespec="minutes"))
    assert times == ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]
    times, moment = [], at("2026-10-23T12:00")
    for _ in range(3):
        moment = half.after(moment)
        times.append(datetime.fromtimestamp(moment, BERLIN).isoformat(timespec="minutes"))
    assert times == ["2026-10-24T02:30+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]


def test_in_the_hour_that_comes_twice_the_next_run_is_never_one_of_before() -> None:
    """A gateway that comes back, or a line that is changed, at 02:10 of the second time: 02:30 has been."""
    second = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN).replace(fold=1).timestamp()
    runs = [replace(PLANNED, cron=cron).after(second) for cron in ("30 2 * * *", "*/15 * * * *", "10 * * * *")]
    times = [datetime.fromtimestamp(run, BERLIN).isoformat(timespec="minutes") for run in runs]
    assert times == ["2026-10-26T02:30+01:00", "2026-10-25T02:15+01:00", "2026-10-25T03:10+01:00"]


async def planned_at(stage: Stage, moment: str, planned: Planned = PLANNED) -> Stage:
    """A stage at this moment, where the schedule is known since then."""
    stage.clock.advance(at(moment) - stage.clock.now())
    await schedule(stage, planned=(planned,)).step()
    return stage


async def test_a_schedule_begins_with_its_next_time_and_runs_at_it(stage: Stage) -> None:
    await planned_at(stage, "2027-07-01T12:00")
    assert await stage.waiting_inputs() == []
    assert (await tick(stage, "schedule:nightly")).due_at == at("2027-07-02T03:00")

    stage.clock.advance(15 * 3_600.0 - 1.0)
    await schedule(stage, planned=(PLANNED,)).step()
    assert await stage.waiting_inputs() == []
    stage.signals.turn.clear()
    stage.clock.advance(1.0)
    for _ in range(2):
        await schedule(stage, planned=(PLANNED,)).step()
    (found,) = await stage.waiting_inputs()
    assert (found.kind, found.session, found.person, found.text) == (
        InputKind.SCHEDULE,
        "agent:main:schedule:nightly",
        "schedule:nightly",
        "Good night.",
    )
    assert found.address is not None
    assert found.address.peer == a_peer()
    assert stage.signals.turn._event.is_set()
    assert (await tick(stage, "schedule:nightly")).due_at == at("2027-07-03T03:00")
    assert await said(stage) == []


@pytest.mark.parametrize(
    ("missed", "away_h", "runs", "words"),
    [
        (Missed.ONCE, 24 * 3 + 5, 1, "The schedule nightly missed 3 runs while I was away; it runs once now."),
        (Missed.SKIP, 24 * 3 + 5, 0, "The schedule nightly missed 3 runs while I was away; they are skipped."),
        (Missed.ONCE, 16, 1, "The schedule nightly missed 1 run while I was away; it runs once now."),
        # At the very time of a run that one is made, whatever becomes of those that were missed.
        (Missed.SKIP, 24 * 2 + 15, 1, "The schedule nightly missed 2 runs while I was away; they are skipped."),
        (Missed.ONCE, 24 * 2 + 15, 1, "The schedule nightly missed 2 runs while I was away; it runs once now."),
        (Missed.ONCE, 24 * 365 * 4, 1, "The schedule nightly missed 1000 runs while I was away; it runs once now."),
        (Missed.SKIP, 24 * 365 * 4, 0, "The schedule nightly missed 1000 runs while I was away; they are skipped."),
    ],
)
async def test_runs_that_were_missed_are_run_once_or_skipped_and_that_is_said(
    stage: Stage, missed: Missed, away_h: int, runs: int, words: str
) -> None:
    planned = replace(PLANNED, missed=missed)
    await planned_at(stage, "2027-07-01T12:00", planned)
    stage.clock.advance(away_h * 3_600.0)
    for _ in range(2):
        await schedule(stage, planned=(planned,)).step()
    assert len(await stage.waiting_inputs()) == runs
    assert await said(stage) == [words]
    found = await tick(stage, "schedule:nightly")
    assert found.due_at is not None
    assert found.due_at > stage.clock.now()
    assert found.said == ("done" if runs else "skipped: missed")


async def test_a_changed_line_begins_with_its_own_next_time(stage: Stage) -> None:
    await planned_at(stage, "2027-07-01T12:00")
    await schedule(stage, planned=(replace(PLANNED, cron="0 13 * * *"),)).step()
    assert (await tick(stage, "schedule:nightly")).due_at == at("2027-07-01T13:00")
    await schedule(stage, planned=(replace(PLANNED, cron="0 13 * * *", zone=UTC),)).step()
    assert (await tick(stage, "schedule:nightly")).due_at == at("2027-07-01T13:00", UTC)
    assert await stage.waiting_inputs() == []


async def test_f027_a_session_that_nobody_wrote_to_has_no_place_and_that_is_on_record(stage: Stage) -> None:
    nowhere = replace(PLANNED, to=None, session=SessionKey("agent:main:discord:channel:dev"))
    await planned_at(stage, "2027-07-01T12:00", nowhere)
    stage.clock.advance(15 * 3_600.0)
    await schedule(stage, planned=(nowhere,)).step()
    assert await stage.waiting_inputs() == []
    assert (await tick(stage, "schedule:nightly")).said == f"skipped: {NOWHERE}"
    stage.clock.advance(4 * 86_400.0)
    await schedule(stage, planned=(nowhere,)).step()
    assert await said(stage) == []

    await stage.say("hello", room="dev")
    await stage.answer()
    stage.clock.advance(86_400.0)
    await schedule(stage, planned=(nowhere,)).step()
    (found,) = await stage.waiting_inputs()
    assert found.address is not None
    assert found.address.peer == a_peer("dev")


async def test_a_command_at_its_time_passes_the_rules_like_any_other(stage: Stage) -> None:
    command = replace(PLANNED, kind=InputKind.COMMAND, text="run on web-1: df -h /")
    await planned_at(stage, "2027-07-01T12:00", command)
    stage.clock.advance(15 * 3_600.0)
    await schedule(stage, planned=(command,)).step()
    await stage.answer()
    execution = await stage.only()
    assert (execution.asker, execution.session, execution.request.text) == ("schedule:nightly", NIGHTLY, "df -h /")
    assert (execution.worded_by, execution.read_untrusted) == (None, False)
    await stage.inspect()
    await stage.tell_all()
    (card,) = stage.channel.sent
    assert (card.address.peer, card.address.message_id, card.post.mention) == (a_peer(), None, None)


async def test_f021_the_key_that_is_named_is_the_one_queue_that_is_touched_and_no_address(stage: Stage) -> None:
    """A route is a value of its own: a key that looks like a place leads nowhere unless somebody wrote from there."""
    await stage.say("hello", room="ops", message="m1")
    await stage.say("hello", room="dev", message="m2")
    await stage.answer()
    await stage.answer()
    for number, where in enumerate(("ops", "dev", "ops", "never")):
        named = session(where)
        wanted = Wanted(kind=InputKind.OPERATOR, session=named, to=None, source="op", delivery=f"{number}", text=where)
        found = await stage.store.write(partial(enqueue, wanted=wanted))
        assert isinstance(found, Refused) == (where == "never")

    waiting = [(one.session, one.text, one.address and one.address.peer) for one in await stage.waiting_inputs()]
    assert sorted(waiting, key=str) == sorted(
        [(session(where), where, a_peer(where)) for where in ("ops", "dev", "ops")], key=str
    )
    elsewhere = Wanted(
        kind=InputKind.OPERATOR, session=session("ops"), to=a_peer("dev"), source="op", delivery="9", text="there"
    )
    await stage.store.write(lambda tx: enqueue(tx, elsewhere))
    (there,) = [one for one in await stage.waiting_inputs() if one.text == "there"]
    assert (there.session, there.address) == (session("ops"), ReturnAddress(peer=a_peer("dev"), message_id=None))
