"""Who may speak to us where: the accounts' admissions -> admit, ignore, or ask the person to pair.

Ids are compared byte for byte, and an empty list of whom to admit is nobody. Deliberately absent: who may ask for
which command, and who decides it, which is policy. Whoever passes the gate is heard; nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain.glass_words import BreakGlass, EndGlass, Review
from bot.domain.message import DECIDING, ButtonPress, InboundMessage, Reaction, Sender
from bot.domain.place import ANYONE
from bot.domain.policy import Policy, Verdict
from bot.domain.session import AccountName, ChannelName, Peer, PeerKind, PersonId, ReturnAddress, SessionKey, person_on
from bot.domain.words import Approve, Deny, Several, Stop, Words

CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without 0 and O, 1, I and L, U and V: a code is read aloud, or typed from a telephone's screen."""
CODE_CHARS = 8
"""30 ** 8 codes. They are typed by an operator only, so nobody else can try any."""
CODE_LASTS_S = 3_600.0
"""Long enough to find an operator, short enough that a code in an old chat is worth nothing."""
MAX_PENDING = 64
"""Codes that wait, an account. An operator reads this list; strangers are not to make it endless."""

OWN_SIGN_IN = frozenset({ChannelName("web")})
"""Channels that let nobody in whom an operator has not invited: they need no admission."""


class DirectPolicy(StrEnum):
    """Who may write to us alone."""

    PAIRING = "pairing"
    ALLOWLIST = "allowlist"
    OPEN = "open"
    DISABLED = "disabled"


class RoomPolicy(StrEnum):
    """In which shared rooms we hear anything."""

    ALLOWLIST = "allowlist"
    OPEN = "open"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whom one account hears."""

    dm_policy: DirectPolicy = DirectPolicy.PAIRING
    allow_from: tuple[str, ...] | None = None
    """People, @roles, ids, or "*". None was left out: then it narrows no room. An empty one is nobody."""
    room_policy: RoomPolicy = RoomPolicy.ALLOWLIST
    rooms: frozenset[str] = frozenset()
    """The network's own ids of conversations; a thread counts as the room that it hangs on."""
    spaces: frozenset[str] = frozenset()
    """The network's own ids of guilds or workspaces, all of whose rooms are allowed."""
    require_mention: bool = True


class Closed(StrEnum):
    """Why somebody was not heard. The words of the log."""

    NO_ADMISSION = "no_admission"
    DIRECT_OFF = "direct_off"
    NOT_ON_THE_LIST = "not_on_the_list"
    ROOMS_OFF = "rooms_off"
    ROOM_NOT_ALLOWED = "room_not_allowed"
    NOT_ADDRESSED = "not_addressed"
    PAIRING_PENDING = "pairing_pending"
    TOO_MANY_PENDING = "too_many_pending"
    SEEN_LATE = "seen_late"


@dataclass(frozen=True, slots=True)
class Admit:
    """Heard."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """As if it had not been said: no input, no answer, nothing written."""

    reason: Closed


@dataclass(frozen=True, slots=True)
class AskToPair:
    """An unknown person alone with us: heard once paired, given a code until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonPairing:
    """One person of one account who asked to be let in, or was."""

    channel: ChannelName
    account: AccountName
    native: str
    name: str
    """As the network showed it when they asked. For show only."""
    address: ReturnAddress
    session: SessionKey
    code: str | None
    """What an operator types; None once it was used."""
    asked_at: float
    expires_at: float
    paired_at: float | None
    paired_by: str | None


_VERDICTS = (Approve, Deny, Stop, Several, BreakGlass, EndGlass, Review)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The admissions of all accounts. One without an admission hears nobody, unless its channel signs people in."""

    admissions: Mapping[tuple[ChannelName, AccountName], Admission] = field(default_factory=dict)

    def hear(self, policy: Policy, message: InboundMessage, words: Words) -> Admit | Ignore | AskToPair:
        """May this be said to us here? `words` is how it reads: a decider's verdict needs no place on a list."""
        decides = isinstance(words, _VERDICTS) and is_decider(policy, message.peer.channel, message.sender)
        return self._speak(
            policy,
            message.peer,
            message.sender,
            space=message.space,
            is_addressed=message.is_addressed,
            is_verdict=decides,
        )

    def take_press(self, policy: Policy, press: ButtonPress) -> Admit | Ignore | AskToPair:
        """A press on what we posted. The policy answers a decision, in private; other buttons are words that are said.

        A press is made on a message of ours, wherever that stands, so a decision needs no allowed room.
        """
        if press.button.action in DECIDING:
            return self._known(press.peer)
        return self._speak(policy, press.peer, press.sender, space=press.space, is_addressed=True, is_verdict=False)

    def take_reaction(self, policy: Policy, reaction: Reaction) -> Admit | Ignore | AskToPair:
        """A decider's reaction counts wherever our card stands; for others it is a word that is said to us.

        A reaction names no space, so a stranger's in a room that only its space allows is ignored.
        """
        if is_decider(policy, reaction.peer.channel, reaction.sender):
            return self._known(reaction.peer)
        return self._speak(policy, reaction.peer, reaction.sender, space=None, is_addressed=True, is_verdict=False)

    def may_complete(self, policy: Policy, peer: Peer, sender: Sender, *, space: str | None, is_paired: bool) -> bool:
        """Whether completions of what somebody types may name nodes and executions to them."""
        verdict = self._speak(policy, peer, sender, space=space, is_addressed=True, is_verdict=False)
        return isinstance(verdict, Admit) or (isinstance(verdict, AskToPair) and is_paired)

    def _known(self, peer: Peer) -> Admit | Ignore:
        if peer.channel in OWN_SIGN_IN or (peer.channel, peer.account) in self.admissions:
            return Admit()
        return Ignore(Closed.NO_ADMISSION)

    def _speak(
        self, policy: Policy, peer: Peer, sender: Sender, *, space: str | None, is_addressed: bool, is_verdict: bool
    ) -> Admit | Ignore | AskToPair:
        admission = self.admissions.get((peer.channel, peer.account))
        if admission is None:
            return self._known(peer)
        if peer.kind is PeerKind.DIRECT:
            return _alone(admission, policy, peer.channel, sender, is_verdict=is_verdict)
        if admission.room_policy is RoomPolicy.DISABLED:
            return Ignore(Closed.ROOMS_OFF)
        is_allowed = peer.id in admission.rooms or (space is not None and space in admission.spaces)
        if admission.room_policy is RoomPolicy.ALLOWLIST and not is_allowed:
            return Ignore(Closed.ROOM_NOT_ALLOWED)
        if admission.require_mention and not is_addressed:
            return Ignore(Closed.NOT_ADDRESSED)
        is_narrowed = admission.allow_from is not None and not is_verdict
        if is_narrowed and not is_listed(admission, policy, peer.channel, sender):
            return Ignore(Closed.NOT_ON_THE_LIST)
        return Admit()


def _alone(
    admission: Admission, policy: Policy, channel: ChannelName, sender: Sender, *, is_verdict: bool
) -> Admit | Ignore | AskToPair:
    if admission.dm_policy is DirectPolicy.DISABLED:
        return Ignore(Closed.DIRECT_OFF)
    own = person_on(channel, sender.native)
    # Whom [[people]] names by an id of this channel was let in by the operator who wrote it.
    is_named = any(own in person.ids for person in policy.directory.people)
    if admission.dm_policy is DirectPolicy.OPEN or is_verdict or is_named:
        return Admit()
    if is_listed(admission, policy, channel, sender):
        return Admit()
    return AskToPair() if admission.dm_policy is DirectPolicy.PAIRING else Ignore(Closed.NOT_ON_THE_LIST)


def is_listed(admission: Admission, policy: Policy, channel: ChannelName, sender: Sender) -> bool:
    """Whether `allow_from` holds this person: by name, role, id, or as everybody."""
    listed = admission.allow_from or ()
    if ANYONE in listed:
        return True
    return policy.directory.identify(channel, sender.native) in policy.directory.expand(listed)


def is_decider(policy: Policy, channel: ChannelName, sender: Sender) -> bool:
    """Whether any rule that asks, or the default, has this person decide, be it only once nobody else has; or whether
    they may break glass, or review that."""
    person: PersonId = policy.directory.identify(channel, sender.native)
    if policy.is_owner(person):
        return True
    if policy.glass is not None and person in policy.directory.expand((*policy.glass.people, *policy.glass.reviewers)):
        return True
    return any(
        rule.action is Verdict.ASK and person in policy.directory.expand((*(rule.deciders or ()), *rule.escalate_to))
        for rule in policy.rules
    )


def draw_code(numbers: bytes) -> str:
    """A code from random bytes, two a character: 65,536 is so many times 30 that no letter is notably likelier."""
    pairs = zip(numbers[0::2], numbers[1::2], strict=True)
    return "".join(CODE_ALPHABET[(high * 256 + low) % len(CODE_ALPHABET)] for high, low in pairs)
