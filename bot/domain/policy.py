"""Who may ask, who decides, which node where: rules in order, the first that matches gives the verdict.

No rule matches: ask the owners. An empty list of deciders means nobody. No answer is never a yes.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.message import Action
from bot.domain.session import ChannelName, Peer, PersonId, parse_key, person_on
from bot.errors import MalformedKey

DEFAULT_EXPIRY_S = 1_800.0
"""Half an hour: the time that systems of this kind give an approval."""
ANYONE = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One human in the config: a name, and their ids on the channels, `web:owner` for example."""

    name: str
    ids: tuple[PersonId, ...]
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Ties ids to people and people to roles. `@sre` in a list means everybody with the role `sre`."""

    people: tuple[Person, ...] = ()

    def identify(self, channel: ChannelName, native: str) -> PersonId:
        """The person behind a channel's id: the config's name for them, else the id itself."""
        own = person_on(channel, native)
        for person in self.people:
            if own in person.ids:
                return PersonId(person.name)
        return own

    def expand(self, names: tuple[str, ...]) -> tuple[PersonId, ...]:
        """People and roles, in order, each person once. A role that nobody has is nobody."""
        found: dict[PersonId, None] = {}
        for name in names:
            if name.startswith("@"):
                found.update((PersonId(person.name), None) for person in self.people if name[1:] in person.roles)
            else:
                found[self._known(name)] = None
        return tuple(found)

    def ids_of(self, person: PersonId) -> tuple[PersonId, ...]:
        """A person's ids on the channels; the person itself where the config does not name them."""
        return next((known.ids for known in self.people if known.name == person), (person,))

    def _known(self, name: str) -> PersonId:
        """A person listed by one of their ids is the same person as by their name."""
        for person in self.people:
            if name in person.ids:
                return PersonId(person.name)
        return PersonId(name)


class Verdict(StrEnum):
    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a rule holds: a channel, or one conversation of it with all its threads."""

    channel: ChannelName | None = None
    peer: Peer | None = None

    def holds(self, peer: Peer) -> bool:
        if self.peer is not None:
            here = peer if self.peer.thread is not None else peer.parent()
            mine = (self.peer.channel, self.peer.account, self.peer.kind, self.peer.id, self.peer.thread)
            return mine == (here.channel, here.account, here.kind, here.id, here.thread)
        return self.channel is None or self.channel == peer.channel


def parse_place(text: str) -> Place:
    """`*`, `web`, or the peer's part of a session key: `web:channel:ops`. Raises `MalformedKey`."""
    if text == ANYONE:
        return Place()
    # A channel alone is read as the beginning of a key: one parser knows what may name a channel.
    is_channel = ":" not in text
    named = parse_key(f"agent:any:{text}:channel:any" if is_channel else f"agent:any:{text}")
    if not isinstance(named, Peer):
        raise MalformedKey(f"{text!r} names no conversation of a channel")
    return Place(channel=named.channel) if is_channel else Place(peer=named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One `[[rule]]`: all conditions must hold; an empty condition holds always."""

    name: str
    action: Verdict
    where: tuple[Place, ...] = ()
    who: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    deciders: tuple[str, ...] | None = None
    """None means the owners; an empty tuple means nobody."""
    expires_after_s: float = DEFAULT_EXPIRY_S
    copy_to: tuple[Peer, ...] = ()
    """Where a copy of the card is posted as well, with the same buttons and never any output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    rule: str
    deciders: tuple[PersonId, ...]
    expires_after_s: float
    copy_to: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    rule: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    directory: Directory = Directory()
    owners: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def judge(self, *, peer: Peer, asker: PersonId, node_name: str) -> Allow | Ask | Refuse:
        """The verdict for a command of `asker` in `peer` on `node_name`."""
        for rule in self.rules:
            if self._matches(rule, peer, asker, node_name):
                return self._verdict(rule)
        return self._verdict(Rule(name="default: ask the owners", action=Verdict.ASK))

    def is_owner(self, person: PersonId) -> bool:
        """Owners are the operators in the chat: they may pause, resume and stop anything."""
        return person in self.directory.expand(self.owners)

    def _matches(self, rule: Rule, peer: Peer, asker: PersonId, node_name: str) -> bool:
        if rule.where and not any(place.holds(peer) for place in rule.where):
            return False
        if rule.who and ANYONE not in rule.who and asker not in self.directory.expand(rule.who):
            return False
        return not rule.node or ANYONE in rule.node or node_name in rule.node

    def _verdict(self, rule: Rule) -> Allow | Ask | Refuse:
        match rule.action:
            case Verdict.ALLOW:
                return Allow(rule=rule.name)
            case Verdict.DENY:
                return Refuse(rule=rule.name, reason=f"the rule “{rule.name}” denies it")
            case _:
                named = self.owners if rule.deciders is None else rule.deciders
                deciders = self.directory.expand(named)
                if not deciders:
                    return Refuse(
                        rule=rule.name,
                        reason=f"the rule “{rule.name}” asks, and its list of deciders is empty: nobody may approve",
                    )
                return Ask(
                    rule=rule.name, deciders=deciders, expires_after_s=rule.expires_after_s, copy_to=rule.copy_to
                )


_YES = frozenset(
    {"👍", "✅", "✔", "☑", "+1", "thumbsup", "white_check_mark", "heavy_check_mark", "ballot_box_with_check"}
)
_NO = frozenset({"👎", "❌", "✖", "-1", "thumbsdown", "x", "heavy_multiplication_x"})
_SKIN_TONES = frozenset(chr(code) for code in range(0x1F3FB, 0x1F400))
_VARIATION_SELECTORS = frozenset({"\ufe0e", "\ufe0f"})


def decision_of(emoji: str) -> Action | None:
    """A tick or thumbs up approves, a cross or thumbs down denies; skin tones and variants count the same."""
    plain = "".join(
        character
        for character in unicodedata.normalize("NFC", emoji.split("::", 1)[0])
        if character not in _SKIN_TONES and character not in _VARIATION_SELECTORS
    )
    if plain in _YES:
        return Action.APPROVE
    return Action.DENY if plain in _NO else None
