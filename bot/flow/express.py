"""The fast path: an event that is committed already claimed, with its attempt, by the transaction that owes it.

Which may do so is decided here and in the store: only where nothing of that address is in the way. Deliberately absent:
the send, and what becomes of a claim that nobody took on (see `heartbeat`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from bot.domain.batch_card import revision_of
from bot.domain.event import ClaimToken, Event, NewEvent
from bot.domain.execution import Execution
from bot.domain.message import Nonce
from bot.domain.session import AccountName, ChannelName
from bot.ports import Tx

LEASE_S = 60.0
"""Thrice a send's time-out: no send starts with less lease left than it may take."""


def nonce_for(identity: str, part: int) -> Nonce:
    """The same for every repeat of one part of one event: 24 characters, 120 bits of its identity."""
    digest = hashlib.sha256(f"{identity}#{part}".encode("utf-8", "surrogatepass")).digest()
    return Nonce(base64.b32encode(digest[:15]).decode().lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An event that this process may tell now, with the row that it speaks of, both of one snapshot."""

    event: Event
    execution: Execution | None
    members: tuple[Execution, ...] = ()
    """Of a batch's card: all that stand on it."""

    @property
    def revision(self) -> int:
        """How new what is told is."""
        return revision_of((self.execution,) if self.execution is not None else self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Express:
    """A place that the heartbeat keeps free for one event, and the claim under which it will tell it."""

    token: ClaimToken
    channels: Collection[tuple[ChannelName, AccountName]]
    """Those that this process speaks: an event for another one is owed like any other."""

    def add(self, tx: Tx, new: NewEvent) -> Event | None:
        """Owe it; the event where it is claimed and its first send begun, both committed with it."""
        here = new.address.peer
        if (here.channel, here.account) not in self.channels:
            tx.events.add(new)
            return None
        return tx.events.add_sending(new, token=self.token, nonce=nonce_for(new.identity, 0), lease_s=LEASE_S)
