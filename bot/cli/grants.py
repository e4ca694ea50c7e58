"""`homing grants`: what is always allowed, where and for whom; and taking it back.

Deliberately absent: any way to give a grant. That takes a person's word in the chat, on a command that is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.opened import WallClock, with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.cli.switches import operator
from bot.domain.grant import Grant, GrantId, parse_grant_id, what, whole
from bot.domain.session import format_key
from bot.errors import HomingError, Malformed
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore

_COLUMNS = ("id", "allows", "node", "for", "where", "until", "by", "used", "state")


def list_(
    with_past: Annotated[bool, typer.Option("--all", help="Also those that are over and not yet pruned.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """What is always allowed, newest first.

    Example: homing grants list --all
    """

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Sequence[Grant]]:
        return settings, await store.read(lambda tx: tx.grants.listing(with_past=with_past))

    settings, found = with_store(config, ask)
    now = WallClock().now()
    if as_json:
        shown.document([_form(grant, now) for grant in found])
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            grant.id,
            what(grant),
            grant.node_name,
            grant.asker,
            format_key(grant.place),
            times.at(grant.expires_at),
            grant.granted_by,
            str(grant.uses),
            _state(grant, now),
        )
        for grant in found
    ]
    shown.table(_COLUMNS, rows, none="Nothing is always allowed.")


def show(
    grant: Annotated[str, typer.Argument(help="The grant's id, such as G7K3QA2.", metavar="ID")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """One grant in words: what it allows, where, for whom, until when, by whom, and how often it was used.

    Example: homing grants show G7K3QA2
    """
    grant_id = _id_of(grant)

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, Grant]:
        return settings, await store.read(lambda tx: _found(tx, grant_id))

    settings, found = with_store(config, ask)
    now = WallClock().now()
    if as_json:
        shown.document(_form(found, now))
        return
    times = shown.Times(settings.display.time_zone)
    for text in _lines(found, times, now):
        shown.line(text)


def revoke(
    grants: Annotated[list[str], typer.Argument(help="Ids of grants, such as G7K3QA2.", metavar="ID...")],
    why: Annotated[str, typer.Option("--why", help="For the record.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take grants back: what they allowed is asked about again, from the next hand-over on.

    What runs already goes on; `stop` in the chat ends it. Those of the ids that are known are taken back even where
    another one is not.

    Example: homing grants revoke G7K3QA2 --why "the host moved"
    """
    ids, by = list(dict.fromkeys(_id_of(one) for one in grants)), operator()

    async def change(_: Settings, store: OpenStore) -> tuple[list[Grant], list[GrantId]]:
        return await store.write(lambda tx: _revoke(tx, ids, by, why))

    gone, unknown = with_store(config, change)
    if unknown:
        taken = f"; taken back: {', '.join(grant.id for grant in gone)}" if gone else ""
        raise HomingError(f"over already, or never given: {', '.join(unknown)}; `homing grants list` shows them{taken}")
    if as_json:
        now = WallClock().now()
        shown.document({"ok": True, "revoked": [_form(grant, now) for grant in gone]})
        return
    for grant in gone:
        shown.line(f"{grant.id} is taken back: {what(grant)} on {grant.node_name} is asked about again")


def _revoke(tx: Tx, ids: Sequence[GrantId], by: str, why: str) -> tuple[list[Grant], list[GrantId]]:
    gone = {grant_id: tx.grants.revoke(grant_id, by=by, why=why) for grant_id in ids}
    return [one for one in gone.values() if one is not None], [name for name, one in gone.items() if one is None]


def _found(tx: Tx, grant_id: GrantId) -> Grant:
    found = tx.grants.get(grant_id)
    if found is None:
        raise HomingError(f"there is no grant {grant_id}, or it was pruned; `homing grants list --all` shows them")
    return found


def _id_of(text: str) -> GrantId:
    grant_id = parse_grant_id(text.strip())
    if grant_id is None:
        raise Malformed(f"{text!r} is no id of a grant, such as G7K3QA2; `homing grants list` shows them")
    return grant_id


def _state(grant: Grant, now: float) -> str:
    if grant.revoked_at is not None:
        return "revoked"
    return "live" if grant.is_live(now) else "expired"


def _lines(grant: Grant, times: shown.Times, now: float) -> list[str]:
    lines = [
        f"{grant.id}  {_state(grant, now)}",
        "",
        f"allows     {whole(grant, until=times.at(grant.expires_at))}",
        f"in         {grant.command.cwd}, as the account {grant.command.user}, without a shell",
        f"where      {format_key(grant.place)} and its threads",
        f"node       {grant.node_name} ({grant.command.node})",
        f"given      by {grant.granted_by}, {times.at(grant.granted_at)}, with {grant.execution}",
    ]
    lines += [f"reason     {grant.reason}"] if grant.reason else []
    lines += [f"program    {file.path} (SHA-256 {file.sha256})" for file in grant.command.files]
    last = "not yet" if grant.last_used_at is None else f"{_times(grant.uses)}, last {times.at(grant.last_used_at)}"
    lines.append(f"used       {last}")
    if grant.revoked_at is not None:
        why = f": {grant.revoked_why}" if grant.revoked_why else ""
        lines.append(f"revoked    by {grant.revoked_by}, {times.at(grant.revoked_at)}{why}")
    return lines


def _times(count: int) -> str:
    return f"{count} time{'s' if count > 1 else ''}"


def _form(grant: Grant, now: float) -> dict[str, object]:
    command = grant.command
    return {
        "id": grant.id,
        "state": _state(grant, now),
        "argv": list(command.argv),
        "pattern": grant.pattern,
        "executable": command.executable,
        "directory": command.cwd,
        "account": command.user,
        "files": [{"path": file.path, "sha256": file.sha256} for file in command.files],
        "node": {"name": grant.node_name, "fingerprint": command.node},
        "asker": grant.asker,
        "place": format_key(grant.place),
        "execution": grant.execution,
        "granted_by": grant.granted_by,
        "granted_at": grant.granted_at,
        "expires_at": grant.expires_at,
        "reason": grant.reason or None,
        "revoked_at": grant.revoked_at,
        "revoked_by": grant.revoked_by,
        "revoked_why": grant.revoked_why or None,
        "last_used_at": grant.last_used_at,
        "uses": grant.uses,
    }
