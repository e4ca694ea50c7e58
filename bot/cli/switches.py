"""`homing pause`, `resume`, `reload`, `backup` and `invite`: small changes beside a running gateway."""

from __future__ import annotations

import getpass
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.opened import WallClock, settings_of, with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath
from bot.errors import HomingError
from bot.ports import Paused, Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore


def pause(
    reason: Annotated[list[str] | None, typer.Argument(help="Why, for whoever looks.", metavar="REASON")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Hand no command to any node until `homing resume`.

    What runs goes on, and results are still told.

    Example: homing pause freeze until Monday
    """
    said, by = " ".join(reason or []), operator()

    async def change(_: Settings, store: OpenStore) -> Paused | None:
        return await store.write(lambda tx: _pause(tx, by, said))

    paused = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "paused": {"by": by, "reason": said, "since": paused.since if paused else None}})
    else:
        shown.line("paused: no command is handed to a node until `homing resume`; results are still told")


def _pause(tx: Tx, by: str, reason: str) -> Paused | None:
    tx.switches.pause(by=by, reason=reason)
    return tx.switches.paused()


def reload(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Have the running gateway read its rules and people, and its cadences, schedules and hooks anew.

    The file is checked first; one with a fault is refused and changes nothing. All else in it counts from the next
    start of the gateway, and what of it has changed is named.

    Example: homing reload
    """
    from bot.presence import needs_restart, process

    settings = settings_of(config)
    number = process(settings)
    waits = needs_restart(settings)
    if number is None:
        raise HomingError("no gateway of this config runs here; what the file says counts when it starts")
    os.kill(number, signal.SIGHUP)
    if as_json:
        shown.document({"ok": True, "process": number, "needs_restart": list(waits)})
        return
    shown.line(
        f"the gateway (process {number}) reads its rules, schedules and hooks anew; its log says policy.reloaded"
    )
    if waits:
        shown.line(f"not taken before its next start: {', '.join(waits)}")


def resume(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Hand commands to nodes again. Approvals that ran out meanwhile stay expired.

    Example: homing resume
    """

    async def change(_: Settings, store: OpenStore) -> bool:
        return await store.write(_resume)

    was_paused = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "was_paused": was_paused})
    else:
        shown.line("resumed" if was_paused else "it was not paused")


def _resume(tx: Tx) -> bool:
    was_paused = tx.switches.paused() is not None
    tx.switches.resume(by=operator())
    return was_paused


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; it may not exist yet.", metavar="FILE")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Copy the store while the gateway runs.

    Whoever starts on the copy starts paused, and asks the nodes' journals before anything is dispatched, so that
    nothing runs twice.

    To put it back: stop the gateway; put the copy at data/homing.db, and remove homing.db-wal and homing.db-shm; keep
    data/gateway.key, which the nodes know it by and no copy holds. Start, and look at `homing nodes list`: pairings and
    revocations are those of the copy's time, so revoke again what was revoked since. Then `homing resume`.

    Example: homing backup /var/backups/homing-monday.db
    """

    async def change(_: Settings, store: OpenStore) -> None:
        await store.backup(file)

    with_store(config, change)
    if as_json:
        shown.document({"ok": True, "file": str(file), "bytes": file.stat().st_size})
    else:
        shown.line(
            f"{file}: {file.stat().st_size} bytes; a gateway that starts on it starts paused, then `homing resume`"
        )


def invite(
    name: Annotated[str, typer.Argument(help="The person's name, of [[people]] or a new one.")],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Print a one-time link into the web chat.

    It signs this person in, once, within a day; a new one may be made at any time.

    Example: homing invite anna
    """

    async def change(settings: Settings, store: OpenStore) -> tuple[str, str, str]:
        from bot.app import invitation

        if not settings.web.enabled:
            raise HomingError("the web chat is off; set enabled = true in [web] first")
        native = native_of(settings, name)
        page, doubt = _page(settings)
        return native, await invitation(page, store, native=native, name=name, now=WallClock().now()), doubt

    native, link, doubt = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "name": name, "person": f"web:{native}", "link": link, "doubt": doubt or None})
    else:
        shown.line(link)
        if doubt:
            shown.aside(doubt)


def _page(settings: Settings) -> tuple[str, str]:
    """Where the link leads, and what is to be known of that: the port may be one that only the gateway knows."""
    from bot.presence import page

    port = settings.gateway.port
    noted = page(settings)
    if noted is not None:
        return noted, ""
    if settings.gateway.public_url is not None:
        return settings.url, "no gateway runs here: the link opens when one does, at [gateway] public_url"
    if port == 0:
        raise HomingError("no gateway runs here, and with [gateway] port = 0 only a running one knows its port")
    return settings.url, f"no gateway runs here: the link opens when one does, and assumes its port {port}"


def native_of(settings: Settings, name: str) -> str:
    """The person's id on the web chat: as [[people]] ties it to the name, else the name itself."""
    for person in settings.people:
        if person.name == name:
            for own in person.ids:
                channel, _, native = own.partition(":")
                if channel == "web":
                    return native
            raise HomingError(f'[[people]] gives {name} no id on the web chat; add one such as "web:{name}" to its ids')
    taken = [person.name for person in settings.people if f"web:{name}" in person.ids]
    if taken:
        raise HomingError(f"web:{name} is {taken[0]}'s id in [[people]]; write `homing invite {taken[0]}`")
    return name


def operator() -> str:
    """Who sits at the terminal, for the record: the system's word, not a proof."""
    try:
        return f"{getpass.getuser()} (terminal)"
    except (KeyError, OSError):
        return "terminal"
