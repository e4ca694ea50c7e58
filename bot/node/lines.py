"""What a node reports, brought to `Reports`: in order for each execution, side by side for different ones.

The node is answered after the call has returned, so after the commit; a call that fails is not answered, and the node
repeats. Deliberately absent: the store's say on whose execution it is, which `Reports` has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from bot.domain.command import NodeFingerprint
from bot.domain.execution import ExecutionId
from bot.domain.node import Known
from bot.errors import NodeSilent
from bot.loop import Tasks
from bot.node.codec import kind_of
from bot.node.frames import Ack, Finished, NotKnown, Progress, Refused, Report, Started
from bot.ports import Reports

log = logging.getLogger(__name__)

_MAX_WAITING = 64
"""Reports of one node that are taken at once: as many as one commit holds, so that another node's report waits for one
commit of this one's and not for four. Beyond it the socket is not read, and TCP holds the node back."""

Said = Report | Known


class Lines:
    """The reports of one connection."""

    def __init__(self, node: NodeFingerprint, reports: Reports, answer: Callable[[Ack], Awaitable[None]]) -> None:
        self._node = node
        self._reports = reports
        self._answer = answer
        self._waiting: dict[ExecutionId, deque[Said]] = {}
        self._count = 0
        self._room = asyncio.Event()
        self._room.set()
        self._tasks = Tasks("reports", limit=_MAX_WAITING)

    async def bring(self, execution: ExecutionId, said: Said) -> None:
        """Take it; returns at once unless too many wait."""
        line = self._waiting.get(execution)
        if line and isinstance(said, Progress) and isinstance(line[-1], Progress):
            # Latest only: the one that still waits is out of date.
            line[-1] = said
            return
        while self._count >= _MAX_WAITING:
            self._room.clear()
            await self._room.wait()
        self._count += 1
        line = self._waiting.get(execution)
        if line is not None:
            line.append(said)
            return
        self._waiting[execution] = deque([said])
        self._tasks.start(self._bring_all(execution))

    async def close(self) -> None:
        """What is in a transaction now may commit or not; unanswered, the node repeats it."""
        await self._tasks.close()

    async def _bring_all(self, execution: ExecutionId) -> None:
        line = self._waiting[execution]
        try:
            while line:
                said = line[0]
                await self._tell(execution, said)
                # Removed after the call: a later one of this execution waits behind it, not beside it.
                line.popleft()
                self._leave(1)
                if not isinstance(said, (Known, Progress)):
                    # A connection that ended meanwhile: the node repeats it in the next one.
                    with contextlib.suppress(NodeSilent):
                        await self._answer(Ack(execution=execution, report=kind_of(said)))
        finally:
            # After a fault what waits here goes unanswered, and the node repeats it.
            del self._waiting[execution]
            self._leave(len(line))

    def _leave(self, count: int) -> None:
        self._count -= count
        self._room.set()

    async def _tell(self, execution: ExecutionId, said: Said) -> None:
        node, reports = self._node, self._reports
        match said:
            case Known():
                await reports.known(node, execution, said)
            case Started():
                await reports.started(node, execution, said.started_at)
            case Progress():
                await reports.progress(node, execution, said.live_tail)
            case Finished():
                await reports.finished(node, execution, said.result, said.started_at, said.ended_at)
            case Refused():
                await reports.refused(node, execution, said.reason)
            case NotKnown():
                await reports.not_known(node, execution, said.detail)
