"""Whether a gateway runs here, and where its page really is: what other processes of this machine can see of it.

Deliberately absent: gateways on other machines. On PostgreSQL there may be some, which no file of ours shows.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.config import Settings
from bot.config.restart import digests, needs_restart_by

_SQLITE = "sqlite:///"
_MAX_NOTE_BYTES = 4_096
"""A process id and an address."""
_MAX_DIGESTS_BYTES = 65_536
"""Of some thirty tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The gateway of a store, as far as this machine can see it."""

    runs: bool | None
    """None: the store is shared, and no gateway of this machine is known."""
    process: str | None
    page: str | None


def seen(settings: Settings) -> Seen:
    return Seen(runs=is_running(settings), process=holder(settings), page=page(settings))


def holder(settings: Settings) -> str | None:
    """The process that holds the lock of the SQLite file; None where nobody does, and on another database."""
    if not settings.store_url.startswith(_SQLITE):
        return None
    try:
        descriptor = os.open(settings.store_url.removeprefix(_SQLITE) + ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        # Shared: a gateway that starts in this moment is refused only if we hold it, for microseconds.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
    else:
        return None
    finally:
        os.close(descriptor)


def is_running(settings: Settings) -> bool | None:
    """Whether a gateway runs on this store; None where that cannot be known (see `Seen.runs`)."""
    if settings.store_url.startswith(_SQLITE):
        return holder(settings) is not None
    return True if page(settings) is not None else None


def process(settings: Settings) -> int | None:
    """The gateway of this config that runs on this machine; None where none is known."""
    noted_by = _noted(settings)
    return int(noted_by[0]) if noted_by is not None and noted_by[0].isdigit() else None


def page(settings: Settings) -> str | None:
    """Where the gateway that runs here has its page; None where none runs, or it says nothing."""
    noted_by = _noted(settings)
    return None if noted_by is None else noted_by[1] or None


def _noted(settings: Settings) -> tuple[str, str] | None:
    """The process that left the note, if it is still there, and its address."""
    try:
        with _note(settings).open("rb") as file:
            number, _, address = file.read(_MAX_NOTE_BYTES).decode().strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return None
    # A gateway that was killed leaves its note behind: it counts for as long as who wrote it is there.
    is_there = number == holder(settings) if settings.store_url.startswith(_SQLITE) else _is_alive(number)
    return (number, address) if is_there else None


@contextlib.contextmanager
def noted(settings: Settings, address: str) -> Iterator[None]:
    """Leave a note of the page's address for as long as the gateway runs: the port may not be the config's."""
    note = _note(settings)
    written = f"{os.getpid()} {address}"
    draft = note.with_name(f".{note.name}.{os.getpid()}")
    draft.write_text(written, encoding="utf-8")
    draft.replace(note)
    _digests(settings).write_text(json.dumps(digests(settings, _key(settings))), encoding="utf-8")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if note.read_text(encoding="utf-8") == written:
                note.unlink()


def needs_restart(settings: Settings) -> tuple[str, ...]:
    """The tables of this config that the gateway which runs here takes at its next start only; none where none runs,
    or where it left no word of what it was started with."""
    if process(settings) is None:
        return ()
    try:
        with _digests(settings).open("rb") as file:
            started = json.loads(file.read(_MAX_DIGESTS_BYTES))
        return needs_restart_by(started, digests(settings, _key(settings)))
    except (OSError, ValueError):
        return ()


def _digests(settings: Settings) -> Path:
    return settings.gateway.data_dir / "gateway.config"


def _key(settings: Settings) -> bytes:
    return hashlib.sha256((settings.gateway.data_dir / "gateway.key").read_bytes()).digest()


def _note(settings: Settings) -> Path:
    return settings.gateway.data_dir / "gateway.page"


def _is_alive(process: str) -> bool:
    if not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        # There, and another user's.
        return True
    return True
