"""The audit over time: its head is told to places outside, so that a rewritten past shows; old bodies are redacted.

Deliberately absent: the lines themselves, which the store leaves with each step; and how a place is reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.domain.audit import Head
from bot.errors import HomingError
from bot.ports import Clock, Store, Tx, Witness

log = logging.getLogger(__name__)

TELL_TIMEOUT_S = 15.0
"""Of one place. A webhook answers within a second; the next pass asks again."""
DAY_S = 86_400.0
_BATCH = 2_000
"""Bodies of one transaction: some 50 ms on SQLite, in which nobody else writes."""


@dataclass(slots=True)
class Witnessing:
    store: Store
    clock: Clock
    witnesses: Sequence[Witness]
    every_s: float
    told: dict[str, float] = field(default_factory=dict)
    """When each place was told last. One that could not be told is due at every pass."""
    newest: Head | None = None
    """The newest head that this process has told: nobody can change it in the database."""
    rewritten: int | None = None
    """The line that was found to be another than the one that was told."""

    async def step(self) -> bool:
        """Tell the places that are due the head as it is now."""
        now = self.clock.now()
        due = [one for one in self.witnesses if not 0 <= now - self.told.get(one.name, -self.every_s) < self.every_s]
        head = await self.store.read(lambda tx: tx.audit.head()) if due else None
        if head is None:
            return False
        await self._look_back()
        for witness in due:
            await self._tell(witness, head, now)
        return False

    async def _look_back(self) -> None:
        """Whether the line that was told last is still that line."""
        told = self.newest
        if told is None or self.rewritten is not None:
            return
        lines = await self.store.read(lambda tx: tx.audit.lines(after=told.seq - 1, limit=1))
        if [line.hash for line in lines] != [told.hash]:
            self.rewritten = told.seq
            log.error("audit.rewritten", extra={"line": told.seq})

    async def _tell(self, witness: Witness, head: Head, now: float) -> None:
        trouble = None
        try:
            async with asyncio.timeout(TELL_TIMEOUT_S):
                await witness.keep(head)
        except TimeoutError:
            trouble = f"it did not answer within {TELL_TIMEOUT_S:.0f} s"
        except HomingError as fault:
            trouble = str(fault)
        if trouble is None:
            self.told[witness.name] = now
            self.newest = head
        else:
            log.warning("audit.head_not_told", extra={"witness": witness.name})
        if trouble is None and self.rewritten is not None:
            # It is told all the same: whoever compares finds the heads of before, and these.
            trouble = f"line {self.rewritten} is another than the one that was told before: the past was rewritten"
        await self.store.write(lambda tx: _remember(tx, witness.name, head, trouble))


def _remember(tx: Tx, name: str, head: Head, trouble: str | None) -> None:
    if trouble is None:
        tx.audit.told(name, head)
    else:
        tx.audit.not_told(name, trouble)


@dataclass(slots=True)
class Forgetting:
    """Redacts what lines say when it is older than it is to be kept. The lines stay, and the chain holds."""

    store: Store
    clock: Clock
    keep_s: float
    looked_at: float | None = None

    async def step(self) -> bool:
        """Once a day, some thousand at a time. True while there is more."""
        now = self.clock.now()
        if self.looked_at is not None and 0 <= now - self.looked_at < DAY_S:
            return False
        if await self.store.write(self._forget):
            return True
        self.looked_at = now
        return False

    def _forget(self, tx: Tx) -> bool:
        first = tx.audit.first_body()
        last = tx.audit.before(tx.now - self.keep_s)
        if first is None or first > last:
            return False
        reason = f"kept for {self.keep_s / DAY_S:g} days"
        tx.audit.redact(first=first, last=min(last, first + _BATCH - 1), by="gateway", reason=reason)
        return True
