"""The two ends of the flows in the hands of a test: a hub and a channel, values in and values out.

The real ones are tested in their own rooms. Each call notes itself, runs the test's hook (what happens in between),
then gives or raises what the test has laid ready.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bot.domain.command import Command, CommandHash, FileDigest, Limits, NodeFingerprint, Request
from bot.domain.execution import ExecutionId
from bot.domain.message import Capabilities, Delivery, Nonce, NotPosted, Post, Receipt
from bot.domain.session import DEFAULT_ACCOUNT, AccountName, ChannelName, MessageId, Peer, ReturnAddress
from bot.errors import StoreError
from bot.ports import Acceptance, Check, Inbox, NodeRefusal, Store, Tx

NODE = NodeFingerprint("AAAA-BBBB")
OTHER_NODE = NodeFingerprint("CCCC-DDDD")
CHANNEL = ChannelName("discord")
Hook = Callable[[], Awaitable[object]]
R = TypeVar("R")


def inspected(node: NodeFingerprint, request: Request, limits: Limits) -> Command:
    """What a node makes of a request that it understands."""
    return Command(
        node=node,
        argv=request.argv,
        script=request.script,
        executable=f"/usr/bin/{request.argv[0]}",
        cwd="/srv",
        cwd_id="64:2049",
        user="homing",
        env=(("PATH", "/usr/bin"),),
        limits=limits,
        files=(FileDigest(path=f"/usr/bin/{request.argv[0]}", sha256="0" * 64),),
    )


@dataclass
class RecordingHub:
    """A `NodeHub`. `*_answers` are used up one a call; where none is left, the node does as it is told."""

    nodes: list[NodeFingerprint] = field(default_factory=lambda: [NODE])
    inspect_answers: deque[Command | NodeRefusal | Exception] = field(default_factory=deque)
    offer_answers: deque[Acceptance | NodeRefusal | Exception] = field(default_factory=deque)
    go_faults: deque[Exception] = field(default_factory=deque)
    stop_faults: deque[Exception] = field(default_factory=deque)
    during_inspect: Hook | None = None
    during_offer: Hook | None = None
    before_go: Hook | None = None
    inspections: list[ExecutionId] = field(default_factory=list)
    offers: list[tuple[NodeFingerprint, ExecutionId, CommandHash]] = field(default_factory=list)
    gone: list[tuple[NodeFingerprint, ExecutionId, str]] = field(default_factory=list)
    stops: list[tuple[NodeFingerprint, ExecutionId]] = field(default_factory=list)

    def connected(self) -> Collection[NodeFingerprint]:
        return list(self.nodes)

    async def inspect(
        self, node: NodeFingerprint, execution_id: ExecutionId, request: Request, limits: Limits
    ) -> Command | NodeRefusal:
        self.inspections.append(execution_id)
        if self.during_inspect is not None:
            await self.during_inspect()
        answer = self.inspect_answers.popleft() if self.inspect_answers else inspected(node, request, limits)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def offer(
        self, node: NodeFingerprint, execution_id: ExecutionId, command: Command, command_hash: CommandHash
    ) -> Acceptance | NodeRefusal:
        assert command.node == node
        self.offers.append((node, execution_id, command_hash))
        if self.during_offer is not None:
            await self.during_offer()
        answer = self.offer_answers.popleft() if self.offer_answers else Acceptance(token=f"t{len(self.offers)}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def go(self, node: NodeFingerprint, execution_id: ExecutionId, acceptance: Acceptance) -> None:
        if self.before_go is not None:
            await self.before_go()
        self.gone.append((node, execution_id, acceptance.token))
        if self.go_faults:
            raise self.go_faults.popleft()

    async def stop(self, node: NodeFingerprint, execution_id: ExecutionId) -> None:
        self.stops.append((node, execution_id))
        if self.stop_faults:
            raise self.stop_faults.popleft()


@dataclass(frozen=True, kw_only=True)
class Sent:
    address: ReturnAddress
    post: Post
    nonce: Nonce


@dataclass
class RecordingChannel:
    """A `Channel`. Answers are used up one a call; where none is left, the network takes what it is given."""

    name: ChannelName = CHANNEL
    account: AccountName = DEFAULT_ACCOUNT
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(text_chars=4_000, code_chars=3_000, edit_interval_s=1.0, batch_members=8)
    )
    send_answers: deque[Receipt | Exception] = field(default_factory=deque)
    edit_faults: deque[Exception] = field(default_factory=deque)
    find_answers: deque[Receipt | NotPosted | Exception] = field(default_factory=deque)
    during_send: Hook | None = None
    during_edit: Hook | None = None
    during_find: Hook | None = None
    sent: list[Sent] = field(default_factory=list)
    edits: list[tuple[MessageId, Post]] = field(default_factory=list)
    asked: list[Nonce] = field(default_factory=list)
    delivery_answers: deque[Delivery | Exception] = field(default_factory=deque)
    asked_after: list[tuple[Peer, MessageId]] = field(default_factory=list)

    async def start(self, inbox: Inbox) -> None:
        """Tests call the inbox themselves."""

    async def close(self) -> None:
        """Nothing was opened."""

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        self.asked_after.append((peer, message_id))
        answer = self.delivery_answers.popleft() if self.delivery_answers else Delivery.PENDING
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def check(self) -> Sequence[Check]:
        return ()

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        self.sent.append(Sent(address=address, post=post, nonce=nonce))
        number = len(self.sent)
        if self.during_send is not None:
            await self.during_send()
        answer = self.send_answers.popleft() if self.send_answers else Receipt(message_id=MessageId(f"posted-{number}"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        assert peer.channel == self.name
        self.edits.append((message_id, post))
        if self.during_edit is not None:
            await self.during_edit()
        if self.edit_faults:
            raise self.edit_faults.popleft()

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        assert address.peer.channel == self.name
        self.asked.append(nonce)
        if self.during_find is not None:
            await self.during_find()
        answer = self.find_answers.popleft() if self.find_answers else NotPosted.SURELY
        if isinstance(answer, Exception):
            raise answer
        return answer


async def nothing() -> None:
    """A hook for a moment at which nothing happens."""


async def the_store_is_away() -> None:
    """A hook: the database cannot be asked, or its answer was lost."""
    raise StoreError("the database is away")


@dataclass
class WatchedStore:
    """The real store; a test may act just before and after its next calls: the gaps between transactions."""

    inner: Store
    before_write: deque[Hook] = field(default_factory=deque)
    after_write: deque[Hook] = field(default_factory=deque)
    before_read: deque[Hook] = field(default_factory=deque)
    after_read: deque[Hook] = field(default_factory=deque)
    writes: int = 0
    reads: int = 0

    async def write(self, fn: Callable[[Tx], R]) -> R:
        self.writes += 1
        if self.before_write:
            await self.before_write.popleft()()
        value = await self.inner.write(fn)
        if self.after_write:
            await self.after_write.popleft()()
        return value

    async def read(self, fn: Callable[[Tx], R]) -> R:
        self.reads += 1
        if self.before_read:
            await self.before_read.popleft()()
        value = await self.inner.read(fn)
        if self.after_read:
            await self.after_read.popleft()()
        return value
