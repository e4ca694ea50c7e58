"""The rows that transactions read before they act: paused or not, and when a session's cadence last came."""

from __future__ import annotations

from sqlalchemy import delete, select

from bot.domain.session import SessionKey
from bot.ports import Paused
from bot.store.schema import digest, sessions
from bot.store.schema_known import switches
from bot.store.transaction import Audited, insert_or_update

PAUSED = "paused"


class StoredSwitches(Audited):
    def paused(self) -> Paused | None:
        row = self.connection.execute(select(switches).where(switches.c.name == PAUSED)).first()
        return None if row is None else Paused(by=row.by_whom, reason=row.reason, since=row.since)

    def pause(self, *, by: str, reason: str) -> None:
        # Paused twice is paused since the first time, for the newest reason.
        pausing = insert_or_update(
            self.dialect, switches, "name", lambda new: {"by_whom": new.by_whom, "reason": new.reason}
        )
        self.connection.execute(pausing, {"name": PAUSED, "by_whom": by, "reason": reason, "since": self.now})
        self.audit.note("paused", by, {"reason": reason})

    def resume(self, *, by: str | None = None) -> None:
        if self.connection.execute(delete(switches).where(switches.c.name == PAUSED)).rowcount:
            self.audit.note("resumed", by, {})

    def last_cadence_at(self, session: SessionKey) -> float | None:
        return self.connection.execute(
            select(sessions.c.last_cadence_at).where(sessions.c.digest == digest(session))
        ).scalar()

    def mark_cadence(self, session: SessionKey) -> None:
        marking = insert_or_update(
            self.dialect, sessions, "digest", lambda new: {"last_cadence_at": new.last_cadence_at}
        )
        self.connection.execute(marking, {"digest": digest(session), "session": session, "last_cadence_at": self.now})
