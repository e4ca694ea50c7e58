"""`homing glass`: who broke it, where and why, what was approved under it; ending one, and reviewing it afterwards.

Deliberately absent: any way to open one. That takes a person's word in the chat, in the conversation where it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.opened import with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.cli.switches import operator
from bot.domain.execution import Execution
from bot.domain.glass import Finding, Glass, GlassId, GlassState, GlassTrigger, parse_glass_id
from bot.domain.session import format_key
from bot.errors import HomingError, Malformed
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore

_COLUMNS = ("id", "state", "who", "where", "opened", "until", "approved", "reason")
Id = Annotated[str, typer.Argument(help="Its id, such as B7K3QA2.", metavar="ID")]


def list_(
    with_past: Annotated[bool, typer.Option("--all", help="Also those that are reviewed and not yet pruned.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """What is open and what is not reviewed yet, newest first.

    Example: homing glass list --all
    """
    states = frozenset(GlassState) - (frozenset() if with_past else {GlassState.REVIEWED})

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Sequence[Glass]]:
        return settings, await store.read(lambda tx: tx.glasses.listing(states))

    settings, found = with_store(config, ask)
    if as_json:
        shown.document([form(glass) for glass in found])
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            glass.id,
            glass.state.value,
            glass.person,
            format_key(glass.place),
            times.at(glass.opened_at),
            times.at(glass.expires_at),
            str(glass.uses),
            glass.reason,
        )
        for glass in found
    ]
    shown.table(_COLUMNS, rows, none="No glass is open, and none waits for its review.")


def show(glass: Id, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """One break-glass: who, where, why, until when, what was approved under it, and what was found.

    Example: homing glass show B7K3QA2
    """
    glass_id = _id_of(glass)

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Glass | None, Sequence[Execution]]:
        return settings, *await store.read(lambda tx: (tx.glasses.get(glass_id), tx.executions.under(glass_id)))

    settings, kept, approved = with_store(config, ask)
    found = _known(kept, glass_id)
    if as_json:
        executions = [
            {"id": one.id, "state": one.state.value, "node": one.node_name, "command": one.shown.text}
            for one in approved
        ]
        shown.document({**form(found), "executions": executions})
        return
    for text in _lines(found, approved, shown.Times(settings.display.time_zone)):
        shown.line(text)


def end(glass: Id, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """End one that is open: what was approved under it and has not started is withdrawn.

    Example: homing glass end B7K3QA2
    """
    from bot.flow.glass import close

    glass_id, by = _id_of(glass), operator()

    def change(settings: Settings, tx: Tx) -> Glass:
        from bot.config import to_policy

        found = _known(tx.glasses.lock(glass_id), glass_id)
        if found.state is not GlassState.OPEN:
            raise HomingError(f"{glass_id} is over already; `homing glass show {glass_id}`")
        return close(tx, to_policy(settings), found, GlassTrigger.END, by=by)

    _changed(config, change, as_json=as_json, said=f"{glass_id} is over, and that is announced")


def review(
    glass: Id,
    verdict: Annotated[Finding, typer.Option("--verdict", help="What you found.")],
    note: Annotated[str, typer.Option("--note", help="In your words; it is announced.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say what you found of somebody else's break-glass, once and for all.

    Example: homing glass review B7K3QA2 --verdict ok --note "the disk was full; the rule is mended"
    """
    from bot.flow.glass import settle

    glass_id, by = _id_of(glass), operator()
    if not note.strip():
        raise Malformed("--note is empty; say what you found")

    def change(settings: Settings, tx: Tx) -> Glass:
        from bot.config import to_policy
        from bot.config.secrets import secrets_of
        from bot.domain.mask import Masker

        found = _known(tx.glasses.lock(glass_id), glass_id)
        if by.partition(" ")[0] in {found.person, *to_policy(settings).directory.expand((found.person,))}:
            raise HomingError(f"{glass_id} is {found.person}'s own; somebody else reviews it")
        if found.state in {GlassState.OPEN, GlassState.REVIEWED}:
            how = f"end it first: `homing glass end {glass_id}`" if found.state is GlassState.OPEN else "it is reviewed"
            raise HomingError(f"{glass_id} waits for no review; {how}")
        masked = Masker(secrets_of(settings)).text(" ".join(note.split())[:500])
        settle(tx, found, by=by, finding=verdict, note=masked)
        return _known(tx.glasses.lock(glass_id), glass_id)

    _changed(config, change, as_json=as_json, said=f"{glass_id} is reviewed: {verdict.value}; that is announced")


def _changed(config: Path, change: Callable[[Settings, Tx], Glass], *, as_json: bool, said: str) -> None:
    async def write(settings: Settings, store: OpenStore) -> Glass:
        return await store.write(lambda tx: change(settings, tx))

    changed = with_store(config, write)
    if as_json:
        shown.document({"ok": True, "glass": form(changed)})
    else:
        shown.line(said)


def _known(found: Glass | None, glass_id: GlassId) -> Glass:
    if found is None:
        raise HomingError(f"there is no break-glass {glass_id}, or it was pruned; `homing glass list --all` shows them")
    return found


def _id_of(text: str) -> GlassId:
    glass_id = parse_glass_id(text.strip())
    if glass_id is None:
        raise Malformed(f"{text!r} is no id of a break-glass, such as B7K3QA2; `homing glass list --all` shows them")
    return glass_id


def state_words(glass: Glass, times: shown.Times) -> str:
    """How it stands, in a line."""
    match glass.state:
        case GlassState.OPEN:
            return f"open until {times.at(glass.expires_at)}: {glass.reason}"
        case GlassState.REVIEWED:
            return f"reviewed by {glass.reviewed_by}"
        case GlassState.OVERDUE:
            return f"NOT REVIEWED, due since {times.at(glass.review_by)}"
        case _:
            return f"over, to be reviewed until {times.at(glass.review_by)}"


def _lines(glass: Glass, approved: Sequence[Execution], times: shown.Times) -> list[str]:
    lines = [
        f"{glass.id}  {state_words(glass, times)}",
        "",
        f"who        {glass.person}",
        f"where      {format_key(glass.place)} and its threads",
        f"reason     {glass.reason}",
        f"open       {times.at(glass.opened_at)} to {times.at(glass.expires_at)} at most",
        f"announced  {', '.join(format_key(place) for place in glass.announce_to)}",
    ]
    if glass.ended_at is not None:
        why = f": {glass.ended_why}" if glass.ended_why else ""
        lines.append(f"ended      by {glass.ended_by or 'its time'}, {times.at(glass.ended_at)}{why}")
    if glass.finding is not None:
        lines.append(f"found      {glass.finding.value}, by {glass.reviewed_by}, {times.at(glass.reviewed_at)}")
        lines.append(f"note       {glass.note}")
    lines += ["", f"approved   {glass.uses}"]
    lines += [f"{one.id}  {one.state.value}  on {one.node_name}: {one.shown.text}" for one in approved]
    return lines


def form(glass: Glass) -> dict[str, object]:
    return {
        "id": glass.id,
        "state": glass.state.value,
        "person": glass.person,
        "place": format_key(glass.place),
        "reason": glass.reason,
        "opened_at": glass.opened_at,
        "expires_at": glass.expires_at,
        "announced_in": [format_key(place) for place in glass.announce_to],
        "uses": glass.uses,
        "ended_at": glass.ended_at,
        "ended_by": glass.ended_by,
        "ended_why": glass.ended_why or None,
        "review_by": glass.review_by,
        "reviewed_at": glass.reviewed_at,
        "reviewed_by": glass.reviewed_by,
        "finding": None if glass.finding is None else glass.finding.value,
        "note": glass.note or None,
    }
