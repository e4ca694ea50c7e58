"""Files that are whole or not there, whatever moment the process dies in. Deliberately absent: what they hold."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bot.node.faults import NodeUnusable, StateDirBusy

_PRIVATE = 0o600


def sync_directory(directory: Path) -> None:
    """Make names in it durable: a rename is, only after this (man 2 fsync)."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_whole(path: Path, content: bytes, *, through: Path) -> None:
    """Replace `path` by `content`: durable when this returns, the old or the new whole at any moment before.

    `through` is written first and renamed; where it exists, the space that it has reserved is used.
    """
    opened = os.open(through, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        _write_all(opened, content)
        os.ftruncate(opened, len(content))
        os.fsync(opened)
    finally:
        os.close(opened)
    through.rename(path)
    sync_directory(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Create `path` with `content` and mode 0600, whole, unless it exists already: then nothing changes."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PRIVATE)
    try:
        _write_all(opened, content)
        os.fsync(opened)
    finally:
        os.close(opened)
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    sync_directory(path.parent)


def reserve(path: Path, size_bytes: int) -> None:
    """Take `size_bytes` of the disk for `path` now. Raises `OSError` where there is no room; then no file is left."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        os.posix_fallocate(opened, 0, size_bytes)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(opened)


def _write_all(opened: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(opened, rest) :]


@contextlib.contextmanager
def held(state_dir: Path) -> Iterator[None]:
    """Keep a state directory to this process. Raises `StateDirBusy` where another node has it."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    except OSError as fault:
        raise NodeUnusable(
            f"the state directory {state_dir} cannot be used: {fault.strerror}; name another with --state-dir"
        ) from fault
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateDirBusy(
                f"another node (process {running_node(state_dir)}) runs on {state_dir}; "
                "stop it, or give this one a state directory of its own"
            ) from None
        os.ftruncate(opened, 0)
        os.pwrite(opened, str(os.getpid()).encode("ascii"), 0)
        yield
        os.ftruncate(opened, 0)
    finally:
        os.close(opened)


def running_node(state_dir: Path) -> int | None:
    """The process id of the node that holds this state directory; None where none does."""
    try:
        opened = os.open(state_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.pread(opened, 20, 0).decode("ascii", "replace").strip()
        return int(written) if written.isdigit() else None
    else:
        return None
    finally:
        os.close(opened)
