"""The clock's own inputs: looks of agents at their sessions, and schedules. Never a condition for telling a result.

Deliberately absent: any look at events. Quiet hours and a cadence that is off hold back nothing that is owed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from functools import partial
from zoneinfo import ZoneInfo

from cronsim import CronSim

from bot.domain.event import InputKind
from bot.domain.session import AgentName, Peer, SessionKey
from bot.flow.enqueue import Refused, Wanted, enqueue, say
from bot.flow.signals import Signals
from bot.ports import Clock, Store, Tx

log = logging.getLogger(__name__)

BUSY_S = 60.0
"""A session that is busy is looked at again after so long, not after the whole cadence."""
LATE_S = 120.0
"""A run that begins so late was missed: the clock's loop looks every few seconds."""
MAX_MISSED = 1_000
"""Up to so many missed runs are counted; more is said as that many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveHours:
    """From `start` until before `end`, in `zone`; over midnight where `end` is the earlier one."""

    start: time
    end: time
    zone: ZoneInfo

    def holds(self, now: float) -> bool:
        here = datetime.fromtimestamp(now, self.zone).time()
        if self.start <= self.end:
            return self.start <= here < self.end
        return here >= self.start or here < self.end

    def next_start(self, now: float) -> float:
        """When they begin next, by the wall's clock of their zone."""
        here = datetime.fromtimestamp(now, self.zone)
        today = datetime.combine(here.date(), self.start, tzinfo=self.zone)
        tomorrow = datetime.combine(here.date() + timedelta(days=1), self.start, tzinfo=self.zone)
        return next(one.timestamp() for one in (today, tomorrow) if one.timestamp() > now)


class Target(StrEnum):
    LAST = "last"  # where the session was last written from
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """One agent's look at one session, again and again."""

    agent: AgentName
    session: SessionKey
    every_s: float
    """0 turns it off."""
    prompt: str
    target: Target | Peer = Target.LAST
    active_hours: ActiveHours | None = None

    @property
    def name(self) -> str:
        return f"heartbeat:{self.agent}"


class Missed(StrEnum):
    ONCE = "once"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One `[[schedule]]`."""

    label: str
    session: SessionKey
    cron: str
    zone: ZoneInfo
    to: Peer | None
    kind: InputKind
    """SCHEDULE for words to the agent, COMMAND for an instruction."""
    text: str
    missed: Missed = Missed.ONCE

    @property
    def name(self) -> str:
        return f"schedule:{self.label}"

    @property
    def spec(self) -> str:
        return f"{self.cron} {self.zone.key}"

    def after(self, moment: float) -> float:
        """The next run. On the day when the clock changes it comes once, as cron of Debian has it.

        In the hour that comes twice a wall's clock says less than `moment` is: such a run has been already.
        """
        runs = CronSim(self.cron, datetime.fromtimestamp(moment, self.zone))
        return next(found for found in (run.timestamp() for run in runs) if found > moment)


@dataclass(slots=True, kw_only=True)
class Clocks:
    """The cadences and schedules of the moment, which a reload replaces whole."""

    cadences: Sequence[Cadence] = ()
    planned: Sequence[Planned] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    store: Store
    clock: Clock
    signals: Signals
    clocks: Clocks

    async def step(self) -> bool:
        """Enqueue what is due, and set the next time of each, whatever became of this one."""
        for cadence in self.clocks.cadences:
            if cadence.every_s > 0 and await self._is_due(cadence.name, f"{cadence.every_s:g}"):
                await self.store.write(partial(_look, cadence))
                self.signals.turn.wake()
        for planned in self.clocks.planned:
            if await self._is_due(planned.name, planned.spec):
                await self.store.write(partial(_run, planned))
                self.signals.turn.wake()
                self.signals.heartbeat.wake()
        return False

    async def _is_due(self, name: str, spec: str) -> bool:
        """By a read: most looks find nothing, and a write would wait for the disk."""
        ticks = await self.store.read(lambda tx: tx.ticks.get(name))
        return ticks is None or ticks.spec != spec or ticks.due_at is None or self.clock.now() >= ticks.due_at


def _look(cadence: Cadence, tx: Tx) -> None:
    ticks = tx.ticks.lock(cadence.name, spec=f"{cadence.every_s:g}")
    if ticks.due_at is not None and tx.now < ticks.due_at:
        return
    hours = cadence.active_hours
    next_s, reason = cadence.every_s, ""
    if hours is not None and not hours.holds(tx.now):
        next_s, reason = hours.next_start(tx.now) - tx.now, "outside its hours"
    elif not cadence.prompt.strip():
        reason = "nothing to do: it has no prompt"
    elif tx.inputs.has_waiting(cadence.session):
        next_s, reason = min(BUSY_S, cadence.every_s), "the session is busy"
    else:
        wanted = Wanted(
            kind=InputKind.CADENCE,
            session=cadence.session,
            to=cadence.target if isinstance(cadence.target, Peer) else None,
            source=cadence.name,
            delivery=f"{tx.now:.3f}",
            text=cadence.prompt,
            may_be_untold=cadence.target is Target.NONE,
        )
        found = enqueue(tx, wanted)
        reason = found.reason if isinstance(found, Refused) else ""
    _settle(tx, cadence.name, reason, due_at=tx.now + next_s)


def _run(planned: Planned, tx: Tx) -> None:
    ticks = tx.ticks.lock(planned.name, spec=planned.spec)
    if ticks.due_at is None:
        # New, or its line has changed: it begins with its next time.
        tx.ticks.set(planned.name, due_at=planned.after(tx.now), said="planned", has_run=False)
        return
    if tx.now < ticks.due_at:
        return
    due_at, missed = ticks.due_at, 0
    while tx.now - due_at > LATE_S and missed < MAX_MISSED:
        missed += 1
        due_at = planned.after(due_at)
    is_now = 0 <= tx.now - due_at <= LATE_S
    wanted = Wanted(
        kind=planned.kind,
        session=planned.session,
        to=planned.to,
        source=planned.name,
        delivery=f"{ticks.due_at:.0f}",
        text=planned.text,
    )
    if missed:
        said = f"The schedule {planned.label} missed {missed} run{'s' if missed > 1 else ''} while I was away; "
        said += "it runs once now." if planned.missed is Missed.ONCE else "they are skipped."
        say(tx, wanted, said)
    reason = "missed"
    if is_now or planned.missed is Missed.ONCE:
        found = enqueue(tx, wanted)
        reason = found.reason if isinstance(found, Refused) else ""
    _settle(tx, planned.name, reason, due_at=planned.after(tx.now))


def _settle(tx: Tx, name: str, reason: str, *, due_at: float) -> None:
    """Every look has an outcome on record, and a next time."""
    if reason:
        log.info("clock.skipped", extra={"clock": name, "reason": reason, "next_at": round(due_at)})
    tx.ticks.set(name, due_at=due_at, said=f"skipped: {reason}" if reason else "done", has_run=not reason)
