"""From `go` to the report in the journal: the last look, `starting` made durable, the one start, the watch, the end.

Deliberately absent: whether the `go` counts (see `desk`) and how the report travels (see `outbox`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.domain.command import Command
from bot.domain.execution import ExecutionId, ExecutionResult
from bot.domain.retry import delay_s
from bot.loop import Tasks
from bot.node.frames import MAX_TEXT_CHARS, Finished, Refused
from bot.node.inspect import Inspector
from bot.node.journal import Entry, State
from bot.node.outbox import Outbox
from bot.node.process import Patience, Process
from bot.node.settings import NodeSettings
from bot.node.spool import Spool
from bot.node.tree import Families, created_at
from bot.node.user import own_user

log = logging.getLogger(__name__)

START_WITHIN_S = 20.0
"""From the acceptance to the start itself: 10 s for the `go`, and as much for hashing the files once more."""
_TAIL_EVERY_S = 1.0
"""A card of a chat is edited no faster."""
_FAMILY_EVERY_S = (0.05, 0.1, 0.2, 0.4)
"""Looks after a start, then every second: a process that leaves its family is mostly one of the first."""


@dataclass(slots=True)
class _Begun:
    """One execution between its `go` and its report."""

    process: Process | None = None
    stop_wanted: bool = False


class Launches:
    """All executions that this node has under way."""

    def __init__(
        self,
        settings: NodeSettings,
        inspector: Inspector,
        spool: Spool,
        outbox: Outbox,
        *,
        boot_time: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._inspector = inspector
        self._spool = spool
        self._outbox = outbox
        self._boot_time = boot_time
        self._families = Families()
        self._begun: dict[ExecutionId, _Begun] = {}
        self._tasks = Tasks("launch", limit=settings.max_executions)
        self._is_closing = False

    @property
    def count(self) -> int:
        return len(self._begun)

    def has_begun(self, execution: ExecutionId) -> bool:
        return execution in self._begun

    def begin(self, execution: ExecutionId, command: Command, accepted_at: float) -> None:
        """Once for each `go` that counts; the caller has used up its token."""
        begun = _Begun(stop_wanted=self._is_closing)
        self._begun[execution] = begun

        def ended() -> None:
            del self._begun[execution]

        self._tasks.start(self._launch(execution, command, accepted_at, begun), then=ended)

    def stop(self, execution: ExecutionId) -> None:
        begun = self._begun[execution]
        begun.stop_wanted = True
        if begun.process is not None:
            begun.process.stop()

    async def close(self) -> None:
        """Stop everything that runs and wait for it: the ends are in the journal, known."""
        self._is_closing = True
        for execution in list(self._begun):
            self.stop(execution)
        await self._tasks.drain()

    def refuse(self, execution: ExecutionId, reason: str) -> None:
        """It never started and never will: a tombstone, and the word that is owed for it."""
        report = Refused(execution=execution, reason=reason[:MAX_TEXT_CHARS])
        self._spool.write(Entry(execution=execution, state=State.REFUSED, at=time.time(), report=report))
        self._outbox.owe_end(execution)
        log.info("execution.not_started", extra={"execution_id": execution})

    async def _launch(self, execution: ExecutionId, command: Command, accepted_at: float, begun: _Begun) -> None:
        changed = await asyncio.to_thread(self._inspector.differences, command)
        if changed is not None:
            self.refuse(execution, changed)
        elif begun.stop_wanted:
            self.refuse(execution, "it was stopped before it started")
        elif self._boot_time() - accepted_at > START_WITHIN_S:
            self.refuse(execution, "the node was held up, and by then it was too late to start it")
        else:
            await self._start(execution, command, begun)

    async def _start(self, execution: ExecutionId, command: Command, begun: _Begun) -> None:
        started_at = time.time()
        try:
            self._spool.write(Entry(execution=execution, state=State.STARTING, at=started_at, started_at=started_at))
        except OSError:
            log.exception("journal.not_written", extra={"execution_id": execution})
            self.refuse(execution, "the node's disk did not take the start; look at it")
            return
        raw = self._spool.raw_output(execution)
        try:
            begun.process = Process.start(
                command,
                families=self._families,
                patience=Patience(grace_s=self._settings.grace_s),
                raw=raw,
                raw_bytes=self._settings.raw_bytes,
            )
            await begun.process.begun()
        except (OSError, ValueError) as fault:
            # The child reports a failed exec before anything of the command runs.
            why = fault.strerror if isinstance(fault, OSError) else "its arguments or environment are not possible"
            who = "" if command.user == own_user().name else f" as {command.user} in {command.cwd}"
            self.refuse(execution, f"{command.executable} could not be started{who}: {why}")
        else:
            await self._watch(execution, begun.process, started_at)
        finally:
            if raw is not None:
                self._spool.end_raw_output(execution, raw)

    async def _watch(self, execution: ExecutionId, process: Process, started_at: float) -> None:
        log.info("execution.started", extra={"execution_id": execution, "pid": process.pid})
        running = Entry(
            execution=execution,
            state=State.RUNNING,
            at=time.time(),
            started_at=started_at,
            pid=process.pid,
            pid_created_at=created_at(process.pid),
        )
        try:
            self._spool.write(running)
        except OSError:
            # `starting` stands there, which already means: never again.
            log.exception("journal.not_written", extra={"execution_id": execution})
        self._outbox.owe_start(execution)
        watches = [asyncio.create_task(watch) for watch in (self._tails(execution, process), self._looks())]
        try:
            result = await process.ended()
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
        await self._journal_end(execution, result, started_at)

    async def _journal_end(self, execution: ExecutionId, result: ExecutionResult, started_at: float) -> None:
        """Until the disk has it; its room is reserved, so only a broken disk takes more than one attempt."""
        ended_at = max(started_at, time.time())
        report = Finished(execution=execution, result=result, started_at=started_at, ended_at=ended_at)
        entry = Entry(execution=execution, state=State.FINISHED, at=ended_at, started_at=started_at, report=report)
        attempt = 0
        while True:
            try:
                self._spool.write(entry)
                break
            except OSError:
                attempt += 1
                log.exception("journal.not_written", extra={"execution_id": execution})
                await asyncio.sleep(delay_s(attempt, jitter=0.5))
        self._outbox.owe_end(execution)
        log.info("execution.ended", extra={"execution_id": execution, "ending": result.ending.value})

    async def _tails(self, execution: ExecutionId, process: Process) -> None:
        told = 0
        while True:
            await asyncio.sleep(_TAIL_EVERY_S)
            if process.capture.changes != told:
                told = process.capture.changes
                self._outbox.tail(execution, process.capture.live_tail())

    async def _looks(self) -> None:
        """Take down the family while parents still live."""
        for pause_s in _FAMILY_EVERY_S:
            await asyncio.sleep(pause_s)
            self._families.look()
        while True:
            await asyncio.sleep(1.0)
            self._families.look()
