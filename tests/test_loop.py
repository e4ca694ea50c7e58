"""Loops that no fault ends, wakes that are never lost, and bounded tasks of which none can end the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.loop import Tasks, Wake, forever

Step = Callable[[], Awaitable[bool]]
LONG_S = 60.0
"""A poll interval that no test waits for."""


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not is_so():
            await asyncio.sleep(0)


class Steps:
    """A step that counts its calls and gives or raises what is laid ready; then there is nothing more to do."""

    def __init__(self, *results: bool | Exception) -> None:
        self.results = list(results)
        self.calls = 0

    async def __call__(self) -> bool:
        self.calls += 1
        result = self.results.pop(0) if self.results else False
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the loop would have rested after faults, in seconds; it rests no longer than a moment."""
    rested: list[float] = []
    sleep = asyncio.sleep

    async def rest(seconds: float) -> None:
        if seconds:
            rested.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", rest)
    return rested


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- wakes -------------------------------------------------------------------------------------------


async def test_any_number_of_wakes_before_a_look_are_one() -> None:
    wake = Wake()
    for _ in range(3):
        wake.wake()
    await wake.wait(LONG_S)
    wake.clear()

    async with asyncio.timeout(5.0):
        await wake.wait(0.001)


async def test_a_wake_ends_the_wait() -> None:
    wake = Wake()
    waiting = asyncio.create_task(wake.wait(LONG_S))
    await asyncio.sleep(0)
    assert not waiting.done()
    wake.wake()

    await asyncio.wait_for(waiting, 5.0)


async def test_a_wait_that_is_cancelled_is_no_wait_that_is_over() -> None:
    waiting = asyncio.create_task(Wake().wait(LONG_S))
    await asyncio.sleep(0)
    await ended(waiting)


# --- forever -----------------------------------------------------------------------------------------


async def test_a_loop_goes_on_while_there_is_something_to_do_and_then_waits() -> None:
    step, wake = Steps(True, True), Wake()
    task = asyncio.create_task(forever("test", step, wake, poll_s=LONG_S))
    await until(lambda: step.calls == 3)
    await asyncio.sleep(0.01)
    assert step.calls == 3

    wake.wake()
    await until(lambda: step.calls == 4)
    await ended(task)


async def test_f028_a_wake_in_the_middle_of_a_pass_causes_one_more_pass() -> None:
    wake = Wake()
    calls = 0

    async def step() -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            wake.wake()
        return False

    task = asyncio.create_task(forever("test", step, wake, poll_s=LONG_S))
    await until(lambda: calls == 2)
    await asyncio.sleep(0.01)
    assert calls == 2
    await ended(task)


async def test_f001_a_lost_wake_costs_one_poll_interval() -> None:
    step = Steps()
    task = asyncio.create_task(forever("test", step, Wake(), poll_s=0.001))
    await until(lambda: step.calls >= 3)
    await ended(task)


async def test_f044_no_fault_ends_a_loop_and_it_rests_longer_after_each(
    rests: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    step = Steps(*(KeyError("metadata") for _ in range(8)), True, ValueError("again"))
    task = asyncio.create_task(forever("test", step, Wake(), poll_s=LONG_S))
    await until(lambda: step.calls == 11)
    await ended(task)

    assert rests == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0]
    assert {record.message for record in caplog.records} == {"loop.fault"}
    assert [record.__dict__["faults"] for record in caplog.records] == [*range(1, 9), 9]


async def test_a_pass_without_a_fault_begins_the_rests_anew(rests: list[float]) -> None:
    step, wake = Steps(KeyError("one"), KeyError("two"), False, KeyError("three")), Wake()
    task = asyncio.create_task(forever("test", step, wake, poll_s=LONG_S))
    await until(lambda: step.calls == 3)
    wake.wake()
    await until(lambda: step.calls == 5)
    await ended(task)

    assert rests == [0.5, 1.0, 0.5]


async def test_a_loop_ends_when_it_is_cancelled_in_the_middle_of_a_pass() -> None:
    begun = asyncio.Event()

    async def step() -> bool:
        begun.set()
        await asyncio.Event().wait()
        return False

    task = asyncio.create_task(forever("test", step, Wake(), poll_s=LONG_S))
    await begun.wait()
    await ended(task)


# --- tasks -------------------------------------------------------------------------------------------


async def test_a_place_is_free_again_when_its_work_has_ended() -> None:
    tasks, gate = Tasks("test", limit=2), asyncio.Event()

    async def work() -> None:
        await gate.wait()

    tasks.start(work())
    tasks.start(work())
    assert tasks.free == 0
    gate.set()
    await tasks.drain()
    assert tasks.free == 2


async def test_what_follows_finds_the_place_free() -> None:
    tasks = Tasks("test", limit=1)
    free: list[int] = []

    async def work() -> None:
        return

    tasks.start(work(), then=lambda: free.append(tasks.free))
    await tasks.drain()
    assert free == [1]


async def test_f044_a_task_that_fails_is_logged_and_followed_by_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks("test", limit=2)
    followed: list[str] = []

    async def fail() -> None:
        raise KeyError("metadata")

    async def work() -> None:
        return

    tasks.start(fail(), then=lambda: followed.append("fail"))
    tasks.start(work(), then=lambda: followed.append("work"))
    await tasks.drain()

    assert followed == ["work"]
    assert [(record.message, record.__dict__["loop"]) for record in caplog.records] == [("task.fault", "test")]
    assert tasks.free == 2


async def test_closing_ends_what_runs_and_what_has_not_begun() -> None:
    tasks, begun = Tasks("test", limit=2), asyncio.Event()
    ends: list[str] = []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("work")

    tasks.start(work(), then=lambda: ends.append("then"))
    await begun.wait()
    tasks.start(work(), then=lambda: ends.append("then"))
    await tasks.close()

    assert ends == ["work"]
    assert tasks.free == 2


async def test_closing_nothing_is_nothing() -> None:
    tasks = Tasks("test", limit=1)
    await tasks.close()
    await tasks.drain()
