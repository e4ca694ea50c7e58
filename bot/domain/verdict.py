"""What a rule says of one command, and what several rules together say of a request that holds several.

Deliberately absent: which rule holds, and who people are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.session import Peer, PersonId
from bot.domain.terms import ONE_YES, Terms, strictest


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """It runs unasked."""

    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Who else is asked when nobody has answered for a while."""

    after_s: float
    to: tuple[PersonId, ...]
    copy_to: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """People decide."""

    rule: str
    deciders: tuple[PersonId, ...]
    expires_after_s: float
    copy_to: tuple[Peer, ...] = ()
    terms: Terms = ONE_YES
    escalation: Escalation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """It never runs, and the asker is told why."""

    rule: str
    reason: str


Said = Allow | Ask | Refuse


def all_of(said: Sequence[Said]) -> Said:
    """Each must be met: one refusal refuses, and whoever decides may decide every one of them."""
    for one in said:
        if isinstance(one, Refuse):
            return one
    asks = tuple(dict.fromkeys(one for one in said if isinstance(one, Ask)))
    if not asks:
        return said[0]
    if len(asks) == 1:
        return asks[0]
    names = " + ".join(ask.rule for ask in asks)
    deciders = tuple(person for person in asks[0].deciders if all(person in ask.deciders for ask in asks))
    escalation = _escalation_of(asks)
    joined = Ask(
        rule=names,
        deciders=deciders,
        expires_after_s=min(ask.expires_after_s for ask in asks),
        copy_to=tuple(dict.fromkeys(place for ask in asks for place in ask.copy_to)),
        terms=strictest(ask.terms for ask in asks),
        escalation=escalation,
    )
    if len(deciders) < joined.terms.quorum and escalation is None:
        listed = "; ".join(f"“{ask.rule}”: {', '.join(ask.deciders)}" for ask in asks)
        reason = (
            f"its commands are decided by different people ({listed}), and not enough of them may decide all of it; "
            "ask for the commands one by one"
        )
        return Refuse(rule=names, reason=reason)
    return joined


def _escalation_of(asks: Sequence[Ask]) -> Escalation | None:
    """After the longest wait, to those whom every rule then admits."""
    found = [ask.escalation for ask in asks if ask.escalation is not None]
    if not found:
        return None

    def may(person: PersonId, ask: Ask) -> bool:
        return person in ask.deciders or (ask.escalation is not None and person in ask.escalation.to)

    people = dict.fromkeys(person for one in found for person in one.to)
    return Escalation(
        after_s=max(one.after_s for one in found),
        to=tuple(person for person in people if all(may(person, ask) for ask in asks)),
        copy_to=tuple(dict.fromkeys(place for one in found for place in one.copy_to)),
    )
