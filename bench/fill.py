"""Fills a store in bulk, by SQL: many sessions that were ever seen, or many events that are owed.

One result is told by the real program first; its rows are copied under ids of their own, so whatever columns the schema
has, they hold what the program writes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

ROOMS = 100
"""Of events that wait behind others."""
_AWAY_S = 3_600.0
"""In an hour: due again long after the measurement."""


def sessions(database: Path, upto: int) -> None:
    """Ended executions, each told in a room of its own, until there are so many."""
    with closing(_open(database)) as connection:
        have = _count(connection, "executions")
        _address_and_session(connection, have, upto)
        first = int(connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])
        name = "'F' || printf('%09d', n)"
        _copy(
            connection, "executions", have, upto, {"id": name, "session": f"session || {name}", "session_digest": name}
        )
        _copy(
            connection,
            "events",
            have,
            upto,
            {
                "id": f"{first} + 1 + n - {have}",
                "identity": f"'outcome:' || {name}",
                "identity_digest": name,
                "address_id": _ADDRESS_OF.format(name=name),
                "execution_id": name,
                "sequence": "1",
            },
        )
        _copy(connection, "receipts", have, upto, {"event_id": f"{first} + 1 + n - {have}", "message_digest": name})
        _copy(
            connection,
            "inputs",
            have,
            upto,
            {"id": "NULL", "delivery_digest": name, "session_digest": name, "execution_id": name},
        )
        _copy(connection, "steps", have, upto, {"id": "NULL", "execution_id": name})
        last = int(connection.execute("SELECT max(seq) FROM audit_lines").fetchone()[0])
        _copy(connection, "audit_lines", have, upto, {"seq": f"{last} + 1 + n - {have}", "execution_id": name})
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def pending(database: Path, upto: int, *, in_line: bool) -> None:
    """Events that are owed: each waits to be tried again, in a room of its own; or `in_line`, behind one that does."""
    with closing(_open(database)) as connection:
        have = int(connection.execute("SELECT count(*) FROM events WHERE state = 'due'").fetchone()[0])
        at = time.time()
        name = "'P' || printf('%09d', n)"
        place = f"'R' || (n % {ROOMS})" if in_line else name
        _places(connection, have, upto, place, ignore=True)
        sequence = f"n / {ROOMS} + 1" if in_line else "1"
        is_head = f"(n / {ROOMS} = 0)" if in_line else "1"
        _copy(
            connection,
            "events",
            have,
            upto,
            {
                "id": "NULL",
                "identity": f"'pending:' || {name}",
                "identity_digest": name,
                "address_id": _ADDRESS_OF.format(name=place),
                "execution_id": name,
                "sequence": sequence,
                "state": "'due'",
                "blocks": "1",
                "leads": f"CASE WHEN {is_head} THEN 1 ELSE 0 END",
                "attempt": f"CASE WHEN {is_head} THEN 3 ELSE 0 END",
                "not_before": f"CASE WHEN {is_head} THEN {at + _AWAY_S} ELSE {at - 60.0} END",
                "created_at": str(at - 60.0),
                "told_at": "NULL",
                "nonce": "NULL",
            },
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


_ADDRESS_OF = "(SELECT id FROM addresses WHERE digest = {name})"


def _open(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None)
    # Nobody else has it open, and what is lost here is made again.
    for pragma in ("synchronous = OFF", "temp_store = MEMORY", "cache_size = -200000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    return connection


def _address_and_session(connection: sqlite3.Connection, have: int, upto: int) -> None:
    name = "'F' || printf('%09d', n)"
    _places(connection, have, upto, name)
    _copy(connection, "sessions", have, upto, {"digest": name, "session": f"session || {name}"})


def _places(connection: sqlite3.Connection, have: int, upto: int, name: str, *, ignore: bool = False) -> None:
    changes = {"id": "NULL", "digest": name, "conversation_digest": name, "native": name, "sequence": "1000000"}
    _copy(connection, "addresses", have, upto, changes, ignore=ignore)


def _copy(
    connection: sqlite3.Connection,
    table: str,
    have: int,
    upto: int,
    changes: Mapping[str, str],
    *,
    ignore: bool = False,
) -> None:
    """Rows number `have` + 1 to `upto`, each the table's first row but for `changes`."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    shown = ", ".join(names)
    made = ", ".join(changes.get(name, name) for name in names)
    verb = "INSERT OR IGNORE" if ignore else "INSERT"
    connection.execute(
        f"WITH RECURSIVE numbers(n) AS (SELECT {have} UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {upto}) "
        f"{verb} INTO {table} ({shown}) SELECT {made} FROM numbers, (SELECT * FROM {table} LIMIT 1)"
    )


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table} WHERE id LIKE 'F%'").fetchone()[0])
