"""What `homing config check` finds in the store: sessions that schedules, hooks and cadences lean on for a place, and
that nobody has written to. Deliberately absent: the config's own faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.opened import with_store
from bot.errors import StoreError

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.domain.session import SessionKey
    from bot.ports import Tx
    from bot.store.open import OpenStore

_SAID = "nobody has written to {session}, so there is no place to tell it"


@dataclass(frozen=True, slots=True)
class Unheard:
    faults: tuple[str, ...] = ()
    """What can never be told as it stands."""
    warnings: tuple[str, ...] = ()
    """Looks that are skipped until somebody writes; or that the store could not be looked into."""


def look(config: Path, settings: Settings) -> Unheard:
    """The store is opened only where something leans on it, and never made."""
    leaning = [*_leaning(settings)]
    if not leaning:
        return Unheard()

    def unheard(tx: Tx) -> set[SessionKey]:
        return {session for _, session, _ in leaning if tx.inputs.newest_address(session) is None}

    async def ask(_: Settings, store: OpenStore) -> set[SessionKey]:
        return await store.read(unheard)

    try:
        silent = with_store(config, ask)
    except StoreError as fault:
        keys = ", ".join(key for key, _, _ in leaning)
        return Unheard(warnings=(f"{keys}: whether anybody has written there is not known: {fault}",))
    said = [(f"{key}: {_SAID.format(session=session)}", must) for key, session, must in leaning if session in silent]
    return Unheard(
        faults=tuple(f"{text}; name one with to, or write there first" for text, must in said if must),
        warnings=tuple(f"{text}; its looks are skipped until somebody does" for text, must in said if not must),
    )


def _leaning(settings: Settings) -> Iterator[tuple[str, SessionKey, bool]]:
    """Dotted key, session, and whether it is wrong without a place."""
    from bot.clockwork import to_cadences, to_hooks, to_planned
    from bot.config.woken import heartbeats
    from bot.flow.schedule import Target

    for number, planned in enumerate(to_planned(settings)):
        if planned.to is None:
            yield f"schedule[{number}].session", planned.session, True
    for number, hook in enumerate(to_hooks(settings)):
        if hook.to is None:
            yield f"hook[{number}].session", hook.session, True
    for (key, _, _), cadence in zip(heartbeats(settings), to_cadences(settings), strict=True):
        if cadence.every_s > 0 and cadence.target is Target.LAST:
            yield f"{key}.session", cadence.session, False
