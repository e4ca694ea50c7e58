"""What a database's own error means to whoever runs it. Errors that mean a bug of ours pass as they are."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError, StatementError

from bot.errors import HomingError, StoreError
from bot.store.schema import REVISIONS

_SQLITE_REMEDIES = (
    ("database is locked", "another process holds it; close whatever keeps a transaction open in it"),
    ("disk is full", "the disk is full; make room, nothing of this write was kept"),
    ("disk i/o error", "the disk does not answer as it should; look at the system's log"),
    ("malformed", "the file is damaged; restore the newest backup, and keep this file for a repair"),
    ("not a database", "the file is no SQLite database; name another file in [store] url"),
    ("readonly database", "it may not be written; look at the owner and the mode of the file and of its directory"),
    ("unable to open", "it cannot be opened; look at the owner and the mode of the file and of its directory"),
)
"""The words of sqlite3's errors that an operator can act on: https://sqlite.org/rescode.html"""


def as_store_error(fault: StatementError, where: str, *, reading: bool = False) -> HomingError | None:
    """The error to raise in its place; None where the fault says nothing to an operator."""
    if isinstance(fault.orig, HomingError):
        # Ours, raised for a value on its way into a statement; the library wrapped it.
        return fault.orig
    said = str(fault.orig).strip().splitlines()[0] if str(fault.orig).strip() else type(fault.orig).__name__
    if reading and ("readonly database" in said or "read-only transaction" in said):
        return StoreError("a read may not write; this is a fault in the program, nothing was changed")
    lowered = said.lower()
    for words, remedy in _SQLITE_REMEDIES:
        if words in lowered:
            return StoreError(f"{where}: {remedy} ({said})")
    if isinstance(fault, DBAPIError) and fault.connection_invalidated:
        return StoreError(f"{where}: the connection broke; it is opened anew when it is needed again ({said})")
    if isinstance(fault, OperationalError) and hasattr(fault.orig, "sqlstate"):
        # PostgreSQL is not there, is just starting or ending, or has no room: https://peps.python.org/pep-0249/ keeps
        # this class for what no programmer can help. Nothing of the transaction is written.
        return StoreError(f"{where}: the database cannot do it now; it is asked again ({said})")
    return None


def refuse_newer(revision: str, where: str) -> None:
    """Raise `StoreError` for a version of the schema that this code does not know."""
    if revision not in REVISIONS:
        raise StoreError(
            f"{where} was written by a newer Homing (schema {revision}, this one knows up to {REVISIONS[-1]}), "
            "and was left as it is; install that version again, or restore the backup made before the upgrade"
        )
