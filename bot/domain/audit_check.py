"""The check of a chain of lines, which needs nothing but the lines: the first that is broken, or where it stands.

Heads that were kept elsewhere show what a chain alone cannot: a tail that was cut, and a past that was written anew.
Deliberately absent: reading files.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bot.domain.audit import (
    GENESIS,
    REDACTED,
    Head,
    Line,
    body_hash,
    canonical,
    is_hash,
    is_moment,
    line_hash,
)
from bot.domain.execution import ExecutionId
from bot.errors import Malformed


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The first line that does not hold."""

    number: int
    """In the file, from 1."""
    seq: int | None
    """None where the line could not be read."""
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """Every line follows the one before and says what it said when it was written."""

    lines: int
    first: Head | None
    """Where it begins. What came before is not in the file, and is held by its `previous` alone."""
    head: Head | None
    redacted: int
    """Lines without a body, each with a later line that says so."""
    heads: int
    """Heads that fit."""
    heads_before: int
    """Heads of lines that stand before the first: nothing here speaks for or against them."""


@dataclass(frozen=True, slots=True)
class Redactions:
    """Which bodies may be gone: by what the lines of the kind `redacted` say."""

    of_all: list[tuple[int, int]] = field(default_factory=list)
    of_executions: dict[ExecutionId, list[tuple[int, int]]] = field(default_factory=dict)

    def covers(self, line: Line) -> bool:
        found = bisect_right(self.of_all, line.seq, key=lambda one: one[0])
        if found and line.seq <= self.of_all[found - 1][1]:
            return True
        theirs = () if line.execution is None else self.of_executions.get(line.execution, ())
        return any(first <= line.seq <= last for first, last in theirs)


def redactions(lines: Iterable[Line]) -> Redactions:
    """A first pass. What it takes from a forged line does no harm: the check finds that line itself."""
    found = Redactions()
    ranges: list[tuple[int, int]] = []
    for line in lines:
        if line.kind != REDACTED:
            continue
        match line.fields():
            # Only what stood before can be covered: a line does not excuse one that was redacted after it.
            case {"first": int(first), "last": int(last)} if first <= last < line.seq:
                if line.execution is None:
                    ranges.append((first, last))
                else:
                    found.of_executions.setdefault(line.execution, []).append((first, last))
    for first, last in sorted(ranges):
        # Merged, so that ten years of retention are one stretch: one look a line, however many there are.
        if found.of_all and first <= found.of_all[-1][1] + 1:
            found.of_all[-1] = (found.of_all[-1][0], max(found.of_all[-1][1], last))
        else:
            found.of_all.append((first, last))
    return found


def check(lines: Iterable[Line], known: Redactions, heads: Sequence[Head] = ()) -> Sound | Broken:
    """Follow the chain. `lines` may raise `Malformed` for what it cannot read: that is the line that is broken."""
    expected: dict[int, list[Head]] = {}
    for head in heads:
        expected.setdefault(head.seq, []).append(head)
    first: Line | None = None
    last: Line | None = None
    count = redacted = fitting = 0
    reading = iter(lines)
    while True:
        try:
            line = next(reading, None)
        except Malformed as fault:
            return Broken(number=count + 1, seq=None, what=str(fault))
        if line is None:
            break
        count += 1
        wrong = _fault(line, last, known)
        if wrong is None and first is None:
            wrong = _fault_of_head(Head(seq=line.seq - 1, at=line.at, hash=line.previous), expected)
            fitting += len(expected.get(line.seq - 1, ()))
        if wrong is None:
            wrong = _fault_of_head(line.head(), expected)
        if wrong is not None:
            return Broken(number=count, seq=line.seq, what=wrong)
        fitting += len(expected.get(line.seq, ()))
        redacted += line.body is None
        first, last = first or line, line
    behind = _behind(heads, last)
    if behind is not None:
        return Broken(number=count + 1, seq=None if last is None else last.seq + 1, what=behind)
    return Sound(
        lines=count,
        first=None if first is None else first.head(),
        head=None if last is None else last.head(),
        redacted=redacted,
        heads=fitting,
        heads_before=len(heads) - fitting,
    )


def _fault(line: Line, last: Line | None, known: Redactions) -> str | None:
    """What is wrong with this line, after `last`."""
    own = line_hash(
        seq=line.seq,
        at=line.at,
        kind=line.kind,
        execution=line.execution,
        previous=line.previous,
        body_hash=line.body_hash,
    )
    if own != line.hash:
        return "it was changed: it does not have the hash that stands in it"
    if line.body is not None and body_hash(line.body) != line.body_hash:
        return "its body was changed"
    if last is None:
        if line.seq < 1 or (line.seq == 1) != (line.previous == GENESIS):
            return "it claims to be the first line of all and is not"
    elif line.seq <= last.seq:
        return f"it stands twice, or out of order: line {last.seq} stands before it"
    elif line.seq > last.seq + 1:
        return f"line {last.seq + 1} is missing before it, or stands elsewhere"
    elif line.previous != last.hash:
        return f"it does not follow line {last.seq}: one of the two was replaced"
    if line.body is None and (line.kind == REDACTED or not known.covers(line)):
        return "its body is gone, and no later line says that it was redacted"
    return None


def _fault_of_head(here: Head, expected: dict[int, list[Head]]) -> str | None:
    for head in expected.get(here.seq, ()):
        if head.hash != here.hash:
            return f"the head that was kept at {head.at} has another hash of line {here.seq}: the past was rewritten"
    return None


def _behind(heads: Sequence[Head], last: Line | None) -> str | None:
    end = 0 if last is None else last.seq
    behind = sorted((head for head in heads if head.seq > end), key=lambda head: head.seq)
    if not behind:
        return None
    return (
        f"the end is missing: it ends with line {end}, and a head of {behind[0].at} names line {behind[0].seq}; "
        "if the export is older than that head, name the time of the export with --until"
    )


def head_to_text(head: Head) -> str:
    """As it stands in a file of heads, and is sent to a webhook: one line."""
    return canonical({"seq": head.seq, "at": head.at, "hash": head.hash})


def head_from_text(text: str) -> Head:
    """A line of a file of heads, or `SEQ:HASH`. More names in it are somebody else's. Raises `Malformed`."""
    seq, colon, own = text.strip().partition(":")
    if colon and seq.isascii() and seq.isdecimal() and len(seq) < 19 and is_hash(own):
        return Head(seq=int(seq), at="–", hash=own)
    try:
        form = json.loads(text)
    except (ValueError, RecursionError):
        form = None
    match form:
        case {"seq": int(number), "at": str(at), "hash": str(own)} if is_hash(own) and is_moment(at) and number > 0:
            return Head(seq=number, at=at, hash=own)
    raise Malformed('no head; one is 4711:<64 hex digits>, or {"seq":4711,"at":"…","hash":"…"} on one line')


def heads_from_texts(texts: Iterable[str]) -> Iterator[Head]:
    """A file of heads. Raises `Malformed`, naming the line."""
    for number, text in enumerate(texts, 1):
        if text.strip():
            try:
                yield head_from_text(text)
            except Malformed as fault:
                raise Malformed(f"line {number} of the heads is {fault}") from None
