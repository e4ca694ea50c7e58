"""What people type to us, read by one grammar: exact words, nothing guessed.

Free text never decides anything. A near miss gets the line that the person probably meant.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from bot.domain.execution import ID_ALPHABET, ID_CHARS, ExecutionId
from bot.domain.factor import CODE, is_code_alone, without_codes
from bot.domain.glass_words import BREAK_GLASS, REVIEW, BreakGlass, EndGlass, Review, parse_break_glass, parse_review
from bot.domain.grant import GrantId, parse_grant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    command: str
    node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    id: ExecutionId
    reason: str = ""
    """Behind `because`, where the rule wants one."""
    code: str | None = None
    """Of the person's own device, behind `code`, where the rule wants one."""
    always: bool = False
    """From now on, for as long as the rule lets a permission stand."""
    pattern: str | None = None
    """What is always allowed, as the person spelled it out; None: exactly this command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    id: ExecutionId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    id: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowWhole:
    """`output <id>`"""

    id: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    id: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """`edit <id> <command>`: what a decider would rather have run; a request of its own."""

    id: ExecutionId
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """`why <id>`: what has become of it so far."""

    id: ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """`revoke <id>`: take a standing permission back."""

    id: GrantId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A word that stands alone: `pending`, `grants`, `nodes`, `executions`, `whoami`, `new`, `help`."""

    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """Not one of ours. `meant` is the line that was probably meant, or the usage; None where nothing is near."""

    meant: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Several:
    """`approve <id> <id> …`, and so with `deny` and `stop`: the same word of each."""

    ids: tuple[ExecutionId, ...]
    each: Decision
    """As it would be of the first alone."""


Decision = Approve | Deny | Stop
Urgent = Approve | Deny | Stop | Several | Revoke | Pause | Resume | BreakGlass | EndGlass | Review
"""These do not wait behind the session's turn: a turn may itself be waiting for them, or go on too long."""
Words = Run | ShowWhole | Again | Edit | Why | Plain | Unclear | Urgent

USAGE: dict[str, str] = {
    "run": "run <command>   or   run on <node>: <command>",
    "approve": "approve <id>",
    "deny": "deny <id> [reason]",
    "stop": "stop <id>",
    "output": "output <id>",
    "again": "again <id>",
    "edit": "edit <id> <command>",
    "why": "why <id>",
    "grants": "grants",
    "revoke": "revoke <id>",
    "pending": "pending",
    "nodes": "nodes",
    "executions": "executions",
    "whoami": "whoami",
    "new": "new",
    "help": "help",
    "pause": "pause [reason]",
    "resume": "resume",
    "break-glass": BREAK_GLASS,
    "review": REVIEW,
}
_OFFERED = tuple(word for word in USAGE if word not in {"new", "review"})
"""`news` and `knew`, `preview` and `reviewed` are talk, and nearer than most slips of the finger."""
_QUOTES = "`'\"‘’“”«»<>"
_AROUND = (("`", "`"), ("'", "'"), ('"', '"'), ("‘", "’"), ("“", "”"), ("«", "»"))
"""What phones and copied examples put around a whole line."""
_RUN_ON = re.compile(r"(?i:on)\s+(?P<node>[^\s:]{1,64})\s*:\s*(?P<command>.*)", re.DOTALL)
_HALF_RUN_ON = re.compile(r"(?i:on)\s+(?P<node>[^\s:]{1,64})\s+(?P<command>.+)", re.DOTALL)
_NEAR = 0.82
"""How alike a word must be to be offered: `aprove` (0.92), `runs` (0.86) are; `please` (`pause`, 0.73), `step` (0.75)
and `notes` (0.80) are talk, and nobody wants a bot that answers it."""


def parse_words(text: str) -> Words:
    """One message as one instruction. The command behind `run` is taken to the letter, line ends included."""
    head, rest = _first_word(_bare(text.strip()))
    word = head.lstrip("/!").lower().rstrip(":")
    if word == "why" and parse_id(rest) is None:
        # People ask each other why all day; only with an id is it said to us.
        return Unclear(meant=None)
    if word in {"grant", "grants", "new"} and rest:
        # A name, a word of offices, and how many a sentence begins: only alone is it said to us.
        return Unclear(meant=None)
    if word in USAGE:
        return _exactly(word, rest)
    near = difflib.get_close_matches(word, _OFFERED, n=1, cutoff=_NEAR)
    if not near:
        return Unclear(meant=None)
    if not rest:
        return Unclear(meant=USAGE[near[0]])
    # Only a line that we would take is offered.
    offered = _exactly(near[0], rest)
    return offered if isinstance(offered, Unclear) else Unclear(meant=f"{near[0]} {rest}")


def _exactly(word: str, rest: str) -> Words:
    match word:
        case "run":
            return _run(rest)
        case "approve" | "deny" | "stop":
            return _several(word, rest) or _with_id(word, rest)
        case "output" | "again" | "edit" | "why":
            return _with_id(word, rest)
        case "revoke":
            raw, tail = _first_word(rest)
            grant_id = parse_grant_id(raw)
            return Unclear(meant=USAGE["revoke"]) if grant_id is None else Revoke(id=grant_id, reason=tail[:500])
        case "pause":
            return Pause(reason=rest[:500])
        case "break-glass":
            said = parse_break_glass(rest)
            return Unclear(meant=said) if isinstance(said, str) else said
        case "review":
            # A name, and a word of offices: only with an id is it said to us.
            review = parse_review(rest)
            return review if isinstance(review, Review) else Unclear(meant=review)
    if rest:
        return Unclear(meant=word)
    return Resume() if word == "resume" else Plain(word=word)


def _bare(line: str) -> str:
    """The line without quotes around the whole of it. Where it has such quotes within, nothing is taken off."""
    for opening, closing in _AROUND:
        if line.startswith(opening) and line.endswith(closing):
            inner = line.strip(opening + closing)
            if opening not in inner and closing not in inner:
                return inner.strip()
    return line


def _first_word(text: str) -> tuple[str, str]:
    """The first word and what is behind it, whatever space stands between: networks turn line ends into either."""
    head, *rest = text.split(None, 1) or [""]
    return head, rest[0].strip() if rest else ""


def _run(rest: str) -> Words:
    if not rest:
        return Unclear(meant=USAGE["run"])
    on_node = _RUN_ON.fullmatch(rest)
    if on_node is not None:
        if not on_node["command"]:
            return Unclear(meant=USAGE["run"])
        return Run(command=on_node["command"], node=on_node["node"])
    half = _HALF_RUN_ON.fullmatch(rest)
    if half is not None:
        # `on` is no program of a usual system: the colon was forgotten.
        return Unclear(meant=f"run on {half['node']}: {half['command']}")
    if _first_word(rest)[0].lower() == "on":
        return Unclear(meant=USAGE["run"])
    return Run(command=rest, node=None)


_ONE_OF = re.compile(r"(?P<id>[^\s,]+)(?P<gap>\s*,\s*|\s+|$)")
_MAX_SEVERAL = 64
"""Of one message: twice as many as the greatest card shows."""


def _several(word: str, rest: str) -> Several | Unclear | None:
    """Two ids and more, with spaces or commas between; None where it is not that.

    Behind `deny` only commas go on: a reason may begin with a word that looks like an id.
    """
    ids: list[ExecutionId] = []
    at = 0
    while (found := _ONE_OF.match(rest, at)) is not None and (one := parse_id(found["id"])) is not None:
        ids.append(one)
        at = found.end()
        if word == "deny" and "," not in found["gap"]:
            break
    ids = list(dict.fromkeys(ids))
    if len(ids) < 2:
        return None
    each = _with_id(word, f"{ids[0]} {rest[at:]}")
    # What always allows, and a code, are given for one command.
    is_one_s = isinstance(each, Approve) and (each.always or each.code is not None)
    if not isinstance(each, Decision) or is_one_s or len(ids) > _MAX_SEVERAL:
        return Unclear(meant=f"{word} {' '.join(ids[:_MAX_SEVERAL])}")
    return Several(ids=tuple(ids), each=each)


def _with_id(word: str, rest: str) -> Words:
    raw, tail = _first_word(rest)
    execution_id = parse_id(raw)
    if execution_id is None:
        return Unclear(meant=USAGE[word])
    if word == "approve":
        return _approve(execution_id, tail)
    match word, tail.lower():
        case "deny", _:
            return Deny(id=execution_id, reason=tail[:500])
        case "stop", "":
            return Stop(id=execution_id)
        case "output", "":
            return ShowWhole(id=execution_id)
        case "again", "":
            return Again(id=execution_id)
        case "edit", _ if tail:
            return Edit(id=execution_id, command=tail)
        case "edit", _:
            return Unclear(meant=f"edit {execution_id} <command>")
        case "why", "":
            return Why(id=execution_id)
    return Unclear(meant=f"{word} {execution_id}")


_CODE_LAST = re.compile(rf"(?:(?P<before>.*\S)\s+|\A)(?i:code)\s+(?P<code>{CODE})\s*", re.DOTALL)
_APPROVE = re.compile(
    rf"(?i:(?:code\s+(?P<first>{CODE}|[0-9A-Za-z-]{{4,32}})(?!\S))?\s*(?:(?P<how>once|always)\b:?)?\s*"
    rf"(?:code\s+(?P<code>{CODE}|[0-9A-Za-z-]{{4,32}})(?!\S))?\s*(?:because\s+(?P<reason>.+))?)",
    re.DOTALL,
)
_ALWAYS_LIKE = re.compile(
    rf"(?i:code\s+(?P<code>{CODE}|[0-9A-Za-z-]{{4,32}})\s+)?(?i:always)\s*:\s*(?P<pattern>.+)", re.DOTALL
)


def _approve(execution_id: ExecutionId, tail: str) -> Words:
    """Exact words in their order; anything else decides nothing.

    A code may stand last as well, which is how it is said aloud: a reason, or a pattern, never ends with one.
    """
    if tail.lower() == "deny":
        # The order of words that other systems have; taken, because its near miss would be to approve.
        return Deny(id=execution_id, reason="")
    last = _CODE_LAST.fullmatch(tail)
    rest = tail if last is None else last["before"] or ""
    like = _ALWAYS_LIKE.fullmatch(rest)
    found = like or _APPROVE.fullmatch(rest)
    if found is None:
        return Unclear(meant=f"approve {execution_id}")
    said = found.groupdict()
    codes = [code for code in (said.get("first"), said.get("code"), last and last["code"]) if code is not None]
    if len(codes) > 1:
        return Unclear(meant=f"approve {execution_id} code <code>")
    return Approve(
        id=execution_id,
        reason=(said.get("reason") or "").strip()[:500],
        code=codes[0] if codes else None,
        always=like is not None or (said["how"] or "").lower() == "always",
        pattern=None if like is None else like["pattern"].strip(),
    )


def as_kept(text: str, words: Words) -> str:
    """The text as it may be kept: a command to the letter, and everything else without what could be a code."""
    if isinstance(words, Run | Edit):
        return text
    is_near = isinstance(words, Unclear) and (words.meant or "").startswith("approve")
    if isinstance(words, Urgent) or is_near or is_code_alone(text):
        return without_codes(text)
    return text


def parse_id(raw: str) -> ExecutionId | None:
    """A typed id: whole, never a prefix. Case and quotes around it do not matter: the alphabet has one case."""
    bare = raw.strip(_QUOTES)
    # Upper case makes two letters of some one (ﬀ): then it is not what was typed.
    if len(bare) == ID_CHARS and bare.isascii() and all(character in ID_ALPHABET for character in bare.upper()):
        return ExecutionId(bare.upper())
    return None
