"""The store on PostgreSQL, for several replicas: a pool of threads, each transaction on a connection of its own.

Deliberately absent: who holds which claim. Rows are the truth, and their locks keep replicas apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import DBAPIError, StatementError

from bot.errors import StoreError
from bot.ports import Clock
from bot.store.bell import Bell
from bot.store.chatlog import StoredChatLog
from bot.store.faults import as_store_error
from bot.store.migrations import require_current, upgrade
from bot.store.tx import Keys, OpenTx, run

R = TypeVar("R")
Q = TypeVar("Q")

THREADS = 8
"""Transactions at once. Measured: 8 threads keep two cores of ours busy; the database sees 8 connections a replica."""
_WAITING = 1_024
"""Calls that wait for a thread, beyond which callers wait for their turn to wait."""
_TRIES = 6
"""Of one write that lost against others. Each try begins after those that it lost against have committed."""
_FIRST_PAUSE_S = 0.005
"""About one transaction's length, doubled each time."""
_RETRIED = frozenset({"40001", "40P01"})
"""serialization_failure, deadlock_detected: https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html"""
_CLAIM_INDEX = "one_open_claim_an_address"
_MIGRATION_LOCK = 4_663_464
"""The number of the advisory lock under which one replica migrates. Ours by habit: nothing registers them."""


def make_engine(url: URL) -> Engine:
    return create_engine(
        url,
        pool_size=THREADS,
        max_overflow=0,
        # Connections that a restart of the server broke are found out by the first that fails, and all are renewed.
        pool_pre_ping=False,
        connect_args={"application_name": "homing", "connect_timeout": 10},
    )


def prepare_database(engine: Engine, *, migrate: bool) -> None:
    """Reach the database and bring its schema up to date, one replica at a time; a tool only looks."""
    where = engine.url.render_as_string(hide_password=True)
    try:
        with engine.begin() as connection:
            encoding = connection.execute(text("SHOW server_encoding")).scalar()
            if encoding != "UTF8":
                raise StoreError(f"{where} is encoded in {encoding}; make a database with ENCODING 'UTF8'")
            if migrate:
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
                upgrade(connection, where)
            else:
                require_current(connection, where)
    except DBAPIError as fault:
        said = str(fault.orig).strip().replace("\n", " ")
        raise StoreError(f"{where} cannot be used ({said}); look at [store] url, the server and its rights") from fault


class PostgresStore:
    """`Store` and `ChatLog` on one database. Without `clock`, `tx.now` is the database's."""

    def __init__(
        self, engine: Engine, *, clock: Clock | None, on_change: Callable[[], None] | None, keys: Keys
    ) -> None:
        self.chat_log = StoredChatLog(self)
        self._engine = engine
        self._where = engine.url.render_as_string(hide_password=True)
        self._clock = clock
        self._on_change = on_change
        self._keys = keys
        self._room = asyncio.Semaphore(_WAITING)
        self._closed = False
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._bell = Bell(engine.url.set(drivername="postgresql").render_as_string(hide_password=False))
        if on_change is not None:
            self._bell.listen(asyncio.get_running_loop(), on_change)

        @event.listens_for(engine, "after_cursor_execute")
        def _note_writes(
            connection: Connection,
            _cursor: object,
            _text: str,
            _values: object,
            context: DefaultExecutionContext,
            _many: bool,
        ) -> None:
            if (context.isinsert or context.isupdate or context.isdelete) and context.rowcount:
                connection.info["wrote"] = True

    async def write(self, fn: Callable[[OpenTx], R]) -> R:
        value, wrote = await self._run(self._write, fn)
        if wrote:
            self._bell.ring()
            if self._on_change is not None:
                self._on_change()
        return value

    async def read(self, fn: Callable[[OpenTx], R]) -> R:
        return await self._run(self._read, fn)

    async def backup(self, path: Path) -> None:
        raise StoreError(
            f"a PostgreSQL database is not copied to {path} by us; run `homing pause`, then `pg_dump`, then "
            "`homing resume`, so that a gateway on the restored copy starts paused"
        )

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._threads.shutdown()
        self._bell.close()
        self._engine.dispose()

    async def _run(self, work: Callable[[Callable[[OpenTx], R]], Q], fn: Callable[[OpenTx], R]) -> Q:
        async with self._room:
            if self._closed:
                raise StoreError(f"{self._where} is closed; the process is ending")
            done: Q = await asyncio.get_running_loop().run_in_executor(self._threads, work, fn)
            return done

    # --- one of the pool's threads ---

    def _write(self, fn: Callable[[OpenTx], R]) -> tuple[R, bool]:
        for again in range(_TRIES):
            try:
                with self._engine.begin() as connection:
                    connection.info["wrote"] = False
                    value = run(fn, self._open(connection))
                    return value, bool(connection.info["wrote"])
            except StatementError as fault:
                if again + 1 == _TRIES or not _lost_a_race(fault):
                    told = as_store_error(fault, self._where)
                    if told is None:
                        raise
                    raise told from fault
            # Spread, so that the same two do not meet again at once.
            time.sleep(_FIRST_PAUSE_S * 2**again * (0.5 + random.random()))  # noqa: S311 -- no secret
        raise AssertionError("the last try returns or raises")

    def _read(self, fn: Callable[[OpenTx], R]) -> R:
        try:
            with self._engine.connect() as connection:
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                try:
                    return run(fn, self._open(connection))
                finally:
                    with contextlib.suppress(DBAPIError):
                        connection.rollback()
        except StatementError as fault:
            told = as_store_error(fault, self._where, reading=True)
            if told is None:
                raise
            raise told from fault

    def _open(self, connection: Connection) -> OpenTx:
        if self._clock is not None:
            return OpenTx(connection, self._clock.now, self._keys)
        return OpenTx(connection, lambda: _database_now(connection), self._keys)


def _database_now(connection: Connection) -> float:
    # Not now(): that is when the transaction began, perhaps before it waited for a lock.
    return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _lost_a_race(fault: StatementError) -> bool:
    state = getattr(fault.orig, "sqlstate", None)
    if state in _RETRIED:
        return True
    # Two replicas claimed at one address in the same moment: the index keeps one of them, the other looks again.
    diagnosis = getattr(fault.orig, "diag", None)
    return state == "23505" and getattr(diagnosis, "constraint_name", None) == _CLAIM_INDEX
