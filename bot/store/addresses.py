"""The rows of the places that we post in, and the drawing of their sequences."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection, Executable

from bot.domain.event import AddressId
from bot.domain.session import Peer
from bot.store.rows import conversation_digest, peer_digest
from bot.store.schema import addresses
from bot.store.transaction import insert_or_update

COLUMNS = (
    addresses.c.agent,
    addresses.c.channel,
    addresses.c.account,
    addresses.c.kind,
    addresses.c.native,
    addresses.c.thread,
)
"""What `rows.peer_of_row` reads."""


@cache
def _drawing(dialect: str) -> Executable:
    drawn = insert_or_update(dialect, addresses, "digest", lambda _: {"sequence": addresses.c.sequence + 1})
    return drawn.returning(addresses.c.id, addresses.c.sequence)


def draw_sequence(connection: Connection, peer: Peer) -> tuple[AddressId, int]:
    """The row of this place, made if need be, and its next number.

    The update locks the row until the commit: with two writers, the one who draws later also commits later,
    so nobody who reads number n can be overtaken by an n - 1 that was not committed yet.
    """
    row = connection.execute(
        _drawing(connection.dialect.name),
        {
            "digest": peer_digest(peer),
            "conversation_digest": conversation_digest(peer),
            "agent": peer.agent,
            "channel": peer.channel,
            "account": peer.account,
            "kind": peer.kind.value,
            "native": peer.id,
            "thread": peer.thread,
            "sequence": 1,
        },
    ).one()
    return AddressId(row.id), int(row.sequence)
