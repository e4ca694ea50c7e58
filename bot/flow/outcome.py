"""The one way out of an execution's life: the move, the word owed to its people, the input for its agent.

One transaction, the caller's. Deliberately absent: when to leave, which the callers decide.
"""

from __future__ import annotations

from dataclasses import replace

from bot.domain.event import InputKind, NewEvent, NewInput, Payload, TellOutcome
from bot.domain.execution import FINAL, Execution, ExecutionState, Trigger, next_state, wiped
from bot.domain.session import DeliveryId
from bot.flow.express import Claimed, Express
from bot.ports import Tx


def leave(
    tx: Tx,
    execution: Execution,
    trigger: Trigger,
    *,
    by: str | None,
    reason: str | None,
    at: float | None = None,
    express: Express | None = None,
    for_agent: bool = True,
) -> Claimed | None:
    """Move `execution` (locked by the caller) and owe its word to the return address, under its session key.

    `at` is when it ended by the node's word, which is believed from the decision until now: a row that ended long
    ago by a clock that is behind would be pruned as soon as it is told. What `express` could claim is returned.
    """
    since = execution.decided_at or execution.created_at
    ended_at = at if at is not None and since <= at <= tx.now else tx.now
    ended = replace(execution, reason=reason, ended_at=ended_at)
    moved = tx.executions.move(
        wiped(ended) if next_state(execution.state, trigger) in FINAL else ended,
        trigger,
        by=by,
        detail=reason,
    )
    return _tell(tx, moved, express, for_agent=for_agent)


def _tell(tx: Tx, moved: Execution, express: Express | None, *, for_agent: bool) -> Claimed | None:
    """Owe the people of the session the state that the execution has just reached, and its agent an input."""
    mark = f"{moved.id}:{moved.state.value}"
    if moved.state is ExecutionState.LOST:
        # It may be lost again after a late `started`; each loss is told. The move's guard keeps it single.
        mark += f":{round(tx.now * 1000)}"
    word = _word(moved, TellOutcome(execution_id=moved.id, state=moved.state), identity=f"outcome:{mark}")
    claimed = None
    if express is None:
        tx.events.add(word)
    else:
        claimed = express.add(tx, word)
    if for_agent:
        tx.inputs.add(_input(moved, mark))
    return None if claimed is None else Claimed(event=claimed, execution=moved)


def _input(moved: Execution, mark: str) -> NewInput:
    peer = moved.origin.peer
    return NewInput(
        session=moved.session,
        address=moved.origin,
        kind=InputKind.FINISHED,
        channel=peer.channel,
        account=peer.account,
        delivery=DeliveryId(f"homing:outcome:{mark}"),
        # What an agent asks for because of this end, it asks for whoever asked for the execution.
        person=moved.asker,
        person_native=moved.asker_native,
        person_name=moved.asker_name,
        text="",
        execution_id=moved.id,
    )


def owe(tx: Tx, execution: Execution, payload: Payload, *, identity: str) -> None:
    """Something owed at the execution's return address, as an answer to the one who asked."""
    tx.events.add(_word(execution, payload, identity=identity))


def _word(execution: Execution, payload: Payload, *, identity: str) -> NewEvent:
    return NewEvent(
        identity=identity,
        session=execution.session,
        address=execution.origin,
        payload=payload,
        # Empty where a schedule or a hook asked: no network knows it.
        mention=execution.asker_native or None,
    )
