"""The frames of a node's connection, version 2: frozen values and their bounds.

Deliberately absent: their form as text (see `codec`) and the order in which they may come (see `protocol`).
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.command import Command, CommandHash, Limits, Request
from bot.domain.execution import ExecutionId, ExecutionResult
from bot.domain.node import Known, Pairing

VERSION = 2
"""1 bound no user and no inode of the work directory; nothing of it was ever released."""
MAX_FRAME_BYTES = 4 * 1_048_576
"""The largest report is twice the 1 MiB of output that a node keeps at most (JSON doubles quotes and line ends)."""
MAX_OUTPUT_BYTES = 1_048_576
MAX_ASKED = 1_000
"""Executions in one `ask` or `answers`; the gateway asks about no more in one connection."""
MAX_TEXT_CHARS = 2_000
"""Of a reason, a detail or a live tail: they stand in one message of a chat."""
KEY_BYTES = 32
SIGNATURE_BYTES = 64
"""Ed25519: https://www.rfc-editor.org/rfc/rfc8032#section-5.1"""
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""A node's name is typed in chats."""

STARTED, FINISHED, REFUSED, NOT_KNOWN = "started", "finished", "refused", "not_known"
REPORTS = (STARTED, FINISHED, REFUSED, NOT_KNOWN)
"""The kinds of report that are repeated until they are acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    versions: tuple[int, ...]
    public_key: bytes
    nonce: bytes
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    version: int
    public_key: bytes
    nonce: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    pairing: Pairing


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    number: int
    execution: ExecutionId
    request: Request
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    number: int
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    number: int
    execution: ExecutionId
    command: Command
    hash: CommandHash


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    number: int
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The answer to an `inspect` or `offer` that the node will not do."""

    number: int
    reason: str
    already_started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """The node has no place free now: nothing was journalled, the offer may be repeated."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    execution: ExecutionId
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    execution: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What became of these? The flag says whether the gateway ever committed a hand-over."""

    executions: tuple[tuple[ExecutionId, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    answers: tuple[tuple[ExecutionId, Known], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    execution: ExecutionId
    started_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    execution: ExecutionId
    live_tail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    execution: ExecutionId
    result: ExecutionResult
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    execution: ExecutionId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKnown:
    execution: ExecutionId
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The gateway has committed this report; the node may forget it."""

    execution: ExecutionId
    report: str


Report = Started | Progress | Finished | Refused | NotKnown
Frame = (
    Hello
    | Challenge
    | Proof
    | Welcome
    | Inspect
    | Inspected
    | Offer
    | Accepted
    | Declined
    | Busy
    | Go
    | Stop
    | Ask
    | Answers
    | Report
    | Ack
)
