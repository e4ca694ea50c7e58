"""Button, reaction or typed word -> one decision. All three come through `decide`, inside one transaction.

No answer is never a yes, and an empty list of deciders is nobody: the policy of this moment says who may.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.domain.command import CommandHash
from bot.domain.execution import FINAL, WAITING, Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.message import Action
from bot.domain.policy import Ask, Policy
from bot.domain.render import LISTED_CHARS
from bot.domain.results import title
from bot.domain.session import Peer, PersonId
from bot.flow.outcome import leave
from bot.ports import Tx

APPROVED_FOR_S = 600.0
"""How long an approved command waits for its node. Ten minutes outlast a restart of the node's machine;
a longer wait would start it when nobody looks any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    person: PersonId
    name: str


def decide(
    tx: Tx,
    policy: Policy,
    decider: Decider,
    action: Action,
    execution_id: ExecutionId,
    *,
    shown: CommandHash | None,
    reason: str = "",
    typed_in: Peer | None = None,
) -> str:
    """Apply one decision and say, privately, what became of it.

    `shown` is the hash on the card that was pressed; None where the decision was typed, in `typed_in`.
    """
    execution = tx.executions.lock(execution_id)
    if execution is None:
        return f"There is no execution {execution_id}. Write `pending` for what can be decided."
    if shown is not None and shown != execution.command_hash:
        return f"{execution_id}: that button belongs to another command than the one asked for. Nothing was decided."
    if action is Action.STOP:
        return _stop(tx, policy, decider, execution)
    if execution.state is not ExecutionState.AWAITING_APPROVAL:
        return _already(execution)
    if tx.now >= execution.expires_at:
        leave(tx, execution, Trigger.EXPIRE, by=None, reason="nobody decided it in time")
        return f"{execution_id} has expired, nothing ran. Ask again if it is still wanted."
    verdict = policy.judge(peer=execution.origin.peer, asker=execution.asker, node_name=execution.node_name)
    if not isinstance(verdict, Ask) or decider.person not in verdict.deciders:
        who = ", ".join(verdict.deciders) if isinstance(verdict, Ask) else "nobody, as the policy stands now"
        tx.executions.step(execution_id, "refused_vote", by=decider.person, detail=f"who may decide: {who}")
        return f"You may not decide {execution_id}. Who may: {who}."
    if action is Action.APPROVE and typed_in is not None and _is_unseen(execution, typed_in):
        place = f"{execution.origin.peer.channel} {execution.origin.peer.kind.value}"
        return (
            f"{execution_id} has a command that no list shows whole. Read its card where it was asked ({place}), "
            "and decide there. Nothing was decided."
        )
    if not tx.executions.vote(execution_id, decider.person, approves=action is Action.APPROVE, reason=reason):
        return f"You have decided {execution_id} already; the first word counts."
    decided = replace(execution, decided_by=decider.person, decided_at=tx.now)
    if action is Action.APPROVE:
        decided = replace(decided, expires_at=tx.now + APPROVED_FOR_S)
        tx.executions.move(decided, Trigger.APPROVE, by=decider.person, detail=None)
        return f"✅ You approved {execution_id}. Its result comes to the place that asked."
    leave(tx, decided, Trigger.DENY, by=decider.person, reason=reason or None)
    return f"❌ You denied {execution_id}; whoever asked is told" + (f": {reason}" if reason else ".")


def _is_unseen(execution: Execution, here: Peer) -> bool:
    """A yes that is typed elsewhere may come from somebody who saw a list at most: never for what a list cuts."""
    return execution.origin.peer != here and len(execution.request.text) > LISTED_CHARS


def _stop(tx: Tx, policy: Policy, decider: Decider, execution: Execution) -> str:
    verdict = policy.judge(peer=execution.origin.peer, asker=execution.asker, node_name=execution.node_name)
    deciders = verdict.deciders if isinstance(verdict, Ask) else ()
    if decider.person not in {execution.asker, *deciders} and not policy.is_owner(decider.person):
        return f"You may not stop {execution.id}. Who may: {execution.asker}, its deciders, and the owners."
    if execution.state in FINAL:
        return _already(execution)
    if execution.state in WAITING:
        leave(tx, execution, Trigger.CANCEL, by=decider.person, reason=f"stopped by {decider.person} before it ran")
        return f"⏹ {execution.id} is cancelled, nothing ran."
    if execution.stop_wanted_by is not None:
        return f"{execution.id} is being stopped already, since {execution.stop_wanted_by} asked."
    tx.executions.amend(replace(execution, stop_wanted_by=decider.person))
    tx.executions.step(execution.id, "stop", by=decider.person)
    return f"⏹ {execution.id} is being stopped; what it wrote until then comes as its result."


def _already(execution: Execution) -> str:
    by = f" by {execution.decided_by}" if execution.decided_by is not None else ""
    return f"{execution.id} is already settled{by}: {title(execution)}."


def switch(tx: Tx, policy: Policy, decider: Decider, *, pause: bool, reason: str = "") -> str:
    """`pause` and `resume`, for owners: a stored switch that the dispatch transaction reads."""
    if not policy.is_owner(decider.person):
        return "Only owners may pause and resume the gateway."
    if pause:
        tx.switches.pause(by=decider.person, reason=reason)
        return "⏸ Paused: nothing is handed to a node until an owner writes: resume. Results are still told."
    tx.switches.resume()
    return "▶️ Resumed: approved commands are handed over again."
