"""The file behind the SQLite store: whose it is, whether it can be used, and copies of it. Nothing is overwritten."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bot.errors import StoreError
from bot.store.faults import refuse_newer
from bot.store.switches import PAUSED

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process. Ours take milliseconds; a backup tool may take seconds."""
_HEADER = b"SQLite format 3\x00"
"""https://sqlite.org/fileformat.html#magic_header_string"""
_CHECKED_BYTES = 256 * 2**20
"""Files up to this size are read whole at the start, about a second for 256 MiB; larger ones where they are used."""


class GatewayLock:
    """Held by the one gateway of a file. The kernel frees it with the process, however that ends."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise _unwritable(database, fault) from fault
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                f"{database} is in use by another gateway, process {holder}; stop that one first, "
                "or give this one a file of its own in [store] url"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode("ascii"), 0)

    def release(self) -> None:
        # The file stays: whoever unlinks it could unlink one that another gateway has locked since.
        os.close(self._file)


def make_directory(path: Path) -> None:
    """The directory of a gateway's file, ours alone: commands and their output will be in it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise _unwritable(path, fault) from fault


def check_file(path: Path) -> None:
    """Raise `StoreError` if the file cannot be used as it stands. One that is not there yet can."""
    if path.is_dir():
        raise StoreError(f"{path} is a directory; [store] url names a file")
    for needed in (path, path.parent) if path.exists() else (path.parent,):
        if not os.access(needed, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise _unwritable(path, PermissionError(f"no right to write to {needed}"))
    if path.exists():
        _check_contents(path)


def create_private(path: Path) -> None:
    """An empty database that only we can read: commands and their output are in it."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _check_contents(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(len(_HEADER))
    if not header:
        return
    if header != _HEADER:
        raise StoreError(f"{path} is no SQLite database, and was left as it is; name another file in [store] url")
    with _looking_at(path) as connection:
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "alembic_version" in tables:
                for (revision,) in connection.execute("SELECT version_num FROM alembic_version"):
                    refuse_newer(revision, str(path))
            elif tables:
                raise StoreError(
                    f"{path} is the database of another program, and was left as it is; "
                    "name another file in [store] url"
                )
            if path.stat().st_size <= _CHECKED_BYTES:
                fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if fault != "ok":
                    raise _damaged(path, fault)
        except sqlite3.DatabaseError as fault:
            raise _damaged(path, str(fault)) from fault


@contextlib.contextmanager
def _looking_at(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot change the file, not even by closing it (which folds the log into it)."""
    connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    try:
        yield connection
    finally:
        connection.close()


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def write_backup(database: Path, target: Path, *, now: float) -> None:
    """A consistent copy at `target`, in which the switch `paused` is set: whoever starts on it starts paused."""
    if target.exists():
        raise StoreError(f"{target} exists already, and was left as it is; name a file that does not")
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    try:
        create_private(unfinished)
        with contextlib.closing(sqlite3.connect(database, timeout=BUSY_TIMEOUT_S)) as source:
            source.execute("VACUUM INTO ?", (str(unfinished),))
        _pause(unfinished, now=now)
        # A link, unlike a rename, fails where somebody made the file meanwhile.
        os.link(unfinished, target)
    except FileExistsError:
        raise StoreError(f"{target} exists already, and was left as it is; name a file that does not") from None
    except (OSError, sqlite3.Error) as fault:
        raise StoreError(
            f"no backup was made at {target}: {fault}; look at the directory and the free space"
        ) from fault
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _pause(copy: Path, *, now: float) -> None:
    made = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        # One file without a log beside it, so that copying that file copies all.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "INSERT INTO switches (name, by_whom, reason, since) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE "
            "SET by_whom = excluded.by_whom, reason = excluded.reason, since = excluded.since",
            (PAUSED, "backup", f"restored from the backup of {made}", now),
        )


def _unwritable(path: Path, fault: OSError) -> StoreError:
    return StoreError(
        f"{path} cannot be written ({fault.strerror or fault}); look at the owner and the mode of the file and of its "
        "directory, or name another file in [store] url"
    )


def _damaged(path: Path, said: str) -> StoreError:
    said = " ".join(said.split())
    return StoreError(
        f"{path} is damaged ({said}), and was left as it is; move it away and put the newest backup in its place"
    )
