"""What a model's turn leaves beside its words: what it remembers, what it took, what it stops; and its leash.

Part of the turn's one transaction. Deliberately absent: the model, and what is put into its prompt.
"""

from __future__ import annotations

import logging

from bot.domain.event import Input
from bot.domain.policy import Policy
from bot.domain.session import Peer
from bot.flow.decision import Decider, stop
from bot.ports import Forget, Later, Learn, StopIt, Tx

log = logging.getLogger(__name__)


def take_in(tx: Tx, answered: Input, step: Learn | Forget | Later) -> None:
    session, place = answered.session, None if answered.address is None else answered.address.peer
    match step:
        case Forget():
            tx.memories.forget(session, place)
        case Learn():
            if step.is_prompted:
                tx.memories.spoken(place)
            if step.turn is not None:
                tx.memories.learn(session, place, step.turn)
            if step.spending is not None:
                tx.memories.spend(step.spending)
        case _:
            log.info("turn.later", extra={"session": session, "wait_s": round(step.wait_s, 1)})


def is_leashed(tx: Tx, answered: Input, place: Peer, limit: int) -> str | None:
    """None where the model may ask on without a person's word; else what to say, once, and then nothing."""
    count = tx.memories.count_unprompted(place)
    if count <= limit:
        return None
    log.warning("turn.leashed", extra={"session": answered.session, "unprompted": count})
    if count > limit + 1:
        return ""
    return f"I have asked for {limit} commands since somebody last wrote to me. Write to me, and I go on."


def stop_for_agent(tx: Tx, policy: Policy, answered: Input, step: StopIt) -> None:
    """As if whom the input is of had said so: they must be one who may. Without a person's word, only its own."""
    execution = tx.executions.get(step.execution_id)
    if execution is None or answered.address is None or answered.person is None:
        return
    is_here = execution.session == answered.session and execution.origin.peer == answered.address.peer
    is_own = execution.worded_by is not None and execution.asker == answered.person
    if not is_here or not (step.is_prompted or is_own):
        log.warning("turn.stop_refused", extra={"session": answered.session, "execution_id": step.execution_id})
        return
    who = Decider(person=answered.person, name=answered.person_name or answered.person)
    stop(tx, policy, who, execution.id)
