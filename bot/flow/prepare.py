"""A request -> the node's inspection -> the command that people are shown, or a refusal that is told at once.

Deliberately absent: any start. What the node answers here is shown, hashed and asked about, no more.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from functools import partial

from bot.domain.batch import OWN_CARD
from bot.domain.command import Command, Limits, command_hash
from bot.domain.event import ShowCard
from bot.domain.execution import Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.grant import allowed_by, offered
from bot.domain.mask import Masker
from bot.domain.render import fits_one_message
from bot.domain.verdict import Allow, Ask, Refuse
from bot.errors import NodeAbsent, NodeSilent
from bot.flow.batch import owe_cards
from bot.flow.copies import CapabilitiesAt, owe_copies
from bot.flow.decision import APPROVED_FOR_S
from bot.flow.grants import standing
from bot.flow.outcome import leave, owe
from bot.flow.signals import Signals
from bot.loop import Tasks
from bot.ports import NodeHub, NodeRefusal, Policies, Store, Tx

log = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_INSPECTIONS = 32
"""At the same time; an inspection reads and hashes a file, some milliseconds on the node."""


@dataclass(frozen=True, slots=True)
class Preparation:
    store: Store
    hub: NodeHub
    policies: Policies
    signals: Signals
    limits: Limits
    capabilities_at: CapabilitiesAt
    masker: Masker = field(default_factory=Masker)
    tasks: Tasks = field(default_factory=lambda: Tasks("prepare", limit=_MAX_INSPECTIONS))
    under_way: set[ExecutionId] = field(default_factory=set)

    async def step(self) -> bool:
        """Show what was asked for together and is inspected; begin the inspections due on nodes connected here."""
        for batch in await self.store.read(lambda tx: tx.executions.unshown_batches()):
            await self.store.write(partial(owe_cards, batch=batch, policies=self.policies, at=self.capabilities_at))
            self.signals.heartbeat.wake()
        connected = frozenset(self.hub.connected())
        if not connected or self.tasks.free <= 0:
            return False
        due = await self.store.read(
            lambda tx: tx.executions.in_states({ExecutionState.PREPARING}, nodes=connected, limit=_MAX_INSPECTIONS)
        )
        for execution in due:
            if execution.id not in self.under_way and self.tasks.free > 0:
                self.under_way.add(execution.id)
                self.tasks.start(self._inspect(execution), then=self.signals.prepare.wake)
        return False

    async def _inspect(self, execution: Execution) -> None:
        try:
            found = await self._ask_node(execution)
            await self.store.write(lambda tx: self._settle(tx, execution.id, found))
        finally:
            self.under_way.discard(execution.id)
        self.signals.dispatch.wake()
        self.signals.heartbeat.wake()

    async def _ask_node(self, execution: Execution) -> Command | NodeRefusal:
        try:
            return await self.hub.inspect(execution.node, execution.id, execution.request, self.limits)
        except NodeAbsent:
            return NodeRefusal(reason=f"the node {execution.node_name} is not connected; ask again when it is back")
        except NodeSilent:
            return NodeRefusal(reason=f"the node {execution.node_name} did not answer in time; ask again")

    def _settle(self, tx: Tx, execution_id: ExecutionId, found: Command | NodeRefusal) -> None:
        execution = tx.executions.lock(execution_id)
        if execution is None or execution.state is not ExecutionState.PREPARING:
            return
        if isinstance(found, NodeRefusal):
            leave(tx, execution, Trigger.REFUSE, by=execution.node_name, reason=self.masker.text(found.reason))
            return
        lie = _lie(found, execution, self.limits)
        if lie is not None:
            log.error("inspection.differs", extra={"execution_id": execution_id, "node": execution.node})
            leave(tx, execution, Trigger.REFUSE, by="gateway", reason=lie)
            return
        self._ask_or_allow(tx, replace(execution, command=found, command_hash=command_hash(found)))

    def _ask_or_allow(self, tx: Tx, execution: Execution) -> None:
        verdict = self.policies.now.judge_execution(execution)
        if isinstance(verdict, Refuse):
            leave(tx, execution, Trigger.REFUSE, by="policy", reason=verdict.reason)
            return
        unasked = execution.batch and replace(execution.batch, card=OWN_CARD)
        if isinstance(verdict, Allow):
            allowed = replace(execution, rule=verdict.rule, expires_at=tx.now + APPROVED_FOR_S, batch=unasked)
            tx.executions.move(allowed, Trigger.ALLOW, by=verdict.rule, detail=None)
        elif (grant := standing(tx, execution, verdict)) is not None:
            rule = allowed_by(grant, verdict)
            expires_at = tx.now + APPROVED_FOR_S
            allowed = replace(execution, rule=rule, grant=grant.id, expires_at=expires_at, batch=unasked)
            tx.executions.move(allowed, Trigger.ALLOW, by=rule, detail=None)
            verdict = Allow(rule=rule)
        else:
            expires_at = tx.now + verdict.expires_after_s
            escalation = verdict.escalation
            asked = replace(
                execution,
                rule=verdict.rule,
                deciders=verdict.deciders,
                terms=offered(execution, verdict),
                expires_at=expires_at,
                escalates_at=None if escalation is None else tx.now + escalation.after_s,
            )
            capabilities = self.capabilities_at(asked.origin.peer)
            shown = replace(asked, state=ExecutionState.AWAITING_APPROVAL)
            if capabilities is not None and not fits_one_message(shown, capabilities):
                reason = "the command is too long to be shown whole here, so nobody can be asked"
                leave(tx, asked, Trigger.REFUSE, by="gateway", reason=f"{reason}; put it into a script on the node")
                return
            tx.executions.move(asked, Trigger.ASK, by=verdict.rule, detail=", ".join(verdict.deciders))
            if execution.batch is not None:
                # Its card is owed by a later pass, once none of its batch is being prepared any more: decided here,
                # two that settle at the same time would each see the other one not settled yet.
                return
        owe(tx, execution, ShowCard(execution_id=execution.id), identity=f"card:{execution.id}")
        if isinstance(verdict, Ask):
            owe_copies(tx, shown, verdict.copy_to, self.capabilities_at)


def _is_within(found: Limits, asked: Limits) -> bool:
    """With a time limit of years nobody would ever be told that its report does not come."""
    bounds = (
        (found.timeout_s, asked.timeout_s),
        (found.output_bytes, asked.output_bytes),
        (found.memory_bytes, asked.memory_bytes),
        (found.processes, asked.processes),
        (found.open_files, asked.open_files),
    )
    return all(most is None or (value is not None and value <= most) for value, most in bounds)


def _lie(found: Command, execution: Execution, limits: Limits) -> str | None:
    """Why this description is not taken: a node may add what it sees, and change nothing of what was asked."""
    request = execution.request
    if (found.node, found.argv, found.script) != (execution.node, request.argv, request.script):
        return "the node described another command than was asked"
    if not _is_within(found.limits, limits):
        return "the node described higher limits than were asked for"
    if any(character in found.user for character in "\n\t"):
        return "the node described an account that a card cannot show in a line"
    paths = (found.executable, found.cwd, *(file.path for file in found.files))
    if any(not path.startswith("/") or "\n" in path or "\t" in path for path in paths):
        # All else that hides is made visible; a line end would begin what looks like the next line of the card.
        return "the node described a path that a card cannot show in a line; rename it there"
    if not all(_SHA256.fullmatch(file.sha256) for file in found.files):
        return "the node described a file by something that is no SHA-256"
    return None
