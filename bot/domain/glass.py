"""Break-glass: one person's own yes is enough, in one conversation, for a short while, never silently.

Here: the states of such a time and their table, the rule that says who may, and why one does not hold for an
execution. Deliberately absent: where they are kept, and the words in which they are announced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from bot.domain.directory import Directory
from bot.domain.execution import ID_ALPHABET, ID_CHARS, Execution
from bot.domain.place import Place
from bot.domain.session import Peer, PeerKind, PersonId, SessionKey
from bot.errors import IllegalTransition

GlassId = NewType("GlassId", str)
"""GLASS_MARK and six characters of ID_ALPHABET."""

GLASS_MARK = "B"
"""No letter of ID_ALPHABET, and not the one of grants: no glass's id is another thing's, or the beginning of one."""
MAX_OPEN_S = 4 * 3_600.0
"""What lasts longer than a shift's half is no emergency: write a rule, which is read by somebody else."""
MIN_OPEN_S = 60.0
"""Less is over before a node has looked."""
CLOCK_BACK_S = 60.0
"""So far the clock may stand before the opening: it is set by a little all the time, and replicas differ by less."""
ANNOUNCED = "glass:"
"""How the identity of every announcement begins, so that one that is dead can be found."""
_QUOTES = "`'\"‘’“”«»<>"


class GlassState(StrEnum):
    """Each state says who moves it on."""

    OPEN = "open"  # whoever broke it, owners and reviewers; time; a reload of the rules
    ENDED = "ended"  # a reviewer; time
    OVERDUE = "overdue"  # a reviewer; an error in the log and in `homing doctor` until then
    REVIEWED = "reviewed"


class GlassTrigger(StrEnum):
    END = "end"  # by a person
    LAPSE = "lapse"  # its time is over
    WITHDRAW = "withdraw"  # the rules of the moment no longer let this person, or not here
    MISS = "miss"  # nobody has reviewed it in time
    REVIEW = "review"


S, T = GlassState, GlassTrigger

GLASS_TRANSITIONS: Mapping[GlassState, Mapping[GlassTrigger, GlassState]] = MappingProxyType(
    {
        S.OPEN: {T.END: S.ENDED, T.LAPSE: S.ENDED, T.WITHDRAW: S.ENDED},
        S.ENDED: {T.MISS: S.OVERDUE, T.REVIEW: S.REVIEWED},
        S.OVERDUE: {T.REVIEW: S.REVIEWED},
        S.REVIEWED: {},
    }
)

UNREVIEWED = frozenset({S.ENDED, S.OVERDUE})


def next_glass_state(state: GlassState, trigger: GlassTrigger) -> GlassState:
    """The one lookup. Raises `IllegalTransition` and changes nothing where the table holds no way."""
    try:
        return GLASS_TRANSITIONS[state][trigger]
    except KeyError:
        raise IllegalTransition("glass", state, trigger) from None


class Finding(StrEnum):
    """What a reviewer says of it."""

    OK = "ok"
    MISUSE = "misuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlassRule:
    """`[break_glass]`: who may, where, for how long, who hears of it and who looks at it afterwards."""

    people: tuple[str, ...]
    reviewers: tuple[str, ...]
    """Nobody reviews their own."""
    announce_to: tuple[Peer, ...]
    open_for_s: float = 1_800.0
    review_within_s: float = 86_400.0
    where: tuple[Place, ...] = ()
    """Empty: everywhere."""
    nodes: tuple[str, ...] = ()
    """Empty: all."""

    def holds_in(self, peer: Peer) -> bool:
        return not self.where or any(place.holds(peer) for place in self.where)

    def holds_on(self, node_name: str) -> bool:
        return not self.nodes or node_name in self.nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Glass:
    """One time that somebody broke it. What is promised of it (where it is announced, by when it is reviewed) is kept
    as it was when it was opened: no later config makes it silent."""

    id: GlassId
    state: GlassState
    person: PersonId
    place: Peer
    """The conversation in which it holds, without a thread."""
    session: SessionKey
    """Of whoever opened it, there: the announcements are owed under it."""
    reason: str
    opened_at: float
    """Seconds since the epoch, as all times here."""
    expires_at: float
    """Never moved."""
    announce_to: tuple[Peer, ...]
    review_within_s: float
    uses: int = 0
    """How many executions were approved under it."""
    ended_at: float | None = None
    ended_by: str | None = None
    """None where time ended it."""
    ended_why: str = ""
    review_by: float | None = None
    """By then somebody else should have looked at it."""
    reviewed_at: float | None = None
    reviewed_by: str | None = None
    finding: Finding | None = None
    note: str = ""


def parse_glass_id(raw: str) -> GlassId | None:
    """A typed id: whole, never a prefix. Case and quotes around it do not matter."""
    bare = raw.strip(_QUOTES)
    if len(bare) != ID_CHARS + len(GLASS_MARK) or not bare.isascii():
        return None
    whole = bare.upper()
    is_one = whole.startswith(GLASS_MARK) and set(whole[len(GLASS_MARK) :]) <= set(ID_ALPHABET)
    return GlassId(whole) if is_one else None


def reviewers_of(rule: GlassRule | None, directory: Directory, person: PersonId) -> tuple[PersonId, ...]:
    """Who may review what this person did: never the person."""
    named = () if rule is None else directory.expand(rule.reviewers)
    # As the config knows the person now: an id that was tied to a name since is still the same human.
    own = directory.expand((person,))
    return tuple(one for one in named if one not in own)


def audience(places: tuple[Peer, ...], directory: Directory, person: PersonId) -> tuple[Peer, ...]:
    """Those of the places where somebody else hears what is announced."""
    own = directory.expand((person,))
    return tuple(
        place
        for place in places
        if place.kind is not PeerKind.DIRECT or directory.identify(place.channel, place.id) not in own
    )


def obstacle(rule: GlassRule | None, directory: Directory, person: PersonId, place: Peer) -> str | None:
    """Why this person may not break glass here; None where they may."""
    if rule is None:
        return "the configuration names nobody who may break glass"
    people = directory.expand(rule.people)
    if person not in people:
        return f"{person} is none of those who may break glass: {', '.join(people) or 'nobody'}"
    if not rule.holds_in(place):
        return "nobody may break glass in this conversation"
    if not reviewers_of(rule, directory, person):
        return f"nobody but {person} could review it afterwards"
    if not audience(rule.announce_to, directory, person):
        return f"nobody but {person} would hear of it where it is announced"
    return None


def overtime(glass: Glass, *, now: float) -> str | None:
    """Why its time is over; None where it is not.

    Opened by a clock that was a year ahead, it would be open for a year once that was mended.
    """
    if now >= glass.expires_at:
        return f"the time of break-glass {glass.id} is over"
    if now < glass.opened_at - CLOCK_BACK_S:
        return f"break-glass {glass.id} was opened later than now: the clock was set back"
    return None


def objection(
    glass: Glass, rule: GlassRule | None, directory: Directory, execution: Execution, *, now: float
) -> str | None:
    """Why it does not carry a yes to this execution at this moment, under the rules of this moment."""
    if glass.state is not GlassState.OPEN:
        return f"break-glass {glass.id} was ended by {glass.ended_by or 'its time'}"
    over = overtime(glass, now=now)
    if over is not None:
        return over
    why = obstacle(rule, directory, glass.person, glass.place)
    if why is not None:
        return f"break-glass {glass.id} counts no more: {why}"
    if execution.origin.peer.parent() != glass.place:
        return f"break-glass {glass.id} is for another conversation"
    if rule is not None and not rule.holds_on(execution.node_name):
        return f"break-glass {glass.id} does not reach the node {execution.node_name}"
    return None
