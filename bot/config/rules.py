"""Settings -> the domain's policy; which names mean nobody, and what is odd without being wrong."""

from __future__ import annotations

from collections.abc import Iterator

from bot.config.admissions import account_disagreements, account_warnings, conversation, listed_people
from bot.config.settings import RuleSection, Settings
from bot.config.values import did_you_mean
from bot.domain.policy import ANYONE, Directory, Person, Policy, Rule, Verdict, parse_place
from bot.domain.session import PersonId


def to_policy(settings: Settings) -> Policy:
    """The rules in their order, and behind them the default: ask the owners."""
    expires_after_s = settings.execution.approval_expires_after_s
    people = tuple(
        Person(name=person.name, ids=tuple(PersonId(own) for own in person.ids), roles=person.roles)
        for person in settings.people
    )
    rules = [_rule(settings, rule) for rule in settings.rule]
    rules.append(Rule(name="default: ask the owners", action=Verdict.ASK, expires_after_s=expires_after_s))
    return Policy(directory=Directory(people=people), owners=settings.owners, rules=tuple(rules))


def _rule(settings: Settings, rule: RuleSection) -> Rule:
    expires_after_s = settings.execution.approval_expires_after_s
    return Rule(
        name=rule.name,
        action=rule.action,
        where=tuple(parse_place(place) for place in rule.where),
        who=rule.who,
        node=rule.node,
        deciders=rule.deciders,
        expires_after_s=expires_after_s if rule.expires_after is None else rule.expires_after,
        copy_to=tuple(conversation(settings, place) for place in rule.copy_to),
    )


def disagreements(settings: Settings) -> Iterator[tuple[str, str]]:
    """Pairs of dotted key and fault with remedy: what each key alone is right about, and all together are not."""
    yield from _twice("people", "name", [person.name for person in settings.people])
    yield from _twice("rule", "name", [rule.name for rule in settings.rule])
    owner_of: dict[str, int] = {}
    for number, person in enumerate(settings.people):
        for own in person.ids:
            if owner_of.setdefault(own, number) != number:
                yield f"people[{number}].ids", f"an id belongs to people[{owner_of[own]}] already; remove it from one"
    names = {person.name for person in settings.people}
    yield from _unknown("owners", settings.owners, names)
    for number, rule in enumerate(settings.rule):
        yield from _unknown(f"rule[{number}].who", rule.who, names | {ANYONE})
        yield from _unknown(f"rule[{number}].deciders", rule.deciders or (), names)
    for key, listed in listed_people(settings):
        yield from _unknown(key, listed, names)
    yield from account_disagreements(settings)


def _twice(table: str, key: str, values: list[str]) -> Iterator[tuple[str, str]]:
    for number, value in enumerate(values):
        first = values.index(value)
        if first != number:
            yield f"{table}[{number}].{key}", f"is the same as of {table}[{first}]; give each its own"


def _unknown(key: str, listed: tuple[str, ...], names: set[str]) -> Iterator[tuple[str, str]]:
    for name in listed:
        if not name.startswith("@") and ":" not in name and name not in names:
            yield key, f"names a person whom [[people]] does not; {did_you_mean(name, names)}"


def warnings(settings: Settings) -> tuple[str, ...]:
    """What can be run as it stands, and is probably not meant. One line each, with the remedy."""
    found: list[str] = []
    directory = to_policy(settings).directory
    if not directory.expand(settings.owners):
        found.append("owners is empty: where no rule names deciders nobody can approve; name at least one person")
    roles = {role for person in settings.people for role in person.roles}
    lists = [("owners", settings.owners), *listed_people(settings)]
    for number, rule in enumerate(settings.rule):
        lists += [(f"rule[{number}].who", rule.who), (f"rule[{number}].deciders", rule.deciders or ())]
        if rule.action is Verdict.ASK and rule.deciders == ():
            found.append(
                f"rule[{number}].deciders is empty: nobody may approve what the rule “{rule.name}” asks about; "
                "name people, or leave the key out for the owners"
            )
        if rule.action is not Verdict.ASK and (rule.deciders is not None or rule.expires_after is not None):
            found.append(f"rule[{number}] does not ask, so its deciders and expires_after mean nothing; remove them")
    found += account_warnings(settings)
    for key, listed in lists:
        found += [
            f"{key} names the role {name}, which nobody has; {did_you_mean(name[1:], roles)}"
            for name in listed
            if name.startswith("@") and name[1:] not in roles
        ]
    return tuple(found)
