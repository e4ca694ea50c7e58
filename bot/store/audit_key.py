"""The key that hashes of masked commands stand under in the audit. It stays on the gateway, in no export and no backup.

Deliberately absent: any use of it to check a chain, which needs no key.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from bot.domain.command import CommandHash
from bot.errors import StoreError

KEY_BYTES = 32


class AuditKey:
    """Read when it is first needed, and made when there is none: most gateways mask nothing for days."""

    __slots__ = ("_key", "_path")

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._key: bytes | None = None

    def keyed(self, digest: CommandHash) -> str:
        """`hmac-sha256:<which key>:<64 hex digits>`; the same for the same command, as long as the key is kept."""
        if self._key is None:
            self._key = secrets.token_bytes(KEY_BYTES) if self._path is None else _read_or_make(self._path)
        named = hashlib.sha256(self._key).hexdigest()[:8]
        return f"hmac-sha256:{named}:{hmac.new(self._key, digest.encode(), 'sha256').hexdigest()}"


def _read_or_make(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as fault:
        why = getattr(fault, "strerror", None) or "it holds no key"
        raise StoreError(
            f"{path} cannot be read or made ({why}); look at its owner and mode, or put it back from a copy. Without "
            "one move it away: a new key is made, and masked commands of before and after cannot be compared"
        ) from fault
    if len(key) != KEY_BYTES:
        raise StoreError(f"{path} holds no key of {KEY_BYTES} bytes; put it back from a copy, or move it away")
    return key


def _make(path: Path) -> None:
    made = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, leaves the key that another process of ours has made meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)
