"""What nobody does in time about break-glass: one whose time is over, whom the rules no longer let, or who was never
reviewed. Each is ended or marked, and announced.

Deliberately absent: what counts on it. Every yes and every hand-over looks for itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bot.domain.glass import Glass, GlassState, GlassTrigger, obstacle, overtime, reviewers_of
from bot.flow.announcement import overdue_words
from bot.flow.glass import announce, close
from bot.flow.signals import Signals
from bot.ports import Policies, Store, Tx

log = logging.getLogger(__name__)

_BATCH = 100


@dataclass(frozen=True, slots=True)
class GlassWatch:
    store: Store
    policies: Policies
    signals: Signals

    async def step(self) -> bool:
        """One look at all that is open, and at what is not reviewed."""
        moved = await self.store.write(self._look)
        for glass in moved:
            if glass.state is GlassState.OVERDUE:
                log.error("glass.unreviewed", extra={"glass": glass.id, "person": glass.person})
            else:
                log.info("glass.ended", extra={"glass": glass.id, "person": glass.person})
        if moved:
            self.signals.heartbeat.wake()
        return len(moved) >= _BATCH

    def _look(self, tx: Tx) -> list[Glass]:
        found = (*tx.glasses.due(limit=_BATCH), *tx.glasses.listing({GlassState.OPEN}, limit=_BATCH))
        locked = (tx.glasses.lock(glass_id) for glass_id in dict.fromkeys(one.id for one in found))
        moved = [self._move_on(tx, glass) for glass in locked if glass is not None]
        return [glass for glass in moved if glass is not None]

    def _move_on(self, tx: Tx, glass: Glass) -> Glass | None:
        policy = self.policies.now
        match glass.state:
            case GlassState.OPEN if overtime(glass, now=tx.now) is not None:
                return close(tx, policy, glass, GlassTrigger.LAPSE, by=None)
            case GlassState.OPEN:
                why = obstacle(policy.glass, policy.directory, glass.person, glass.place)
                return None if why is None else close(tx, policy, glass, GlassTrigger.WITHDRAW, by="policy", why=why)
            case GlassState.ENDED if glass.review_by is not None and tx.now >= glass.review_by:
                missed = tx.glasses.move(glass, GlassTrigger.MISS, by=None)
                reviewers = reviewers_of(policy.glass, policy.directory, glass.person)
                announce(tx, missed, "overdue", overdue_words(missed, reviewers))
                return missed
        return None
