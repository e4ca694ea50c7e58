"""What was asked for together -> few cards, owed once none of it is being prepared any more.

Deliberately absent: what a card shows (`domain/batch_card`), and any decision (`flow/together`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.domain.batch import OWN_CARD, BatchId
from bot.domain.batch_card import cut, fits, kin
from bot.domain.event import NewEvent, ShowBatch, ShowCard
from bot.domain.execution import FINAL, Execution, ExecutionState
from bot.domain.session import Peer, ReturnAddress
from bot.domain.verdict import Ask
from bot.flow.copies import CapabilitiesAt, owe_copies
from bot.flow.outcome import owe
from bot.ports import Policies, Tx

S = ExecutionState


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copies:
    """Where else a card is to stand: from the start, and if nobody decides."""

    first: tuple[Peer, ...] = ()
    later: tuple[Peer, ...] = ()


def owe_cards(tx: Tx, *, batch: BatchId, policies: Policies, at: CapabilitiesAt) -> None:
    """The cards of a batch of which nothing is being prepared any more; nothing where another pass was first.

    Whatever ended a preparation, a yes, a refusal, a stop or the sweep: the rows say that cards are due, so nobody who
    ends one has to know whether it was the last.
    """
    tx.executions.lock_all([one.id for one in tx.executions.of_batch(batch)])
    members = tx.executions.of_batch(batch)
    if any(one.state is S.PREPARING for one in members):
        return
    alike: dict[tuple[object, _Copies], list[Execution]] = {}
    for one in members:
        if one.batch is None or one.batch.card is not None or one.state in FINAL:
            continue
        if one.state is not S.AWAITING_APPROVAL or one.terms.second_factor:
            # Decided by a word that was quicker than its card; or of those for which a code is one command's.
            _own_card(tx, one, _copies(policies, one).first, at)
        else:
            alike.setdefault((kin(one), _copies(policies, one)), []).append(one)
    number = max((one.batch.card or 0 for one in members if one.batch is not None), default=0)
    for (_, copies), together in alike.items():
        for on_card in _cut(together, copies, at):
            if len(on_card) == 1:
                _own_card(tx, on_card[0], copies.first, at)
            else:
                number += 1
                _shared_card(tx, on_card, batch, number)
                owe_further(tx, on_card, batch, number, copies.first, at, mark="copy")


def _copies(policies: Policies, execution: Execution) -> _Copies:
    said = policies.now.judge_execution(execution)
    if not isinstance(said, Ask):
        return _Copies()
    return _Copies(first=said.copy_to, later=() if said.escalation is None else said.escalation.copy_to)


def _cut(together: Sequence[Execution], copies: _Copies, at: CapabilitiesAt) -> list[list[Execution]]:
    """So that a card stands the same everywhere. What no place of copies can show does not make it smaller at home."""
    home = at(together[0].origin.peer)
    if home is None:
        return [[one] for one in together]
    further = [shown for peer in (*copies.first, *copies.later) if (shown := at(peer)) is not None]
    return cut(together, [home, *(place for place in further if all(fits([one], place) for one in together))])


def _stands_on(tx: Tx, one: Execution, card: int) -> None:
    tx.executions.amend(replace(one, batch=one.batch and replace(one.batch, card=card)))


def _own_card(tx: Tx, one: Execution, places: Sequence[Peer], at: CapabilitiesAt) -> None:
    _stands_on(tx, one, OWN_CARD)
    owe(tx, one, ShowCard(execution_id=one.id), identity=f"card:{one.id}")
    owe_copies(tx, one, places, at)


def _shared_card(tx: Tx, on_card: Sequence[Execution], batch: BatchId, number: int) -> None:
    for line, one in enumerate(on_card, start=1):
        _stands_on(tx, one, number)
        tx.executions.step(one.id, "batch", detail=f"{batch}: number {line} of {len(on_card)} on card {number}")
    first = on_card[0]
    owe(tx, first, ShowBatch(execution_id=first.id, batch=batch, card=number), identity=f"card:{batch}:{number}")


def owe_further(
    tx: Tx,
    on_card: Sequence[Execution],
    batch: BatchId,
    number: int,
    places: Sequence[Peer],
    at: CapabilitiesAt,
    *,
    mark: str,
) -> None:
    """The same card in further places; where it does not fit, a copy for each that does."""
    first = on_card[0]
    for nth, place in enumerate(places):
        shown = at(place)
        if place == first.origin.peer:
            continue
        if shown is None or not fits(on_card, shown):
            for one in on_card:
                owe_copies(tx, one, [place], at, mark=f"{mark}:{nth}")
            continue
        tx.events.add(
            NewEvent(
                identity=f"card:{batch}:{number}:{mark}:{nth}",
                session=first.session,
                address=ReturnAddress(peer=place, message_id=None),
                payload=ShowBatch(execution_id=first.id, batch=batch, card=number),
            )
        )
