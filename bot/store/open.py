"""From a URL to an open store: the one place that chooses between the databases."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from bot.errors import StoreError
from bot.ports import ChatLog, Clock, Store
from bot.store.audit_key import AuditKey
from bot.store.faults import as_store_error
from bot.store.migrations import require_current, upgrade
from bot.store.sqlite import SqliteStore, make_engine
from bot.store.sqlite_file import GatewayLock, check_file, create_private, make_directory
from bot.store.tx import Keys
from bot.store.vault import Vault


class OpenStore(Store, Protocol):
    """What `open_store` gives: the store of the ports, the web chat's log, copies, and an end."""

    @property
    def chat_log(self) -> ChatLog: ...

    async def backup(self, path: Path) -> None:
        """A consistent copy that begins paused. Raises `StoreError`; overwrites nothing."""
        ...

    async def close(self) -> None:
        """What was begun is finished; what comes later is refused. May be repeated."""
        ...


def open_store(
    url: str,
    *,
    clock: Clock,
    gateway: bool,
    on_change: Callable[[], None] | None = None,
    use_clock: bool = False,
    audit_key: Path | None = None,
    factor_key: bytes | None = None,
) -> OpenStore:
    """Open `sqlite:///path` or `postgresql://…`; blocks while it migrates. Raises `StoreError`, naming the remedy.

    A `gateway` brings the schema up to date, and is alone on a SQLite file; a tool (`gateway=False`) works beside
    it. `on_change` is called in the event loop after every commit that wrote, ours or (on PostgreSQL) another
    replica's; with it, call this inside the loop that is to be woken. `use_clock` makes `tx.now` the clock's on
    PostgreSQL too, for tests that hold the time. `audit_key` is the file of the key that hashes of masked commands
    stand under in the audit; left out, each opening draws one of its own. `factor_key` opens what is kept of people's
    devices; left out, no code can be checked.
    """
    keys = Keys(audit=AuditKey(audit_key), vault=Vault(factor_key))
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(_path_of(parsed), clock=clock, gateway=gateway, on_change=on_change, keys=keys)
    # Loaded where it is used only: a gateway on SQLite needs no driver of PostgreSQL.
    from bot.store import postgres

    engine = postgres.make_engine(parsed.set(drivername="postgresql+psycopg"))
    with contextlib.ExitStack() as undo:
        undo.callback(engine.dispose)
        postgres.prepare_database(engine, migrate=gateway)
        store = postgres.PostgresStore(engine, clock=clock if use_clock else None, on_change=on_change, keys=keys)
        undo.pop_all()
    return store


def migrate(url: str) -> None:
    """Bring the schema up to date, as a gateway does when it starts. Raises `StoreError`."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        path = _path_of(parsed)
        make_directory(path)
        lock = GatewayLock(path)
        try:
            _prepare_sqlite(path, gateway=True)
        finally:
            lock.release()
        return
    from bot.store import postgres

    engine = postgres.make_engine(parsed.set(drivername="postgresql+psycopg"))
    try:
        postgres.prepare_database(engine, migrate=True)
    finally:
        engine.dispose()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError("[store] url cannot be read; write sqlite:///path or postgresql://user@host/name") from None
    if parsed.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
        raise StoreError(f"[store] url begins with {parsed.drivername}; we know sqlite and postgresql")
    return parsed


def _path_of(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise StoreError("[store] url names no file; write sqlite:///path (four slashes for an absolute path)")
    return Path(url.database)


def _open_sqlite(
    path: Path, *, clock: Clock, gateway: bool, on_change: Callable[[], None] | None, keys: Keys
) -> SqliteStore:
    lock: GatewayLock | None = None
    with contextlib.ExitStack() as undo:
        if gateway:
            make_directory(path)
            lock = GatewayLock(path)
            undo.callback(lock.release)
        elif not path.exists():
            raise StoreError(f"there is no database at {path}; start the gateway once with `homing run`, it makes one")
        _prepare_sqlite(path, gateway=gateway)
        store = SqliteStore(path, clock=clock, lock=lock, on_change=on_change, keys=keys)
        undo.pop_all()
    return store


def _prepare_sqlite(path: Path, *, gateway: bool) -> None:
    check_file(path)
    if gateway:
        create_private(path)
    engine = make_engine(path, read_only=not gateway)
    try:
        with engine.connect() as connection:
            # All or nothing: SQLite's changes of the schema are part of the transaction.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if gateway else "BEGIN DEFERRED")
            try:
                if gateway:
                    upgrade(connection, str(path))
                else:
                    require_current(connection, str(path))
                connection.exec_driver_sql("COMMIT")
            finally:
                raw = connection.connection.driver_connection
                if raw is not None and raw.in_transaction:
                    connection.exec_driver_sql("ROLLBACK")
    except DBAPIError as fault:
        told = as_store_error(fault, str(path))
        if told is None:
            raise
        raise told from fault
    finally:
        engine.dispose()
