"""What the store promises of transactions: whole or not at all, durable when it returns. On both databases."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.domain.event import EventState
from bot.errors import StaleRow, StoreError
from bot.ports import Tx
from bot.store import OpenStore, open_store
from tests.clock import START, ManualClock
from tests.store.made import event, message

ROOT = Path(__file__).parents[2]


def adding(identity: str, *, then: BaseException | None = None) -> Callable[[Tx], bool]:
    def add(tx: Tx) -> bool:
        added = tx.events.add(event(identity))
        if then is not None:
            raise then
        return added

    return add


async def identities(store: OpenStore) -> list[str]:
    found = await store.read(lambda tx: tx.events.listing(states=tuple(EventState), limit=10_000))
    return [one.identity for one in found]


async def test_what_a_write_returns_is_there_for_every_reader(store: OpenStore, another: OpenStore) -> None:
    assert await store.write(lambda tx: (tx.events.add(event("1")), tx.now)) == (True, START)
    assert await another.read(lambda tx: [one.identity for one in tx.events.listing(states=tuple(EventState))]) == ["1"]


async def test_a_failing_write_leaves_nothing_and_does_not_hurt_its_neighbours(store: OpenStore) -> None:
    ended = await asyncio.gather(
        *(store.write(adding(str(number), then=StaleRow("odd") if number % 2 else None)) for number in range(200)),
        return_exceptions=True,
    )
    assert [isinstance(one, StaleRow) for one in ended] == [bool(number % 2) for number in range(200)]
    assert sorted(map(int, await identities(store))) == list(range(0, 200, 2))


async def test_a_constraint_that_a_write_breaks_undoes_that_write_alone(store: OpenStore) -> None:
    def broken(tx: Tx) -> None:
        tx.events.add(event("gone"))
        tx.executions.step("nobody", "requested")  # type: ignore[arg-type]

    ended = await asyncio.gather(
        store.write(adding("1")), store.write(broken), store.write(adding("2")), return_exceptions=True
    )
    assert isinstance(ended[1], Exception)
    assert sorted(await identities(store)) == ["1", "2"]


async def test_a_stop_iteration_does_not_leave_its_caller_waiting(store: OpenStore) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.write(adding("1", then=StopIteration()))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.read(lambda _tx: next(iter(())))
    assert await store.write(adding("2"))
    assert await identities(store) == ["2"]


async def test_a_cancelled_caller_hurts_nobody_and_what_was_committed_is_whole(store: OpenStore) -> None:
    running, go = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        tx.events.add(event("slow:1"))
        running.set()
        assert go.wait(10)
        tx.events.add(event("slow:2"))

    cancelled = asyncio.create_task(store.write(slow))
    while not running.is_set():
        await asyncio.sleep(0.001)
    waiting = [asyncio.create_task(store.write(adding(f"cancelled:{number}"))) for number in range(5)]
    kept = asyncio.create_task(store.write(adding("kept")))
    await asyncio.sleep(0)
    for task in (cancelled, *waiting):
        task.cancel()
    go.set()
    assert await kept
    for task in (cancelled, *waiting):
        with contextlib.suppress(asyncio.CancelledError):
            await task
    # Whether the cancelled ones were committed is open; half of one never is.
    found = set(await identities(store))
    assert "kept" in found
    assert {"slow:1", "slow:2"} <= found or not {"slow:1", "slow:2"} & found


async def test_a_read_sees_one_moment_whatever_is_committed_meanwhile(store: OpenStore) -> None:
    loop = asyncio.get_running_loop()

    def look_twice(tx: Tx) -> tuple[int, int]:
        before = len(tx.events.listing(states=tuple(EventState)))
        asyncio.run_coroutine_threadsafe(store.write(adding("meanwhile")), loop).result(10)
        return before, len(tx.events.listing(states=tuple(EventState)))

    assert await store.read(look_twice) == (0, 0)
    assert await identities(store) == ["meanwhile"]


async def test_a_read_may_not_write(store: OpenStore) -> None:
    with pytest.raises(StoreError, match="a read may not write"):
        await store.read(adding("1"))
    assert await identities(store) == []
    assert await store.write(adding("1")), "and the refusal harmed no connection"


async def test_many_readers_and_writers_at_once_all_come_back(store: OpenStore, another: OpenStore) -> None:
    async def work(one: OpenStore, number: int) -> bool:
        added = await one.write(adding(str(number)))
        assert str(number) in await identities(one)
        return added

    ended = await asyncio.gather(*(work((store, another)[number % 2], number) for number in range(60)))
    assert all(ended)


async def test_a_closed_store_refuses_and_finishes_what_was_begun(url: str, clock: ManualClock) -> None:
    opened = open_store(url, clock=clock, gateway=True, use_clock=True)
    begun = [asyncio.create_task(opened.write(adding(str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    await opened.close()
    await opened.close()
    ended = await asyncio.gather(*begun, return_exceptions=True)
    assert [one for one in ended if one is not True] == []
    for late in (opened.write(adding("late")), opened.read(lambda tx: tx.now)):
        with pytest.raises(StoreError, match="closed"):
            await late


async def test_every_commit_that_wrote_says_so_and_no_other(url: str, clock: ManualClock) -> None:
    looks: list[int] = []
    opened = open_store(url, clock=clock, gateway=True, use_clock=True, on_change=lambda: looks.append(1))
    try:
        # On PostgreSQL the first look is for whatever was written before we listened.
        await asyncio.sleep(0.3)
        looks.clear()
        await opened.write(adding("1"))
        await asyncio.sleep(0.05)
        assert len(looks) == 1
        await opened.write(adding("1"))
        await opened.write(lambda tx: tx.events.take_over())
        await opened.read(lambda tx: tx.now)
        await asyncio.sleep(0.05)
        # A write that changed nothing may say so once too often (its address was touched), never for a read.
        assert len(looks) <= 2
    finally:
        await opened.close()


WRITER = """
import asyncio, sys
from bot.store import open_store
from tests.clock import ManualClock
from tests.store.made import event, message
from dataclasses import replace

async def write(store, number):
    new = replace(message(f"d{number}"), text=str(number))
    def both(tx):
        tx.inputs.add(new)
        tx.events.add(event(str(number)))
    await store.write(both)
    print(number, flush=True)

async def main():
    store = open_store(sys.argv[1], clock=ManualClock(), gateway=True, use_clock=True)
    for start in range(0, 1_000_000, 8):
        await asyncio.gather(*(write(store, start + n) for n in range(8)))

asyncio.run(main())
"""


async def test_what_was_committed_before_a_kill_is_there_after_it(url: str, clock: ManualClock) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert writer.stdout is not None
    said: list[int] = []
    with writer.stdout:
        while len(said) < 100:
            said.append(int(writer.stdout.readline()))
        writer.send_signal(signal.SIGKILL)
        said.extend(int(line) for line in writer.stdout.read().split(b"\n") if line.isdigit())
    assert writer.wait(10) == -signal.SIGKILL
    opened = open_store(url, clock=clock, gateway=True, use_clock=True)
    try:
        found = {int(identity) for identity in await identities(opened)}
        missing = set(said) - found
        # The last line may have been cut by the kill.
        assert {number for number in missing if number != said[-1]} == set()
        # Each transaction is whole: whoever has the event has the input.
        for number in sorted(found)[-10:]:
            assert await opened.write(lambda tx, number=number: tx.inputs.add(message(f"d{number}"))) is None  # type: ignore[misc]
        assert await opened.write(adding("after"))
    finally:
        await opened.close()
