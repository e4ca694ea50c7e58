"""The same card in further places, where people may decide it too: never any output, and only where it is shown whole.

Deliberately absent: who may decide there, which the policy says at the press.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.domain.event import NewEvent, ShowCard
from bot.domain.execution import Execution
from bot.domain.message import Capabilities
from bot.domain.render import fits_one_message
from bot.domain.session import Peer, ReturnAddress
from bot.ports import Tx

CapabilitiesAt = Callable[[Peer], Capabilities | None]
"""What the channel of a peer can show; None where no such account is configured."""


def owe_copies(
    tx: Tx, waiting: Execution, places: Sequence[Peer], capabilities_at: CapabilitiesAt, *, mark: str = "copy"
) -> None:
    """One copy a place. `waiting` is as its card will show it; `mark` keeps later copies apart from the first ones."""
    for number, place in enumerate(places):
        capabilities = capabilities_at(place)
        if place == waiting.origin.peer:
            continue
        if capabilities is None or not fits_one_message(waiting, capabilities, here=place):
            tx.executions.step(waiting.id, "no_copy", by="gateway", detail=f"{place.channel} {place.id}")
            continue
        tx.events.add(
            NewEvent(
                identity=f"card:{waiting.id}:{mark}:{number}",
                session=waiting.session,
                address=ReturnAddress(peer=place, message_id=None),
                payload=ShowCard(execution_id=waiting.id),
            )
        )
