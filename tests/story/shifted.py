"""A clock that runs as the machine's does and that a test can move on. Deliberately absent: a way back."""

from __future__ import annotations

import asyncio
import time

from tests.clock import START


class ShiftedClock:
    """Short pauses (a repeat after half a second) pass by themselves; hours pass by `advance`."""

    def __init__(self) -> None:
        self._ahead_s = START - time.monotonic()

    def now(self) -> float:
        return time.monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        self._ahead_s += seconds
