"""What nodes report -> the execution's row, and the event that is owed for it, in one transaction.

The hub answers a node after these calls return, so after the commit. A report counts only for an execution
that was handed to exactly this node's key; a repeated one changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.domain.command import NodeFingerprint
from bot.domain.execution import (
    HANDED_OVER,
    Execution,
    ExecutionId,
    ExecutionResult,
    ExecutionState,
    Trigger,
)
from bot.domain.mask import Masker
from bot.domain.node import Known, Node, Pairing
from bot.flow.dispatch import already_handed_over
from bot.flow.express import Claimed, Express
from bot.flow.heartbeat import Heartbeat
from bot.flow.outcome import leave
from bot.flow.signals import Signals
from bot.ports import Store, Tx

log = logging.getLogger(__name__)

S = ExecutionState
_GONE = {
    Known.UNKNOWN: "the node was restarted while it ran: how it ended is not known",
    # The report is acknowledged after our commit only: what took it was a newer state of this store.
    Known.FINISHED: "it has ended, and the store that took its report was replaced by an older copy: "
    "how it ended is not known here any more",
}
"""Answers after which no report of an execution will come."""
_MASKED_AT_ONCE_CHARS = 2_048
"""Of output; they take half a millisecond, about what the way to a thread and back takes on a busy machine."""
_MAX_ASKED = 1_000
"""Open executions of one node that it is asked about when it connects; more are asked about at the next connection."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The `Reports` of the hub."""

    store: Store
    signals: Signals
    masker: Masker = field(default_factory=Masker)
    """Everything that a node says in words goes through it before the store, so what is read later holds no secret."""
    heartbeat: Heartbeat | None = None
    """Who tells a result at once; without it a result is due, and waits for the next look."""
    for_agent: bool = True
    """Whether the agent of its session is owed a result as well: one that has never a word to it need get no turn."""

    async def started(self, node: NodeFingerprint, execution_id: ExecutionId, started_at: float) -> None:
        def note(tx: Tx, execution: Execution) -> None:
            if execution.state in {S.DISPATCHED, S.LOST}:
                _runs(tx, execution, started_at)

        await self._apply(node, execution_id, "started", note, ends=False)

    async def progress(self, node: NodeFingerprint, execution_id: ExecutionId, live_tail: str) -> None:
        masked = self.masker.tail(live_tail)

        def note(tx: Tx, execution: Execution) -> None:
            if execution.state is S.RUNNING and execution.live_tail != masked:
                tx.executions.amend(replace(execution, live_tail=masked))

        await self._apply(node, execution_id, "progress", note, ends=False)

    async def finished(
        self,
        node: NodeFingerprint,
        execution_id: ExecutionId,
        result: ExecutionResult,
        started_at: float,
        ended_at: float,
    ) -> None:
        output = result.output
        if sum(len(chunk.text) for chunk in (*output.head, *output.tail)) <= _MASKED_AT_ONCE_CHARS:
            output = self.masker.output(output)
        else:
            # In a thread: 16 MiB, the most that a config lets a node keep, are too long a wait for everybody else.
            output = await asyncio.to_thread(self.masker.output, output)
        masked = replace(result, output=output)

        def finish(tx: Tx, express: Express | None) -> tuple[bool, Claimed | None]:
            execution = _theirs(tx, node, execution_id)
            if execution is None or execution.state not in HANDED_OVER:
                return execution is not None, None
            finished = replace(execution, result=masked, started_at=started_at, live_tail="")
            return True, leave(
                tx,
                finished,
                Trigger.FINISH,
                by=execution.node_name,
                reason=None,
                at=ended_at,
                express=express,
                for_agent=self.for_agent,
            )

        if self.heartbeat is None:
            was_taken, _ = await self.store.write(lambda tx: finish(tx, None))
            self.signals.heartbeat.wake()
            self.signals.cards.wake()
        else:
            # Cards come after what is told: whoever tells it wakes them.
            was_taken = await self.heartbeat.commit(finish)
        self._applied(node, execution_id, "finished", was_taken=was_taken)
        if self.for_agent:
            self.signals.turn.wake()

    async def refused(self, node: NodeFingerprint, execution_id: ExecutionId, reason: str) -> None:
        masked = self.masker.text(reason)

        def note(tx: Tx, execution: Execution) -> None:
            if execution.state in {S.DISPATCHED, S.LOST}:
                leave(tx, execution, Trigger.REFUSE, by=execution.node_name, reason=masked)

        await self._apply(node, execution_id, "refused", note)

    async def not_known(self, node: NodeFingerprint, execution_id: ExecutionId, detail: str) -> None:
        masked = self.masker.text(detail)

        def note(tx: Tx, execution: Execution) -> None:
            if execution.state in {S.DISPATCHED, S.RUNNING}:
                leave(tx, execution, Trigger.LOSE, by=execution.node_name, reason=masked)

        await self._apply(node, execution_id, "not_known", note)

    async def open_executions(self, node: NodeFingerprint) -> Sequence[tuple[ExecutionId, bool]]:
        asked = HANDED_OVER | {S.APPROVED}
        rows = await self.store.read(lambda tx: tx.executions.in_states(asked, nodes={node}, limit=_MAX_ASKED))
        return [(execution.id, execution.state in HANDED_OVER) for execution in rows]

    async def known(self, node: NodeFingerprint, execution_id: ExecutionId, known: Known) -> None:
        def note(tx: Tx, execution: Execution) -> None:
            match known:
                case Known.UNSEEN:
                    if execution.state in {S.DISPATCHED, S.RUNNING}:
                        reason = "the node's journal does not know it: whether it ran is not known"
                        leave(tx, execution, Trigger.LOSE, by=execution.node_name, reason=reason)
                case Known.NEVER_STARTED:
                    if execution.state in {S.DISPATCHED, S.LOST, S.APPROVED}:
                        reason = "the node was out of reach when it was to start; it never started and never will"
                        leave(tx, execution, Trigger.REFUSE, by=execution.node_name, reason=reason)
                case _ if execution.state is S.APPROVED:
                    already_handed_over(tx, execution, "the node has started this before")
                case Known.RUNNING:
                    if execution.state is S.LOST:
                        # Its `started` was acknowledged before the silence, so it is not said again.
                        _runs(tx, execution, execution.started_at)
                case Known.UNKNOWN:
                    if execution.state in {S.DISPATCHED, S.RUNNING}:
                        reason = "the node was restarted while it ran: how it ended is not known"
                        leave(tx, execution, Trigger.LOSE, by=execution.node_name, reason=reason)
                case _:
                    # Ended, and the report acknowledged: by a store that was newer than this one.
                    if execution.state in {S.DISPATCHED, S.RUNNING}:
                        reason = (
                            "it ended and was reported, and this gateway's store is an older copy: how is not known"
                        )
                        leave(tx, execution, Trigger.LOSE, by=execution.node_name, reason=reason)

        await self._apply(node, execution_id, "known", note)

    async def hello(self, fingerprint: NodeFingerprint, public_key: bytes, name: str) -> Node:
        return await self.store.write(lambda tx: tx.nodes.hello(fingerprint, public_key, name))

    async def pairing_of(self, fingerprint: NodeFingerprint) -> Node | None:
        return await self.store.read(lambda tx: tx.nodes.get(fingerprint))

    async def pairings(self) -> Mapping[NodeFingerprint, Pairing]:
        return await self.store.read(lambda tx: tx.nodes.pairings())

    async def seen(self, nodes: Collection[NodeFingerprint]) -> None:
        def note(tx: Tx) -> None:
            for node in nodes:
                tx.nodes.seen(node)

        await self.store.write(note)

    async def _apply(
        self,
        node: NodeFingerprint,
        execution_id: ExecutionId,
        report: str,
        note: Callable[[Tx, Execution], None],
        *,
        ends: bool = True,
    ) -> None:
        """Run `note` on the locked row if the report is this node's to make; else log that it was not taken.

        Only what may end an execution (`ends`) leaves something to people and agents; the rest is shown on cards.
        """

        def apply(tx: Tx) -> bool:
            execution = _theirs(tx, node, execution_id)
            if execution is not None:
                note(tx, execution)
            return execution is not None

        self._applied(node, execution_id, report, was_taken=await self.store.write(apply))
        self.signals.cards.wake()
        if ends:
            self.signals.heartbeat.wake()
            self.signals.turn.wake()

    def _applied(self, node: NodeFingerprint, execution_id: ExecutionId, report: str, *, was_taken: bool) -> None:
        if not was_taken:
            # Acknowledged all the same: repeating it for ever would change nothing.
            log.warning("report.not_taken", extra={"node": node, "execution_id": execution_id, "report": report})


def _theirs(tx: Tx, node: NodeFingerprint, execution_id: ExecutionId) -> Execution | None:
    """The row, locked, if it was handed to this node."""
    execution = tx.executions.lock(execution_id)
    return None if execution is None or execution.node != node else execution


def _runs(tx: Tx, execution: Execution, started_at: float | None) -> None:
    """It runs, whatever was told of it before."""
    started = replace(execution, started_at=started_at, reason=None, ended_at=None)
    tx.executions.move(started, Trigger.START, by=execution.node_name, detail=None)
