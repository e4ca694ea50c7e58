"""The rows that transactions read before they act: paused or not."""

from __future__ import annotations

from sqlalchemy import delete, select

from bot.ports import Paused
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
