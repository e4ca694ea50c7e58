"""The rows of break-glass. One changes in two ways only: it is used, or its state moves by the table; both are here.

Deliberately absent: who may, and where it is announced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, or_, select, update

from bot.domain.audit import Fields
from bot.domain.execution import ExecutionId
from bot.domain.glass import Finding, Glass, GlassId, GlassState, GlassTrigger, next_glass_state
from bot.domain.session import Peer, PersonId, SessionKey, format_key
from bot.errors import StaleRow
from bot.store.audit import StoredAudit, moment_text
from bot.store.rows import dumps, peer_digest, peer_from_json, peer_to_json
from bot.store.schema import digest
from bot.store.schema_known import glasses
from bot.store.transaction import Connected, insert_or_ignore

_KINDS = {
    GlassTrigger.END: "glass_ended",
    GlassTrigger.LAPSE: "glass_ended",
    GlassTrigger.WITHDRAW: "glass_ended",
    GlassTrigger.MISS: "glass_overdue",
    GlassTrigger.REVIEW: "glass_reviewed",
}


class StoredGlasses(Connected):
    """Each change and each use leaves its line in the audit, here, where no caller can forget it."""

    __slots__ = ("_audit",)

    def __init__(self, connection: Connection, moment: Callable[[], float], audit: StoredAudit) -> None:
        super().__init__(connection, moment)
        self._audit = audit

    def add(self, glass: Glass) -> bool:
        written = self.connection.execute(
            insert_or_ignore(self.dialect, glasses, glasses.c.id),
            {
                "id": glass.id,
                "state": glass.state.value,
                "person": glass.person,
                "person_digest": digest(glass.person),
                "place": dumps(peer_to_json(glass.place)),
                "place_digest": peer_digest(glass.place),
                "session": glass.session,
                "reason": glass.reason,
                "opened_at": glass.opened_at,
                "expires_at": glass.expires_at,
                "announce_to": dumps([peer_to_json(peer) for peer in glass.announce_to]),
                "review_within_s": glass.review_within_s,
                "uses": 0,
                **_course(glass),
            },
        ).first()
        if written is None:
            return False
        announced = [format_key(peer) for peer in glass.announce_to]
        self._note("glass_opened", glass.person, glass, {"announced_in": announced})
        return True

    def get(self, glass_id: GlassId) -> Glass | None:
        return self._one(select(glasses).where(glasses.c.id == glass_id))

    def lock(self, glass_id: GlassId) -> Glass | None:
        return self._one(select(glasses).where(glasses.c.id == glass_id).with_for_update())

    def open_of(self, person: PersonId, place: Peer) -> Glass | None:
        return self._one(
            select(glasses).where(
                glasses.c.state == GlassState.OPEN.value,
                glasses.c.person_digest == digest(person),
                glasses.c.place_digest == peer_digest(place),
            )
        )

    def move(self, glass: Glass, trigger: GlassTrigger, *, by: str | None) -> Glass:
        state = next_glass_state(glass.state, trigger)
        written = self.connection.execute(
            update(glasses)
            .where(glasses.c.id == glass.id, glasses.c.state == glass.state.value)
            .values(state=state.value, **_course(glass))
            .returning(*glasses.c)
        ).first()
        if written is None:
            raise StaleRow(f"break-glass {glass.id} is no longer {glass.state.value}")
        moved = _glass_of(written)
        more: Fields = {
            "uses": moved.uses,
            "trigger": trigger.value,
            "why": moved.ended_why or None,
            "finding": None if moved.finding is None else moved.finding.value,
            "note": moved.note or None,
        }
        self._note(_KINDS[trigger], by, moved, {name: value for name, value in more.items() if value is not None})
        return moved

    def used(self, glass: Glass, execution_id: ExecutionId) -> None:
        self.connection.execute(update(glasses).where(glasses.c.id == glass.id).values(uses=glasses.c.uses + 1))
        self._note("glass_used", glass.person, replace(glass, uses=glass.uses + 1), {}, execution=execution_id)

    def due(self, *, limit: int = 100) -> Sequence[Glass]:
        over = and_(glasses.c.state == GlassState.OPEN.value, glasses.c.expires_at <= self.now)
        missed = and_(glasses.c.state == GlassState.ENDED.value, glasses.c.review_by <= self.now)
        return self._all(select(glasses).where(or_(over, missed)).order_by(glasses.c.opened_at).limit(limit))

    def listing(self, states: Collection[GlassState], *, limit: int = 1_000) -> Sequence[Glass]:
        named = [state.value for state in states]
        query = select(glasses).where(glasses.c.state.in_(named))
        return self._all(query.order_by(glasses.c.opened_at.desc(), glasses.c.id).limit(limit))

    def prune(self, *, reviewed_before: float, limit: int = 500) -> int:
        """What nobody has reviewed stays, however old."""
        over = (
            select(glasses.c.id)
            .where(glasses.c.state == GlassState.REVIEWED.value, glasses.c.reviewed_at < reviewed_before)
            .order_by(glasses.c.reviewed_at)
            .limit(limit)
        )
        return self.connection.execute(delete(glasses).where(glasses.c.id.in_(over))).rowcount

    def _note(
        self, kind: str, by: str | None, glass: Glass, more: Fields, *, execution: ExecutionId | None = None
    ) -> None:
        said: Fields = {
            "glass": glass.id,
            "person": glass.person,
            "place": format_key(glass.place),
            "until": moment_text(glass.expires_at),
            "reason": glass.reason,
        }
        self._audit.note(kind, by, {**said, **more}, execution=execution)

    def _one(self, query: Select[Any]) -> Glass | None:
        row = self.connection.execute(query).first()
        return None if row is None else _glass_of(row)

    def _all(self, query: Select[Any]) -> list[Glass]:
        return [_glass_of(row) for row in self.connection.execute(query).all()]


def _course(glass: Glass) -> dict[str, object]:
    """What comes to be known of it after it was opened."""
    return {
        "ended_at": glass.ended_at,
        "ended_by": glass.ended_by,
        "ended_why": glass.ended_why,
        "review_by": glass.review_by,
        "reviewed_at": glass.reviewed_at,
        "reviewed_by": glass.reviewed_by,
        "finding": None if glass.finding is None else glass.finding.value,
        "note": glass.note,
    }


def _glass_of(row: Row[Any]) -> Glass:
    return Glass(
        id=GlassId(row.id),
        state=GlassState(row.state),
        person=PersonId(row.person),
        place=peer_from_json(json.loads(row.place)),
        session=SessionKey(row.session),
        reason=row.reason,
        opened_at=row.opened_at,
        expires_at=row.expires_at,
        announce_to=tuple(peer_from_json(peer) for peer in json.loads(row.announce_to)),
        review_within_s=row.review_within_s,
        uses=row.uses,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        ended_why=row.ended_why,
        review_by=row.review_by,
        reviewed_at=row.reviewed_at,
        reviewed_by=row.reviewed_by,
        finding=None if row.finding is None else Finding(row.finding),
        note=row.note,
    )
