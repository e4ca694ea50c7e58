"""Standing permissions in the flow: given with a decision, used by a later request, counted again at its hand-over.

Only `decide` gives one, for a person's press or word. Deliberately absent: any way for a turn of an agent to one.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime

from bot.domain.execution import ID_ALPHABET, ID_CHARS, Execution
from bot.domain.grant import (
    GRANT_MARK,
    Grant,
    GrantId,
    bound,
    misfit,
    objection,
    obstacle,
    parse_grant_id,
    what,
    whole,
)
from bot.domain.policy import Policy
from bot.domain.session import PersonId
from bot.domain.verdict import Ask
from bot.ports import Tx

MAX_LIVE = 200
"""Of one conversation; a list that nobody reads through any more. The next one is refused, none is pushed out.
Those that several people give in the same moment may be a few more on PostgreSQL."""


def cannot_give(
    tx: Tx, policy: Policy, person: PersonId, execution: Execution, asked: Ask, pattern: str | None
) -> str | None:
    """Why this person can give no grant with this execution; None where they can."""
    why = obstacle(execution, asked)
    if why is None and pattern is not None:
        why = misfit(pattern, execution)
    if why is not None:
        return why
    usually = policy.judge_execution(replace(execution, is_escalated=False))
    if not isinstance(usually, Ask) or person not in usually.deciders:
        return "you were asked because nobody else answered, and later requests are not yours to decide"
    if len(tx.grants.live(execution.origin.peer.parent(), limit=MAX_LIVE)) >= MAX_LIVE:
        return f"{MAX_LIVE} permissions stand in this conversation already; write grants, and take some back"
    return None


def give(
    tx: Tx, person: PersonId, execution: Execution, asked: Ask, *, pattern: str | None, reason: str
) -> Grant | None:
    """A grant for the command of this execution, under an id of its own. None where nothing is known to bind it to."""
    if execution.command is None or asked.terms.grant_for_s is None:
        return None
    drawn = Grant(
        id=_draw_id(),
        command=bound(execution.command),
        pattern=pattern,
        node_name=execution.node_name,
        place=execution.origin.peer.parent(),
        asker=execution.asker,
        execution=execution.id,
        granted_by=person,
        granted_at=tx.now,
        expires_at=tx.now + asked.terms.grant_for_s,
        reason=reason,
        # Nobody comes here without the code that the rule wants.
        with_factor=asked.terms.second_factor,
    )
    while not tx.grants.add(drawn):
        drawn = replace(drawn, id=_draw_id())
    return drawn


def _draw_id() -> GrantId:
    return GrantId(GRANT_MARK + "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_CHARS)))


def given_words(grant: Grant) -> str:
    """What whoever gave it is told: what it allows from now on, and how to take it back."""
    until = datetime.fromtimestamp(grant.expires_at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"From now on always allowed: {whole(grant, until=until)}. To take it back, type: revoke {grant.id}"


def standing(tx: Tx, execution: Execution, asked: Ask) -> Grant | None:
    """The newest grant that allows this request; None where people are to be asked."""
    if asked.terms.grant_for_s is None or execution.read_untrusted:
        return None
    given = tx.grants.live(execution.origin.peer.parent(), node=execution.node, asker=execution.asker)
    return next((one for one in given if objection(one, execution, asked, now=tx.now) is None), None)


def spend(tx: Tx, execution: Execution, asked: Ask) -> str | None:
    """Count the use of the grant that allowed it, or say why it does so no more.

    The row is locked first. Without that, on PostgreSQL:

        hand-over                       revocation
        reads the grant: it stands
                                        takes it back, commits, says so
        commits, go                     … and it runs after all
    """
    grant = None if execution.grant is None else parse_grant_id(execution.grant)
    found = None if grant is None else tx.grants.lock(grant)
    why = f"{execution.grant} is gone" if found is None else objection(found, execution, asked, now=tx.now)
    if found is not None and why is None:
        tx.grants.used(found, execution.id)
        return None
    return f"{why}; ask again, and people decide"


def take_back(tx: Tx, policy: Policy, person: PersonId, grant_id: GrantId, *, why: str) -> str:
    """For whoever gave it, and for owners."""
    grant = tx.grants.get(grant_id)
    if grant is None:
        return f"There is no permission {grant_id}, or it was over long ago. Write: grants"
    if person != grant.granted_by and not policy.is_owner(person):
        tx.audit.note("revoke_refused", person, {"grant": grant_id})
        return f"You may not take {grant_id} back. Who may: {grant.granted_by}, who gave it, and the owners."
    if tx.grants.revoke(grant_id, by=person, why=why) is None:
        return f"{grant_id} is over already; it allows nothing any more."
    return (
        f"↩️ {grant_id} is taken back: {what(grant)} on {grant.node_name} is asked about again. "
        "What runs already goes on."
    )
