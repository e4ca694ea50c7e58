"""The clock's own inputs: the cadence of the agent's main session. Never a condition for telling a result.

Deliberately absent: any look at events. Quiet hours and a cadence that is off hold back nothing that is owed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from bot.domain.event import InputKind, NewInput
from bot.domain.session import DEFAULT_ACCOUNT, AgentName, ChannelName, DeliveryId, MainKey, format_key
from bot.flow.signals import Signals
from bot.ports import Clock, Store, Tx


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    store: Store
    clock: Clock
    signals: Signals
    agent: AgentName
    every_s: float
    """0 turns the cadence off."""
    active_hours: ActiveHours | None = None

    async def step(self) -> bool:
        if self.every_s <= 0:
            return False
        if self.active_hours is not None and not self.active_hours.holds(self.clock.now()):
            return False
        if await self.store.write(self._due):
            self.signals.turn.wake()
        return False

    def _due(self, tx: Tx) -> bool:
        session = format_key(MainKey(agent=self.agent))
        last = tx.switches.last_cadence_at(session)
        if last is not None and tx.now - last < self.every_s:
            return False
        tx.switches.mark_cadence(session)
        new = NewInput(
            session=session,
            address=None,
            kind=InputKind.CADENCE,
            channel=ChannelName("schedule-clock"),
            account=DEFAULT_ACCOUNT,
            delivery=DeliveryId(f"{session}:{tx.now:.3f}"),
            person=None,
            person_native=None,
            person_name=None,
            text="",
        )
        return tx.inputs.add(new) is not None
