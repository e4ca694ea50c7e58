"""Break-glass in the flow: opened and ended by a typed word, used by its person's own yes, counted again at the
hand-over, reviewed afterwards; each of them announced in the transaction that makes it so.

Only `intake` opens one, for a person's message. Deliberately absent: any way for a turn of an agent to one, and what
nobody does in time (see `glass_watch`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from bot.domain.event import NewEvent, Say
from bot.domain.execution import ID_ALPHABET, ID_CHARS, Execution
from bot.domain.glass import (
    ANNOUNCED,
    GLASS_MARK,
    MIN_OPEN_S,
    UNREVIEWED,
    Finding,
    Glass,
    GlassId,
    GlassRule,
    GlassState,
    GlassTrigger,
    audience,
    objection,
    obstacle,
    overtime,
    parse_glass_id,
    reviewers_of,
)
from bot.domain.glass_words import BreakGlass, EndGlass, Review
from bot.domain.parts import duration
from bot.domain.policy import Policy
from bot.domain.results import shown_command
from bot.domain.session import Peer, PersonId, ReturnAddress, SessionKey, format_key
from bot.flow.announcement import approved_words, ended_words, moment, opened_words, reviewed_words
from bot.ports import Tx


def said_of_glass(
    tx: Tx,
    policy: Policy,
    person: PersonId,
    words: BreakGlass | EndGlass | Review,
    *,
    here: Peer,
    session: SessionKey,
    masked: Callable[[str], str],
) -> str:
    """Do what this person typed, and what they are told."""
    match words:
        case BreakGlass():
            return _open(tx, policy, person, here.parent(), session, replace(words, reason=masked(words.reason)))
        case EndGlass():
            return _end(tx, policy, person, here.parent(), words.id)
        case _:
            return _review(tx, policy, person, replace(words, note=masked(words.note)))


def _open(tx: Tx, policy: Policy, person: PersonId, place: Peer, session: SessionKey, words: BreakGlass) -> str:
    rule, why = policy.glass, obstacle(policy.glass, policy.directory, person, place)
    if rule is None or why is not None:
        tx.audit.note("glass_refused", person, {"place": format_key(place), "reason": words.reason, "why": why})
        return f"You may not break glass here: {why}. Nothing was opened."
    for_s = rule.open_for_s if words.for_s is None else words.for_s
    if not MIN_OPEN_S <= for_s <= rule.open_for_s:
        return f"It may be open for 1 min to {duration(rule.open_for_s)}, and that was neither. Nothing was opened."
    drawn = _drawn(tx, rule, person, place, session, reason=words.reason, for_s=for_s)
    while True:
        standing = _still_open(tx, policy, person, place)
        if standing is not None:
            until = moment(standing.expires_at)
            return f"{standing.id} of yours is open here until {until}, and no longer. To end it: break-glass end"
        if tx.glasses.add(drawn):
            break
        # The id is taken, or another replica was quicker: the next look says which.
        drawn = replace(drawn, id=_draw_id())
    announce(tx, drawn, "opened", opened_words(drawn, reviewers_of(rule, policy.directory, person)))
    return (
        f"🔓 Break-glass {drawn.id} is open here until {moment(drawn.expires_at)}, and that is announced: your own yes "
        "is enough, command by command, each on its own card. What the rules or a node refuse stays refused. To end "
        "it: break-glass end"
    )


def _drawn(
    tx: Tx, rule: GlassRule, person: PersonId, place: Peer, session: SessionKey, *, reason: str, for_s: float
) -> Glass:
    return Glass(
        id=_draw_id(),
        state=GlassState.OPEN,
        person=person,
        place=place,
        session=session,
        reason=reason,
        opened_at=tx.now,
        expires_at=tx.now + for_s,
        announce_to=rule.announce_to,
        review_within_s=rule.review_within_s,
    )


def _draw_id() -> GlassId:
    return GlassId(GLASS_MARK + "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_CHARS)))


def _still_open(tx: Tx, policy: Policy, person: PersonId, place: Peer) -> Glass | None:
    """This person's open one here. One whose time is over is ended first: the sweep has not looked yet."""
    found = tx.glasses.open_of(person, place)
    standing = None if found is None else tx.glasses.lock(found.id)
    if standing is None or standing.state is not GlassState.OPEN:
        return None
    if overtime(standing, now=tx.now) is None:
        return standing
    close(tx, policy, standing, GlassTrigger.LAPSE, by=None)
    return None


def _end(tx: Tx, policy: Policy, person: PersonId, place: Peer, glass_id: GlassId | None) -> str:
    """For whoever opened it, for owners, and for who may review it."""
    found = tx.glasses.open_of(person, place) if glass_id is None else tx.glasses.get(glass_id)
    glass = None if found is None else tx.glasses.lock(found.id)
    if glass is None:
        return "You have none open here." if glass_id is None else f"There is no break-glass {glass_id}."
    reviewers = reviewers_of(policy.glass, policy.directory, glass.person)
    if person != glass.person and person not in reviewers and not policy.is_owner(person):
        tx.audit.note("glass_refused", person, {"glass": glass.id, "why": "may not end it"})
        return f"You may not end {glass.id}. Who may: {glass.person}, its reviewers, and the owners."
    if glass.state is not GlassState.OPEN:
        return f"{glass.id} is over already."
    close(tx, policy, glass, GlassTrigger.END, by=person)
    return f"🔒 {glass.id} is over: what was approved under it and has not started is withdrawn. What runs goes on."


def close(tx: Tx, policy: Policy, glass: Glass, trigger: GlassTrigger, *, by: str | None, why: str = "") -> Glass:
    """End an open one, which the caller has locked. From here on somebody owes it a review."""
    ended = replace(
        glass,
        ended_at=min(tx.now, glass.expires_at),
        ended_by=by,
        ended_why=why,
        # From now on, not from its end: whoever is to review it hears of it now.
        review_by=tx.now + glass.review_within_s,
    )
    moved = tx.glasses.move(ended, trigger, by=by)
    approved = [execution.id for execution in tx.executions.under(glass.id)]
    announce(
        tx, moved, "ended", ended_words(moved, approved, reviewers_of(policy.glass, policy.directory, glass.person))
    )
    return moved


def _review(tx: Tx, policy: Policy, person: PersonId, words: Review) -> str:
    glass = tx.glasses.lock(words.id)
    if glass is None:
        return f"There is no break-glass {words.id}."
    reviewers = reviewers_of(policy.glass, policy.directory, glass.person)
    if person not in reviewers:
        tx.audit.note("glass_refused", person, {"glass": glass.id, "why": "may not review it"})
        return f"You may not review {glass.id}. Who may: {', '.join(reviewers) or 'nobody in the chat'}."
    return settle(tx, glass, by=person, finding=words.finding, note=words.note)


def settle(tx: Tx, glass: Glass, *, by: str, finding: Finding, note: str) -> str:
    """What somebody else found, of one that the caller has locked; once and for all."""
    if glass.state not in UNREVIEWED:
        if glass.reviewed_by is not None:
            return f"{glass.id} was reviewed by {glass.reviewed_by} already; the first word counts."
        return f"{glass.id} is still open, until {moment(glass.expires_at)}. To end it: break-glass end {glass.id}"
    found = replace(glass, reviewed_at=tx.now, reviewed_by=by, finding=finding, note=note)
    moved = tx.glasses.move(found, GlassTrigger.REVIEW, by=by)
    announce(tx, moved, "reviewed", reviewed_words(moved))
    return f"{glass.id} is reviewed: {finding.value}. That is announced."


# --- what is approved under it ---------------------------------------------------------------------


def covering(tx: Tx, policy: Policy, person: PersonId, execution: Execution) -> Glass | str | None:
    """This person's break-glass that carries their yes to this execution, locked; or why the one that they have there
    does not."""
    found = tx.glasses.open_of(person, execution.origin.peer.parent())
    glass = None if found is None else tx.glasses.lock(found.id)
    if glass is None:
        return None
    return (
        objection(glass, policy.glass, policy.directory, execution, now=tx.now) or _silence(tx, policy, glass) or glass
    )


def under(tx: Tx, glass: Glass, approved: Execution) -> None:
    """Count this approval and owe the word of it where break-glass is announced. The command as it may be seen."""
    tx.glasses.used(glass, approved.id)
    announce(tx, glass, f"approved:{approved.id}", approved_words(glass, approved), code=shown_command(approved))


def hold_up(tx: Tx, policy: Policy, execution: Execution) -> str | None:
    """Why the break-glass under which it was approved does not carry it at its hand-over; None where it does.

    The row is locked first. Without that, on PostgreSQL:

        hand-over                       end
        reads it: it is open
                                        ends it, commits, says so
        commits, go                     … and it runs after all
    """
    glass_id = parse_glass_id(execution.glass or "")
    glass = None if glass_id is None else tx.glasses.lock(glass_id)
    if glass is None:
        why: str | None = f"break-glass {execution.glass} is gone"
    else:
        why = objection(glass, policy.glass, policy.directory, execution, now=tx.now)
        why = why or _silence(tx, policy, glass)
        if why is None and glass.person not in tx.executions.approvers(execution.id):
            why = f"{glass.person}, whose break-glass {glass.id} is, did not approve it"
    return None if why is None else f"{why}; ask again, and people decide"


def announce(tx: Tx, glass: Glass, mark: str, text: str, *, code: str | None = None) -> None:
    """Owed in every place that was promised when it was opened."""
    for number, place in enumerate(glass.announce_to):
        identity = f"{_identities(glass)}{mark}:{number}"
        address = ReturnAddress(peer=place, message_id=None)
        payload = Say(text=text, code=code)
        tx.events.add(NewEvent(identity=identity, session=glass.session, address=address, payload=payload))


def _identities(glass: Glass) -> str:
    """How those of its announcements begin. With its moment: once it is pruned another may be given its id, and an
    identity is spent for ever."""
    return f"{ANNOUNCED}{glass.id}:{round(glass.opened_at * 1000)}:"


def _silence(tx: Tx, policy: Policy, glass: Glass) -> str | None:
    """Why it would be used in silence; None where at least one of its places can hear of it.

    Whoever puts the bot out of the room before or after they break glass is no more alone than with it in there.
    """
    deaf = {event.address.peer for event in tx.events.unheard(_identities(glass))}
    if not deaf.issuperset(audience(glass.announce_to, policy.directory, glass.person)):
        return None
    return f"break-glass {glass.id} carries nothing now: none of the places that it is announced in can be told"
