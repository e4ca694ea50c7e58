"""The composition root: settings -> store, channels, hub, flows, loops. The only file that imports `channels`.

Deliberately absent: logic. Tests, the demo and the benchmark compose the same `Core`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot.agent.commands import CommandsAgent
from bot.domain.command import Limits
from bot.domain.message import Capabilities
from bot.domain.policy import Policy
from bot.domain.session import AgentName, DirectScope, Peer
from bot.flow.completion import Completion
from bot.flow.dispatch import Dispatch
from bot.flow.heartbeat import Channels, Heartbeat
from bot.flow.intake import Intake
from bot.flow.prepare import Preparation
from bot.flow.schedule import ActiveHours, Schedule
from bot.flow.signals import Signals
from bot.flow.sweep import Sweep
from bot.flow.turn import Turns
from bot.loop import Wake, forever
from bot.ports import Clock, NodeHub, Store

POLL_S = 1.0
"""The most that a lost wake costs. One empty look at an indexed table takes well under a millisecond."""
SWEEP_S = 5.0
"""Expiry is checked at every decision and hand-over as well; the sweep only tells it."""

DEFAULT_AGENT = AgentName("main")


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """What the flows need to know, in the domain's own types."""

    policy: Policy
    agent: AgentName = DEFAULT_AGENT
    scope: DirectScope = DirectScope.PER_ACCOUNT_CHANNEL_PEER
    limits: Limits = field(default_factory=Limits)
    lost_after_s: float = 600.0
    retention_s: float = 30 * 86_400.0
    cadence_every_s: float = 0.0
    active_hours: ActiveHours | None = None
    poll_s: float = POLL_S
    sweep_s: float = SWEEP_S


class Core:
    """The flows over one store, one hub and the channels; `running()` is their life."""

    def __init__(self, settings: CoreSettings, store: Store, channels: Channels, clock: Clock) -> None:
        self.settings = settings
        self.store = store
        self.channels = channels
        self.clock = clock
        self.signals = Signals()
        self.reports = Completion(store, self.signals)
        self.inbox = Intake(store, settings.policy, self.signals, settings.scope)
        self.heartbeat = Heartbeat(store, channels, clock, self.signals)
        self.sweep = Sweep(store, self.signals, settings.lost_after_s, settings.retention_s)

    @asynccontextmanager
    async def running(self, hub: NodeHub) -> AsyncIterator[None]:
        """Run every loop and every channel; on leaving, channels close first, then the loops end."""
        settings, store, signals = self.settings, self.store, self.signals
        agent = CommandsAgent(store, hub, settings.policy)
        turns = Turns(store, agent, hub, settings.policy, signals, settings.limits)
        preparation = Preparation(store, hub, settings.policy, signals, settings.limits, self._capabilities_at)
        dispatch = Dispatch(store, hub, settings.policy, signals)
        schedule = Schedule(
            store=store,
            clock=self.clock,
            signals=signals,
            agent=settings.agent,
            every_s=settings.cadence_every_s,
            active_hours=settings.active_hours,
        )
        steps = {
            "turn": (turns.step, signals.turn, settings.poll_s),
            "prepare": (preparation.step, signals.prepare, settings.poll_s),
            "dispatch": (dispatch.step, signals.dispatch, settings.poll_s),
            "heartbeat": (self.heartbeat.step, signals.heartbeat, settings.poll_s),
            "cards": (self.heartbeat.bring_cards_up_to_date, signals.cards, settings.poll_s),
            "early": (self.inbox.settle_early, signals.early, settings.poll_s),
            "sweep": (self.sweep.step, Wake(), settings.sweep_s),
            "schedule": (schedule.step, Wake(), settings.sweep_s),
        }
        loops = [
            asyncio.create_task(forever(name, step, wake, poll_s=poll_s), name=name)
            for name, (step, wake, poll_s) in steps.items()
        ]
        try:
            for channel in self.channels.values():
                await channel.start(self.inbox)
            yield
        finally:
            for channel in self.channels.values():
                await channel.close()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            for tasks in (turns.tasks, preparation.tasks, dispatch.tasks, self.heartbeat.tasks):
                await tasks.close()

    def _capabilities_at(self, peer: Peer) -> Capabilities | None:
        channel = self.channels.get((peer.channel, peer.account))
        return None if channel is None else channel.capabilities
