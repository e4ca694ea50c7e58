"""Periodic tidying: expire, lose, release leases, prune. Each in its own bounded transaction.

Deliberately absent: anything that a person waits for. Every case here has a faster way that failed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from bot.domain.event import EventState, EventTrigger
from bot.domain.execution import ExecutionId, ExecutionState, Trigger
from bot.domain.node import Pairing
from bot.domain.retry import MAX_AGE_S
from bot.flow.decision import APPROVED_FOR_S
from bot.flow.outcome import leave
from bot.flow.signals import Signals
from bot.flow.telling import Fallbacks, bury
from bot.ports import Store, Tx

log = logging.getLogger(__name__)

S = ExecutionState
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Sweep:
    store: Store
    signals: Signals
    lost_after_s: float
    """A node that is silent for so long with our execution: its people are told that nobody knows."""
    retention_s: float
    """How long final executions, told events and answered inputs are kept."""
    listening_since: float = 0.0
    """When this gateway began. What nodes said before it could not be heard: their silence counts from then on."""
    fallbacks: Fallbacks = field(default_factory=dict)

    async def step(self) -> bool:
        """One pass over everything. Wakes the loops that it made work for."""
        moved = await self.store.write(self._expire)
        moved += await self.store.write(self._lose)
        moved += await self.store.write(self._cut_off)
        moved += await self.store.write(self._release)
        await self.store.write(self._prune)
        if moved:
            log.info("sweep.moved", extra={"count": moved})
            self.signals.all()
        return False

    def _expire(self, tx: Tx) -> int:
        expired = {found.id: found.state for found in tx.executions.expired(limit=_BATCH)}
        # All before the first is told: whoever decides a whole card at this moment has its rows, and waits for ours.
        for execution in tx.executions.lock_all(expired):
            if execution.state is not expired[execution.id] or tx.now < execution.expires_at:
                continue
            reasons = {
                S.PREPARING: "the node did not answer in time",
                S.APPROVED: "its node did not take it in time after the approval",
            }
            reason = reasons.get(execution.state, "nobody decided it in time")
            leave(tx, execution, Trigger.EXPIRE, by=None, reason=reason)
        return len(expired)

    def _lose(self, tx: Tx) -> int:
        """Those whose node is silent, and those that run far past their own time limit."""
        if tx.now - self.listening_since <= self.lost_after_s:
            return 0
        doomed: dict[ExecutionId, tuple[ExecutionState, str]] = {}
        seen = {node.fingerprint: node.last_seen_at for node in tx.nodes.listing()}
        for found in tx.executions.in_states({S.DISPATCHED, S.RUNNING}, limit=1_000):
            limit_s = found.command.limits.timeout_s if found.command is not None else 0.0
            # By our own clock only: `started_at` is the node's, which may be hours behind.
            since = found.decided_at or found.created_at
            silent = tx.now - seen.get(found.node, 0.0) > self.lost_after_s
            overdue = tx.now - since > APPROVED_FOR_S + limit_s + self.lost_after_s
            if not silent and not overdue:
                continue
            reason = f"the node {found.node_name} has not been heard from" if silent else "no report came in its time"
            doomed[found.id] = found.state, f"{reason}; whether it ran is not known"
        lost = [one for one in tx.executions.lock_all(doomed) if one.state is doomed[one.id][0]]
        for execution in lost:
            leave(tx, execution, Trigger.LOSE, by=None, reason=doomed[execution.id][1])
        return len(lost)

    def _cut_off(self, tx: Tx) -> int:
        """A revoked key is a node that will never be heard again: what waits for it ends, what it has is lost."""
        revoked = {node.fingerprint for node in tx.nodes.listing() if node.pairing is Pairing.REVOKED}
        if not revoked:
            return 0
        count = 0
        theirs = tx.executions.in_states(
            {S.PREPARING, S.AWAITING_APPROVAL, S.APPROVED, S.DISPATCHED, S.RUNNING}, nodes=revoked, limit=_BATCH
        )
        states = {found.id: found.state for found in theirs}
        for execution in tx.executions.lock_all(states):
            if execution.state is not states[execution.id]:
                continue
            reason = f"the node {execution.node_name} was revoked"
            trigger = Trigger.LOSE if execution.state in {S.DISPATCHED, S.RUNNING} else Trigger.CANCEL
            leave(tx, execution, trigger, by="gateway", reason=reason)
            count += 1
        return count

    def _release(self, tx: Tx) -> int:
        released = tx.inputs.release_lapsed()
        for event in tx.events.lapsed(limit=_BATCH):
            match event.state:
                case EventState.CLAIMED:
                    released += tx.events.move(event, EventTrigger.RELEASE, token=None)
                case EventState.SENDING:
                    # The bytes may have left: ask the network before they leave again.
                    released += tx.events.move(event, EventTrigger.UNCERTAIN, token=None, trouble="the sender died")
        for event in tx.events.listing(states={EventState.HELD}, limit=_BATCH):
            if tx.now - event.created_at > MAX_AGE_S:
                log.error("event.dead", extra={"event_id": event.id, "reason": "held too long"})
                trouble, words = "held for a day", self.fallbacks
                bury(tx, event=event, token=None, trouble=trouble, fallbacks=words, trigger=EventTrigger.AGE)
                released += 1
        return released

    def _prune(self, tx: Tx) -> None:
        before = tx.now - self.retention_s
        tx.events.prune(told_before=before)
        tx.inputs.prune(answered_before=before)
        tx.executions.prune(ended_before=before)
        tx.grants.prune(over_before=before)
        tx.glasses.prune(reviewed_before=before)
        tx.memories.prune(before=before)
