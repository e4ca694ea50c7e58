"""One transaction, as the core sees it: the groups of rows over one connection, at one moment.

Deliberately absent: how it begins and ends, which each database does in its own way.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


class Connected:
    """What every group of rows has: the transaction's connection, and its moment."""

    __slots__ = ("_moment", "connection")

    def __init__(self, connection: Connection, moment: Callable[[], float]) -> None:
        self.connection = connection
        self._moment = moment

    @property
    def now(self) -> float:
        return self._moment()


def insert_or_ignore(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """INSERT … ON CONFLICT DO NOTHING, which both databases know and SQLAlchemy spells twice."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def insert_or_update(
    connection: Connection, table: Table, key: str, values: dict[str, object], changes: dict[str, object]
) -> sqlite.Insert | postgresql.Insert:
    """INSERT `values`, or write `changes` into the row that has this `key` already."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table).values(values).on_conflict_do_update(index_elements=[key], set_=changes)
    return postgresql.insert(table).values(values).on_conflict_do_update(index_elements=[key], set_=changes)
