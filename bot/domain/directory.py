"""Who is who: one person's ids on several channels, and the roles that they have.

Deliberately absent: what a person may, which the policy says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.domain.session import ChannelName, PersonId, person_on


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
    _expanded: dict[tuple[str, ...], tuple[PersonId, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The lists of the config, each read once: a verdict goes through a thousand rules."""

    def identify(self, channel: ChannelName, native: str) -> PersonId:
        """The person behind a channel's id: the config's name for them, else the id itself."""
        own = person_on(channel, native)
        for person in self.people:
            if own in person.ids:
                return PersonId(person.name)
        return own

    def expand(self, names: tuple[str, ...]) -> tuple[PersonId, ...]:
        """People and roles, in order, each person once. A role that nobody has is nobody."""
        known = self._expanded.get(names)
        if known is None:
            known = self._expanded[names] = self._people_of(names)
        return known

    def _people_of(self, names: tuple[str, ...]) -> tuple[PersonId, ...]:
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
