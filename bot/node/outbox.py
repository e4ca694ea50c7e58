"""Reports that the gateway has not acknowledged yet, and the newest live tails: what to send, and when again.

Reports are read from the journal when they are sent, so that a long absence costs disk and no memory. Deliberately
absent: the socket and the clock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.execution import ExecutionId
from bot.domain.node import Known
from bot.domain.retry import delay_s
from bot.loop import Wake
from bot.node.codec import kind_of
from bot.node.frames import STARTED, Frame, Progress, Started
from bot.node.journal import State
from bot.node.spool import Spool, known_of

log = logging.getLogger(__name__)

_END = "end"
_REPEAT_AT_LEAST_S = 5.0
"""A gateway's commit takes milliseconds; one that has not answered by now is in trouble and gets time."""
_REPEAT_AT_MOST_S = 60.0
_MAX_TAILS = 1_000
"""One for each running execution."""


@dataclass(slots=True)
class _Owed:
    not_before: float = 0.0
    attempt: int = 0


class Outbox:
    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._owed: dict[tuple[ExecutionId, str], _Owed] = {}
        self._tails: dict[ExecutionId, str] = {}
        self.wake = Wake()
        for entry in spool.entries():
            if entry.state in {State.FINISHED, State.UNKNOWN, State.REFUSED}:
                self._owed[entry.execution, _END] = _Owed()

    def owe_start(self, execution: ExecutionId) -> None:
        self._owed[execution, STARTED] = _Owed()
        self.wake.wake()

    def owe_end(self, execution: ExecutionId) -> None:
        """Its report is in the journal, durable."""
        self._tails.pop(execution, None)
        self._owed[execution, _END] = _Owed()
        self.wake.wake()

    def tail(self, execution: ExecutionId, live_tail: str) -> None:
        """Latest only; lost with the connection, and nothing is owed for it."""
        if len(self._tails) < _MAX_TAILS or execution in self._tails:
            self._tails[execution] = live_tail
            self.wake.wake()

    def connected(self) -> None:
        """A new connection: everything again, because nobody knows what of the old one arrived.

        What runs is said anew as well: the gateway may have given it up as lost meanwhile.
        """
        for entry in self._spool.entries():
            if entry.state is State.RUNNING:
                self._owed.setdefault((entry.execution, STARTED), _Owed())
        for owed in self._owed.values():
            owed.not_before = 0.0
            owed.attempt = 0
        self._tails.clear()
        self.wake.wake()

    def due(self, now: float) -> Iterator[Frame]:
        """What is to be sent now; each one that is taken counts as sent. `now` in seconds of any steady clock."""
        # A start stands before its end, because it was owed first.
        for (execution, what), owed in list(self._owed.items()):
            if owed.not_before > now or (execution, what) not in self._owed:
                continue
            frame = self._frame(execution, what)
            if frame is None:
                self._owed.pop((execution, what), None)
                continue
            owed.attempt += 1
            pause_s = delay_s(owed.attempt, jitter=0.5, at_least_s=_REPEAT_AT_LEAST_S)
            owed.not_before = now + min(_REPEAT_AT_MOST_S, pause_s)
            yield frame
        tails, self._tails = self._tails, {}
        for execution, live_tail in tails.items():
            yield Progress(execution=execution, live_tail=live_tail)

    def next_at(self) -> float | None:
        """When something is to be repeated; None where nothing is owed."""
        return min((owed.not_before for owed in self._owed.values()), default=None)

    def acknowledged(self, execution: ExecutionId, report: str) -> None:
        """The gateway has committed this report. An end becomes a tombstone; anything else is only forgotten."""
        if report == STARTED:
            self._owed.pop((execution, STARTED), None)
            return
        if (execution, _END) not in self._owed:
            return
        owed = self._spool.report(execution)
        if owed is None or kind_of(owed) != report:
            log.warning("ack.of_another_report", extra={"execution_id": execution, "report": report})
            return
        known: Known = known_of(owed)
        self._spool.settle(execution, known)
        self._owed.pop((execution, _END), None)
        self._owed.pop((execution, STARTED), None)

    def _frame(self, execution: ExecutionId, what: str) -> Frame | None:
        if what == _END:
            return self._spool.report(execution)
        entry = self._spool.entry(execution)
        if entry is None or entry.started_at is None:
            return None
        return Started(execution=execution, started_at=entry.started_at)
