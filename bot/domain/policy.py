"""Who may ask, who decides, which command on which node where: rules in order, the first that fits gives the verdict.

A request of several commands is judged command by command, and each verdict must be met. No rule fits: ask the
owners. An empty list of deciders means nobody. No answer is never a yes.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache

from bot.domain.command import Request
from bot.domain.directory import Directory
from bot.domain.execution import Execution
from bot.domain.glass import GlassRule
from bot.domain.message import Action
from bot.domain.pattern import Pattern, base_of, fits_any
from bot.domain.place import ANYONE, Place
from bot.domain.session import Peer, PersonId
from bot.domain.shell import Analysis, Unit, analyse
from bot.domain.terms import ONE_YES, Terms
from bot.domain.verdict import Allow, Ask, Escalation, Refuse, Said, all_of

DEFAULT_EXPIRY_S = 1_800.0
"""Half an hour: the time that systems of this kind give an approval."""


class Verdict(StrEnum):
    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroup:
    """Nodes under one name: `@web` in a rule means each of them."""

    name: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One `[[rule]]`: all conditions must hold; an empty condition holds always."""

    name: str
    action: Verdict
    where: tuple[Place, ...] = ()
    who: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    command: tuple[Pattern, ...] = ()
    """To allow, one of them must fit all of one plain command; to ask or deny, it is enough that one could fit."""
    deciders: tuple[str, ...] | None = None
    """None means the owners; an empty tuple means nobody."""
    terms: Terms = ONE_YES
    expires_after_s: float = DEFAULT_EXPIRY_S
    copy_to: tuple[Peer, ...] = ()
    """Where a copy of the card is posted as well, with the same buttons and never any output."""
    escalate_after_s: float | None = None
    escalate_to: tuple[str, ...] = ()
    """Who may decide as well from then on."""
    escalate_copy_to: tuple[Peer, ...] = ()
    line: int | None = None
    """Of the config file, for whoever asks why."""


DEFAULT_RULE = Rule(name="default: ask the owners", action=Verdict.ASK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a rule's patterns are held against."""

    analysis: Analysis
    executable: str | None = None
    """The file that the node found for a plain command; None before it has looked, and for a script."""
    read_untrusted: bool = False
    """A model worded it that had read what anybody may have written: nothing allows it unasked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Why one command of a request gets its verdict."""

    unit: Unit
    rule: Rule
    said: Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    directory: Directory = field(default_factory=Directory)
    owners: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    groups: tuple[NodeGroup, ...] = ()
    glass: GlassRule | None = None
    """Who may break glass; None: nobody. It changes no verdict."""
    _by_program: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Which rules could be about a program, made once: a verdict then looks at a few of a thousand."""

    def judge(
        self, *, peer: Peer, asker: PersonId, node_name: str, subject: Subject, is_escalated: bool = False
    ) -> Said:
        """The verdict for a request of `asker` in `peer` on `node_name`: what all of its commands get together."""
        readings = self.read(peer=peer, asker=asker, node_name=node_name, subject=subject, is_escalated=is_escalated)
        return all_of([reading.said for reading in readings])

    def judge_execution(self, execution: Execution) -> Said:
        """The verdict of this policy for an execution as it stands. Its request must still be the true one."""
        command = execution.command
        return self.judge(
            peer=execution.origin.peer,
            asker=self.asker_of(execution),
            node_name=execution.node_name,
            subject=Subject(
                analysis=analysed(execution.request),
                executable=command.executable if command is not None and command.script is None else None,
                read_untrusted=execution.read_untrusted,
            ),
            is_escalated=execution.is_escalated,
        )

    def refuses_unseen(self, *, peer: Peer, asker: PersonId, node_name: str, subject: Subject) -> Refuse | None:
        """The refusal that holds whatever the node would find: then the node is not asked what it has."""
        said = self.judge(peer=peer, asker=asker, node_name=node_name, subject=subject)
        if not isinstance(said, Refuse) or any(
            pattern.needs_executable
            for rule in self.rules
            if rule.action is not Verdict.DENY
            for pattern in rule.command
        ):
            return None
        return said

    def read(
        self, *, peer: Peer, asker: PersonId, node_name: str, subject: Subject, is_escalated: bool = False
    ) -> tuple[Reading, ...]:
        """The rule that each command of the request falls under, and what it says."""
        readings = []
        for unit in dict.fromkeys(subject.analysis.units):
            candidates = self._about(unit, subject)
            fitting = (rule for rule in candidates if _fits(rule, unit, subject))
            rule = next((rule for rule in fitting if self._holds(rule, peer, asker, node_name)), DEFAULT_RULE)
            said = self._said(rule, asker, is_plain=_is_plain(unit, subject), is_escalated=is_escalated)
            readings.append(Reading(unit=unit, rule=rule, said=said))
        return tuple(readings)

    def asker_of(self, execution: Execution) -> PersonId:
        """Whoever asked, as the config names them now: a name that was given since must not make other eyes of them."""
        if not execution.asker_native:
            # A schedule or a hook, which no network knows.
            return execution.asker
        return self.directory.identify(execution.origin.peer.channel, execution.asker_native)

    def is_owner(self, person: PersonId) -> bool:
        """Owners are the operators in the chat: they may pause, resume and stop anything."""
        return person in self.directory.expand(self.owners)

    def _about(self, unit: Unit, subject: Subject) -> list[Rule]:
        """The rules, in order, that could be about this command: all without a command, and those of its programs."""
        if not self._by_program:
            self._by_program.update(_by_program(self.rules))
        programs = {base_of(view.words[0]) for view in unit.views if view.words and view.words[0] is not None}
        if subject.executable is not None:
            programs.add(base_of(subject.executable))
        numbers = {number for program in (_ANY_PROGRAM, *programs) for number in self._by_program.get(program, ())}
        return [self.rules[number] for number in sorted(numbers)]

    def _grouped(self, rule: Rule) -> frozenset[str]:
        """The nodes of the groups that the rule names."""
        return frozenset(node for group in self.groups if f"@{group.name}" in rule.node for node in group.nodes)

    def _holds(self, rule: Rule, peer: Peer, asker: PersonId, node_name: str) -> bool:
        if (
            rule.node
            and ANYONE not in rule.node
            and node_name not in rule.node
            and node_name not in self._grouped(rule)
        ):
            return False
        if rule.where and not any(place.holds(peer) for place in rule.where):
            return False
        return not rule.who or ANYONE in rule.who or asker in self.directory.expand(rule.who)

    def _said(self, rule: Rule, asker: PersonId, *, is_plain: bool, is_escalated: bool) -> Said:
        match rule.action:
            case Verdict.ALLOW if is_plain:
                return Allow(rule=rule.name)
            case Verdict.DENY:
                return Refuse(rule=rule.name, reason=f"the rule “{rule.name}” denies it")
            case Verdict.ALLOW:
                # What a shell would read, or what hides, is shown to somebody first.
                return self._asked(replace(rule, name=f"{rule.name} (plain commands only)"), asker, is_escalated)
            case _:
                return self._asked(rule, asker, is_escalated)

    def _asked(self, rule: Rule, asker: PersonId, is_escalated: bool) -> Said:
        named = self.owners if rule.deciders is None else rule.deciders
        further = self.directory.expand(rule.escalate_to)
        deciders = self.directory.expand(named)
        everybody = tuple(dict.fromkeys((*deciders, *further)))
        is_nobody = not everybody
        if is_escalated:
            deciders = everybody
        if rule.terms.four_eyes:
            deciders = tuple(person for person in deciders if person != asker)
            everybody = tuple(person for person in everybody if person != asker)
        if len(everybody) < rule.terms.quorum:
            return Refuse(rule=rule.name, reason=_too_few(rule, everybody, is_nobody=is_nobody))
        escalation = None
        if rule.escalate_after_s is not None and not is_escalated:
            escalation = Escalation(after_s=rule.escalate_after_s, to=further, copy_to=rule.escalate_copy_to)
        return Ask(
            rule=rule.name,
            deciders=deciders,
            expires_after_s=rule.expires_after_s,
            copy_to=rule.copy_to,
            terms=rule.terms,
            escalation=escalation,
        )


_ANY_PROGRAM = "/"
"""No base name holds a slash."""


def _by_program(rules: tuple[Rule, ...]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {_ANY_PROGRAM: []}
    for number, rule in enumerate(rules):
        bases = {pattern.short_name for pattern in rule.command} or {None}
        for base in {_ANY_PROGRAM} if None in bases else bases:
            found.setdefault(base or _ANY_PROGRAM, []).append(number)
    return found


@lru_cache(maxsize=1_024)
def analysed(request: Request) -> Analysis:
    """What an execution could start. Kept for a while: it is asked at every look at what waits."""
    return analyse(request)


def _is_plain(unit: Unit, subject: Subject) -> bool:
    """Whether it could run unasked: as argv, with nothing that hides, and nobody guesses what it starts."""
    analysis = subject.analysis
    if subject.read_untrusted:
        return False
    return analysis.is_plain and analysis.is_ascii and not unit.runs_code and not unit.is_unknown


def _fits(rule: Rule, unit: Unit, subject: Subject) -> bool:
    if not rule.command:
        return True
    if unit.is_unknown:
        return False
    if rule.action is not Verdict.ALLOW:
        for pattern in rule.command:
            if fits_any(pattern, unit.views, executable=subject.executable, loosely=True):
                return True
        return False
    view = unit.views[0]
    for pattern in rule.command:
        if pattern.fits(view, executable=subject.executable, loosely=False) and pattern.spells_out(view.through):
            return _is_plain(unit, subject)
    return False


def _too_few(rule: Rule, could: tuple[PersonId, ...], *, is_nobody: bool) -> str:
    """Why nobody, or not enough of them, may approve; who could, where there is somebody."""
    if is_nobody:
        return f"the rule “{rule.name}” asks, and its list of deciders is empty: nobody may approve"
    needs = f"{rule.terms.quorum} people" if rule.terms.quorum > 1 else "somebody"
    other = " other than the one who asks" if rule.terms.four_eyes else ""
    return f"the rule “{rule.name}” needs {needs}{other} to approve, and names {', '.join(could) or 'nobody'}"


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
