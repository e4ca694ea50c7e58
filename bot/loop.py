"""Loops that never end by accident: pass, wait for a wake or the poll interval, back off on a fault.

Holds the one broad `except` of the project. Deliberately absent: what the loops do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping

from bot.domain.retry import delay_s

log = logging.getLogger(__name__)

_LONGEST_REST_S = 10.0
"""After a fault. What is owed waits for the database alone, so that one that is back is noticed soon."""


class Wake:
    """ "Look now". Any number of wakes before the next look are one; it carries nothing."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Until woken, or until the time has passed."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return

    def clear(self) -> None:
        self._event.clear()


async def forever(name: str, step: Callable[[], Awaitable[bool]], wake: Wake, *, poll_s: float) -> None:
    """Run `step` until it returns False (nothing more to do now), then wait. A fault never ends the loop."""
    faults = 0
    while True:
        # Cleared before the look: a wake that comes during the pass causes one more pass.
        wake.clear()
        try:
            while await step():
                pass
            faults = 0
        except Exception:
            faults += 1
            log.exception("loop.fault", extra={"loop": name, "faults": faults})
            await asyncio.sleep(min(_LONGEST_REST_S, delay_s(faults, jitter=0.5)))
            continue
        await wake.wait(poll_s)


async def attempt(act: Callable[[], Awaitable[None]], *, event: str, extra: Mapping[str, object]) -> bool:
    """Whether `act` ended well. A fault is logged as `event`, and ends nobody else."""
    try:
        await act()
    except Exception:
        log.exception(event, extra=dict(extra))
        return False
    return True


class Tasks:
    """A bounded set of tasks of which none can end the process. Closing cancels and awaits them."""

    def __init__(self, name: str, *, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._running: set[asyncio.Task[bool]] = set()

    @property
    def free(self) -> int:
        return self._limit - len(self._running)

    def start(self, work: Coroutine[object, object, None], *, then: Callable[[], None] | None = None) -> None:
        """`then` is called when `work` has ended well: after a fault the next look is the poll's, not at once."""
        task = asyncio.create_task(self._guarded(work), name=self._name)
        self._running.add(task)

        def ended(done: asyncio.Task[bool]) -> None:
            self._running.discard(done)
            # Cancelled before its first step nobody has awaited it.
            work.close()
            if then is not None and not done.cancelled() and done.result():
                then()

        task.add_done_callback(ended)

    async def close(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def drain(self, *, within_s: float | None = None) -> None:
        """Wait until all that run now have ended, or until the time has passed; then they still run."""
        if running := list(self._running):
            await asyncio.wait(running, timeout=within_s)

    async def _guarded(self, work: Coroutine[object, object, None]) -> bool:
        try:
            await work
        except Exception:
            log.exception("task.fault", extra={"loop": self._name})
            return False
        return True
