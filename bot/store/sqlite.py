"""The store on one SQLite file: one writer thread that commits in groups, and a few readers.

Deliberately absent: any check of the file before it is opened (see `sqlite_file`).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, pool
from sqlalchemy.exc import DBAPIError, StatementError

from bot.errors import StoreError
from bot.ports import Clock
from bot.store.chatlog import StoredChatLog
from bot.store.faults import as_store_error
from bot.store.sqlite_file import BUSY_TIMEOUT_S, GatewayLock, write_backup
from bot.store.tx import Keys, OpenTx, run

R = TypeVar("R")

GROUP = 64
"""Writes of one commit at most. Measured: the cost of a commit is spread thin at 16 already, and a group of 64
writes of 0.3 ms keeps the first of them waiting for 20 ms at worst."""
_WAITING = 1_024
"""Writes that wait, beyond which callers wait for their turn to wait; each holds a closure and what it closes over."""
_READERS = 3
"""Threads that read. Reads are short, and more of them than cores only contend for Python's lock."""


@dataclass(slots=True)
class _Job:
    fn: Callable[[OpenTx], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    value: Any = None
    fault: BaseException | None = None

    def __enter__(self) -> None:
        """Whatever `fn` raises is its caller's: it must reach the caller, and must not end the writer's thread."""

    def __exit__(self, _kind: object, fault: BaseException | None, _trace: object) -> bool:
        self.fault = fault
        return True

    def resolve(self) -> None:
        """In the loop's thread. A caller that was cancelled meanwhile has no use for it."""
        if self.future.done():
            return
        if self.fault is not None:
            self.future.set_exception(self.fault)
        else:
            self.future.set_result(self.value)


def make_engine(path: Path, *, read_only: bool = False) -> Engine:
    """An engine whose connections leave transactions to us."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        isolation_level="AUTOCOMMIT",
        poolclass=pool.NullPool,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        skip_autocommit_rollback=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL: in WAL, NORMAL may lose the last commits when the power fails, and we have acknowledged them.
        # https://sqlite.org/pragma.html#pragma_synchronous
        connection.execute("PRAGMA synchronous = FULL")
        # What is wiped of a row (a secret in a command that has ended) is overwritten in the file as well; not every
        # build of SQLite does so by itself: https://sqlite.org/pragma.html#pragma_secure_delete
        connection.execute("PRAGMA secure_delete = ON")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA journal_mode = WAL")

    return engine


class SqliteStore:
    """`Store` and `ChatLog` on one file. `lock` is held by the one gateway of the file, and by no tool."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        lock: GatewayLock | None,
        on_change: Callable[[], None] | None,
        keys: Keys,
    ) -> None:
        self.path = path
        self.chat_log = StoredChatLog(self)
        self._clock = clock
        self._lock = lock
        self._on_change = on_change
        self._keys = keys
        self._room = asyncio.Semaphore(_WAITING)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._write_engine = make_engine(path)
        self._read_engine = make_engine(path, read_only=True)
        self._reading = threading.local()
        self._read_connections: list[Connection] = []
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._writing = self._write_engine.connect()
        self._writer = threading.Thread(target=self._write_until_closed, name="store-writer", daemon=True)
        self._writer.start()

    async def write(self, fn: Callable[[OpenTx], R]) -> R:
        async with self._room:
            if self._closed:
                raise StoreError(f"{self.path} is closed; the process is ending")
            loop = asyncio.get_running_loop()
            future: asyncio.Future[R] = loop.create_future()
            self._jobs.put(_Job(fn, loop, future))
            return await future

    async def read(self, fn: Callable[[OpenTx], R]) -> R:
        if self._closed:
            raise StoreError(f"{self.path} is closed; the process is ending")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, fn)

    async def backup(self, path: Path) -> None:
        """A consistent copy at `path`, which begins paused. Raises `StoreError` where the file exists."""
        await asyncio.to_thread(write_backup, self.path, path, now=self._clock.now())

    async def close(self) -> None:
        """What is queued is still written; what comes later is refused."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.join()
        self._readers.shutdown()
        for connection in self._read_connections:
            connection.close()
        self._writing.close()
        self._write_engine.dispose()
        self._read_engine.dispose()
        if self._lock is not None:
            self._lock.release()

    # --- the writer's thread ---

    def _write_until_closed(self) -> None:
        ending = False
        while not ending:
            first = self._jobs.get()
            if first is None:
                return
            group = [first]
            while len(group) < GROUP:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    ending = True
                    break
                group.append(job)
            self._write_group([job for job in group if not job.future.cancelled()])

    def _write_group(self, group: list[_Job]) -> None:
        """One commit for all of them. `group` runs in the order of the calls."""
        raw: sqlite3.Connection = self._writing.connection.driver_connection  # type: ignore[assignment]  # -- typed for every driver
        before = raw.total_changes
        written: list[_Job] = []
        try:
            if group:
                raw.execute("BEGIN IMMEDIATE")
                for job in group:
                    written.append(job)
                    if not self._write_one(raw, job):
                        # SQLite undoes the whole transaction by itself when the disk is full, for example:
                        # https://sqlite.org/lang_transaction.html. Whoever is in it already gets that error.
                        self._fail(written, job.fault)
                        raw.execute("BEGIN IMMEDIATE")
                        before, written = raw.total_changes, []
                raw.execute("COMMIT")
        except sqlite3.Error as fault:
            if raw.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    raw.execute("ROLLBACK")
            whole = DBAPIError("COMMIT", None, fault)
            self._fail(group, as_store_error(whole, str(self.path)) or StoreError(f"{self.path}: {fault}"))
        self._resolve(group, changed=raw.total_changes != before)

    def _write_one(self, raw: sqlite3.Connection, job: _Job) -> bool:
        """Whether the transaction still stands; `job` has its value or its fault."""
        raw.execute("SAVEPOINT one")
        with job:
            job.value = run(job.fn, OpenTx(self._writing, self._clock.now, self._keys))
        if isinstance(job.fault, StatementError):
            job.fault = as_store_error(job.fault, str(self.path)) or job.fault
        if not raw.in_transaction:
            return False
        if job.fault is not None:
            raw.execute("ROLLBACK TO one")
        raw.execute("RELEASE one")
        return True

    def _fail(self, jobs: list[_Job], fault: BaseException | None) -> None:
        for job in jobs:
            if job.fault is None:
                job.fault = fault

    def _resolve(self, group: list[_Job], *, changed: bool) -> None:
        for loop in {job.loop for job in group}:
            theirs = [job for job in group if job.loop is loop]

            def resolve(jobs: list[_Job] = theirs) -> None:
                for job in jobs:
                    job.resolve()
                if changed and self._on_change is not None:
                    self._on_change()

            # A loop that was closed meanwhile has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(resolve)

    # --- a reader's thread ---

    def _read(self, fn: Callable[[OpenTx], R]) -> R:
        connection: Connection | None = getattr(self._reading, "connection", None)
        if connection is None:
            connection = self._read_engine.connect()
            self._reading.connection = connection
            self._read_connections.append(connection)
        raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # -- typed for every driver
        raw.execute("BEGIN DEFERRED")
        try:
            return run(fn, OpenTx(connection, self._clock.now, self._keys))
        except StatementError as fault:
            told = as_store_error(fault, str(self.path), reading=True)
            if told is None:
                raise
            raise told from fault
        finally:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
