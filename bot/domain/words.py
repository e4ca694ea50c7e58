"""What people type to us, read by one grammar: exact words, nothing guessed.

Free text never decides anything. A near miss gets the line that the person probably meant.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from bot.domain.execution import ID_ALPHABET, ID_CHARS, ExecutionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    command: str
    node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    id: ExecutionId


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
class Pause:
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A word that stands alone: `pending`, `nodes`, `executions`, `whoami`, `help`."""

    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """Not one of ours. `meant` is the line that was probably meant, or the usage; None where nothing is near."""

    meant: str | None


Words = Run | Approve | Deny | Stop | ShowWhole | Again | Pause | Resume | Plain | Unclear
Decision = Approve | Deny | Stop
Urgent = Approve | Deny | Stop | Pause | Resume
"""These do not wait behind the session's turn: a turn may itself be waiting for them, or go on too long."""

USAGE: dict[str, str] = {
    "run": "run <command>   or   run on <node>: <command>",
    "approve": "approve <id>",
    "deny": "deny <id> [reason]",
    "stop": "stop <id>",
    "output": "output <id>",
    "again": "again <id>",
    "pending": "pending",
    "nodes": "nodes",
    "executions": "executions",
    "whoami": "whoami",
    "help": "help",
    "pause": "pause [reason]",
    "resume": "resume",
}
_PLAIN = frozenset({"pending", "nodes", "executions", "whoami", "help"})
_QUOTES = "`'\"‘’“”«»<>"
_RUN_ON = re.compile(r"on\s+(?P<node>[^\s:]{1,64})\s*:\s*(?P<command>.*)", re.DOTALL)
_HALF_RUN_ON = re.compile(r"on\s+(?P<node>[^\s:]{1,64})\s+(?P<command>.+)", re.DOTALL)
_NEAR = 0.7
"""How alike a word must be to be offered: `aprove` and `exections` are, `hello` is not."""


def parse_words(text: str) -> Words:
    """One message as one instruction. The command behind `run` is taken to the letter, line ends included."""
    stripped = text.strip()
    head, _, rest = stripped.partition(" ") if " " in stripped.split("\n", 1)[0] else stripped.partition("\n")
    word = head.lstrip("/!").lower().rstrip(":") if head else ""
    rest = rest.strip()
    if word == "run":
        return _run(rest)
    if word in ("approve", "deny", "stop", "output", "again"):
        return _with_id(word, rest)
    if word == "pause":
        return Pause(reason=rest[:500])
    if word == "resume" and not rest:
        return Resume()
    if word in _PLAIN:
        return Plain(word=word) if not rest else Unclear(meant=word)
    near = difflib.get_close_matches(word, USAGE, n=1, cutoff=_NEAR)
    if not near:
        return Unclear(meant=None)
    return Unclear(meant=f"{near[0]} {rest}" if rest and near[0] not in _PLAIN else USAGE[near[0]])


def _run(rest: str) -> Words:
    if not rest:
        return Unclear(meant=USAGE["run"])
    on_node = _RUN_ON.fullmatch(rest)
    if on_node is not None:
        if not on_node["command"].strip():
            return Unclear(meant=USAGE["run"])
        return Run(command=on_node["command"].strip(), node=on_node["node"])
    half = _HALF_RUN_ON.fullmatch(rest)
    if half is not None:
        # `on` is no program of a usual system: the colon was forgotten.
        return Unclear(meant=f"run on {half['node']}: {half['command']}")
    return Run(command=rest, node=None)


def _with_id(word: str, rest: str) -> Words:
    raw, _, tail = rest.partition(" ")
    execution_id = parse_id(raw)
    if execution_id is None:
        return Unclear(meant=USAGE[word])
    tail = tail.strip()
    match word:
        case "approve" if tail in ("", "once"):
            return Approve(id=execution_id)
        case "deny":
            return Deny(id=execution_id, reason=tail[:500])
        case "stop" if not tail:
            return Stop(id=execution_id)
        case "output" if not tail:
            return ShowWhole(id=execution_id)
        case "again" if not tail:
            return Again(id=execution_id)
    return Unclear(meant=f"{word} {execution_id}")


def parse_id(raw: str) -> ExecutionId | None:
    """A typed id: whole, never a prefix. Case and quotes around it do not matter: the alphabet has one case."""
    bare = raw.strip(_QUOTES).upper()
    if len(bare) == ID_CHARS and all(character in ID_ALPHABET for character in bare):
        return ExecutionId(bare)
    return None
