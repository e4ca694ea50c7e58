"""An execution, its states and the table of its transitions, and how it ended.

Rule 1: every change of an execution's state is a lookup in TRANSITIONS; the store's SQL guard and
the diagram in the docs come from it. Rule 2: nothing leads back to `approved`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from bot.domain.command import Command, CommandHash, NodeFingerprint, Request
from bot.domain.session import PersonId, ReturnAddress, SessionKey
from bot.errors import IllegalTransition

ExecutionId = NewType("ExecutionId", str)
"""Six characters of ID_ALPHABET: short, said aloud without doubt, unique for ever, never prefix-matched."""

ID_ALPHABET = "2345679ACFHKMQRWXY"
"""No 0/O, 1/I/L, 8/B, 5/S or Z/2 pairs, and of the letters that rhyme (B C D E G P T V) only one."""
ID_CHARS = 6
"""18^6 = 34 million ids: at 1,000 executions a day, the first collision (which is drawn again) is years away."""


class ExecutionState(StrEnum):
    """Each state says who moves it on."""

    PREPARING = "preparing"  # the node's inspection; sweep
    AWAITING_APPROVAL = "awaiting_approval"  # people; sweep
    APPROVED = "approved"  # dispatch, where the node is connected; sweep
    DISPATCHED = "dispatched"  # the node; sweep
    RUNNING = "running"  # the node; sweep
    LOST = "lost"  # not known whether it ran; a late report is still told
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    FINISHED = "finished"


class Trigger(StrEnum):
    ASK = "ask"  # the node has inspected it, people are to decide
    ALLOW = "allow"  # the node has inspected it, a rule allows it
    APPROVE = "approve"
    DENY = "deny"
    EXPIRE = "expire"
    CANCEL = "cancel"
    WITHDRAW = "withdraw"  # votes or policy no longer hold at the hand-over
    REFUSE = "refuse"  # policy or the node will not; nothing ran
    DISPATCH = "dispatch"
    START = "start"
    FINISH = "finish"
    LOSE = "lose"


S, T = ExecutionState, Trigger

TRANSITIONS: Mapping[ExecutionState, Mapping[Trigger, ExecutionState]] = MappingProxyType(
    {
        S.PREPARING: {
            T.ASK: S.AWAITING_APPROVAL,
            T.ALLOW: S.APPROVED,
            T.REFUSE: S.REFUSED,
            T.EXPIRE: S.EXPIRED,
            T.CANCEL: S.CANCELLED,
        },
        S.AWAITING_APPROVAL: {
            T.APPROVE: S.APPROVED,
            T.DENY: S.DENIED,
            T.EXPIRE: S.EXPIRED,
            T.CANCEL: S.CANCELLED,
        },
        S.APPROVED: {
            T.DISPATCH: S.DISPATCHED,
            T.REFUSE: S.REFUSED,
            T.WITHDRAW: S.CANCELLED,
            T.EXPIRE: S.EXPIRED,
            T.CANCEL: S.CANCELLED,
        },
        S.DISPATCHED: {T.START: S.RUNNING, T.FINISH: S.FINISHED, T.REFUSE: S.REFUSED, T.LOSE: S.LOST},
        S.RUNNING: {T.FINISH: S.FINISHED, T.LOSE: S.LOST},
        S.LOST: {T.START: S.RUNNING, T.FINISH: S.FINISHED, T.REFUSE: S.REFUSED},
        S.DENIED: {},
        S.EXPIRED: {},
        S.CANCELLED: {},
        S.REFUSED: {},
        S.FINISHED: {},
    }
)

FINAL = frozenset(state for state, ways in TRANSITIONS.items() if not ways)
HANDED_OVER = frozenset({S.DISPATCHED, S.RUNNING, S.LOST})
"""The node may have it: only the node's word, or its silence, moves it on."""
UNDECIDED = frozenset({S.PREPARING, S.AWAITING_APPROVAL})
WAITING = UNDECIDED | {S.APPROVED}
"""Not yet handed over: expiry, cancel and a stop end it without asking the node."""


def next_state(state: ExecutionState, trigger: Trigger) -> ExecutionState:
    """The one lookup. Raises `IllegalTransition` and changes nothing where the table holds no way."""
    try:
        return TRANSITIONS[state][trigger]
    except KeyError:
        raise IllegalTransition("execution", state, trigger) from None


class Ending(StrEnum):
    """How the process ended. There is no null: an unknown ending is the state `lost`, not an ending."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"


class Stream(StrEnum):
    OUT = "out"
    ERR = "err"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A stretch of output of one stream, decoded, without control sequences."""

    stream: Stream
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command wrote, in order: the head, then the number of bytes left out, then the tail."""

    head: tuple[Chunk, ...] = ()
    omitted_bytes: int = 0
    tail: tuple[Chunk, ...] = ()

    def text(self) -> str:
        """All that was kept, with the cut said where it was made."""
        head = "".join(chunk.text for chunk in self.head)
        tail = "".join(chunk.text for chunk in self.tail)
        if not self.omitted_bytes:
            return head + tail
        return f"{head}\n[{self.omitted_bytes} bytes omitted]\n{tail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """The end of a process, as its node saw it. Exactly one of `exit_code`, `signal` is set."""

    ending: Ending
    exit_code: int | None
    signal: str | None
    """The signal's name, `SIGKILL` for example."""
    duration_s: float
    output: Output

    @property
    def succeeded(self) -> bool:
        return self.ending is Ending.EXITED and self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One command from request to finish: one row, one state column."""

    id: ExecutionId
    state: ExecutionState
    session: SessionKey
    origin: ReturnAddress
    asker: PersonId
    asker_native: str
    """The asker's id as the channel knows it, for the mention."""
    asker_name: str
    request: Request
    node: NodeFingerprint
    node_name: str
    """For people. Everything binds to `node`."""
    created_at: float
    """Seconds since the epoch, as all times here."""
    expires_at: float
    """After this nobody can decide it and nothing hands it over."""
    rule: str
    """The rule of the policy that gave the verdict, for people."""
    deciders: tuple[PersonId, ...] = ()
    """Who was asked. Counted again, under the policy of that moment, at the hand-over."""
    command: Command | None = None
    """Set by the node's inspection, never changed after."""
    command_hash: CommandHash | None = None
    reason: str | None = None
    """Why it ended as it did, for people: a denial's reason, what the node refused, who stopped it."""
    decided_by: PersonId | None = None
    decided_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    stop_wanted_by: PersonId | None = None
    """Sent to the node until it answers."""
    live_tail: str = ""
    """The last lines while it runs. Bounded by the node."""
    result: ExecutionResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an execution's life, as `why` tells it."""

    at: float
    what: str
    """The trigger, or `requested`, `vote`, `told`, `stop`."""
    by: str | None
    detail: str | None
