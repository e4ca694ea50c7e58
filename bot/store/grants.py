"""The rows of grants. A grant is changed in two ways only: it is taken back, or it is used; both are counted here.

Deliberately absent: whether one holds, which the domain says of a row and an execution.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from bot.domain.audit import Fields
from bot.domain.command import NodeFingerprint, command_from_json, command_to_json
from bot.domain.execution import ExecutionId
from bot.domain.grant import Grant, GrantId
from bot.domain.session import Peer, PersonId, format_key
from bot.store.audit import StoredAudit, moment_text
from bot.store.rows import dumps, peer_digest, peer_from_json, peer_to_json
from bot.store.schema_known import grants
from bot.store.transaction import Connected, insert_or_ignore


class StoredGrants(Connected):
    """Each grant, use and revocation leaves its line in the audit, here, where no caller can forget it."""

    __slots__ = ("_audit",)

    def __init__(self, connection: Connection, moment: Callable[[], float], audit: StoredAudit) -> None:
        super().__init__(connection, moment)
        self._audit = audit

    def add(self, grant: Grant) -> bool:
        written = self.connection.execute(
            insert_or_ignore(self.dialect, grants, grants.c.id),
            {
                "id": grant.id,
                "command": dumps(command_to_json(grant.command)),
                "pattern": grant.pattern,
                "node": grant.command.node,
                "node_name": grant.node_name,
                "place": dumps(peer_to_json(grant.place)),
                "place_digest": peer_digest(grant.place),
                "asker": grant.asker,
                "execution_id": grant.execution,
                "granted_by": grant.granted_by,
                "granted_at": grant.granted_at,
                "expires_at": grant.expires_at,
                "reason": grant.reason,
                "revoked_why": "",
                "uses": 0,
                "with_factor": int(grant.with_factor),
            },
        ).first()
        if written is None:
            return False
        self._note("granted", grant.granted_by, grant, {"reason": grant.reason}, execution=grant.execution)
        return True

    def get(self, grant_id: GrantId) -> Grant | None:
        return self._one(select(grants).where(grants.c.id == grant_id))

    def lock(self, grant_id: GrantId) -> Grant | None:
        return self._one(select(grants).where(grants.c.id == grant_id).with_for_update())

    def live(
        self, place: Peer, *, node: NodeFingerprint | None = None, asker: PersonId | None = None, limit: int = 1_000
    ) -> Sequence[Grant]:
        query = select(grants).where(
            grants.c.place_digest == peer_digest(place), grants.c.revoked_at.is_(None), grants.c.expires_at > self.now
        )
        if node is not None:
            query = query.where(grants.c.node == node)
        if asker is not None:
            query = query.where(grants.c.asker == asker)
        return self._all(query.order_by(grants.c.granted_at.desc(), grants.c.id).limit(limit))

    def listing(self, *, with_past: bool = False, limit: int = 1_000) -> Sequence[Grant]:
        query = select(grants)
        if not with_past:
            query = query.where(grants.c.revoked_at.is_(None), grants.c.expires_at > self.now)
        return self._all(query.order_by(grants.c.granted_at.desc(), grants.c.id).limit(limit))

    def used(self, grant: Grant, execution_id: ExecutionId) -> None:
        self.connection.execute(
            update(grants).where(grants.c.id == grant.id).values(uses=grants.c.uses + 1, last_used_at=self.now)
        )
        self._note("grant_used", grant.granted_by, grant, {}, execution=execution_id)

    def revoke(self, grant_id: GrantId, *, by: str, why: str = "") -> Grant | None:
        row = self.connection.execute(
            update(grants)
            .where(grants.c.id == grant_id, grants.c.revoked_at.is_(None), grants.c.expires_at > self.now)
            .values(revoked_at=self.now, revoked_by=by, revoked_why=why)
            .returning(*grants.c)
        ).first()
        if row is None:
            return None
        gone = _grant_of(row)
        self._note("grant_revoked", by, gone, {"reason": why})
        return gone

    def prune(self, *, over_before: float, limit: int = 500) -> int:
        over_at = func.coalesce(grants.c.revoked_at, grants.c.expires_at)
        over = select(grants.c.id).where(over_at < over_before).order_by(over_at).limit(limit)
        return self.connection.execute(delete(grants).where(grants.c.id.in_(over))).rowcount

    def _note(
        self, kind: str, by: str | None, grant: Grant, more: Fields, *, execution: ExecutionId | None = None
    ) -> None:
        command = grant.command
        said: Fields = {
            "grant": grant.id,
            "argv": command.argv,
            "pattern": grant.pattern,
            "executable": command.executable,
            "node": {"name": grant.node_name, "fingerprint": command.node},
            "place": format_key(grant.place),
            "asker": grant.asker,
            "until": moment_text(grant.expires_at),
        }
        self._audit.note(kind, by, {**said, **more}, execution=execution)

    def _one(self, query: Select[Any]) -> Grant | None:
        row = self.connection.execute(query).first()
        return None if row is None else _grant_of(row)

    def _all(self, query: Select[Any]) -> list[Grant]:
        return [_grant_of(row) for row in self.connection.execute(query).all()]


def _grant_of(row: Row[Any]) -> Grant:
    return Grant(
        id=GrantId(row.id),
        command=command_from_json(json.loads(row.command)),
        pattern=row.pattern,
        node_name=row.node_name,
        place=peer_from_json(json.loads(row.place)),
        asker=PersonId(row.asker),
        execution=ExecutionId(row.execution_id),
        granted_by=PersonId(row.granted_by),
        granted_at=row.granted_at,
        expires_at=row.expires_at,
        reason=row.reason,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoked_why=row.revoked_why,
        last_used_at=row.last_used_at,
        uses=row.uses,
        with_factor=bool(row.with_factor),
    )
