"""The journal on disk: a small file for each execution, whole at every moment, and a tombstone for each settled one.

    journal/<id>.json     an open execution; replaced by rename, durable when the call returns
    journal/<id>.next     the room that is reserved for the next state of it, the report included
    settled/<id>.<known>  empty: nothing of it is owed any more, and it is never started here again
    output/<id>.raw       the first bytes of its raw output
    aside/                what was found and could not be read

Deliberately absent: what may follow what (see `journal`). Calls block for a disk's flush, some milliseconds.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from dataclasses import replace
from pathlib import Path

from bot.domain.execution import ExecutionId
from bot.domain.node import Known
from bot.errors import Malformed
from bot.node.faults import NodeUnusable
from bot.node.files import reserve, sync_directory, write_new, write_whole
from bot.node.frames import Finished, NotKnown
from bot.node.journal import EndReport, Entry, State, check_write, entry_from_bytes, entry_to_bytes
from bot.node.tree import is_alive

log = logging.getLogger(__name__)

MAX_OPEN = 1_000
"""Entries that are not settled: as many as the gateway asks about at once. Then the node takes no more."""
MAX_SETTLED = 200_000
"""Tombstones: 90 days of 2,000 executions a day; empty files, some 50 MB of directory. Then the node takes no more."""
SETTLED_S = 90 * 86_400.0
"""A tombstone outlives every gateway's retention of what it may hand over again, backups of it included."""
_OFFER_S = 86_400.0
"""An accepted offer without a `go` is of no use after 10 s; a gateway that is away for a day hears "unseen"."""
_MAX_RAW_OUTPUTS = 500
"""Files of raw output; each offer looks through them, which takes about a millisecond."""
_ENTRY_BYTES = 65_536
"""Of an entry beside its report's output."""
_ID = re.compile(r"[0-9A-Z]{4,32}")


class Spool:
    """Open it once a process, under the lock of the state directory. Raises `NodeUnusable`."""

    def __init__(self, state_dir: Path, *, spool_bytes: int) -> None:
        self._spool_bytes = spool_bytes
        self._reserved_bytes: dict[ExecutionId, int] = {}
        self._open: dict[ExecutionId, Entry] = {}
        self._settled: dict[ExecutionId, Known] = {}
        self._journal, self._graves, self._output, self._aside = (
            state_dir / name for name in ("journal", "settled", "output", "aside")
        )
        try:
            for directory in (self._journal, self._graves, self._output, self._aside):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._load_settled()
            self._load_open()
        except OSError as fault:
            raise NodeUnusable(
                f"the journal in {state_dir} cannot be used: {fault.strerror}; make room, or look at owner and mode"
            ) from fault

    def state(self, execution: ExecutionId) -> State | Known | None:
        """A `State` while something is open or owed, a `Known` when it is settled, None if it was never seen."""
        entry = self._open.get(execution)
        return entry.state if entry is not None else self._settled.get(execution)

    def entries(self) -> list[Entry]:
        """All open ones, without the output of finished ones."""
        return list(self._open.values())

    def entry(self, execution: ExecutionId) -> Entry | None:
        """An open one, without the output of a finished one."""
        return self._open.get(execution)

    def report(self, execution: ExecutionId) -> EndReport | None:
        """What is owed to the gateway, read from the disk. None where nothing is, or where the file is gone."""
        try:
            return entry_from_bytes(self._path(execution).read_bytes()).report
        except (OSError, Malformed):
            log.exception("journal.unreadable", extra={"execution_id": execution})
            return None

    def room_for_one_more(self) -> str | None:
        """Why the journal takes no further execution; None where it does."""
        if len(self._open) >= MAX_OPEN:
            self._forget_old_offers()
        if len(self._open) >= MAX_OPEN:
            return f"{MAX_OPEN} executions wait on the node for the gateway to take their reports"
        if len(self._settled) >= MAX_SETTLED:
            self.prune()
            if len(self._settled) >= MAX_SETTLED:
                return f"the node remembers {MAX_SETTLED} executions of the last 90 days and can take no more"
        return None

    def reserve(self, execution: ExecutionId, output_bytes: int) -> None:
        """Take the room of its report now. Raises `OSError` where the disk or the spool's bound has none."""
        # JSON doubles quotes, backslashes and line ends; nothing else in the text grows.
        size = 2 * output_bytes + _ENTRY_BYTES
        owed = sum(self._reserved_bytes.values()) - self._reserved_bytes.get(execution, 0)
        if owed + size > self._spool_bytes:
            raise OSError(f"the spool's bound of {self._spool_bytes} bytes is reached")
        self._drop_raw_output(self._spool_bytes - owed - size)
        self._reserved_bytes.pop(execution, None)
        reserve(self._next(execution), size)
        self._reserved_bytes[execution] = size

    def release(self, execution: ExecutionId) -> None:
        """Give the room back: it was accepted and no `go` came."""
        self._next(execution).unlink(missing_ok=True)
        self._reserved_bytes.pop(execution, None)

    def write(self, entry: Entry) -> None:
        """Make this state durable. Raises `OSError` with the old state whole; `IllegalTransition` for a bug."""
        before = self._open.get(entry.execution)
        check_write(None if before is None else before.state, entry.state)
        reserved = self._next(entry.execution)
        has_report = entry.report is not None
        through = reserved if has_report else self._journal / f"{entry.execution}.tmp"
        write_whole(self._path(entry.execution), entry_to_bytes(entry), through=through)
        if has_report:
            self._reserved_bytes[entry.execution] = self._path(entry.execution).stat().st_size
        self._open[entry.execution] = replace(entry, report=None)

    def settle(self, execution: ExecutionId, known: Known) -> None:
        """Nothing is owed any more: only the tombstone stays. Safe to repeat."""
        if execution not in self._settled:
            write_new(self._graves / f"{execution}.{known.value}", b"")
            self._settled[execution] = known
        self._path(execution).unlink(missing_ok=True)
        self.release(execution)
        self._open.pop(execution, None)

    def raw_output(self, execution: ExecutionId) -> int | None:
        """A file descriptor for the raw output, which the caller closes; None where the disk gives none."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            return os.open(self._output / f"{execution}.raw", flags, 0o600)
        except OSError:
            log.exception("output.not_kept", extra={"execution_id": execution})
            return None

    def end_raw_output(self, execution: ExecutionId, opened: int) -> None:
        """Close it; a command that wrote nothing leaves no file."""
        is_empty = os.fstat(opened).st_size == 0
        os.close(opened)
        if is_empty:
            (self._output / f"{execution}.raw").unlink(missing_ok=True)

    def prune(self, *, now: float | None = None) -> int:
        """Forget tombstones that are older than 90 days; returns how many."""
        before = (time.time() if now is None else now) - SETTLED_S
        old = [
            (execution, path)
            for execution, known in self._settled.items()
            if (path := self._graves / f"{execution}.{known.value}").stat().st_mtime < before
        ]
        for execution, path in old:
            path.unlink(missing_ok=True)
            del self._settled[execution]
        return len(old)

    def _forget_old_offers(self) -> None:
        before = time.time() - _OFFER_S
        for entry in self.entries():
            if entry.state is State.ACCEPTED and entry.at < before:
                self._path(entry.execution).unlink(missing_ok=True)
                self.release(entry.execution)
                del self._open[entry.execution]

    def _load_settled(self) -> None:
        for path in self._graves.iterdir():
            name, _, word = path.name.partition(".")
            if _ID.fullmatch(name) and word in frozenset(Known):
                self._settled[ExecutionId(name)] = Known(word)
            elif path.name.startswith("."):
                path.unlink()  # a draft whose writer died
            else:
                self._set_aside(path)

    def _load_open(self) -> None:
        for path in sorted(self._journal.iterdir()):
            name, _, suffix = path.name.partition(".")
            if suffix in {"tmp", "next"} and _ID.fullmatch(name):
                # Gone already where its room was just used for the report that an entry is not known.
                path.unlink(missing_ok=True)
            elif suffix == "json" and _ID.fullmatch(name):
                self._load(ExecutionId(name), path)
            else:
                self._set_aside(path)

    def _load(self, execution: ExecutionId, path: Path) -> None:
        if execution in self._settled:
            # It died between the tombstone and the removal of the entry.
            path.unlink()
            return
        try:
            entry = entry_from_bytes(path.read_bytes())
            if entry.execution != execution:
                raise Malformed("names another execution than its file")  # noqa: TRY301 -- one way for all faults
        except Malformed:
            self._set_aside(path)
            self._write_unknown(execution, "its entry in the node's journal was found damaged")
            return
        self._open[execution] = replace(entry, report=None)
        self._reserved_bytes[execution] = path.stat().st_size
        if entry.state in {State.STARTING, State.RUNNING}:
            self._write_unknown(execution, _what_became_of(entry))

    def _write_unknown(self, execution: ExecutionId, detail: str) -> None:
        report = NotKnown(execution=execution, detail=detail)
        before = self._open.get(execution)
        self.write(
            Entry(
                execution=execution,
                state=State.UNKNOWN,
                at=time.time(),
                started_at=None if before is None else before.started_at,
                report=report,
            )
        )

    def _set_aside(self, path: Path) -> None:
        path.rename(self._aside / f"{time.time_ns()}.{path.name}")
        sync_directory(self._aside)
        log.error("journal.set_aside", extra={"directory": path.parent.name})

    def _drop_raw_output(self, room_bytes: int) -> None:
        """Raw output goes, oldest first, until `room_bytes` hold what is left; never that of an open execution."""
        kept = []
        for path in self._output.iterdir():
            is_open = ExecutionId(path.name.partition(".")[0]) in self._open
            seen = path.stat()
            kept.append((is_open, seen.st_mtime, seen.st_size, path))
        for number, (is_open, _, size, path) in enumerate(sorted(kept, reverse=True)):
            room_bytes -= size
            if not is_open and (room_bytes < 0 or number >= _MAX_RAW_OUTPUTS):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, execution: ExecutionId) -> Path:
        return self._journal / f"{execution}.json"

    def _next(self, execution: ExecutionId) -> Path:
        return self._journal / f"{execution}.next"


def known_of(report: EndReport) -> Known:
    """What a tombstone remembers when this report was acknowledged."""
    if isinstance(report, Finished):
        return Known.FINISHED
    return Known.UNKNOWN if isinstance(report, NotKnown) else Known.NEVER_STARTED


def _what_became_of(entry: Entry) -> str:
    if entry.state is State.STARTING or entry.pid is None:
        return "the node ended in the moment of the start: it may have started, and nobody watched it"
    if entry.pid_created_at and is_alive(entry.pid, entry.pid_created_at):
        return f"the node ended while it ran; its process {entry.pid} is still there, and nobody watches it"
    return f"the node ended while it ran; its process {entry.pid} is gone, and how it ended nobody saw"
