"""What is in a file that would run, as one SHA-256 each, in a look of bounded number and size.

Deliberately absent: which files those are (see `named`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

from bot.domain.command import FileDigest

_BLOCK_BYTES = 1_048_576
_HEAD_BYTES = 512
"""More than the kernel reads of a first line."""


class Unbound(Exception):
    """This file cannot be bound to an approval; the message says why and the remedy."""


class Digests:
    """The files of one command, in the order in which they were added, each once."""

    def __init__(self, *, most_bytes: int) -> None:
        self._found: dict[str, FileDigest] = {}
        self._most_bytes = most_bytes

    def __contains__(self, real: object) -> bool:
        return real in self._found

    def __len__(self) -> int:
        return len(self._found)

    def all(self) -> tuple[FileDigest, ...]:
        return tuple(self._found.values())

    def add(self, path: str) -> tuple[bytes, int]:
        """Its first bytes, and how many were read. Raises `Unbound`."""
        real = checked_text("a file's path", os.path.realpath(path))
        try:
            # Without O_NONBLOCK the open of a FIFO waits for a writer.
            opened = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as fault:
            if real not in self._found and fault.errno is not None and os.access(real, os.X_OK):
                return self._add_unreadable(real)
            raise Unbound(f"{real} cannot be read by the node's user ({fault.strerror}); change its mode") from None
        try:
            return self._add_content(real, opened)
        except OSError as fault:
            raise Unbound(f"{real} cannot be read ({fault.strerror})") from None
        finally:
            os.close(opened)

    def _add_content(self, real: str, opened: int) -> tuple[bytes, int]:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise Unbound(f"{real} is no regular file, so nothing can bind an approval to what is in it")
        digest, head, size_bytes = hashlib.sha256(), b"", 0
        while block := os.read(opened, _BLOCK_BYTES):
            head = head or block[:_HEAD_BYTES]
            size_bytes += len(block)
            if size_bytes > self._most_bytes:
                raise Unbound(
                    f"{real} is larger than the {self._most_bytes // 1_048_576} MiB that the node checks; "
                    "start the node with a higher bound"
                )
            digest.update(block)
        self._found[real] = FileDigest(path=real, sha256=digest.hexdigest())
        return head, size_bytes

    def _add_unreadable(self, real: str) -> tuple[bytes, int]:
        """A program that may be run but not read (mode 4711): bound by its inode and times, which a rewrite changes."""
        seen = os.stat(real)  # noqa: PTH116 -- beside os.open and os.access, one family
        said = f"{seen.st_dev}:{seen.st_ino}:{seen.st_size}:{seen.st_mtime_ns}:{seen.st_ctime_ns}"
        self._found[real] = FileDigest(path=real, sha256=hashlib.sha256(said.encode("ascii")).hexdigest())
        return b"", 0


def size_of(path: str) -> int | None:
    """Of a regular file; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        seen = os.stat(path)  # noqa: PTH116 -- beside os.open and os.access, one family
        return seen.st_size if stat.S_ISREG(seen.st_mode) else None
    return None


def checked_text(what: str, text: str) -> str:
    """Raises `Unbound` for what no program can be given, or nobody be shown."""
    if "\x00" in text:
        raise Unbound(f"{what} holds a NUL character, which no program can be given")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unbound(f"{what} is not UTF-8, so nobody can be shown what would run; rename it") from None
    return text
