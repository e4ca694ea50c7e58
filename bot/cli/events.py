"""`homing events`: what is owed and not told, and the way back for what was buried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import shown
from bot.cli.opened import with_store
from bot.cli.options import DEFAULT_CONFIG, AsJson, ConfigPath, Limit
from bot.domain.event import Event, EventId, EventState, EventTrigger
from bot.domain.session import format_key
from bot.errors import HomingError
from bot.inquiry import UNTOLD, told_by
from bot.ports import Tx

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore


def list_(
    state: Annotated[list[EventState] | None, typer.Option("--state", help="Only these; may be repeated.")] = None,
    limit: Limit = 50,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """What is owed to people and not told yet.

    Dead ones were given up, and wait for `homing events retell`.

    Example: homing events list --state dead
    """
    states = frozenset(state or UNTOLD)

    async def ask(settings: Settings, store: OpenStore) -> tuple[Settings, list[Event]]:
        return settings, list(await store.read(lambda tx: tx.events.listing(states=states, limit=limit)))

    settings, found = with_store(config, ask)
    if as_json:
        shown.document([_form(event) for event in found])
        return
    times = shown.Times(settings.display.time_zone)
    rows = [
        (
            str(event.id),
            event.state.value,
            told_by(event.payload),
            format_key(event.address.peer),
            times.at(event.created_at),
            str(event.attempt),
            event.trouble or "–",
        )
        for event in found
    ]
    columns = ("id", "state", "tells", "where", "since", "attempts", "last trouble")
    shown.table(columns, rows, none="No event is in that state." if state else "Nothing is owed.")


def retell(
    event: Annotated[int, typer.Argument(help="The event's number, from `homing events list`.", metavar="ID", min=1)],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Make a dead event due again.

    It is told at its own return address, marked as perhaps a repeat.

    Example: homing events retell 17
    """

    async def change(_: Settings, store: OpenStore) -> Event:
        return await store.write(lambda tx: _retell(tx, EventId(event)))

    retold = with_store(config, change)
    if as_json:
        shown.document({"ok": True, "event": _form(retold)})
    else:
        shown.line(f"event {event} is due again; the gateway tells it in {format_key(retold.address.peer)}")


def _retell(tx: Tx, event_id: EventId) -> Event:
    event = tx.events.get(event_id)
    if event is None:
        raise HomingError(
            f"there is no event {event_id}; `homing events list --state dead` lists what can be told again"
        )
    if event.state is not EventState.DEAD:
        raise HomingError(f"event {event_id} is {event.state.value}; only a dead one is told again by hand")
    tx.events.move(event, EventTrigger.RETELL, token=None, not_before=tx.now, maybe_repeat=event.attempt > 0)
    return tx.events.get(event_id) or event


def _form(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "state": event.state.value,
        "tells": told_by(event.payload),
        "session": event.session,
        "where": format_key(event.address.peer),
        "answers": event.address.message_id,
        "created_at": event.created_at,
        "not_before": event.not_before,
        "attempt": event.attempt,
        "trouble": event.trouble,
    }
