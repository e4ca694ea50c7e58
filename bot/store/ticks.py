"""The rows of the clock: when each cadence and schedule comes next, and what became of its last time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Executable, Row, select, update

from bot.ports import Tick
from bot.store.schema_memory import ticks
from bot.store.transaction import Connected, insert_or_update


@cache
def _touching(dialect: str) -> Executable:
    """The update locks the row until the commit: of two replicas one enqueues, and the other sees its next time."""
    return insert_or_update(dialect, ticks, "name", lambda _: {"name": ticks.c.name}).returning(*ticks.c)


class StoredTicks(Connected):
    def get(self, name: str) -> Tick | None:
        row = self.connection.execute(select(ticks).where(ticks.c.name == name)).first()
        return None if row is None else _tick(row)

    def lock(self, name: str, *, spec: str) -> Tick:
        made = {"name": name, "spec": spec, "due_at": None, "ran_at": None, "said": "planned", "said_at": self.now}
        found = _tick(self.connection.execute(_touching(self.dialect), made).one())
        if found.spec == spec:
            return found
        changed = update(ticks).where(ticks.c.name == name).values(spec=spec, due_at=None, said_at=self.now)
        return _tick(self.connection.execute(changed.returning(*ticks.c)).one())

    def set(self, name: str, *, due_at: float, said: str, has_run: bool) -> None:
        values: dict[str, object] = {"due_at": due_at, "said": said, "said_at": self.now}
        if has_run:
            values["ran_at"] = self.now
        self.connection.execute(update(ticks).where(ticks.c.name == name).values(values))

    def listing(self) -> Sequence[Tick]:
        return [_tick(row) for row in self.connection.execute(select(ticks).order_by(ticks.c.name)).all()]


def _tick(row: Row[Any]) -> Tick:
    return Tick(
        name=row.name,
        spec=row.spec,
        due_at=row.due_at,
        ran_at=row.ran_at,
        said=row.said,
        said_at=row.said_at,
    )
