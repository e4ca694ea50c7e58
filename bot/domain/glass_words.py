"""The words of break-glass: to open it, to end it, to review it. Part of the one grammar in `words`.

Deliberately absent: whoever may say them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.domain.glass import Finding, GlassId, parse_glass_id

BREAK_GLASS = "break-glass [15m] <reason>   or   break-glass end"
REVIEW = "review <id> ok|misuse <what you found>"
MAX_CHARS = 500
"""Of a reason and of a finding: a line that one can take in."""

_LENGTH = re.compile(r"(?:(?P<h>\d{1,3})h)?(?:(?P<m>\d{1,5})m(?:in)?)?", re.IGNORECASE)
_LENGTH_LIKE = re.compile(
    r"(?:for\s+)?\d+(?:[.,]\d+)?\s*(?:h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|d|days?)(?:\d+\w*)?(?!\w)",
    re.IGNORECASE,
)
"""A time that we do not read: taken for a reason, it would be open for longer than was said."""
_END_LIKE = frozenset(
    {"end", "ends", "ended", "stop", "stopped", "close", "closed", "off", "over", "done", "cancel", "revoke", "finish"}
)
_NO_REASON = frozenset({"", "help", "status", "list", "show", "open", "on", "start", "review"})
"""Alone they ask about it, and say nothing of why."""
_SIGNS = ".,:;!?…-()[]<>*_`'\"‘’“”«»"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakGlass:
    """`break-glass 15m <reason>`"""

    reason: str
    for_s: float | None = None
    """None: as long as the config says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndGlass:
    """`break-glass end`: one's own, here; with an id anybody's, for whom that is."""

    id: GlassId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """`review <id> ok <words>`"""

    id: GlassId
    finding: Finding
    note: str


def parse_break_glass(rest: str) -> BreakGlass | EndGlass | str:
    """What stands behind `break-glass`; where it is none, the line that was probably meant."""
    head, *more = rest.split(None, 1) or [""]
    tail = more[0].strip() if more else ""
    if head.lower() == "end":
        glass_id = parse_glass_id(tail) if tail else None
        return EndGlass(id=glass_id) if glass_id is not None or not tail else "break-glass end <id>"
    near = _near_miss(head, tail)
    if near is not None:
        return near
    found = _LENGTH.fullmatch(head)
    if found is None:
        return BREAK_GLASS if _LENGTH_LIKE.match(rest) else BreakGlass(reason=_line(rest))
    for_s = 3_600.0 * int(found["h"] or 0) + 60.0 * int(found["m"] or 0)
    return BreakGlass(reason=_line(tail), for_s=for_s) if tail else f"break-glass {head} <reason>"


def _near_miss(head: str, tail: str) -> str | None:
    """What was probably meant where a word is no reason: whoever wants to end one must not open another."""
    word, glass_id = head.strip(_SIGNS).lower(), parse_glass_id(tail.strip(_SIGNS)) if tail else None
    if word in _END_LIKE and (glass_id is not None or not tail.strip(_SIGNS)):
        return "break-glass end" if glass_id is None else f"break-glass end {glass_id}"
    return BREAK_GLASS if word in _NO_REASON and not tail else None


def parse_review(rest: str) -> Review | str | None:
    """What stands behind `review`; None where it was not said to us, which is most of the time."""
    raw, said, note = (*rest.split(None, 2), "", "", "")[:3]
    glass_id = parse_glass_id(raw)
    if glass_id is None:
        return None
    if said.lower() not in frozenset(Finding) or not note:
        return f"review {glass_id} ok|misuse <what you found>"
    return Review(id=glass_id, finding=Finding(said.lower()), note=_line(note))


def _line(text: str) -> str:
    """In one line: what is announced of it must not look like a second announcement."""
    return " ".join(text.split())[:MAX_CHARS]
