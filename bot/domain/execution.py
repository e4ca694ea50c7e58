"""An execution, its states and the table of its transitions, and how it ended.

Rule 1: every change of an execution's state is a lookup in TRANSITIONS; the store's SQL guard and
the diagram in the docs come from it. Rule 2: nothing leads back to `approved`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from bot.domain.batch import InBatch
from bot.domain.command import Command, CommandHash, NodeFingerprint, Request
from bot.domain.session import PersonId, ReturnAddress, SessionKey
from bot.domain.terms import ONE_YES, Terms
from bot.errors import IllegalTransition, Malformed

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
    terms: Terms = ONE_YES
    """What a yes took when it was asked, for people: each decision goes by the policy of its own moment."""
    approved_by: tuple[PersonId, ...] = ()
    """Whose yes counts so far, in order, for the card. The votes themselves are rows of their own."""
    escalates_at: float | None = None
    """When further people are asked, if it still waits then."""
    is_escalated: bool = False
    masked: Request | None = None
    """The request with its secrets masked; None where it holds none."""
    grant: str | None = None
    """The standing permission that allowed it."""
    glass: str | None = None
    """The break-glass under which it was approved."""
    batch: InBatch | None = None
    worded_by: str | None = None  # the agent whose model worded it; None where a person or the config did
    read_untrusted: bool = False  # that model had read what anybody may have written: nothing allows it unasked
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
    revision: int = 0
    """Counts the changes of the row, so that a card knows which of them it shows. Written by the store only."""

    @property
    def shown(self) -> Request:
        """What people, models, logs and the audit get to see of the request."""
        return self.request if self.masked is None else self.masked


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an execution's life, as `why` tells it: a trigger, or `requested`, `vote`, `told`, `stop`."""

    at: float
    what: str
    by: str | None
    detail: str | None


def wiped(execution: Execution) -> Execution:
    """Without the secrets of its request and the values of its environment: what runs no more needs neither.

    The search path stays: it tells the programs of the system from the scripts on a card. The hash stays the true one:
    it says what was decided and run, and cannot be turned back."""
    command, shown = execution.command, execution.shown
    if command is None:
        return replace(execution, request=shown)
    return replace(
        execution,
        request=shown,
        command=replace(
            command,
            argv=shown.argv,
            script=shown.script,
            env=tuple((name, value if name == "PATH" else "") for name, value in command.env),
        ),
    )


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """`text` with what no database or network takes replaced by what can be seen: NUL by U+2400, half pairs by U+FFFD.

    PostgreSQL's text refuses NUL, and UTF-8 has no form for half a surrogate pair:
    https://www.postgresql.org/docs/current/datatype-character.html
    """
    return _UNSTORABLE.sub(lambda found: "\u2400" if found[0] == "\x00" else "\ufffd", text)


def result_to_json(result: ExecutionResult) -> dict[str, object]:
    """What the node's report and the store's row hold of an ending; all text in it is storable."""
    return {
        "ending": result.ending.value,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "duration_s": result.duration_s,
        "output": {
            "head": [[chunk.stream.value, storable(chunk.text)] for chunk in result.output.head],
            "omitted_bytes": result.output.omitted_bytes,
            "tail": [[chunk.stream.value, storable(chunk.text)] for chunk in result.output.tail],
        },
    }


def result_from_json(form: object) -> ExecutionResult:
    """The inverse of `result_to_json`. Raises `Malformed`, naming the field, for anything else."""
    fields = _fields("result", form, {"ending", "exit_code", "signal", "duration_s", "output"})
    output = _fields("output", fields["output"], {"head", "omitted_bytes", "tail"})
    omitted_bytes, duration_s = output["omitted_bytes"], fields["duration_s"]
    if type(omitted_bytes) is not int or omitted_bytes < 0:
        raise Malformed("output.omitted_bytes is not a count")
    if type(duration_s) not in (int, float) or not isinstance(duration_s, (int, float)):
        raise Malformed("result.duration_s is not a number")
    # Below 2^53: a longer whole number is valid JSON, and no float.
    if not 0 <= duration_s < 2**53:
        raise Malformed("result.duration_s is not a length of time")
    ending = fields["ending"]
    if not isinstance(ending, str) or ending not in frozenset(Ending):
        raise Malformed("result.ending is none that we know")
    exit_code, signal = _exit(Ending(ending), fields["exit_code"], fields["signal"])
    return ExecutionResult(
        ending=Ending(ending),
        exit_code=exit_code,
        signal=signal,
        duration_s=float(duration_s),
        output=Output(
            head=_chunks("output.head", output["head"]),
            omitted_bytes=omitted_bytes,
            tail=_chunks("output.tail", output["tail"]),
        ),
    )


def _exit(ending: Ending, exit_code: object, signal: object) -> tuple[int | None, str | None]:
    if (exit_code is None) == (signal is None):
        raise Malformed("a result has either an exit code or a signal")
    if signal is None:
        # Windows' codes are 32 bits without a sign, POSIX's are 8 bits.
        if type(exit_code) is not int or not -(2**31) <= exit_code < 2**32:
            raise Malformed("result.exit_code is not an exit code")
        if ending is Ending.SIGNALLED:
            raise Malformed("a result that was signalled names the signal")
        return exit_code, None
    if not isinstance(signal, str) or not re.fullmatch(r"SIG[A-Z0-9+-]{1,16}", signal):
        raise Malformed("result.signal is not a signal's name")
    if ending is Ending.EXITED:
        raise Malformed("a result that exited has an exit code")
    return None, signal


def _chunks(name: str, value: object) -> tuple[Chunk, ...]:
    if not isinstance(value, list):
        raise Malformed(f"{name} is not a list")
    chunks = []
    for pair in value:
        match pair:
            case ["out" | "err" as stream, str(text)]:
                chunks.append(Chunk(stream=Stream(stream), text=storable(text)))
            case _:
                raise Malformed(f"{name} holds something that is no chunk of output")
    return tuple(chunks)


def _fields(name: str, value: object, names: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict) or value.keys() != names:
        raise Malformed(f"{name} is not an object of {', '.join(sorted(names))}")
    return value
