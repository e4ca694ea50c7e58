"""What the node knows of each execution: its states, their table, and one entry as bytes.

Deliberately absent: where the bytes are kept (see `spool`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bot.domain.execution import ExecutionId
from bot.domain.node import Known
from bot.errors import IllegalTransition, Malformed, MalformedFrame
from bot.node.codec import frame_from_json, frame_to_json
from bot.node.frames import Finished, NotKnown, Refused

FORM = 1
EndReport = Finished | Refused | NotKnown


class State(StrEnum):
    """Of an execution in the journal. What is not in the journal was never accepted here, or is settled."""

    ACCEPTED = "accepted"  # never started; may still be, by a `go` in time
    STARTING = "starting"  # it may be started at any moment now: never again from here
    RUNNING = "running"
    FINISHED = "finished"  # the report is inside, not acknowledged yet
    UNKNOWN = "unknown"  # the node died while it was starting or running
    REFUSED = "refused"  # a tombstone whose report is not acknowledged yet: never started, never will be


S = State
WRITES: Mapping[State | None, frozenset[State]] = MappingProxyType(
    {
        None: frozenset({S.ACCEPTED, S.REFUSED, S.UNKNOWN}),
        # Accepted anew, with a new token.
        S.ACCEPTED: frozenset({S.ACCEPTED, S.STARTING, S.REFUSED}),
        # Refused: the system would not start it, so it surely never ran.
        S.STARTING: frozenset({S.RUNNING, S.FINISHED, S.UNKNOWN, S.REFUSED}),
        S.RUNNING: frozenset({S.FINISHED, S.UNKNOWN}),
        S.FINISHED: frozenset(),
        S.UNKNOWN: frozenset(),
        S.REFUSED: frozenset(),
    }
)
"""State before -> states that may be written over it. None of them leads back to `accepted`."""

KNOWN: Mapping[State, Known] = MappingProxyType(
    {
        S.STARTING: Known.RUNNING,
        S.RUNNING: Known.RUNNING,
        S.FINISHED: Known.FINISHED,
        S.UNKNOWN: Known.UNKNOWN,
        S.REFUSED: Known.NEVER_STARTED,
    }
)
"""What the gateway is told when it asks. `accepted` is not here: the answer depends on the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    execution: ExecutionId
    state: State
    at: float
    """Seconds since the epoch of this state, by the node's clock."""
    started_at: float | None = None
    pid: int | None = None
    pid_created_at: float | None = None
    """With the pid, which process it was: numbers are used again."""
    report: EndReport | None = None


def check_write(before: State | None, after: State) -> None:
    if after not in WRITES[before]:
        raise IllegalTransition("journal", before or "absent", after)


def entry_to_bytes(entry: Entry) -> bytes:
    form = {
        "form": FORM,
        "execution": entry.execution,
        "state": entry.state.value,
        "at": entry.at,
        "started_at": entry.started_at,
        "pid": entry.pid,
        "pid_created_at": entry.pid_created_at,
        "report": None if entry.report is None else frame_to_json(entry.report),
    }
    return json.dumps(form, separators=(",", ":"), ensure_ascii=False).encode()


def entry_from_bytes(content: bytes) -> Entry:
    """The inverse of `entry_to_bytes`. Raises `Malformed` for anything else, torn files included."""
    try:
        form = json.loads(content)
    except (ValueError, RecursionError):
        raise Malformed("is no whole JSON document") from None
    if not isinstance(form, dict) or form.get("form") != FORM:
        raise Malformed(f"is no entry of form {FORM}")
    execution, state, report = form.get("execution"), form.get("state"), form.get("report")
    if not isinstance(execution, str) or not isinstance(state, str) or state not in frozenset(State):
        raise Malformed("names no execution or no state")
    try:
        frame = None if report is None else frame_from_json(report)
    except MalformedFrame as fault:
        raise Malformed(f"holds a report that is none: {fault}") from None
    if frame is not None and (not isinstance(frame, EndReport) or frame.execution != execution):
        raise Malformed("holds the report of something else")
    if (frame is not None) != (State(state) in {S.FINISHED, S.UNKNOWN, S.REFUSED}):
        raise Malformed("has a report where there is none, or none where there is one")
    pid = form.get("pid")
    return Entry(
        execution=ExecutionId(execution),
        state=State(state),
        at=_seconds(form.get("at")) or 0.0,
        started_at=_seconds(form.get("started_at")),
        pid=pid if isinstance(pid, int) else None,
        pid_created_at=_seconds(form.get("pid_created_at")),
        report=frame,
    )


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)):
        raise Malformed("has a time that is none")
    return float(value)
