"""A line of the audit: what stands in it, the one text that it is hashed as, and the chain from line to line.

Deliberately absent: where lines are kept, any key, and the check of a chain (see `audit_check`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bot.domain.command import Command, CommandHash, Limits, command_to_json, limits_to_json
from bot.domain.execution import Execution, ExecutionId, ExecutionResult, Trigger, storable
from bot.domain.session import format_key
from bot.domain.unmasked import shown_path
from bot.errors import Malformed

FORM = 1
"""Of a line. Hashed with it, so that no line can be read as one of another form."""
GENESIS = "0" * 64
"""What the first line follows."""
REDACTED = "redacted"
"""The kind of a line that says which bodies are gone. It keeps its own body: it is what explains the others."""
MAX_TEXT_CHARS = 16_000
"""Of one text in a body. A request has 8,000 at most; longer is only what somebody wants to fill our disk with."""

Value: TypeAlias = "bool | int | str | Sequence[Value] | Mapping[str, Value] | None"
"""What a field holds. No float: the same one is written in several ways, and the hash knows one."""
Fields: TypeAlias = Mapping[str, Value]

_HASH = re.compile(r"[0-9a-f]{64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SPECIAL = re.compile(r"\\u0000|[:,\[]-?[0-9]+[.eE]|NaN|Infinity")
"""What may be NUL or a float, in JSON; a text that looks like one is taken for one, which costs a look."""
_KEYS = frozenset({"form", "seq", "at", "kind", "execution", "previous", "body", "body_hash", "hash"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest line at some moment. Whoever keeps it elsewhere can tell later whether the past was rewritten."""

    seq: int
    at: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. All of it but the body is kept for ever."""

    seq: int
    """Ascending by one, from 1."""
    at: str
    """`2027-01-15T08:00:00.000Z`. By the gateway's clock, which may have been set back: the order is that of `seq`."""
    kind: str
    execution: ExecutionId | None
    previous: str
    """The hash of the line before; GENESIS in the first."""
    body: str | None
    """The fields as canonical JSON; None where they were redacted."""
    body_hash: str
    hash: str

    def fields(self) -> Mapping[str, object]:
        """The fields of the body; empty where it was redacted."""
        read = {} if self.body is None else json.loads(self.body)
        return read if isinstance(read, dict) else {}

    def head(self) -> Head:
        return Head(seq=self.seq, at=self.at, hash=self.hash)


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def is_moment(text: str) -> bool:
    return _MOMENT.fullmatch(text) is not None


def canonical(value: object) -> str:
    """Keys sorted, no spaces, nothing escaped that need not be: for what we write, the form of RFC 8785."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def body_text(by: str | None, fields: Mapping[str, object], *, salt: str) -> str:
    """The body that is kept and hashed. `by` and `salt` are ours.

    The salt goes with the body. Without it whoever knows most of a redacted body could try what is missing, until
    the hash that stays in the chain says that it was right.
    """
    body: dict[str, object] = {**fields, "by": by, "salt": salt}
    text = canonical(body)
    # Most bodies are small and plain, and looking at each value costs more than all the rest of a line.
    is_plain = len(text) <= MAX_TEXT_CHARS and text.isascii() and _SPECIAL.search(text) is None
    return text if is_plain else canonical(_plain(body))


def body_hash(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()


def line_hash(*, seq: int, at: str, kind: str, execution: str | None, previous: str, body_hash: str) -> str:
    """Over everything but the body, which is in it by its hash: so a body can go, and the chain still holds."""
    form = canonical([FORM, seq, at, kind, execution, previous, body_hash])
    return hashlib.sha256(form.encode("utf-8", "surrogatepass")).hexdigest()


def follow(last: Head | None, *, at: str, kind: str, execution: ExecutionId | None, body: str) -> Line:
    """The line that comes after `last`."""
    seq, previous = (1, GENESIS) if last is None else (last.seq + 1, last.hash)
    hashed = body_hash(body)
    own = line_hash(seq=seq, at=at, kind=kind, execution=execution, previous=previous, body_hash=hashed)
    return Line(
        seq=seq, at=at, kind=kind, execution=execution, previous=previous, body=body, body_hash=hashed, hash=own
    )


def line_to_text(line: Line) -> str:
    """As it stands in an export: one line, canonical as a whole."""
    return canonical(
        {
            "form": FORM,
            "seq": line.seq,
            "at": line.at,
            "kind": line.kind,
            "execution": line.execution,
            "previous": line.previous,
            "body": None if line.body is None else json.loads(line.body),
            "body_hash": line.body_hash,
            "hash": line.hash,
        }
    )


def line_from_text(text: str) -> Line:
    """The inverse of `line_to_text`. Raises `Malformed` for every other text, be it the same to a parser of JSON.

    A name that stands twice, or one that we do not know, would be seen by one reader and not by another.
    """
    try:
        form = json.loads(text)
        if not isinstance(form, dict) or form.keys() != _KEYS:
            raise Malformed("it is no line of an audit")
        if form["form"] != FORM:
            raise Malformed(f"it is of another form than {FORM}, which this version knows")
        line = made_line({name: form[name] for name in _KEYS - {"form", "body"}}, form["body"])
        written = line_to_text(line)
    except (ValueError, RecursionError):
        raise Malformed("it cannot be read, or is cut") from None
    if written != text:
        raise Malformed("it is not written as an export writes it: it was changed")
    return line


def made_line(form: Mapping[str, object], body: object) -> Line:
    """A line of what an export holds, apart from its form. Raises `Malformed` where that can be no line."""
    match dict(form):
        case {
            "seq": int(seq),
            "at": str(at),
            "kind": str(kind),
            "execution": None | str() as execution,
            "previous": str(previous),
            "body_hash": str(hashed),
            "hash": str(own),
        } if type(seq) is int and is_moment(at) and all(map(is_hash, (previous, hashed, own))):
            pass
        case _:
            raise Malformed("it is no line of an audit")
    if body is not None and not isinstance(body, dict):
        raise Malformed("its body is none")
    return Line(
        seq=seq,
        at=at,
        kind=kind,
        execution=None if execution is None else ExecutionId(execution),
        previous=previous,
        body=None if body is None else canonical(body),
        body_hash=hashed,
        hash=own,
    )


def about(
    execution: Execution, *, kind: str, detail: str | None, keyed: Callable[[CommandHash], str]
) -> dict[str, object]:
    """What a line says of an execution: all that is known by then. What is not known is left out.

    `keyed` stands for a hash that could be guessed: somebody who has the masked command and its plain hash tries all
    short secrets until one fits.
    """
    terms, command = execution.terms, execution.command
    found: dict[str, object] = {
        "detail": detail,
        "asker": {"person": execution.asker, "native": execution.asker_native, "name": execution.asker_name},
        "session": execution.session,
        "place": format_key(execution.origin.peer),
        "message": execution.origin.message_id,
        "node": {"name": execution.node_name, "fingerprint": execution.node},
        "rule": execution.rule,
        "grant": execution.grant,
        "glass": execution.glass,
        "batch": None if execution.batch is None else execution.batch.id,
        "deciders": execution.deciders,
        "quorum": terms.quorum,
        "four_eyes": terms.four_eyes,
        "second_factor": terms.second_factor,
        "approved_by": execution.approved_by,
        "decided_by": execution.decided_by,
        "stop_wanted_by": execution.stop_wanted_by,
        "reason": execution.reason if execution.reason != detail else None,
        "request": execution.shown.text,
        "command": None if command is None else _shown_command(execution, command),
        "command_hash": _shown_hash(execution, keyed),
    }
    if kind == Trigger.FINISH.value and execution.result is not None:
        found |= _ending(execution.result)
    return {name: value for name, value in found.items() if value is not None and value is not False and value != ()}


def about_briefly(
    *, asker: str, session: str, node: str, node_name: str, rule: str, shown_hash: str | None, detail: str | None
) -> dict[str, object]:
    """What the line of a step says that comes alone, when its execution has its lines already: which it was."""
    found: dict[str, object] = {
        "detail": detail,
        "asker": {"person": asker},
        "session": session,
        "node": {"name": node_name, "fingerprint": node},
        "rule": rule,
        "command_hash": shown_hash,
    }
    return {name: value for name, value in found.items() if value is not None}


def _shown_hash(execution: Execution, keyed: Callable[[CommandHash], str]) -> str | None:
    if execution.command_hash is None or execution.masked is None:
        return execution.command_hash
    return keyed(execution.command_hash)


def _ending(result: ExecutionResult) -> dict[str, object]:
    kept = storable(result.output.text()).encode("utf-8")
    return {
        "ending": result.ending.value,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "duration_ms": round(result.duration_s * 1000),
        "output_sha256": hashlib.sha256(kept).hexdigest(),
        "output_bytes": len(kept),
        "omitted_bytes": result.output.omitted_bytes or None,
    }


def _shown_command(execution: Execution, command: Command) -> dict[str, object]:
    """The canonical form with names alone for the environment, and masked as the request was."""
    form = command_to_json(command)
    form["env"] = [name for name, _ in command.env]
    form["limits"] = _shown_limits(command.limits)
    if execution.masked is None:
        return form
    form["argv"], form["script"] = execution.masked.argv, execution.masked.script
    form["executable"] = shown_path(execution, command.executable)
    form["files"] = [{"path": shown_path(execution, file.path), "sha256": file.sha256} for file in command.files]
    return form


def _shown_limits(limits: Limits) -> dict[str, object]:
    form = limits_to_json(limits)
    form["timeout_ms"] = round(limits.timeout_s * 1000)
    return {name: value for name, value in form.items() if value is not None and name != "timeout_s"}


def _plain(value: object) -> object:
    """As it can be stored, hashed and read back the same."""
    match value:
        case None | bool() | int():
            return value
        case str():
            text = storable(value)
            cut = len(text) - MAX_TEXT_CHARS
            return text if cut <= 0 else f"{text[:MAX_TEXT_CHARS]}… [{cut} more characters]"
        case Mapping():
            return {storable(str(name)): _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return str(value)
