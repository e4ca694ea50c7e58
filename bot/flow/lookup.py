"""What a channel may ask of us for one person: completions, what waits for them, a kept output. Reads only.

Deliberately absent: any output beyond `output`, which a channel asks for by a link that it signed itself.
"""

from __future__ import annotations

from bot.domain.batch import BatchId
from bot.domain.batch_card import batch_card, fits
from bot.domain.execution import Execution, ExecutionId, ExecutionState
from bot.domain.message import Attachment, Capabilities, Post, Suggest, Suggestion
from bot.domain.node import Pairing
from bot.domain.parts import cut_middle
from bot.domain.policy import Policy
from bot.domain.render import LISTED_CHARS, card
from bot.domain.results import output_file, shown_command
from bot.domain.session import PersonId, SessionKey
from bot.domain.verdict import Ask
from bot.ports import Tx

MAX_SUGGESTIONS = 25
"""Discord's limit of an autocompletion: https://discord.com/developers/docs/interactions/receiving-and-responding"""
MAX_AWAITING = 20
"""An App Home holds 100 blocks, and a card is four of them."""
_LOOKED_AT = 500
OUTPUT_FILE_BYTES = 1_048_576
"""More than a gateway keeps of an output by default."""
_PRIVATE_VIEW = Capabilities(text_chars=2_800, code_chars=2_000, batch_members=12)
"""A Slack section holds 3,000 characters; a batch of twelve is 29 of the blocks."""


def suggestions(
    tx: Tx, policy: Policy, person: PersonId, session: SessionKey, what: Suggest, typed: str
) -> tuple[Suggestion, ...]:
    """What may be meant by `typed`: it begins with that, whatever the case."""
    match what:
        case Suggest.NODE:
            paired = (node for node in tx.nodes.listing() if node.pairing is Pairing.PAIRED)
            found = [Suggestion(value=node.name, shown=node.name) for node in paired]
        case Suggest.PENDING:
            found = [_of(execution) for execution in waiting_for(tx, policy, person)]
        case _:
            newest = tx.executions.in_states(
                frozenset(ExecutionState), session=session, limit=_LOOKED_AT, newest_first=True
            )
            found = [_of(execution) for execution in newest]
    wanted = typed.casefold()
    return tuple(one for one in found if one.value.casefold().startswith(wanted))[:MAX_SUGGESTIONS]


def awaiting(tx: Tx, policy: Policy, person: PersonId) -> tuple[Post, ...]:
    """The cards that this person may decide, oldest first; they show the whole command, or are left out."""
    cards: list[Post] = []
    shown: set[tuple[BatchId, int]] = set()
    for one in waiting_for(tx, policy, person):
        place = None if one.batch is None or not one.batch.card else (one.batch.id, one.batch.card)
        if place in shown:
            continue
        on_card = () if place is None else tx.executions.of_batch(place[0], card=place[1])
        if place is not None and len(on_card) > 1 and fits(on_card, _PRIVATE_VIEW):
            shown.add(place)
            cards.append(batch_card(place[0], on_card, _PRIVATE_VIEW))
        else:
            cards.append(card(one, _PRIVATE_VIEW))
        if len(cards) == MAX_AWAITING:
            break
    return tuple(cards)


def waiting_for(tx: Tx, policy: Policy, person: PersonId) -> list[Execution]:
    """Executions that wait for a decision which this person may make."""
    waiting = tx.executions.in_states({ExecutionState.AWAITING_APPROVAL}, limit=_LOOKED_AT)
    return [execution for execution in waiting if _may_decide(policy, execution, person)]


def output(tx: Tx, execution_id: str) -> Attachment | None:
    execution = tx.executions.get(ExecutionId(execution_id))
    return None if execution is None else output_file(execution, OUTPUT_FILE_BYTES)


def _may_decide(policy: Policy, execution: Execution, person: PersonId) -> bool:
    said = policy.judge_execution(execution)
    return isinstance(said, Ask) and person in said.deciders


def _of(execution: Execution) -> Suggestion:
    line = " ⏎ ".join(shown_command(execution).splitlines())
    return Suggestion(value=execution.id, shown=f"{execution.id} · {cut_middle(line, LISTED_CHARS, '')}")
