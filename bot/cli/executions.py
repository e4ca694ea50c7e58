"""`homing status`, `why`, `executions` and `approvals`: what the store says of executions. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import agents, shown
from bot.cli.glass import form as glass_form
from bot.cli.glass import state_words as glass_words
from bot.cli.opened import with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath, Limit
from bot.domain.execution import Execution, ExecutionId, ExecutionState
from bot.domain.parts import duration
from bot.domain.results import ending_words, title
from bot.domain.session import DEFAULT_ACCOUNT, format_key
from bot.domain.unmasked import shown_path
from bot.domain.words import parse_id
from bot.errors import HomingError, Malformed
from bot.inquiry import MAX_COUNTED, OPEN, Chain, Standing, Telling, is_heard, listed, standing, why
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.presence import Seen
    from bot.store.open import OpenStore

_RequestColumns = ("id", "state", "node", "asked by", "where", "asked at", "command")


def status(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """How things stand.

    Whether a gateway runs, open executions, what is owed, the nodes, the accounts, and whether dispatch is paused.

    Example: homing status --json
    """

    from bot.presence import seen

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Standing]:
        return settings, await store.read(standing)

    settings, now = with_store(config, ask)
    gateway = seen(settings)
    may_run = gateway.runs is not False
    if as_json:
        accounts = [_account_form(one) for one in _accounts(settings)]
        stands = _standing_form(now, may_run=may_run)
        models = agents.form(settings, now)
        shown.document({"gateway": asdict(gateway), **stands, "accounts": accounts, "models": models})
        return
    times = shown.Times(settings.display.time_zone)
    shown.line(f"gateway     {_gateway(gateway)}")
    if now.paused is not None:
        since = times.at(now.paused.since)
        shown.line(
            f"PAUSED since {since} by {now.paused.by}: {now.paused.reason or 'no reason given'}; `homing resume`"
        )
    shown.line("executions  " + _counts({state.value: count for state, count in now.executions.items()}))
    shown.line("owed        " + _counts({state.value: count for state, count in now.events.items()}))
    if now.oldest_untold_at is not None:
        shown.line(f"oldest owed {duration(max(0.0, now.now - now.oldest_untold_at))} ago")
    for glass in now.glasses:
        shown.line(f"BREAK-GLASS {glass.id} of {glass.person}: {glass_words(glass, times)}")
    for node in now.nodes:
        is_connected = may_run and is_heard(node, now.now)
        heard = "connected" if is_connected else f"last heard from {times.at(node.last_seen_at)}"
        shown.line(f"node        {node.name}: {node.pairing.value}, {heard}")
    if not now.nodes:
        shown.line("node        none has ever connected")
    for account in _accounts(settings):
        shown.line(f"account     {account.channel} ({account.account}): {account.hears}")
    for line in (*agents.lines(settings, now), *agents.clock_lines(settings, now, times)):
        shown.line(line)


def _gateway(seen: Seen) -> str:
    if seen.runs:
        named = (seen.process and f"process {seen.process}", seen.page and f"at {seen.page}")
        return ", ".join(["runs", *(part for part in named if part)])
    if seen.runs is None:
        return "none is known on this machine; the store is shared, so that one may run on another"
    return "not running; start it with `homing run`"


def executions(
    state: Annotated[list[ExecutionState] | None, typer.Option("--state", help="Only these; may be repeated.")] = None,
    limit: Limit = 50,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """The newest executions.

    In any state, or in the ones that are named.

    Example: homing executions --state running --limit 10
    """
    none = "No execution is in that state." if state else "No executions yet."
    _list(frozenset(state or ExecutionState), limit, config, as_json=as_json, none=none)


def pending(limit: Limit = 50, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """What waits for somebody's decision. Decide in the chat, as yourself.

    Example: homing approvals pending
    """
    waiting = frozenset({ExecutionState.AWAITING_APPROVAL})
    _list(waiting, limit, config, as_json=as_json, none="Nothing waits for a decision.")


def _list(states: frozenset[ExecutionState], limit: int, config: ConfigPath, *, as_json: bool, none: str) -> None:
    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, list[Execution]]:
        return settings, list(await store.read(lambda tx: listed(tx, states, limit=limit)))

    settings, found = with_store(config, ask)
    if as_json:
        shown.document([execution_form(execution) for execution in found])
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            execution.id,
            execution.state.value,
            execution.node_name,
            execution.asker,
            format_key(execution.origin.peer),
            times.at(execution.created_at),
            _short(execution.shown.text),
        )
        for execution in found
    ]
    shown.table(_RequestColumns, rows, none=none)


def why_(
    execution: Annotated[str, typer.Argument(help="The execution's id, such as 7K3Q2A.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """The whole chain of one execution.

    Who asked and where, what decided, what ran, and which message told it; and what is still open.

    Example: homing why 7K3Q2A
    """
    execution_id = parse_id(execution)
    if execution_id is None:
        raise Malformed(f"{execution!r} is no id of an execution; `homing executions` lists them")

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Chain]:
        return settings, await store.read(lambda tx: _chain(tx, execution_id))

    settings, chain = with_store(config, ask)
    if as_json:
        shown.document(_chain_form(chain))
        return
    times = shown.Times(settings.display.time_zone)
    for text in chain_lines(chain, times):
        shown.line(text)


def _chain(tx: Tx, execution_id: ExecutionId) -> Chain:
    chain = why(tx, execution_id)
    if chain is None:
        raise HomingError(
            f"there is no execution {execution_id}, or its retention time is over; `homing executions` lists those kept"
        )
    return chain


def chain_lines(chain: Chain, times: shown.Times) -> list[str]:
    """The chain for people, in the order of time, with what is still open at its end."""
    execution = chain.execution
    lines = [f"{execution.id}  {title(execution)}", ""]
    asker = (
        execution.asker_name
        if execution.asker_name == execution.asker
        else f"{execution.asker_name} ({execution.asker})"
    )
    lines += [
        f"asked by   {asker}, {times.at(execution.created_at)}",
        f"where      {chain.place}, message {execution.origin.message_id or '–'}",
        f"session    {execution.session}",
        f"request    {execution.shown.text}",
        f"rule       {execution.rule or '–'}",
        f"node       {execution.node_name} ({execution.node})",
    ]
    command = execution.command
    if command is not None:
        program = shown_path(execution, command.executable)
        lines += [f"runs       {program} in {command.cwd}, {'a shell script' if command.script else 'no shell'}"]
        lines += [f"hash       {execution.command_hash}"]
    if execution.deciders:
        lines += [f"deciders   {', '.join(execution.deciders)}"]
    if execution.glass is not None:
        lines += [f"glass      approved under break-glass {execution.glass} by {execution.decided_by} alone"]
    lines.append("")
    told = [(one.told_at, f"told {_message(one)}") for one in chain.tellings if one.told_at is not None]
    steps = [
        (link.at, " ".join(part for part in (link.what, f"by {link.by}" if link.by else "") if part), link.detail)
        for link in chain.links
        if link.what != "told" or not told
    ]
    order = sorted([*steps, *((at, text, None) for at, text in told)], key=lambda entry: entry[0])
    lines += [f"{times.at(at)}  {text}" + (f": {detail}" if detail else "") for at, text, detail in order]
    if execution.result is not None:
        took = duration(execution.result.duration_s)
        lines.append(f"{times.at(execution.ended_at)}  ended: {ending_words(execution.result)}, after {took}")
    lines.append("")
    lines += [f"STILL OPEN: {text}" for text in chain.open] or [
        "The chain is closed: everything that was owed is told."
    ]
    return lines


def _message(telling: Telling) -> str:
    ids = ", ".join(message_id for _, message_id in telling.receipts) or "no receipt is kept"
    return f"the {telling.what} in {telling.place} as message {ids}"


def _counts(counts: dict[str, int]) -> str:
    parts = [f"{count}{'+' if count >= MAX_COUNTED else ''} {name}" for name, count in sorted(counts.items()) if count]
    return ", ".join(parts) or "none"


def _short(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    return first if first == text and len(first) <= 60 else first[:57] + "..."


def execution_form(execution: Execution) -> dict[str, object]:
    """One execution as JSON, without its output: output is shown at the return address, and nowhere else."""
    result = execution.result
    return {
        "id": execution.id,
        "state": execution.state.value,
        "request": execution.shown.text,
        "node": execution.node_name,
        "node_fingerprint": execution.node,
        "asked_by": execution.asker,
        "session": execution.session,
        "where": format_key(execution.origin.peer),
        "message": execution.origin.message_id,
        "rule": execution.rule,
        "deciders": list(execution.deciders),
        "decided_by": execution.decided_by,
        "glass": execution.glass,
        "reason": execution.reason,
        "created_at": execution.created_at,
        "expires_at": execution.expires_at,
        "decided_at": execution.decided_at,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "ending": None if result is None else result.ending.value,
        "exit_code": None if result is None else result.exit_code,
        "signal": None if result is None else result.signal,
        "duration_s": None if result is None else result.duration_s,
    }


def _chain_form(chain: Chain) -> dict[str, object]:
    return {
        "execution": execution_form(chain.execution),
        "command_hash": chain.execution.command_hash,
        "steps": [{"at": link.at, "what": link.what, "by": link.by, "detail": link.detail} for link in chain.links],
        "events": [
            {
                "id": telling.event_id,
                "what": telling.what,
                "state": telling.state.value,
                "where": telling.place,
                "answers": telling.answers,
                "created_at": telling.created_at,
                "told_at": telling.told_at,
                "attempt": telling.attempt,
                "trouble": telling.trouble,
                "receipts": [{"part": part, "message": message_id} for part, message_id in telling.receipts],
            }
            for telling in chain.tellings
        ],
        "open": list(chain.open),
        "closed": not chain.open,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """One account of the config, and in words whom it hears."""

    channel: str
    account: str
    hears: str


def _accounts(settings: Settings) -> list[_Account]:
    from bot.config import hears

    web = _Account(channel="web", account=DEFAULT_ACCOUNT, hears="whom an operator invited")
    return [
        *([web] if settings.web.enabled else []),
        *(
            _Account(channel=section.channel, account=section.account, hears=hears(section))
            for section in settings.accounts()
        ),
    ]


def _account_form(account: _Account) -> dict[str, object]:
    return {"channel": account.channel, "account": account.account, "hears": account.hears}


def _standing_form(now: Standing, *, may_run: bool) -> dict[str, object]:
    paused = now.paused
    return {
        "now": now.now,
        "paused": None if paused is None else {"by": paused.by, "reason": paused.reason, "since": paused.since},
        "executions": {state.value: now.executions[state] for state in sorted(OPEN)},
        "owed": {state.value: count for state, count in sorted(now.events.items())},
        "oldest_owed_at": now.oldest_untold_at,
        "glasses": [glass_form(glass) for glass in now.glasses],
        "nodes": [
            {
                "name": node.name,
                "fingerprint": node.fingerprint,
                "pairing": node.pairing.value,
                "connected": may_run and is_heard(node, now.now),
                "last_seen_at": node.last_seen_at,
            }
            for node in now.nodes
        ],
    }
