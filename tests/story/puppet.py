"""A node for which the test speaks: the hub's port with a journal, and every report at the test's word.

It stands where a story needs a moment that no real node can be stopped at. Deliberately absent: processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from bot.domain.command import Command, CommandHash, Limits, NodeFingerprint, Request, command_hash
from bot.domain.execution import Chunk, Ending, ExecutionId, ExecutionResult, Output, Stream
from bot.domain.node import Known
from bot.errors import NodeAbsent, NodeSilent
from bot.ports import Acceptance, NodeRefusal, Reports


def fingerprint_of(name: str) -> NodeFingerprint:
    return NodeFingerprint(hashlib.sha256(name.encode()).hexdigest())


def a_result(output: str = "done\n", *, exit_code: int = 0, duration_s: float = 0.2) -> ExecutionResult:
    chunks = (Chunk(stream=Stream.OUT, text=output),) if output else ()
    return ExecutionResult(
        ending=Ending.EXITED,
        exit_code=exit_code,
        signal=None,
        duration_s=duration_s,
        output=Output(head=chunks),
    )


@dataclass(slots=True)
class Puppets:
    """A `NodeHub` over nodes whose journals outlive the gateway."""

    names: Sequence[str] = ("web-1",)
    away: set[NodeFingerprint] = field(default_factory=set)
    offers: list[ExecutionId] = field(default_factory=list)
    stops: list[ExecutionId] = field(default_factory=list)
    starts: list[tuple[NodeFingerprint, ExecutionId]] = field(default_factory=list)
    """What really ran, in order. The promise is that no execution stands here twice."""
    journal: dict[ExecutionId, Known] = field(default_factory=dict)
    commands: dict[ExecutionId, Command] = field(default_factory=dict)
    go_is_lost: bool = False
    """`go` vanishes on the wire: the node accepted and never starts."""
    refuses: str | None = None
    on_go: Callable[[ExecutionId], None] | None = None
    _tokens: dict[ExecutionId, str] = field(default_factory=dict)

    def fingerprints(self) -> list[NodeFingerprint]:
        return [fingerprint_of(name) for name in self.names]

    def connected(self) -> Collection[NodeFingerprint]:
        return [node for node in self.fingerprints() if node not in self.away]

    async def inspect(
        self, node: NodeFingerprint, execution_id: ExecutionId, request: Request, limits: Limits
    ) -> Command | NodeRefusal:
        self._reach(node)
        command = Command(
            node=node,
            argv=request.argv,
            script=request.script,
            executable=f"/usr/bin/{request.argv[0].rpartition('/')[2]}",
            cwd="/srv",
            cwd_id="64:2049",
            user="homing",
            env=(("PATH", "/usr/bin"),),
            limits=limits,
            files=(),
        )
        self.commands[execution_id] = command
        return command

    async def offer(
        self, node: NodeFingerprint, execution_id: ExecutionId, command: Command, command_hash_: CommandHash
    ) -> Acceptance | NodeRefusal:
        self._reach(node)
        self.offers.append(execution_id)
        assert command_hash(command) == command_hash_
        if self.refuses is not None:
            return NodeRefusal(reason=self.refuses)
        known = self.journal.get(execution_id)
        if known is not None:
            return NodeRefusal(reason="it was started here before", already_started=known is not Known.NEVER_STARTED)
        token = f"accepted-{len(self.offers)}"
        self._tokens[execution_id] = token
        return Acceptance(token=token)

    async def go(self, node: NodeFingerprint, execution_id: ExecutionId, acceptance: Acceptance) -> None:
        self._reach(node)
        if self._tokens.pop(execution_id, None) != acceptance.token:
            raise NodeSilent("that acceptance is not good any more")
        if self.go_is_lost:
            return
        self.starts.append((node, execution_id))
        self.journal[execution_id] = Known.RUNNING
        if self.on_go is not None:
            self.on_go(execution_id)

    async def stop(self, node: NodeFingerprint, execution_id: ExecutionId) -> None:
        self._reach(node)
        self.stops.append(execution_id)

    async def reconnect(self, reports: Reports, name: str = "web-1") -> None:
        """As a node does when its connection is back: it is asked about every open execution, and answers."""
        node = fingerprint_of(name)
        self.away.discard(node)
        for execution_id, handed_over in await reports.open_executions(node):
            known = self.journal.get(execution_id)
            if known is None and not handed_over:
                continue
            if known is None:
                known = self.journal[execution_id] = Known.NEVER_STARTED
            await reports.known(node, execution_id, known)

    def _reach(self, node: NodeFingerprint) -> None:
        if node not in self.connected():
            raise NodeAbsent("the node is not connected")
