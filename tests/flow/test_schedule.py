"""The clock's own input: how often, at which hours, and that nothing that is owed waits for it."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from bot.domain.event import InputKind
from bot.domain.session import AgentName
from bot.flow.schedule import ActiveHours, Schedule
from tests.clock import ManualClock
from tests.flow.ends import WatchedStore
from tests.flow.stage import Stage

BERLIN = ZoneInfo("Europe/Berlin")
DAY = ActiveHours(start=time(8), end=time(22), zone=BERLIN)
NIGHT = ActiveHours(start=time(22), end=time(6), zone=BERLIN)


def schedule(stage: Stage, *, every_s: float = 600.0, active_hours: ActiveHours | None = None) -> Schedule:
    return Schedule(
        store=stage.store,
        clock=stage.clock,
        signals=stage.signals,
        agent=AgentName("main"),
        every_s=every_s,
        active_hours=active_hours,
    )


async def test_the_cadence_is_an_input_of_main_without_people_or_place(stage: Stage) -> None:
    stage.signals.turn.clear()
    assert await schedule(stage).step() is False

    (found,) = await stage.waiting_inputs()
    assert (found.kind, found.session) == (InputKind.CADENCE, "agent:main:main")
    assert (found.address, found.person) == (None, None)
    assert stage.signals.turn._event.is_set()


async def test_f026_the_next_one_comes_when_the_time_is_over_and_not_before(stage: Stage) -> None:
    stage.signals.turn.clear()
    await schedule(stage).step()
    stage.signals.turn.clear()
    stage.clock.advance(599.9)
    await schedule(stage).step()
    assert len(await stage.waiting_inputs()) == 1
    assert not stage.signals.turn._event.is_set()

    stage.clock.advance(0.1)
    await schedule(stage).step()
    assert len(await stage.waiting_inputs()) == 2


@pytest.mark.parametrize("every_s", [0.0, -1.0])
async def test_a_cadence_of_nothing_is_off(stage: Stage, every_s: float) -> None:
    await schedule(stage, every_s=every_s).step()

    assert stage.store.writes == 0


@pytest.mark.parametrize(
    ("hours", "at", "is_active"),
    [
        (DAY, "2026-07-01T07:59:59", False),
        (DAY, "2026-07-01T08:00:00", True),
        (DAY, "2026-07-01T21:59:59", True),
        (DAY, "2026-07-01T22:00:00", False),
        (NIGHT, "2026-07-01T21:59:59", False),
        (NIGHT, "2026-07-01T22:00:00", True),
        (NIGHT, "2026-07-02T00:00:00", True),
        (NIGHT, "2026-07-02T05:59:59", True),
        (NIGHT, "2026-07-02T06:00:00", False),
        # The wall's clock counts: at 02:00 on 29 March 2026 it is put forward to 03:00, on 25 October 03:00 is 02:00.
        (DAY, "2026-03-29T08:00:00", True),
        (DAY, "2026-03-29T07:59:59", False),
        (DAY, "2026-10-25T08:00:00", True),
        (DAY, "2026-10-25T07:59:59", False),
        (ActiveHours(start=time(2, 30), end=time(3, 30), zone=BERLIN), "2026-03-29T03:00:00", True),
        (ActiveHours(start=time(2, 30), end=time(3, 0), zone=BERLIN), "2026-10-25T02:45:00", True),
    ],
)
def test_active_hours_go_by_the_wall_clock_of_their_zone(hours: ActiveHours, at: str, is_active: bool) -> None:
    assert hours.holds(datetime.fromisoformat(at).replace(tzinfo=BERLIN).timestamp()) is is_active


def test_an_hour_that_comes_twice_is_active_twice() -> None:
    once = datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN)
    hours = ActiveHours(start=time(2, 30), end=time(3, 0), zone=BERLIN)

    assert once.replace(fold=1).timestamp() - once.timestamp() == 3_600.0
    assert hours.holds(once.timestamp())
    assert hours.holds(once.replace(fold=1).timestamp())


async def test_f022_quiet_hours_hold_the_cadence_and_no_result(stage: Stage) -> None:
    quiet = ManualClock(datetime(2026, 7, 1, 23, 0, tzinfo=BERLIN).timestamp())
    await schedule(Stage(store=WatchedStore(stage.store), clock=quiet), active_hours=DAY).step()
    assert await stage.waiting_inputs() == []

    await stage.finished()
    await stage.tell_all()
    assert "all is well" in stage.posts()[-1]

    awake = ManualClock(datetime(2026, 7, 2, 8, 0, tzinfo=BERLIN).timestamp())
    await schedule(Stage(store=WatchedStore(stage.store), clock=awake), active_hours=DAY).step()
    assert [one.kind for one in await stage.waiting_inputs()].count(InputKind.CADENCE) == 1
