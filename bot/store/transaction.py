"""One transaction, as the core sees it: the groups of rows over one connection, at one moment.

Deliberately absent: how it begins and ends, which each database does in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ColumnCollection

from bot.domain.audit import Fields


class Connected:
    """What every group of rows has: the transaction's connection, and its moment."""

    __slots__ = ("_moment", "connection")

    def __init__(self, connection: Connection, moment: Callable[[], float]) -> None:
        self.connection = connection
        self._moment = moment

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    @property
    def now(self) -> float:
        return self._moment()


class Audited(Connected):
    """A group of rows whose changes leave lines in the audit."""

    __slots__ = ("audit",)

    def __init__(self, connection: Connection, moment: Callable[[], float], audit: Notes) -> None:
        super().__init__(connection, moment)
        self.audit = audit


class Notes(Protocol):
    """Where a line is left."""

    def note(self, kind: str, by: str | None, fields: Fields) -> None: ...


@cache
def insert_or_ignore(dialect: str, table: Table, *returning: ColumnElement[Any]) -> Insert:
    """INSERT … ON CONFLICT DO NOTHING, which both databases know and SQLAlchemy spells twice.

    Made once: making a statement of twenty columns costs more than running it.
    """
    statement: Insert
    if dialect == "sqlite":
        statement = sqlite.insert(table).on_conflict_do_nothing()
    else:
        statement = postgresql.insert(table).on_conflict_do_nothing()
    return statement.returning(*returning) if returning else statement


def insert_or_update(
    dialect: str, table: Table, key: str, changes: Callable[[ColumnCollection[str, Any]], dict[str, object]]
) -> sqlite.Insert | postgresql.Insert:
    """INSERT, or write `changes` into the row that has this `key` already; it is given what was to be inserted."""
    if dialect == "sqlite":
        ours = sqlite.insert(table)
        return ours.on_conflict_do_update(index_elements=[key], set_=changes(ours.excluded))
    theirs = postgresql.insert(table)
    return theirs.on_conflict_do_update(index_elements=[key], set_=changes(theirs.excluded))
