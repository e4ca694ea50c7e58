"""The rows of nodes and their pairing. Deliberately absent: proofs of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from bot.domain.command import NodeFingerprint
from bot.domain.execution import storable
from bot.domain.node import Node, Pairing
from bot.errors import Malformed
from bot.store.schema_known import nodes
from bot.store.transaction import Audited, insert_or_ignore

_MAX_NAMESAKES = 1_000
"""Machines from one image share a host name; a thousand of them is beyond what one gateway is for."""
_SEEN = update(nodes).where(nodes.c.fingerprint == bindparam("this_node"))


class StoredNodes(Audited):
    def hello(self, fingerprint: NodeFingerprint, public_key: bytes, name: str) -> Node:
        self.seen(fingerprint)
        known = self.get(fingerprint)
        if known is not None:
            return known
        now = self.now
        for number in range(1, _MAX_NAMESAKES):
            self.connection.execute(
                insert_or_ignore(self.dialect, nodes),
                {
                    "fingerprint": fingerprint,
                    "public_key": public_key,
                    "name": name if number == 1 else f"{name}-{number}",
                    "pairing": Pairing.PENDING.value,
                    "first_seen_at": now,
                    "last_seen_at": now,
                },
            )
            known = self.get(fingerprint)
            if known is not None:
                return known
        raise Malformed(f"{_MAX_NAMESAKES} nodes have this name already; give the new one another")

    def get(self, fingerprint: NodeFingerprint) -> Node | None:
        row = self.connection.execute(select(nodes).where(nodes.c.fingerprint == fingerprint)).first()
        return None if row is None else _node_of(row)

    def by_name(self, name: str) -> Node | None:
        row = self.connection.execute(
            select(nodes).where(nodes.c.name == name, nodes.c.pairing == Pairing.PAIRED.value)
        ).first()
        return None if row is None else _node_of(row)

    def pair(self, fingerprint: NodeFingerprint, *, name: str | None = None, by: str | None = None) -> Node | None:
        if name is not None:
            self._rename(fingerprint, name)
        # Nothing leads back from `revoked`: a machine that comes back makes a new key and is a new node.
        paired = self.connection.execute(
            update(nodes)
            .where(nodes.c.fingerprint == fingerprint, nodes.c.pairing == Pairing.PENDING.value)
            .values(pairing=Pairing.PAIRED.value, paired_at=self.now)
        ).rowcount
        return self._noted("node_paired", by, fingerprint, is_news=bool(paired) or name is not None)

    def _rename(self, fingerprint: NodeFingerprint, name: str) -> None:
        taken = self.connection.execute(
            select(nodes.c.fingerprint).where(
                nodes.c.name == storable(name),
                nodes.c.pairing != Pairing.REVOKED.value,
                nodes.c.fingerprint != fingerprint,
            )
        ).first()
        if taken is not None:
            raise Malformed(f"another node is named {name!r} already; choose another name, or revoke that node first")
        self.connection.execute(
            update(nodes)
            .where(nodes.c.fingerprint == fingerprint, nodes.c.pairing != Pairing.REVOKED.value)
            .values(name=name)
        )

    def revoke(self, fingerprint: NodeFingerprint, *, by: str | None = None) -> Node | None:
        revoked = self.connection.execute(
            update(nodes)
            .where(nodes.c.fingerprint == fingerprint, nodes.c.pairing != Pairing.REVOKED.value)
            .values(pairing=Pairing.REVOKED.value, revoked_at=self.now)
        ).rowcount
        return self._noted("node_revoked", by, fingerprint, is_news=bool(revoked))

    def _noted(self, kind: str, by: str | None, fingerprint: NodeFingerprint, *, is_news: bool) -> Node | None:
        node = self.get(fingerprint)
        if node is not None and is_news:
            self.audit.note(kind, by, {"node": {"name": node.name, "fingerprint": fingerprint}})
        return node

    def seen(self, fingerprint: NodeFingerprint) -> None:
        self.connection.execute(_SEEN, {"this_node": fingerprint, "last_seen_at": self.now})

    def pairings(self) -> Mapping[NodeFingerprint, Pairing]:
        rows = self.connection.execute(select(nodes.c.fingerprint, nodes.c.pairing))
        return {NodeFingerprint(node): Pairing(pairing) for node, pairing in rows}

    def listing(self) -> Sequence[Node]:
        rows = self.connection.execute(select(nodes).order_by(nodes.c.first_seen_at, nodes.c.fingerprint)).all()
        return [_node_of(row) for row in rows]


def _node_of(row: Row[Any]) -> Node:
    return Node(
        fingerprint=NodeFingerprint(row.fingerprint),
        public_key=bytes(row.public_key),
        name=row.name,
        pairing=Pairing(row.pairing),
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        paired_at=row.paired_at,
        revoked_at=row.revoked_at,
    )
