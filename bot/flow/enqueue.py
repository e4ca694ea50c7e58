"""What no person wrote in a chat -> an input under its session's key, with the address at which its words are told.

The address is found once, here, and stored with the input. Deliberately absent: when (see `schedule`), and any way
from a key to an address: a session has the address that its newest message came from, or none.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bot.domain.event import InputId, InputKind, NewEvent, NewInput, Say
from bot.domain.session import (
    DEFAULT_ACCOUNT,
    ChannelName,
    DeliveryId,
    Peer,
    PersonId,
    ReturnAddress,
    SessionKey,
)
from bot.ports import Tx

log = logging.getLogger(__name__)

HOMING = ChannelName("homing")
"""In the place of a network, for the deliveries of what comes from none."""
NOWHERE = "nobody has written to that session yet, so there is no place to tell it; name one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Something for a session's agent."""

    kind: InputKind
    session: SessionKey
    to: Peer | None
    """Where its words are told. None: where the session was last written from."""
    source: str
    """Who wants it: `schedule:nightly`, `hook:deploys`, `heartbeat:main`. Also the asker of what comes of it."""
    delivery: str
    """Unique for this source: a repeat changes nothing."""
    text: str
    may_be_untold: bool = False
    """An agent's look at itself may have no place; everything else is refused without one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was enqueued, and why."""

    reason: str


def enqueue(tx: Tx, wanted: Wanted) -> InputId | Refused | None:
    """None where this delivery was taken before."""
    address = _address(tx, wanted)
    if address is None and not wanted.may_be_untold:
        return Refused(NOWHERE)
    return tx.inputs.add(
        NewInput(
            session=wanted.session,
            address=address,
            kind=wanted.kind,
            channel=HOMING,
            account=DEFAULT_ACCOUNT,
            delivery=DeliveryId(f"{wanted.source}:{wanted.delivery}"),
            person=PersonId(wanted.source),
            # Nobody is mentioned: no network knows whoever asks.
            person_native="",
            person_name=wanted.source,
            text=wanted.text,
        )
    )


def say(tx: Tx, wanted: Wanted, text: str) -> None:
    """A word of ours where it is told, before whatever comes of it."""
    address = _address(tx, wanted)
    if address is None:
        return
    identity = f"said:{wanted.source}:{wanted.delivery}"
    tx.events.add(NewEvent(identity=identity, session=wanted.session, address=address, payload=Say(text=text)))


def _address(tx: Tx, wanted: Wanted) -> ReturnAddress | None:
    if wanted.to is not None:
        return ReturnAddress(peer=wanted.to, message_id=None)
    newest = None if wanted.may_be_untold else tx.inputs.newest_address(wanted.session)
    return None if newest is None else ReturnAddress(peer=newest.peer, message_id=None)
