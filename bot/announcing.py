"""What `homing run` says at its start: whom it hears, and where to go first. Deliberately absent: the start."""

from __future__ import annotations

from collections.abc import Callable

from bot.config import Settings, hears, to_policy
from bot.ports import Clock
from bot.store import OpenStore
from channels.web.access import invite


async def announce_start(
    settings: Settings, store: OpenStore, clock: Clock, page: str, announce: Callable[[str], None]
) -> None:
    """Where to go, and what to do first."""
    for section in settings.accounts():
        announce(f"{section.channel} ({section.account}) hears: {hears(section)}.")
    if not settings.web.enabled:
        announce("The gateway runs. The web chat is off ([web] enabled).")
        return
    directory = to_policy(settings).directory
    known = {person.native for person in await store.chat_log.people()}
    for owner in directory.expand(settings.owners):
        natives = [own.partition(":")[2] for own in directory.ids_of(owner) if own.startswith("web:")]
        if natives and natives[0] not in known:
            link = await invite(store.chat_log, native=natives[0], name=owner, now=clock.now())
            announce(f"Open this link once; it signs you in as {owner}:\n\n    {page}{link}\n")
    announce(f"The web chat is at {page}. Go into a room and write: run uptime")
    announce("Another link: homing invite <name>. What is wrong, if anything: homing doctor. Ctrl-C ends it.")
