"""One press or message about several -> one decision about each, in one transaction, told in one answer.

Each is decided by itself, as if it had been the only one. Deliberately absent: what a decision takes, which is
`decide`'s alone; like that, this is for the inbox of people and for nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.domain.batch import BatchId
from bot.domain.batch_card import shown_hash
from bot.domain.event import Card
from bot.domain.execution import FINAL, Execution, ExecutionId, ExecutionState
from bot.domain.message import OF_ALL, Action, Button
from bot.domain.session import Peer
from bot.domain.words import Approve, Decision, Deny
from bot.flow.decision import Decider, Word, decide
from bot.ports import Policies, Tx

REACTED = (
    "A reaction on a card of several commands decides none of them. Press the buttons of the one that you mean, "
    "or type: approve <id>, or: deny <id> <reason>"
)
NOT_ITS_BUTTON = "That button does not belong to this card. Nothing was decided."


def typed(words: Decision, here: Peer, masked: Callable[[str], str]) -> Word:
    """What somebody typed of one, as a word to decide by; `masked` is a reason as it may be read."""
    match words:
        case Approve():
            return Word(
                action=Action.ALWAYS if words.always else Action.APPROVE,
                shown=None,
                reason=masked(words.reason),
                code=words.code,
                pattern=words.pattern,
                typed_in=here,
            )
        case Deny():
            return Word(action=Action.DENY, shown=None, reason=masked(words.reason), typed_in=here)
        case _:
            return Word(action=Action.STOP, shown=None, typed_in=here)


def carries(tx: Tx, card: Card, execution_id: ExecutionId) -> bool:
    """Whether this card shows this execution."""
    if card.batch is None:
        return card.execution_id == execution_id
    return any(one.id == execution_id for one in tx.executions.of_batch(card.batch, card=card.batch_card))


def decide_card(tx: Tx, policies: Policies, decider: Decider, button: Button, card: Card | None, word: Word) -> str:
    """A button for a whole card, which binds to all that stood on it. `card` is None where no message carries it."""
    batch = BatchId(button.execution_id)
    if card is not None and card.batch != batch:
        return NOT_ITS_BUTTON
    shown = tx.executions.of_batch(batch, card=None if card is None else card.batch_card)
    numbers = {one.batch.card for one in shown if one.batch is not None and one.batch.card}
    cards = [[one for one in shown if one.batch is not None and one.batch.card == number] for number in numbers]
    pressed = next((on_card for on_card in cards if shown_hash(on_card) == button.shown), None)
    if pressed is None:
        return f"{batch}: that button belongs to other commands than those of this card. Nothing was decided."
    action = OF_ALL[button.action]

    def noted(one: Execution) -> None:
        is_meant = one.state not in FINAL if action is Action.STOP else one.state is ExecutionState.AWAITING_APPROVAL
        if is_meant:
            tx.executions.step(one.id, "all", by=decider.person, detail=f"{action.value} all on this card of {batch}")

    for_each = replace(word, action=action, shown=None)
    return decide_each(tx, policies, decider, [one.id for one in pressed], for_each, noted)


def decide_each(
    tx: Tx,
    policies: Policies,
    decider: Decider,
    execution_ids: Sequence[ExecutionId],
    word: Word,
    before: Callable[[Execution], None] = lambda _one: None,
) -> str:
    """Each by itself, as if it had been the only one; told in one answer. All are locked before the first changes.

    What the word is about is known from the ids, or from the hash of all of them: it carries none of its own.
    """
    locked = {one.id: one for one in tx.executions.lock_all(execution_ids)}
    notes: dict[str, list[ExecutionId]] = {}
    for execution_id in dict.fromkeys(execution_ids):
        one = locked.get(execution_id)
        if one is None:
            note = f"There is no execution {execution_id}."
        else:
            before(one)
            note = decide(tx, policies.now, decider, execution_id, word)
        # What became of several in the same words is said once. No other word of a note can look like an id of six.
        notes.setdefault(note.replace(execution_id, _ID), []).append(execution_id)
    return "\n".join(note.replace(_ID, ", ".join(ids)) for note, ids in notes.items())


_ID = "\x00"
"""In the place of an id, while notes are compared: no note holds it."""
