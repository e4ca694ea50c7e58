"""Which session keys the store's statements bind: every statement, on every engine of this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, event

from bot.domain.session import SessionKey
from bot.store.schema import digest


@dataclass(slots=True)
class Watch:
    """Statements that bound this key, or the digest by which the store looks it up."""

    key: SessionKey
    statements: list[str] = field(default_factory=list)
    total: int = 0


@contextlib.contextmanager
def watching(key: SessionKey) -> Iterator[Watch]:
    watch = Watch(key)
    marks = (key, digest(key))

    def look(
        _connection: Connection, _cursor: object, text: str, values: object, _context: object, _many: bool
    ) -> None:
        watch.total += 1
        bound = repr(values)
        # Quoted, so that a key that only begins like ours is not taken for it.
        if any(repr(mark) in bound for mark in marks):
            watch.statements.append(text)

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield watch
    finally:
        event.remove(Engine, "before_cursor_execute", look)
