"""A grant, which is a standing permission: what it allows, for whom, where, until when; and why one does not hold.

Bound to one command as its node saw it, to the conversation and to the asker. Deliberately absent: where grants are
kept, and who gives them or takes them back.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import NewType

from bot.domain.command import Command
from bot.domain.execution import ID_ALPHABET, ID_CHARS, Execution, ExecutionId
from bot.domain.pattern import Pattern, parse_pattern
from bot.domain.policy import analysed
from bot.domain.session import Peer, PersonId
from bot.domain.shell import is_grantable
from bot.domain.terms import Terms
from bot.domain.verdict import Ask
from bot.errors import Malformed

GrantId = NewType("GrantId", str)
"""GRANT_MARK and six characters of ID_ALPHABET."""

GRANT_MARK = "G"
"""No letter of ID_ALPHABET: no grant's id is an execution's, or the beginning of one."""
_QUOTES = "`'\"‘’“”«»<>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """“Always”, as one person said it of one execution."""

    id: GrantId
    command: Command
    """The canonical form that was decided, without the values of its environment."""
    pattern: str | None
    """What the person spelled out in the place of the exact words; None: exactly these."""
    node_name: str
    """For people. It is bound to the fingerprint in `command`."""
    place: Peer
    """The conversation where it was asked, without a thread."""
    asker: PersonId
    execution: ExecutionId
    """The one that was decided with it."""
    granted_by: PersonId
    granted_at: float
    expires_at: float
    reason: str = ""
    revoked_at: float | None = None
    revoked_by: str | None = None
    revoked_why: str = ""
    last_used_at: float | None = None
    uses: int = 0
    """How many hand-overs to the node it has allowed."""
    with_factor: bool = False
    """Whether a code of the device of whoever gave it was checked with it."""

    def is_live(self, now: float) -> bool:
        return self.revoked_at is None and now < self.expires_at


def parse_grant_id(raw: str) -> GrantId | None:
    """A typed id: whole, never a prefix. Case and quotes around it do not matter."""
    bare = raw.strip(_QUOTES)
    if len(bare) != ID_CHARS + len(GRANT_MARK) or not bare.isascii():
        return None
    mark, rest = bare[: len(GRANT_MARK)].upper(), bare[len(GRANT_MARK) :].upper()
    return GrantId(mark + rest) if mark == GRANT_MARK and set(rest) <= set(ID_ALPHABET) else None


def bound(command: Command) -> Command:
    """What a grant keeps of a command: of the environment the names alone, whose values may be secret."""
    return replace(command, env=tuple((name, "") for name, _ in command.env))


def obstacle(execution: Execution, asked: Ask) -> str | None:
    """Why nobody may allow this command always; None where whoever decides may."""
    if asked.terms.grant_for_s is None:
        return f"the rule “{asked.rule}” does not let anybody say so"
    if asked.terms.quorum > 1:
        return f"the rule “{asked.rule}” needs {asked.terms.quorum} people, and one of them cannot speak for the others"
    return _too_broad(execution)


def offered(execution: Execution, asked: Ask) -> Terms:
    """The terms as a card shows them: “always” is offered only where it can be had."""
    return asked.terms if obstacle(execution, asked) is None else replace(asked.terms, grant_for_s=None)


def misfit(pattern: str, execution: Execution) -> str | None:
    """Why this typed pattern cannot be granted with this execution; None where it can."""
    try:
        parsed = parse_pattern(pattern)
    except Malformed as fault:
        return str(fault)
    view = analysed(execution.request).units[0].views[0]
    if not parsed.spells_out(view.through):
        told = shlex.join(execution.request.argv[: view.through + 1])
        return f"the pattern {pattern} must spell out what is started, without a star: {told}"
    if not _fits(parsed, execution):
        return f"the pattern {pattern} does not fit this command"
    return None


def covers(grant: Grant, execution: Execution) -> bool:
    """Whether it is this command, for this person, in this conversation; nothing of time and of policy."""
    command, mine = execution.command, grant.command
    if command is None or (grant.asker, grant.place) != (execution.asker, execution.origin.peer.parent()):
        return False
    # Their digests too: another program under the same path was never allowed.
    if (command.node, command.executable, command.cwd, command.user, command.files) != (
        mine.node,
        mine.executable,
        mine.cwd,
        mine.user,
        mine.files,
    ):
        return False
    if _too_broad(execution) is not None:
        return False
    return command.argv == mine.argv if grant.pattern is None else _fits(parse_pattern(grant.pattern), execution)


def objection(grant: Grant, execution: Execution, asked: Ask, *, now: float) -> str | None:
    """Why it does not allow this execution at this moment, under what the policy says at this moment."""
    if grant.revoked_at is not None:
        return f"{grant.id} was taken back by {grant.revoked_by}"
    if now >= grant.expires_at:
        return f"{grant.id} has expired"
    why = obstacle(execution, asked)
    if why is not None:
        return f"{grant.id} counts no more: {why}"
    if asked.terms.grant_for_s is not None and now >= grant.granted_at + asked.terms.grant_for_s:
        return f"{grant.id} counts no more: the rule “{asked.rule}” lets none stand for so long by now"
    if asked.terms.second_factor and not grant.with_factor:
        return f"{grant.id} counts no more: the rule “{asked.rule}” wants a second factor by now, and it had none"
    if grant.granted_by not in asked.deciders:
        return f"{grant.id} counts no more: {grant.granted_by}, who gave it, may not decide this any more"
    return None if covers(grant, execution) else f"{grant.id} is for another command"


def allowed_by(grant: Grant, asked: Ask) -> str:
    """What stands as the rule of an execution that it allows."""
    return f"“{asked.rule}”, always allowed by {grant.granted_by} ({grant.id})"


def what(grant: Grant) -> str:
    """What it allows, in words."""
    if grant.pattern is None:
        return f"exactly {shlex.join(grant.command.argv)}"
    return f"what fits {grant.pattern} ({parse_pattern(grant.pattern).in_words()})"


def whole(grant: Grant, *, until: str) -> str:
    """What it allows, where, for whom and until when, in one sentence."""
    place = grant.place
    return (
        f"{what(grant)} on {grant.node_name} (as {grant.command.executable}), for {grant.asker}, "
        f"in {place.channel} {place.kind.value} {place.id}, until {until}"
    )


def line(grant: Grant, *, until: str) -> str:
    """As it stands in a list of its conversation."""
    used = "not used yet" if not grant.uses else f"used {grant.uses} time{'s' if grant.uses > 1 else ''}"
    return (
        f"{grant.id}  {what(grant)}  on {grant.node_name}, for {grant.asker}, until {until}, "
        f"given by {grant.granted_by}, {used}"
    )


def _too_broad(execution: Execution) -> str | None:
    if execution.masked is not None:
        return "it holds a secret, which no standing permission may keep"
    analysis = analysed(execution.request)
    if not analysis.is_plain or len(analysis.units) > 1:
        return "it is not one plain command; a shell, or another program, makes several of it"
    if not analysis.is_ascii:
        return "it holds characters that show nothing, or look like others"
    return is_grantable(execution.request.argv)


def _fits(pattern: Pattern, execution: Execution) -> bool:
    view = analysed(execution.request).units[0].views[0]
    executable = None if execution.command is None else execution.command.executable
    return pattern.spells_out(view.through) and pattern.fits(view, executable=executable, loosely=False)
