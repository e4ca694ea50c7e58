"""What nobody has decided for a while -> further people, who may decide it from then on.

Deliberately absent: who they are, which the policy of that moment says.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from bot.domain.execution import Execution, ExecutionState
from bot.domain.verdict import Ask
from bot.flow.batch import owe_further
from bot.flow.copies import CapabilitiesAt, owe_copies
from bot.flow.signals import Signals
from bot.ports import Policies, Store, Tx

log = logging.getLogger(__name__)

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Escalations:
    store: Store
    policies: Policies
    signals: Signals
    capabilities_at: CapabilitiesAt

    async def step(self) -> bool:
        """One look at what waits too long."""
        moved = await self.store.write(self._escalate)
        if moved:
            log.info("escalation.made", extra={"count": moved})
            self.signals.all()
        return moved == _BATCH

    def _escalate(self, tx: Tx) -> int:
        due = tx.executions.escalating(limit=_BATCH)
        for execution in tx.executions.lock_all([found.id for found in due]):
            if execution.escalates_at is not None and tx.now >= execution.escalates_at:
                self._ask_further(tx, execution)
        return len(due)

    def _ask_further(self, tx: Tx, execution: Execution) -> None:
        before = self.policies.now.judge_execution(execution)
        wider = replace(execution, is_escalated=True, escalates_at=None)
        after = self.policies.now.judge_execution(wider)
        if execution.state is not ExecutionState.AWAITING_APPROVAL or not isinstance(after, Ask):
            # Settled meanwhile, or a policy that asks nobody any more: then there is nobody to ask further.
            tx.executions.amend(replace(execution, escalates_at=None))
            return
        wider = replace(wider, deciders=after.deciders)
        tx.executions.amend(wider)
        tx.executions.step(execution.id, "escalate", by=after.rule, detail=", ".join(after.deciders))
        if not isinstance(before, Ask) or before.escalation is None:
            return
        places, batch = before.escalation.copy_to, wider.batch
        if batch is None or not batch.card:
            owe_copies(tx, wider, places, self.capabilities_at, mark="escalation")
            return
        # One copy a card: it is owed with the first that escalates, and those after it find it owed.
        on_card = tx.executions.of_batch(batch.id, card=batch.card)
        owe_further(tx, on_card, batch.id, batch.card, places, self.capabilities_at, mark="escalation")
