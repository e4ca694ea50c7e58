"""What the rules of a file would say: of one question, of a file of expectations, of what was really asked.

Deliberately absent: any change, and how it is printed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from bot.config.admissions import conversation
from bot.config.rules import to_policy
from bot.config.sections import Conversation, Section, Texts
from bot.config.settings import Settings
from bot.config.values import did_you_mean
from bot.domain.command import parse_request
from bot.domain.execution import Execution, ExecutionState
from bot.domain.glass import obstacle
from bot.domain.policy import Policy, Reading, Subject, Verdict, analysed
from bot.domain.session import Peer, PersonId
from bot.domain.verdict import Allow, Ask, Refuse, Said, all_of
from bot.errors import ConfigError, Malformed

MAX_CASES = 10_000
"""Of one file. A verdict takes some ten microseconds; ten thousand are read by nobody, but may be made by a program."""
_RULE_HEADER = re.compile(r"^\s*\[\[\s*rule\s*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who would ask for what, where and on which node."""

    peer: Peer
    person: PersonId
    node: str
    command: str
    executable: str | None = None
    """The file that the node would find, for rules that name paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    said: Said
    readings: tuple[Reading, ...]
    """Command by command."""
    needs_executable: bool
    """A rule about this command names a path: what the node finds decides."""
    breakers: tuple[PersonId, ...] = ()
    """Who could approve it alone, by break-glass. Nobody, where it is not asked about."""


def policy_of(settings: Settings, config: Path) -> Policy:
    """The policy, whose rules know their lines in the file."""
    return to_policy(settings, rule_lines(config))


def rule_lines(config: Path) -> tuple[int, ...]:
    """Where each `[[rule]]` of the file begins, counted from 1; nothing where the file cannot be read."""
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(text.count("\n", 0, found.end()) + 1 for found in _RULE_HEADER.finditer(text))


def question(
    settings: Settings, *, place: str, person: str, node: str, command: str, executable: str | None = None
) -> Question:
    """Raises `ConfigError` for a place or person that the config could not mean, `Malformed` for no command."""
    directory = to_policy(settings).directory
    names = {known.name for known in settings.people}
    if person not in names and ":" not in person:
        raise ConfigError((f"person {person!r} is none of [[people]]; {did_you_mean(person, names)}",))
    parse_request(command)
    return Question(
        peer=conversation(settings, place),
        person=directory.expand((person,))[0],
        node=node,
        command=command,
        executable=executable,
    )


def explain(policy: Policy, asked: Question) -> Explained:
    subject = Subject(analysis=analysed(parse_request(asked.command)), executable=asked.executable)
    readings = policy.read(peer=asked.peer, asker=asked.person, node_name=asked.node, subject=subject)
    said = all_of([reading.said for reading in readings])
    rule = policy.glass if isinstance(said, Ask) else None
    reaches = rule is not None and rule.holds_on(asked.node)
    named = policy.directory.expand(rule.people) if rule is not None and reaches else ()
    return Explained(
        said=said,
        breakers=tuple(one for one in named if obstacle(rule, policy.directory, one, asked.peer.parent()) is None),
        readings=readings,
        needs_executable=asked.executable is None
        and any(pattern.needs_executable for rule in policy.rules for pattern in rule.command),
    )


def verdict_of(said: Said) -> Verdict:
    match said:
        case Allow():
            return Verdict.ALLOW
        case Refuse():
            return Verdict.DENY
        case Ask():
            return Verdict.ASK


# --- a file of expectations ------------------------------------------------------------------------


class CaseSection(Section):
    """One `[[case]]`: a question, and what the rules must say."""

    place: Conversation = Field(alias="from", description="Where it is asked: slack:channel:C0OPS.")
    person: str = Field(description="Who asks: a name of [[people]] or an id.")
    node: str = Field(description="The node's name.")
    command: str = Field(min_length=1, description="As it would be typed behind `run`.")
    executable: str | None = Field(default=None, description="The file that the node would find.")
    expect: Verdict = Field(description="allow, ask or deny.")
    rule: str | None = Field(default=None, description="The rule that must give it.")
    deciders: Texts | None = Field(default=None, description="Exactly who must be able to decide.")
    quorum: int | None = Field(default=None, description="How many of them it must take.")
    second_factor: bool | None = Field(default=None, description="Whether a yes must need a code of their device.")


class _CasesFile(Section):
    case: tuple[CaseSection, ...] = Field(min_length=1, max_length=MAX_CASES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    case: CaseSection
    said: Said
    wrong: tuple[str, ...]
    """What is not as it is expected; empty where all is."""


def cases_of(path: Path) -> tuple[CaseSection, ...]:
    """Raises `ConfigError` with every fault of the file."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError((f"{path.name}: there is no such file; it holds tables of [[case]]",)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError((f"{path.name}: cannot be read as TOML ({fault}); it holds tables of [[case]]",)) from None
    try:
        return _CasesFile(**tree).case
    except (ValidationError, TypeError) as fault:
        errors = fault.errors(include_url=False, include_context=False) if isinstance(fault, ValidationError) else []
        # A list whose entries are faulty is called too short as well.
        of_cases = [one for one in errors if one["loc"] != ("case",) or one["type"] != "too_short"]
        lines = [f"{path.name}: {'.'.join(str(part) for part in one['loc'])}: {_case_fault(one)}" for one in of_cases]
        raise ConfigError(tuple(lines or [f"{path.name}: holds no table of [[case]]"])) from None


def _case_fault(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in CaseSection.model_fields.items()]
        return f"unknown key; {did_you_mean(str(error['loc'][-1]), known if len(error['loc']) > 1 else ['case'])}"
    return error["msg"].replace("Input should", "should", 1).removeprefix("Value error, ")


def try_case(settings: Settings, policy: Policy, case: CaseSection) -> Tried:
    try:
        asked = question(
            settings,
            place=case.place,
            person=case.person,
            node=case.node,
            command=case.command,
            executable=case.executable,
        )
    except (ConfigError, Malformed) as fault:
        said: Said = Refuse(rule="", reason=str(fault))
        return Tried(case=case, said=said, wrong=(str(fault),))
    explained = explain(policy, asked)
    return Tried(case=case, said=explained.said, wrong=tuple(_wrong(case, explained.said, policy)))


def _wrong(case: CaseSection, said: Said, policy: Policy) -> list[str]:
    wrong = []
    if verdict_of(said) is not case.expect:
        wrong.append(f"it says {verdict_of(said).value}, not {case.expect.value}")
    if case.rule is not None and said.rule != case.rule:
        wrong.append(f"the rule is “{said.rule}”, not “{case.rule}”")
    deciders = set(said.deciders) if isinstance(said, Ask) else set()
    if case.deciders is not None and deciders != set(policy.directory.expand(case.deciders)):
        wrong.append(f"who may decide is {', '.join(sorted(deciders)) or 'nobody'}")
    quorum = said.terms.quorum if isinstance(said, Ask) else 0
    if case.quorum is not None and quorum != case.quorum:
        wrong.append(f"it takes {quorum} of them, not {case.quorum}")
    needs_code = isinstance(said, Ask) and said.terms.second_factor
    if case.second_factor is not None and needs_code is not case.second_factor:
        wrong.append(f"a yes needs {'a' if needs_code else 'no'} second factor")
    return wrong


# --- what was really asked -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One request that these rules would treat in another way than it was."""

    execution: Execution
    was: str
    would_be: str


def would_change(policy: Policy, executions: Sequence[Execution]) -> list[Changed]:
    """Those of which the verdict, the rule's name, the deciders or their number would differ, in the order given."""
    changed = []
    for execution in executions:
        was, would_be = _as_it_was(execution), _in_words(policy.judge_execution(execution))
        if was is not None and was != would_be:
            changed.append(Changed(execution=execution, was=was, would_be=would_be))
    return changed


def _as_it_was(execution: Execution) -> str | None:
    """None where nobody can say: it ended before the rules were asked."""
    if execution.deciders:
        return _words("ask", execution.rule, execution.deciders, execution.terms.quorum)
    if execution.command is not None and execution.rule:
        return _words("allow", execution.rule)
    if execution.state is ExecutionState.REFUSED and execution.rule:
        return _words("deny", execution.rule)
    return None


def _in_words(said: Said) -> str:
    if isinstance(said, Ask):
        return _words("ask", said.rule, said.deciders, said.terms.quorum)
    return _words(verdict_of(said).value, said.rule)


def _words(verdict: str, rule: str, deciders: Sequence[str] = (), quorum: int = 1) -> str:
    who = f": {quorum} of {', '.join(sorted(deciders))}" if deciders else ""
    return f"{verdict} by “{rule}”{who}"
