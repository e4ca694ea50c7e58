"""approved -> offered, accepted, committed, go: once. And stops, until the node has answered.

The node's acceptance is journalled before `dispatched` is committed, and `go` leaves only after that
commit, from the process that made it. A crash between the two leaves a row that nothing dispatches again:
the node never started it, says so when it is asked, and that is told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field

from bot.domain.execution import Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.mask import Masker
from bot.domain.node import Pairing
from bot.domain.retry import delay_s
from bot.domain.verdict import Allow, Ask
from bot.errors import NodeAbsent, NodeSilent, StoreError
from bot.flow.glass import hold_up
from bot.flow.grants import spend
from bot.flow.outcome import leave
from bot.flow.signals import Signals
from bot.loop import Tasks
from bot.ports import NodeHub, NodeRefusal, Policies, Store, Tx

log = logging.getLogger(__name__)

_MAX_HAND_OVERS = 64
"""At the same time, over all nodes."""
_NO_FACTOR = "the rules want a code of the device of whoever says yes by now, and it has none; ask again"
_TRIES = 10
"""Some eight minutes of a store that is away; after that the sweep finds what is overdue."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    store: Store
    hub: NodeHub
    policies: Policies
    signals: Signals
    masker: Masker = field(default_factory=Masker)
    tasks: Tasks = field(default_factory=lambda: Tasks("dispatch", limit=_MAX_HAND_OVERS))
    under_way: set[ExecutionId] = field(default_factory=set)

    async def step(self) -> bool:
        """Begin the hand-overs that are due on nodes connected here, and repeat the stops that are wanted."""
        connected = frozenset(self.hub.connected())
        if not connected:
            return False

        def look(tx: Tx) -> tuple[list[Execution], list[Execution]]:
            stops = list(tx.executions.stop_wanted(connected, limit=_MAX_HAND_OVERS))
            if tx.switches.paused() is not None:
                return [], stops
            approved = tx.executions.in_states({ExecutionState.APPROVED}, nodes=connected, limit=_MAX_HAND_OVERS)
            return list(approved), stops

        # From before the look: a hand-over that ends meanwhile was read as approved, and must not begin again.
        under_way = frozenset(self.under_way)
        approved, stops = await self.store.read(look)
        for execution in approved:
            if execution.id not in under_way and self.tasks.free > 0:
                self.under_way.add(execution.id)
                self.tasks.start(self._hand_over(execution))
        for execution in stops:
            await self._stop(execution)
        return False

    async def _hand_over(self, execution: Execution) -> None:
        try:
            await self._offer_and_go(execution)
        except (NodeAbsent, NodeSilent):
            # Nothing is committed or `go` may be lost: an offer repeats by the next poll, a `go` never does.
            log.info("dispatch.node_away", extra={"execution_id": execution.id, "node": execution.node})
        finally:
            self.under_way.discard(execution.id)
        self.signals.heartbeat.wake()
        self.signals.cards.wake()

    async def _offer_and_go(self, execution: Execution) -> None:
        if execution.command is None or execution.command_hash is None:
            raise NodeAbsent(f"{execution.id} was approved without a command")
        accepted = await self.hub.offer(execution.node, execution.id, execution.command, execution.command_hash)
        if isinstance(accepted, NodeRefusal):
            await self.store.write(lambda tx: self._refused(tx, execution.id, accepted))
            return
        try:
            may_go = await self.store.write(lambda tx: self._commit(tx, execution.id))
        except StoreError:
            # Perhaps the answer of a commit was lost: then nobody says `go`, and while the node stays connected
            # nobody asks it either.
            await self._lose_unanswered(execution.id)
            return
        if may_go:
            await self.hub.go(execution.node, execution.id, accepted)

    async def _lose_unanswered(self, execution_id: ExecutionId) -> None:
        for attempt in range(1, _TRIES + 1):
            await asyncio.sleep(delay_s(attempt, jitter=random.random()))  # noqa: S311 - spreads retries
            try:
                await self.store.write(lambda tx: self._lost(tx, execution_id))
            except StoreError:
                log.warning("dispatch.store_away", extra={"execution_id": execution_id, "attempt": attempt})
            else:
                return

    def _lost(self, tx: Tx, execution_id: ExecutionId) -> None:
        execution = tx.executions.lock(execution_id)
        if execution is not None and execution.state is ExecutionState.DISPATCHED:
            reason = "the store failed in the moment of the hand-over: whether it ran is not known"
            leave(tx, execution, Trigger.LOSE, by="gateway", reason=reason)

    def _commit(self, tx: Tx, execution_id: ExecutionId) -> bool:
        """The one way to `dispatched`. True exactly once in the life of an execution: then `go` may leave."""
        execution = tx.executions.lock(execution_id)
        if execution is None or execution.state is not ExecutionState.APPROVED or tx.switches.paused() is not None:
            return False
        node = tx.nodes.get(execution.node)
        if node is None or node.pairing is not Pairing.PAIRED:
            leave(tx, execution, Trigger.WITHDRAW, by="gateway", reason=f"the node {execution.node_name} was revoked")
            return False
        if tx.now >= execution.expires_at:
            leave(tx, execution, Trigger.EXPIRE, by=None, reason="its node did not take it in time after the approval")
            return False
        objection = self._objection(tx, execution)
        if objection is not None:
            leave(tx, execution, Trigger.WITHDRAW, by="policy", reason=objection)
            return False
        tx.executions.move(execution, Trigger.DISPATCH, by="gateway", detail=None)
        return True

    def _objection(self, tx: Tx, execution: Execution) -> str | None:
        """Why the votes no longer carry it under the policy of this moment; None where they do."""
        said = self.policies.now.judge_execution(execution)
        match said:
            case Allow():
                return None
            case Ask() if execution.glass is not None:
                carried = frozenset(tx.executions.approvers(execution.id, with_factor=said.terms.second_factor))
                if not carried.issuperset(execution.approved_by):
                    return _NO_FACTOR
                return hold_up(tx, self.policies.now, execution)
            case Ask() if execution.grant is not None:
                return spend(tx, execution, said)
            case Ask(deciders=deciders, terms=terms):
                voted = tx.executions.approvers(execution.id, with_factor=terms.second_factor)
                counted = [person for person in voted if person in deciders]
                if len(counted) >= terms.quorum:
                    return None
                who = ", ".join(deciders) or "nobody"
                if terms.second_factor and set(tx.executions.approvers(execution.id)) & set(deciders) - set(counted):
                    return _NO_FACTOR
                if terms.quorum > 1:
                    return f"it has {len(counted)} of {terms.quorum} votes that count by now; who may decide: {who}"
                return f"whoever approved it may not decide it any more; who may: {who}"
            case _:
                return said.reason

    def _refused(self, tx: Tx, execution_id: ExecutionId, refusal: NodeRefusal) -> None:
        execution = tx.executions.lock(execution_id)
        if execution is None or execution.state is not ExecutionState.APPROVED:
            return
        if refusal.already_started:
            already_handed_over(tx, execution, self.masker.text(refusal.reason))
        else:
            leave(tx, execution, Trigger.REFUSE, by=execution.node_name, reason=self.masker.text(refusal.reason))

    async def _stop(self, execution: Execution) -> None:
        try:
            await self.hub.stop(execution.node, execution.id)
        except (NodeAbsent, NodeSilent):
            log.info("stop.node_away", extra={"execution_id": execution.id, "node": execution.node})


def already_handed_over(tx: Tx, execution: Execution, detail: str) -> None:
    """The node's journal knows an earlier hand-over that this store does not: it was restored from a backup.

    It must not run again, and what became of it then is told as not known.
    """
    moved = tx.executions.move(execution, Trigger.DISPATCH, by="node's journal", detail=detail)
    reason = f"{detail}. This gateway's store is older than that hand-over, so it is not run again"
    leave(tx, moved, Trigger.LOSE, by="gateway", reason=reason)
