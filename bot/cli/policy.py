"""`homing policy`: what the rules say of one command, of a file of expectations, and of what was really asked."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.audit import moment
from bot.cli.opened import settings_of, with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.domain.parts import cut_middle, duration
from bot.domain.session import format_key
from bot.domain.verdict import Ask, Refuse, Said

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.config.trial import Explained, Tried
    from bot.domain.execution import Execution
    from bot.domain.glass import GlassRule
    from bot.ports import Tx
    from bot.store.open import OpenStore

_MOST = 10_000
"""Executions of a backtest; more are said as that many."""
_SHOWN_CHARS = 60


def explain(
    command: Annotated[list[str], typer.Argument(help="The command, behind --.", metavar="-- COMMAND")],
    place: Annotated[str, typer.Option("--from", help="Where it is asked: slack:channel:C0OPS.", metavar="PLACE")],
    person: Annotated[str, typer.Option("--person", help="Who asks: a name of [[people]], or an id.", metavar="WHO")],
    node: Annotated[str, typer.Option("--node", help="The node's name.", metavar="NAME")],
    executable: Annotated[
        str | None,
        typer.Option("--executable", help="The file that the node would find, for rules that name paths."),
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """The verdict, the rule with its line, and who would decide.

    One word behind -- is read as a whole line, as it would be typed behind `run`.

    Example: homing policy explain --from slack:channel:C0OPS --person ada --node web-1 -- systemctl restart app
    """
    from bot.config import trial

    settings = settings_of(config)
    policy = trial.policy_of(settings, config)
    text = command[0] if len(command) == 1 else shlex.join(command)
    asked = trial.question(settings, place=place, person=person, node=node, command=text, executable=executable)
    explained = trial.explain(policy, asked)
    if as_json:
        shown.document({"ok": True, "command": text, **_form(explained)})
        return
    for line in _lines(explained, config, policy.glass):
        shown.line(line)


def _lines(explained: Explained, config: Path, glass: GlassRule | None) -> list[str]:
    from bot.config.trial import verdict_of

    said = explained.said
    lines = [f"verdict    {verdict_of(said).value}"]
    for reading in explained.readings:
        named = " ".join(word if word is not None else "…" for word in reading.unit.views[0].words)
        at = "" if reading.rule.line is None else f" ({config.name} line {reading.rule.line})"
        one = f"{cut_middle(named, _SHOWN_CHARS, '')}: {verdict_of(reading.said).value} by "
        of = "" if len(explained.readings) == 1 else one
        lines.append(f"rule       {of}“{reading.rule.name}”{at}")
    lines += _ends(said)
    if glass is not None and explained.breakers:
        heard = ", ".join(format_key(place) for place in glass.announce_to)
        lines.append(
            f"glass      {', '.join(explained.breakers)} could break it for {duration(glass.open_for_s)} at most, "
            f"announced in {heard}"
        )
    if explained.needs_executable:
        lines.append("note       some rule names a path: the node's own file decides; say it with --executable")
    return lines


def _ends(said: Said) -> list[str]:
    if isinstance(said, Refuse):
        return [f"reason     {said.reason}"]
    if not isinstance(said, Ask):
        return ["runs       unasked"]
    terms = said.terms
    demands = [
        words
        for words, holds in (
            ("whoever asks is none of them", terms.four_eyes),
            ("a yes needs a reason", terms.needs_reason),
            ("a yes needs a second factor", terms.second_factor),
        )
        if holds
    ]
    lines = [f"decides    {terms.quorum} of {', '.join(said.deciders) or 'nobody yet'}"]
    lines += [f"demands    {'; '.join(demands)}"] if demands else []
    lines.append(f"waits      {duration(said.expires_after_s)}, then it expires")
    if said.escalation is not None:
        further = ", ".join(said.escalation.to) or "copies of the card"
        lines.append(f"escalates  after {duration(said.escalation.after_s)}: {further}")
    if terms.grant_for_s is not None:
        lines.append(f"always     may be said, and stands for {duration(terms.grant_for_s)}")
    return lines


def _form(explained: Explained) -> dict[str, object]:
    from bot.config.trial import verdict_of

    said = explained.said
    form: dict[str, object] = {
        "verdict": verdict_of(said).value,
        "rule": said.rule,
        "commands": [
            {
                "words": list(reading.unit.views[0].words),
                "verdict": verdict_of(reading.said).value,
                "rule": reading.rule.name,
                "line": reading.rule.line,
            }
            for reading in explained.readings
        ],
    }
    if isinstance(said, Refuse):
        form["reason"] = said.reason
    if isinstance(said, Ask):
        form |= {
            "deciders": list(said.deciders),
            "quorum": said.terms.quorum,
            "four_eyes": said.terms.four_eyes,
            "needs_reason": said.terms.needs_reason,
            "second_factor": said.terms.second_factor,
            "expires_after_s": said.expires_after_s,
            "break_glass": list(explained.breakers),
        }
    return form


def try_cases(
    cases: Annotated[Path, typer.Argument(help="A TOML file of [[case]] tables.", metavar="FILE")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Check the rules against a file of expectations; ends with 1 where one is not met.

    A case has from, person, node, command and expect (allow, ask or deny); rule, deciders and quorum if they matter.

    Example: homing policy test cases.toml
    """
    from bot.config import trial

    settings = settings_of(config)
    policy = trial.policy_of(settings, config)
    tried = [trial.try_case(settings, policy, case) for case in trial.cases_of(cases)]
    failed = [(number, one) for number, one in enumerate(tried, 1) if one.wrong]
    if as_json:
        wrong = [{"case": number, "command": one.case.command, "wrong": list(one.wrong)} for number, one in failed]
        shown.document({"ok": not failed, "cases": len(tried), "failed": wrong})
    else:
        for number, one in failed:
            shown.line(_failure(number, one))
        shown.line(f"{len(tried) - len(failed)} of {len(tried)} cases are as expected")
    if failed:
        raise typer.Exit(1)


def _failure(number: int, one: Tried) -> str:
    return (
        f"case {number} ({one.case.person}: {cut_middle(one.case.command, _SHOWN_CHARS, '')}): {'; '.join(one.wrong)}"
    )


def backtest(
    since: Annotated[
        str, typer.Option("--since", help='How far back, such as "30d", or from which day (UTC).')
    ] = "30d",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """What was really asked, held against the rules of this file: what would be treated in another way.

    Commands that held a secret are judged as they were shown. Nothing is changed.

    Example: homing policy backtest --since 30d --config new.toml
    """
    from bot.config import trial

    async def look(settings: Settings, store: OpenStore) -> tuple[int, list[trial.Changed]]:
        policy = trial.policy_of(settings, config)
        asked = await store.read(lambda tx: _asked(tx, since))
        return len(asked), trial.would_change(policy, asked)

    count, changed = with_store(config, look)
    if as_json:
        rows = [{"id": one.execution.id, "was": one.was, "would_be": one.would_be} for one in changed]
        shown.document({"ok": True, "asked": count, "changed": rows})
        return
    shown.table(
        ("id", "command", "was", "would be"),
        [
            (one.execution.id, cut_middle(one.execution.shown.text, _SHOWN_CHARS, ""), one.was, one.would_be)
            for one in changed
        ],
        none="nothing would be treated in another way",
    )
    shown.aside(f"{len(changed)} of {count} requests since {since} would be treated in another way")


def _asked(tx: Tx, since: str) -> list[Execution]:
    from bot.domain.execution import ExecutionState

    after = moment(since, tx.now)
    found = tx.executions.in_states(frozenset(ExecutionState), limit=_MOST, newest_first=True)
    return [execution for execution in found if execution.created_at >= after]
