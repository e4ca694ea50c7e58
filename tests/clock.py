"""A clock that stands still until a test moves it. Deliberately absent: real time."""

from __future__ import annotations

import asyncio

START = 1_800_000_000.0
"""15 January 2027: late enough to be told from a real clock, exact in a float."""


class ManualClock:
    """`now()` moves by `advance` only; sleepers wake when their moment has come."""

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Call it in the event loop's thread."""
        self._now += seconds
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._now]
        for _, woken in sorted(due, key=lambda sleeper: sleeper[0]):
            if not woken.done():
                woken.set_result(None)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, woken))
        await woken

    @property
    def sleeping(self) -> int:
        """How many wait, so that a test can wait for the sleeper before it moves the clock."""
        return sum(1 for _, woken in self._sleepers if not woken.done())
