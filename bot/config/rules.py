"""Settings -> the domain's policy; which names mean nobody, and what is odd without being wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from bot.config.admissions import account_disagreements, account_warnings, conversation, listed_people
from bot.config.bindings import agent_disagreements
from bot.config.people import RuleSection
from bot.config.sections import Section
from bot.config.settings import Settings
from bot.config.values import did_you_mean
from bot.config.woken import woken_disagreements
from bot.domain.directory import Directory, Person
from bot.domain.glass import GlassRule, audience, reviewers_of
from bot.domain.pattern import parse_pattern
from bot.domain.place import ANYONE, parse_place
from bot.domain.policy import DEFAULT_RULE, NodeGroup, Policy, Rule, Verdict
from bot.domain.session import PersonId
from bot.domain.terms import ONE_YES, Terms


def to_policy(settings: Settings, lines: Sequence[int] = ()) -> Policy:
    """The rules in their order, and behind them the default: ask the owners. `lines` are theirs in the file."""
    expires_after_s = settings.execution.approval_expires_after_s
    people = tuple(
        Person(name=person.name, ids=tuple(PersonId(own) for own in person.ids), roles=person.roles)
        for person in settings.people
    )
    rules = [_rule(settings, rule, line) for rule, line in zip_longest(settings.rule, lines[: len(settings.rule)])]
    rules.append(replace(DEFAULT_RULE, expires_after_s=expires_after_s))
    return Policy(
        directory=Directory(people=people),
        owners=settings.owners,
        rules=tuple(rules),
        groups=tuple(NodeGroup(name=group.name, nodes=group.nodes) for group in settings.node_group),
        glass=_glass(settings),
    )


def _glass(settings: Settings) -> GlassRule | None:
    section = settings.break_glass
    if section is None:
        return None
    members = {f"@{group.name}": group.nodes for group in settings.node_group}
    nodes = tuple(one for name in section.node for one in members.get(name, (name,)))
    return GlassRule(
        people=section.people,
        reviewers=settings.owners if section.reviewers is None else section.reviewers,
        announce_to=tuple(conversation(settings, place) for place in section.announce_to),
        open_for_s=section.open_for,
        review_within_s=section.review_within,
        where=tuple(parse_place(place) for place in section.where),
        nodes=() if ANYONE in nodes else nodes,
    )


def _rule(settings: Settings, rule: RuleSection, line: int | None) -> Rule:
    expires_after_s = settings.execution.approval_expires_after_s
    return Rule(
        name=rule.name,
        action=rule.action,
        where=tuple(parse_place(place) for place in rule.where),
        who=rule.who,
        node=rule.node,
        command=tuple(parse_pattern(pattern) for pattern in rule.command),
        deciders=rule.deciders,
        terms=Terms(
            quorum=rule.quorum,
            four_eyes=rule.four_eyes,
            needs_reason=rule.needs_reason,
            second_factor=rule.second_factor,
            grant_for_s=rule.grant_for,
        ),
        expires_after_s=expires_after_s if rule.expires_after is None else rule.expires_after,
        copy_to=tuple(conversation(settings, place) for place in rule.copy_to),
        escalate_after_s=rule.escalate_after,
        escalate_to=rule.escalate_to,
        escalate_copy_to=tuple(conversation(settings, place) for place in rule.escalate_copy_to),
        line=line,
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
        yield from _unknown(f"rule[{number}].escalate_to", rule.escalate_to, names)
        yield from _empty(f"rule[{number}]", rule, ("where", "who", "node", "command"))
        yield from _clashes(number, rule, settings)
    yield from _twice("node_group", "name", [group.name for group in settings.node_group])
    for number, group in enumerate(settings.node_group):
        if not group.nodes:
            yield f"node_group[{number}].nodes", "is empty; name at least one node, or remove the group"
    for key, listed in listed_people(settings):
        yield from _unknown(key, listed, names)
    if settings.break_glass is not None:
        yield from _unknown("break_glass.people", settings.break_glass.people, names)
        yield from _unknown("break_glass.reviewers", settings.break_glass.reviewers or (), names)
        yield from _unknown_groups("break_glass.node", settings.break_glass.node, settings)
        yield from _empty("break_glass", settings.break_glass, ("where", "node"))
    yield from account_disagreements(settings)
    yield from agent_disagreements(settings)
    yield from woken_disagreements(settings)


def _empty(table: str, section: Section, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Conditions that were written and name nothing. Somebody who empties one means nothing; left out it means all."""
    for key in keys:
        if key in section.model_fields_set and not getattr(section, key):
            yield f"{table}.{key}", "is empty; name at least one, or remove the key, which then holds for all"


def _unknown_groups(key: str, listed: tuple[str, ...], settings: Settings) -> Iterator[tuple[str, str]]:
    groups = {f"@{group.name}" for group in settings.node_group}
    for number, name in enumerate(listed):
        if name.startswith("@") and name not in groups:
            yield f"{key}[{number}]", f"names a group that no [[node_group]] has; {did_you_mean(name, groups)}"


def _clashes(number: int, rule: RuleSection, settings: Settings) -> Iterator[tuple[str, str]]:
    """Keys of one rule that are right alone and wrong beside each other."""
    yield from _unknown_groups(f"rule[{number}].node", rule.node, settings)
    if (rule.escalate_after is None) != (not rule.escalate_to and not rule.escalate_copy_to):
        yield f"rule[{number}].escalate_after", "goes with escalate_to or escalate_copy_to; write both, or neither"
    waits = settings.execution.approval_expires_after_s if rule.expires_after is None else rule.expires_after
    if rule.escalate_after is not None and rule.escalate_after >= waits:
        yield f"rule[{number}].escalate_after", f"comes after the {waits:g} s that it waits at all; make it shorter"
    if rule.grant_for is not None and rule.quorum > 1:
        yield f"rule[{number}].grant_for", "lets one person say “always”, and quorum asks for several; remove one"


def _twice(table: str, key: str, values: list[str]) -> Iterator[tuple[str, str]]:
    for number, value in enumerate(values):
        first = values.index(value)
        if first != number:
            yield f"{table}[{number}].{key}", f"is the same as of {table}[{first}]; give each its own"


def _unknown(key: str, listed: tuple[str, ...], names: set[str]) -> Iterator[tuple[str, str]]:
    for number, name in enumerate(listed):
        if not name.startswith("@") and ":" not in name and name not in names:
            yield f"{key}[{number}]", f"names a person whom [[people]] does not; {did_you_mean(name, names)}"


def _odd_rule(key: str, rule: Rule, directory: Directory) -> Iterator[str]:
    """What one rule says in vain."""
    asks = rule.deciders is not None or rule.terms != ONE_YES or rule.escalate_after_s is not None
    if rule.action is Verdict.DENY and asks:
        yield f"{key} denies, so its deciders and what it demands of them mean nothing; remove them"
    if rule.action is Verdict.ALLOW and rule.command and asks:
        yield f"{key} allows only what fits its command, so its deciders mean nothing; remove them, or its command"
    if rule.deciders is not None and rule.action is Verdict.ASK:
        could = directory.expand((*rule.deciders, *rule.escalate_to))
        if 0 < len(could) < rule.terms.quorum:
            yield f"{key}.quorum is {rule.terms.quorum}, and only {', '.join(could)} may decide: it is never reached"
        asking = could if not rule.who or ANYONE in rule.who else tuple(set(could) & set(directory.expand(rule.who)))
        if asking and rule.terms.four_eyes and len(could) == rule.terms.quorum:
            yield (
                f"{key} takes {rule.terms.quorum} of {', '.join(could)} and wants other eyes: what "
                f"{' or '.join(sorted(asking))} asks for is refused at once; name one more"
            )


def _odd_glass(rule: GlassRule | None, directory: Directory) -> Iterator[str]:
    """Whose work nobody else could review, or would hear of."""
    people = () if rule is None else directory.expand(rule.people)
    for person in people:
        if not reviewers_of(rule, directory, person):
            yield f"break_glass.reviewers names nobody but {person}, who so cannot break glass; name somebody else too"
        if rule is not None and not audience(rule.announce_to, directory, person):
            yield f"break_glass.announce_to is heard by {person} alone, who so cannot break glass; name a room"


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
        lists.append((f"rule[{number}].escalate_to", rule.escalate_to))
        found += _odd_rule(f"rule[{number}]", _rule(settings, rule, None), directory)
    glass = settings.break_glass
    if glass is not None:
        lists += [("break_glass.people", glass.people), ("break_glass.reviewers", glass.reviewers or ())]
        found += _odd_glass(to_policy(settings).glass, directory)
    found += account_warnings(settings)
    for key, listed in lists:
        found += [
            f"{key} names the role {name}, which nobody has; {did_you_mean(name[1:], roles)}"
            for name in listed
            if name.startswith("@") and name[1:] not in roles
        ]
    return tuple(found)
