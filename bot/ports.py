"""All that the core asks of the world, as Protocols. Implementations live in `channels`, `store`, `node`, `agent`.

Everything under `Tx` is synchronous and runs inside one transaction; `await store.write(fn)` returns
after the commit. A cancelled caller may not assume a rollback: every write carries its own identity
or guard, so that a repeat changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bot.domain.audit import Fields, Head, Line
from bot.domain.batch import BatchId
from bot.domain.command import Command, CommandHash, Limits, NodeFingerprint, Request
from bot.domain.event import (
    AddressId,
    Card,
    ClaimToken,
    Event,
    EventId,
    EventState,
    EventTrigger,
    Input,
    InputId,
    NewEvent,
    NewInput,
)
from bot.domain.execution import Execution, ExecutionId, ExecutionResult, ExecutionState, Step, Trigger
from bot.domain.factor import Checked, Factor
from bot.domain.gate import PersonPairing
from bot.domain.glass import Glass, GlassId, GlassState, GlassTrigger
from bot.domain.grant import Grant, GrantId
from bot.domain.memory import Remembered
from bot.domain.message import (
    Answer,
    Attachment,
    ButtonPress,
    Capabilities,
    Delivery,
    DeliveryReport,
    InboundMessage,
    Nonce,
    NotPosted,
    Post,
    Reaction,
    Receipt,
    Sender,
    Standing,
    Suggest,
    Suggestion,
)
from bot.domain.node import Known, Node, Pairing
from bot.domain.policy import Policy
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    MessageId,
    Peer,
    PersonId,
    ReturnAddress,
    SessionKey,
)
from bot.domain.spending import Spending, Spent

R = TypeVar("R")


class Clock(Protocol):
    """Time and waiting, so that tests hold both."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Channel(Protocol):
    """One account on one chat network. Knows no store, no node, no other channel."""

    @property
    def name(self) -> ChannelName: ...
    @property
    def account(self) -> AccountName: ...
    @property
    def capabilities(self) -> Capabilities: ...

    async def start(self, inbox: Inbox) -> None:
        """Begin to listen; every delivery goes to `inbox`, and is acknowledged after it returned."""
        ...

    async def close(self) -> None: ...

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        """Post at exactly this address. Raises a `ChannelError`, whose class is the remedy."""
        ...

    async def edit(self, peer: Peer, message_id: MessageId, post: Post) -> None:
        """Replace what a message shows. Safe to repeat. Raises a `ChannelError`."""
        ...

    async def find(self, address: ReturnAddress, nonce: Nonce) -> Receipt | NotPosted:
        """What became of a send whose answer was lost. Raises `ChannelUnavailable` if it cannot be asked now."""
        ...

    async def delivery(self, peer: Peer, message_id: MessageId) -> Delivery:
        """What the network says now of a message whose receipt was not confirmed. Raises a `ChannelError`."""
        ...

    async def check(self) -> Sequence[Check]:
        """Ask the network whether this account is set up rightly: `homing doctor`. Posts nothing, listens to nothing.

        Never raises: a network that cannot be reached is a fault that is found. May be called without `start`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at, for an operator."""

    is_ok: bool
    said: str
    remedy: str = ""


class Inbox(Protocol):
    """The core's side of a channel: recorded when the call returns, at most one effect for a delivery.

    All calls raise `StoreError` where nothing could be recorded or read: then nothing may be acknowledged.
    """

    async def message(self, message: InboundMessage) -> Answer: ...
    async def press(self, press: ButtonPress) -> Answer: ...
    async def reaction(self, reaction: Reaction) -> Answer: ...

    async def delivered(self, report: DeliveryReport) -> None:
        """The network's later word on a message that was sent with an unconfirmed receipt."""
        ...

    async def read_from(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        """The newest recorded message of each conversation of the catch-up horizon: where to read on after a gap."""
        ...

    async def open_cards(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        """Cards that wait for a decision: their reactions are read again after a gap."""
        ...

    async def suggest(
        self, peer: Peer, sender: Sender, what: Suggest, typed: str, space: str | None = None
    ) -> Sequence[Suggestion]:
        """At most 25 completions, for whom the gate admits there; empty for everybody else.

        `space` is the guild or workspace, as of an `InboundMessage`: it may be all that allows the room.
        """
        ...

    async def awaiting(self, channel: ChannelName, sender: Sender) -> Sequence[Post]:
        """The open cards that this person may decide, oldest first, at most 20, without any output."""
        ...

    async def output(self, execution_id: str) -> Attachment | None:
        """All output that was kept, for a link that this channel signed before; None where it is gone."""
        ...


class Wakes(Protocol):
    """ "Look now". Carries nothing; losing it costs one poll interval."""

    def wake(self) -> None: ...


@dataclass(slots=True)
class Policies:
    """The policy of the moment, which a reload replaces whole: every decision and hand-over goes by `now`."""

    now: Policy


# --- nodes -----------------------------------------------------------------------------------------


class NodeHub(Protocol):
    """Our end of the nodes' connections. All calls raise `NodeAbsent` or `NodeSilent`."""

    def connected(self) -> Collection[NodeFingerprint]: ...

    async def inspect(
        self, node: NodeFingerprint, execution_id: ExecutionId, request: Request, limits: Limits
    ) -> Command | NodeRefusal:
        """What would really run, as the node sees it. Bounded at 10 s."""
        ...

    async def offer(
        self, node: NodeFingerprint, execution_id: ExecutionId, command: Command, command_hash: CommandHash
    ) -> Acceptance | NodeRefusal:
        """May repeat. The node has journalled the id, and checked hash and policy, when it accepts."""
        ...

    async def go(self, node: NodeFingerprint, execution_id: ExecutionId, acceptance: Acceptance) -> None:
        """Sent once, after the commit of `dispatched`. Good for 10 s from the acceptance, by the node's clock."""
        ...

    async def stop(self, node: NodeFingerprint, execution_id: ExecutionId) -> None:
        """May repeat. A stop before the start is a tombstone: it never starts."""
        ...


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The node's word for one offer; `go` quotes it, so that a late `go` fits no later offer."""

    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRefusal:
    """The node will not. Nothing ran because of this offer."""

    reason: str
    already_started: bool = False
    """The journal says that this execution was started before, by an earlier hand-over."""


class Reports(Protocol):
    """Where the hub brings what nodes say. A call returns after its commit; only then is the node answered.

    Each returns whether the node may forget the report: False only where the store could not take it.
    """

    async def started(self, node: NodeFingerprint, execution_id: ExecutionId, started_at: float) -> None: ...

    async def progress(self, node: NodeFingerprint, execution_id: ExecutionId, live_tail: str) -> None:
        """The last lines of output so far; latest only, at most once a second."""
        ...

    async def finished(
        self,
        node: NodeFingerprint,
        execution_id: ExecutionId,
        result: ExecutionResult,
        started_at: float,
        ended_at: float,
    ) -> None: ...

    async def refused(self, node: NodeFingerprint, execution_id: ExecutionId, reason: str) -> None:
        """After a hand-over: the node never started it and never will."""
        ...

    async def not_known(self, node: NodeFingerprint, execution_id: ExecutionId, detail: str) -> None:
        """The node started it and died: whether it ended, and how, nobody knows."""
        ...

    async def open_executions(self, node: NodeFingerprint) -> Sequence[tuple[ExecutionId, bool]]:
        """What a node that (re)connects is asked about: approved, dispatched, running and lost ones."""
        ...

    async def known(self, node: NodeFingerprint, execution_id: ExecutionId, known: Known) -> None:
        """The node's answer to that question."""
        ...

    async def hello(self, fingerprint: NodeFingerprint, public_key: bytes, name: str) -> Node:
        """Record a node that proved its key; a new one is `pending`."""
        ...

    async def pairing_of(self, fingerprint: NodeFingerprint) -> Node | None: ...

    async def pairings(self) -> Mapping[NodeFingerprint, Pairing]:
        """Of all nodes there are."""
        ...

    async def seen(self, nodes: Collection[NodeFingerprint]) -> None:
        """Their connections are alive, or have just ended."""
        ...


# --- the agent -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A command that the agent asks for, in answer to one input."""

    input_id: InputId
    request: Request
    node_name: str | None
    instead_of: ExecutionId | None = None
    """What it replaces, if whoever asks may decide that."""
    worded_by: AgentName | None = None
    """The model whose words the command is; None where a person wrote it, or the config."""
    read_untrusted: bool = False
    """Whether that model had read what anybody may have written: then only a person's yes lets it run."""
    unprompted_limit: int | None = None
    """Where no person spoke in this turn: how many commands in all may be asked for here until one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Words in answer to one input."""

    input_id: InputId
    text: str
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeOutput:
    """`output <id>`, already found to be asked for at its return address's conversation."""

    input_id: InputId
    execution_id: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class StopIt:
    """The agent wants an execution of this conversation ended. Whom the input is of must be one who may stop it."""

    input_id: InputId
    execution_id: ExecutionId
    is_prompted: bool
    """Without a person's word in the turn an agent stops only what it has asked for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """This input is not answered now: it is due again after `wait_s`, and counts as tried."""

    input_id: InputId
    wait_s: float
    is_untried: bool = False
    """Its turn never came to it: so it does not count as tried after all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learn:
    """What the agent remembers of this turn, in the place of the input; and what the turn took."""

    input_id: InputId
    turn: Remembered | None
    """None where nothing is to be remembered."""
    spending: Spending | None
    is_prompted: bool
    """Whether it begins with somebody's wish: what is asked for unprompted is counted anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """`new`: the place of the input has no past from here on."""

    input_id: InputId


TurnStep = Ask | Reply | WholeOutput | StopIt | Later | Learn | Forget
"""Written in their order, all in one transaction."""


class Agent(Protocol):
    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        """One turn. May be repeated after a crash: it changes nothing in the world by itself."""
        ...


# --- the store -------------------------------------------------------------------------------------


class Store(Protocol):
    """SQLite or PostgreSQL, behind one contract suite."""

    async def write(self, fn: Callable[[Tx], R]) -> R:
        """Run `fn` in one durable transaction; returns after the commit. After a rollback `fn` may run again."""
        ...

    async def read(self, fn: Callable[[Tx], R]) -> R:
        """Run `fn` on a snapshot; writes in it are refused."""
        ...


class Tx(Protocol):
    """One transaction. `now` is the database's clock on PostgreSQL, the gateway's on SQLite."""

    @property
    def now(self) -> float: ...
    @property
    def executions(self) -> Executions: ...
    @property
    def events(self) -> Events: ...
    @property
    def inputs(self) -> Inputs: ...
    @property
    def cards(self) -> Cards: ...
    @property
    def nodes(self) -> Nodes: ...
    @property
    def switches(self) -> Switches: ...
    @property
    def pairings(self) -> Pairings: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def glasses(self) -> Glasses: ...
    @property
    def factors(self) -> Factors: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def memories(self) -> Memories: ...
    @property
    def ticks(self) -> Ticks: ...


class Executions(Protocol):
    def insert(self, execution: Execution) -> bool:
        """False if the id is taken, now or in the tombstones: draw another."""
        ...

    def get(self, execution_id: ExecutionId) -> Execution | None: ...

    def lock(self, execution_id: ExecutionId) -> Execution | None:
        """Read it for a change: whoever decides, expires, stops or dispatches locks first."""
        ...

    def lock_all(self, execution_ids: Collection[ExecutionId]) -> Sequence[Execution]:
        """Those of these that there are, locked in the one order of ids: two that want several never wait in a circle.

        Whoever changes several locks all of them before it changes, or tells of, the first.
        """
        ...

    def of_batch(self, batch: BatchId, *, card: int | None = None) -> Sequence[Execution]:
        """In the order of asking; with `card` those that stand on that one."""
        ...

    def unshown_batches(self, *, limit: int = 20) -> Sequence[BatchId]:
        """Of which something waits or runs that no card shows, while nothing of them is being prepared any more."""
        ...

    def count_waiting(self, session: SessionKey) -> int: ...

    def move(
        self, execution: Execution, trigger: Trigger, *, by: str | None = None, detail: str | None = None
    ) -> Execution:
        """The one way to change a state. Guarded by the state that `execution` was read in.

        Writes every other column of `execution` as well, as `amend` does, and a step with `by` and `detail`
        beside it; bumps the wanted revision of the cards. Time columns are the caller's to set.
        Raises `IllegalTransition`; raises `StaleRow` if the row has moved meanwhile. Returns the row as it now is.
        """
        ...

    def amend(self, execution: Execution) -> None:
        """Write every column of `execution` but its id and state, guarded by that state. Raises `StaleRow`.

        Bumps the wanted revision of its cards.
        """
        ...

    def step(
        self, execution_id: ExecutionId, what: str, *, by: str | None = None, detail: str | None = None
    ) -> None: ...
    def steps(self, execution_id: ExecutionId) -> Sequence[Step]: ...

    def vote(
        self, execution_id: ExecutionId, person: PersonId, *, approves: bool, reason: str, with_factor: bool = False
    ) -> bool:
        """One row a person and execution, the first is final: False if this person has voted.

        `with_factor` says that a code of their own device was checked with it. A yes without one becomes one with it.
        """
        ...

    def approvers(self, execution_id: ExecutionId, *, with_factor: bool = False) -> Sequence[PersonId]:
        """Who said yes; `with_factor`: of those whose device was asked as well."""
        ...

    def in_states(
        self,
        states: Collection[ExecutionState],
        *,
        nodes: Collection[NodeFingerprint] | None = None,
        session: SessionKey | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[Execution]:
        """Oldest first unless asked otherwise. `nodes` or `session` narrow it."""
        ...

    def escalating(self, *, limit: int = 100) -> Sequence[Execution]:
        """Those whose `escalates_at` has passed."""
        ...

    def under(self, glass_id: GlassId, *, limit: int = 100) -> Sequence[Execution]:
        """Those that were approved under this break-glass, oldest first."""
        ...

    def expired(self, *, limit: int = 100) -> Sequence[Execution]:
        """Waiting ones whose `expires_at` has passed."""
        ...

    def stop_wanted(self, nodes: Collection[NodeFingerprint], *, limit: int = 100) -> Sequence[Execution]:
        """Handed over, to be stopped, on one of these nodes."""
        ...

    def prune(self, *, ended_before: float, limit: int = 500) -> int:
        """Delete final ones whose every event is told; leaves tombstones (id, address, final state)."""
        ...


class Events(Protocol):
    def add(self, event: NewEvent) -> bool:
        """False if one with this identity was ever added. The sequence is drawn under the address row's lock."""
        ...

    def add_sending(self, event: NewEvent, *, token: ClaimToken, nonce: Nonce, lease_s: float) -> Event | None:
        """`add`, and in the same row the claim and the begun send of its first part, if nothing of its address is in
        the way. None where it is due like any other, or was ever added."""
        ...

    def get(self, event_id: EventId) -> Event | None: ...

    def is_owed(self, address_id: AddressId) -> bool:
        """Whether anything waits to be told there, or is on its way."""
        ...

    def claim(
        self,
        *,
        token: ClaimToken,
        lease_s: float,
        limit: int,
        channels: Collection[tuple[ChannelName, AccountName]],
        states: Collection[EventState],
    ) -> Sequence[Event]:
        """At most one an address: the lowest sequence that blocks it, if that is in `states`, due by now, and free.

        `due` ones become `claimed`; `reconciling` ones keep their state. All get the token and the lease.
        `claimed` and `sending` rows with a lease that is over are the sweep's.
        """
        ...

    def begin_send(self, event: Event, *, token: ClaimToken, nonce: Nonce, part: int, lease_s: float) -> Event | None:
        """claimed -> sending, or the next part of a sending one; the nonce is durable before the bytes leave.

        From `claimed` it counts an attempt. Returns the event as it now is; None if the claim was lost.
        """
        ...

    def receipt(self, event: Event, *, token: ClaimToken, part: int, nonce: Nonce, receipt: Receipt) -> bool:
        """Keep a part's receipt. Unique by (event, part). False if the claim was lost."""
        ...

    def receipts(self, event_id: EventId) -> Sequence[tuple[int, Nonce, MessageId]]: ...

    def move(
        self,
        event: Event,
        trigger: EventTrigger,
        *,
        token: ClaimToken | None,
        not_before: float | None = None,
        maybe_repeat: bool | None = None,
        trouble: str | None = None,
    ) -> bool:
        """The one way to change an event's state after its claim; guarded by state, and by token unless that is None.

        Leaving `claimed`, `sending` or `reconciling` for `due`, `told`, `held` or `dead` drops the claim;
        for `reconciling` it is dropped too, so that it can be claimed for reconciling.
        False if it had moved or the claim was lost. Raises `IllegalTransition`.
        """
        ...

    def renew(self, event: Event, *, token: ClaimToken, lease_s: float) -> bool: ...

    def lapsed(self, *, limit: int = 100) -> Sequence[Event]:
        """`claimed` and `sending` (and claimed `reconciling`) events whose lease is over."""
        ...

    def take_over(self) -> int:
        """At the start of the one gateway of a SQLite file: every lease of an earlier boot is over now."""
        ...

    def listing(self, *, states: Collection[EventState], limit: int = 100) -> Sequence[Event]: ...
    def of_execution(self, execution_id: ExecutionId) -> Sequence[Event]: ...

    def unheard(self, beginning: str) -> Sequence[Event]:
        """Dead and held ones whose identity begins so."""
        ...

    def of_message(self, channel: ChannelName, account: AccountName, message_id: MessageId) -> tuple[Event, int] | None:
        """The event and the part whose receipt this is."""
        ...

    def unconfirmed(self, event_id: EventId) -> Sequence[tuple[int, MessageId]]:
        """Parts that the network took and has not confirmed."""
        ...

    def confirm_part(self, event_id: EventId, part: int) -> None: ...

    def drop_receipt(self, event_id: EventId, part: int) -> None:
        """This part was not delivered after all: it is sent again when the event is due again."""
        ...

    def held_in(self, peer: Peer, *, limit: int = 100) -> Sequence[Event]:
        """Held events of this conversation and all its threads."""
        ...

    def prune(self, *, told_before: float, limit: int = 500) -> int: ...


class Inputs(Protocol):
    def add(self, new: NewInput) -> InputId | None:
        """None if this delivery was taken before. Remembers the session and its newest return address."""
        ...

    def read_from(
        self, channel: ChannelName, account: AccountName, *, since: float, overlap_s: float
    ) -> Sequence[Standing]:
        """A message of each conversation that is `overlap_s` older than its newest recorded one, else its oldest.

        Deliveries are recorded side by side, so one that is older than the newest may have been missed.
        """
        ...

    def has_waiting(self, session: SessionKey) -> bool:
        """Whether anything waits for a turn of this session, or is in one."""
        ...

    def newest_address(self, session: SessionKey) -> ReturnAddress | None:
        """Where the newest message of this session came from: for schedules and hooks, once, when they enqueue."""
        ...

    def claim(self, *, token: ClaimToken, lease_s: float, limit: int) -> Sequence[Input]:
        """All due inputs, at most `limit`, of one session that has no open claim; empty where there is none."""
        ...

    def answer(self, inputs: Sequence[Input], *, token: ClaimToken) -> bool:
        """False if the claim was lost: then nothing of the turn may be written (raise to roll back)."""
        ...

    def release(
        self, inputs: Sequence[Input], *, token: ClaimToken, not_before: float, is_untried: bool = False
    ) -> bool:
        """They are due again. `is_untried`: and have been tried once less than the claim has it."""
        ...

    def reword(self, input_id: InputId, text: str) -> None:
        """Keep `text` from now on instead of what was written: it held a secret."""
        ...

    def release_lapsed(self) -> int:
        """Claims whose lease is over become due again."""
        ...

    def take_over(self) -> int:
        """As for events: every claim of an earlier boot is released."""
        ...

    def keep_early(self, press: ButtonPress | Reaction, *, until: float) -> None:
        """A press or reaction on a message whose receipt is not committed yet."""
        ...

    def take_early(self) -> Sequence[ButtonPress | Reaction]:
        """Those whose message has a receipt now; they are handed out once. Overdue ones are dropped."""
        ...

    def prune(self, *, answered_before: float, limit: int = 500) -> int: ...


class Cards(Protocol):
    def add(
        self,
        execution_id: ExecutionId,
        address_id: AddressId,
        address: ReturnAddress,
        message_id: MessageId,
        *,
        shown_revision: int,
        batch: BatchId | None = None,
        batch_card: int | None = None,
    ) -> None:
        """A copy was posted, rendered from this revision of the execution; it wants the newest.

        With `batch` it shows all that stand on that card of it, from the sum of their revisions.
        """
        ...

    def lagging(self, *, limit: int, channels: Collection[tuple[ChannelName, AccountName]]) -> Sequence[Card]:
        """shown < wanted, due by now, and no event that blocks its address."""
        ...

    def shown(self, card: Card, *, revision: int, not_before: float, final: bool) -> None:
        """Never backwards. After a final one the card is never edited again."""
        ...

    def postpone(self, card: Card, *, not_before: float, give_up: bool) -> None: ...
    def at(self, peer: Peer, message_id: MessageId) -> Card | None: ...

    def open_at(self, channel: ChannelName, account: AccountName, *, limit: int = 500) -> Sequence[Standing]:
        """The newest cards of this account that wait for a decision."""
        ...


class Nodes(Protocol):
    def hello(self, fingerprint: NodeFingerprint, public_key: bytes, name: str) -> Node:
        """Insert as `pending`, or update `last_seen_at` and return what is known. A taken name gets a suffix."""
        ...

    def get(self, fingerprint: NodeFingerprint) -> Node | None: ...
    def by_name(self, name: str) -> Node | None:
        """The paired one of this name."""
        ...

    def pair(self, fingerprint: NodeFingerprint, *, name: str | None = None, by: str | None = None) -> Node | None: ...
    def revoke(self, fingerprint: NodeFingerprint, *, by: str | None = None) -> Node | None: ...
    def seen(self, fingerprint: NodeFingerprint) -> None: ...
    def pairings(self) -> Mapping[NodeFingerprint, Pairing]: ...
    def listing(self) -> Sequence[Node]: ...


class Pairings(Protocol):
    """People whom an account let in by a code, and those who wait for that."""

    def get(self, channel: ChannelName, account: AccountName, native: str) -> PersonPairing | None:
        """Paired, or waiting with a code that still holds; None for whom the account does not know (any more)."""
        ...

    def is_full(self, channel: ChannelName, account: AccountName) -> bool:
        """Whether so many wait there that no further code is kept."""
        ...

    def ask(self, *, address: ReturnAddress, session: SessionKey, sender: Sender, code: str) -> bool:
        """Keep a code for an hour. False if this person has one or is paired, or if the account's list is full."""
        ...

    def approve(self, code: str, *, by: str) -> PersonPairing | None:
        """Use a code up; None if there is none such, or it is over."""
        ...

    def revoke(
        self, channel: ChannelName, account: AccountName, native: str, *, by: str | None = None
    ) -> PersonPairing | None:
        """Forget this person, paired or waiting. Returns whom it was."""
        ...

    def listing(self) -> Sequence[PersonPairing]:
        """Those who wait first, then the paired, each oldest first."""
        ...


class Grants(Protocol):
    """Standing permissions. Whoever uses one at a hand-over locks it first, so that a revocation before that wins."""

    def add(self, grant: Grant) -> bool:
        """False if the id is taken: draw another."""
        ...

    def get(self, grant_id: GrantId) -> Grant | None: ...
    def lock(self, grant_id: GrantId) -> Grant | None: ...

    def live(
        self, place: Peer, *, node: NodeFingerprint | None = None, asker: PersonId | None = None, limit: int = 1_000
    ) -> Sequence[Grant]:
        """Those of this conversation that are neither revoked nor over, newest first. `node` or `asker` narrow it."""
        ...

    def listing(self, *, with_past: bool = False, limit: int = 1_000) -> Sequence[Grant]:
        """The live ones of every conversation, newest first, or with those that are over and not yet pruned."""
        ...

    def used(self, grant: Grant, execution_id: ExecutionId) -> None:
        """It has allowed this hand-over."""
        ...

    def revoke(self, grant_id: GrantId, *, by: str, why: str = "") -> Grant | None:
        """None if it is unknown, or over already. Returns it as it now is."""
        ...

    def prune(self, *, over_before: float, limit: int = 500) -> int: ...


class Glasses(Protocol):
    """Times of break-glass. Whoever approves or hands over under one locks it first, so that an end before that wins.

    Where an execution is locked as well, it is locked before.
    """

    def add(self, glass: Glass) -> bool:
        """False if the id is taken, or if this person has an open one in this place."""
        ...

    def get(self, glass_id: GlassId) -> Glass | None: ...
    def lock(self, glass_id: GlassId) -> Glass | None: ...

    def open_of(self, person: PersonId, place: Peer) -> Glass | None:
        """The one of this person in this place that is `open`; its time may be over already."""
        ...

    def move(self, glass: Glass, trigger: GlassTrigger, *, by: str | None) -> Glass:
        """The one way to change a state, guarded by the state that `glass` was read in; writes how it ended or what was
        found as well. Raises `IllegalTransition`; raises `StaleRow` if the row has moved meanwhile.
        """
        ...

    def used(self, glass: Glass, execution_id: ExecutionId) -> None:
        """This execution was approved under it."""
        ...

    def due(self, *, limit: int = 100) -> Sequence[Glass]:
        """Open ones whose time is over, and ended ones that nobody has reviewed in time."""
        ...

    def listing(self, states: Collection[GlassState], *, limit: int = 1_000) -> Sequence[Glass]:
        """Newest first."""
        ...

    def prune(self, *, reviewed_before: float, limit: int = 500) -> int: ...


class Factors(Protocol):
    """The devices of people. Whatever changes one locks its row first: a code counts once, on every replica.

    Each change and each code that was tried leaves its line in the audit. No code and no secret comes back from here,
    but for the two that are shown once.
    """

    def get(self, person: PersonId) -> Factor | None: ...
    def listing(self) -> Sequence[Factor]: ...

    def begin(self, person: PersonId, *, by: str) -> str | None:
        """Draw a secret and give it in base32; it counts once `enrol` had a right code. None for who is enrolled."""
        ...

    def enrol(self, person: PersonId, code: str, *, by: str) -> Sequence[str] | None:
        """The recovery codes, shown once. None where nothing was begun lately, or the code is wrong."""
        ...

    def renew_codes(self, person: PersonId, *, by: str) -> Sequence[str] | None:
        """New recovery codes, shown once; the old ones are worth nothing from now on. None for who is not enrolled."""
        ...

    def check(self, person: PersonId, code: str) -> Checked:
        """Use a code up if it is right, count it if it is wrong."""
        ...

    def spend(self, person: PersonId, codes: Collection[str]) -> frozenset[str]:
        """Use up those that are right: others have read them. Counts no failure, and works while they are locked."""
        ...

    def unlock(self, person: PersonId, *, by: str) -> bool: ...
    def remove(self, person: PersonId, *, by: str) -> bool: ...


class Memories(Protocol):
    """What models remember, and what they took: by session and place, so that nothing said in one place is known in
    another, also where the scope ties several direct conversations to one session. `place` None: none at all."""

    def recall(self, session: SessionKey, place: Peer | None) -> Past: ...

    def learn(self, session: SessionKey, place: Peer | None, turn: Remembered) -> None: ...

    def forget(self, session: SessionKey, place: Peer | None) -> None:
        """From here on there is no past, and what was asked for before belongs to none."""
        ...

    def asked(self, execution_id: ExecutionId, session: SessionKey, place: Peer | None) -> None:
        """It was asked for in what is the present past."""
        ...

    def count_unprompted(self, place: Peer) -> int:
        """One more is asked for there although nobody spoke. Returns how many it are since somebody did.

        Of all sessions that are told there: nobody can write to that of a schedule or a hook.
        """
        ...

    def spoken(self, place: Peer | None) -> None:
        """A person spoke there: the count of what was asked for unprompted begins anew, there and, from within a
        thread, in the conversation that it hangs on."""
        ...

    def is_present(self, execution_id: ExecutionId, session: SessionKey, place: Peer | None) -> bool:
        """Whether it was asked for since the place last forgot."""
        ...

    def spend(self, spending: Spending) -> None: ...

    def spent(self, *, since: float, agent: AgentName | None = None, person: PersonId | None = None) -> Spent: ...

    def latest(self, *, limit: int) -> Sequence[tuple[float, Spending]]:
        """What the newest turns took, with when it was; the newest first."""
        ...

    def spendings(
        self, *, since: float, by_session: bool = False, limit: int = 100
    ) -> Sequence[tuple[AgentName, SessionKey | None, Spent]]:
        """Sums by agent, or by agent and session; the greatest first."""
        ...

    def prune(self, *, before: float, limit: int = 500) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    turns: Sequence[Remembered]
    """Oldest first."""
    unprompted: int
    """How much was asked for there since a person last spoke."""


class Ticks(Protocol):
    """When each cadence and schedule comes next, and what became of its last time."""

    def get(self, name: str) -> Tick | None: ...

    def lock(self, name: str, *, spec: str) -> Tick:
        """The row, made if need be, for a change. Where its `spec` is another than this one it begins anew."""
        ...

    def set(self, name: str, *, due_at: float, said: str, has_run: bool) -> None: ...
    def listing(self) -> Sequence[Tick]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    name: str
    """`heartbeat:main`, `schedule:nightly`."""
    spec: str
    """How often it comes, as the config had it when the next time was reckoned."""
    due_at: float | None
    """None where no time was reckoned yet."""
    ran_at: float | None
    said: str
    """`done`, or why it was skipped."""
    said_at: float


class Switches(Protocol):
    """Stored switches that transactions read."""

    def paused(self) -> Paused | None: ...
    def pause(self, *, by: str, reason: str) -> None: ...
    def resume(self, *, by: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    by: str
    reason: str
    since: float


class Audit(Protocol):
    """What was asked, decided and done, for ever: each line holds the hash of the line before it.

    Steps, moves and votes of executions, switches, and pairings of nodes and people leave their lines by themselves.
    Lines are appended when the transaction ends, so that `head` and `lines` do not show its own.
    """

    def note(self, kind: str, by: str | None, fields: Fields, *, execution: ExecutionId | None = None) -> None:
        """Leave a line about something else. `fields` hold no secret and no output; `by` and `salt` are taken."""
        ...

    def head(self) -> Head | None: ...

    def lines(self, *, after: int = 0, limit: int = 1_000) -> Sequence[Line]:
        """Those that follow line `after`, in order."""
        ...

    def of_execution(self, execution_id: ExecutionId, *, limit: int = 1_000) -> Sequence[Line]: ...

    def before(self, moment: float) -> int:
        """The number of the last line before the first that was written at `moment` or later; 0 if there is none."""
        ...

    def first_body(self) -> int | None:
        """The first line whose body can be redacted."""
        ...

    def redact(
        self, *, first: int, last: int, by: str | None, reason: str, execution: ExecutionId | None = None
    ) -> int:
        """Delete the bodies of these lines, of this execution alone if one is given, and leave a line that says so.

        Returns how many it were. Lines that say what was redacted keep their bodies.
        """
        ...

    def witnesses(self) -> Sequence[Witnessed]:
        """What each place that keeps heads was told last."""
        ...

    def told(self, witness: str, head: Head) -> None: ...
    def not_told(self, witness: str, trouble: str) -> None: ...


class Witness(Protocol):
    """A place outside the gateway that keeps heads of the audit."""

    @property
    def name(self) -> str: ...

    async def keep(self, head: Head) -> None:
        """May repeat. Raises `HomingError` where it was not taken, with the remedy."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """How it stands with one place outside the gateway that keeps heads of the audit."""

    name: str
    head: Head | None
    """The newest that it took."""
    told_at: float | None
    trouble: str | None
    """Why it could not be told since; None where it could."""
    failing_since: float | None


# --- the web chat, which is a network of its own and keeps its messages with us --------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatEntry:
    """One message of the web chat as it stands now, or the newest edit of it."""

    id: int
    """Ascending over all rooms; also the message's id as text."""
    change: int
    """Ascending over all posts and edits: a page that knows the last one it saw misses nothing."""
    kind: str
    room: str
    thread: str | None
    author: str
    """A person's native id; empty for the bot."""
    body: str
    """JSON, made and read by `channels/web/wire.py` only."""
    nonce: str
    created_at: float
    edited_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPerson:
    native: str
    name: str


class ChatLog(Protocol):
    """The durable log of the web chat. Each call is one transaction."""

    async def post(
        self, *, kind: str, room: str, thread: str | None, author: str, body: str, nonce: str
    ) -> tuple[ChatEntry, bool]:
        """Append once: a nonce that the author has used gives the entry that stands, and False."""
        ...

    async def revise(self, entry_id: int, *, body: str) -> ChatEntry | None: ...
    async def by_nonce(self, *, author: str, nonce: str) -> ChatEntry | None: ...
    async def since(self, change: int, *, limit: int = 200) -> Sequence[ChatEntry]:
        """Entries posted or edited after `change`, in the order of change."""
        ...

    async def newest(
        self, *, kind: str, room: str, thread: str | None, before_id: int | None = None, limit: int = 100
    ) -> Sequence[ChatEntry]:
        """The newest of one conversation, oldest first. `before_id` pages back."""
        ...

    async def rooms(self) -> Sequence[str]: ...
    async def open_room(self, room: str) -> None: ...

    async def invite(self, *, secret_hash: str, person: ChatPerson, expires_at: float) -> None: ...
    async def redeem(self, *, secret_hash: str, cookie_hash: str, cookie_expires_at: float) -> ChatPerson | None:
        """One-time: the invitation is used up in the same transaction that stores the cookie."""
        ...

    async def person_of(self, cookie_hash: str) -> ChatPerson | None: ...
    async def people(self) -> Sequence[ChatPerson]: ...
    async def sign_out(self, cookie_hash: str) -> None: ...
