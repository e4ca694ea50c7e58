"""SIGHUP: what of the config file counts anew under a running gateway: rules and people, cadences, schedules and hooks.

Deliberately absent: everything else in the file, which counts from the next start, and is named until then. A file with
a fault changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from bot.clockwork import to_cadences, to_hooks, to_planned
from bot.config import Settings, to_policy
from bot.config.restart import lacks, needs_restart
from bot.console.hooks import Hooks
from bot.domain.audit import Fields
from bot.domain.policy import Policy
from bot.errors import ConfigError
from bot.flow.schedule import Clocks
from bot.flow.signals import Signals
from bot.loop import attempt
from bot.ports import Policies, Store

log = logging.getLogger(__name__)

Reread = Callable[[], Settings]
"""The config as it is now. Raises `ConfigError` with every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """What a reload replaces, and the settings that all else was made of."""

    started: Settings
    policies: Policies
    clocks: Clocks
    hooks: Hooks


def reload_asked() -> asyncio.Event:
    """Set by a SIGHUP, from now on and to the last moment: without a hand for it the system would end the process."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    return asked


@asynccontextmanager
async def reloading(
    asked: asyncio.Event, reread: Reread, replaced: Replaced, store: Store, signals: Signals
) -> AsyncIterator[None]:
    """Read the file anew whenever that is asked for."""

    async def wait() -> None:
        while True:
            await asked.wait()
            asked.clear()
            await attempt(lambda: reload(reread, replaced, store, signals), event="policy.reload", extra={})

    waiting = asyncio.create_task(wait(), name="reload")
    try:
        yield
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


async def reload(reread: Reread, replaced: Replaced, store: Store, signals: Signals) -> None:
    """The file as it is now: its rules from the next decision on, its clocks and hooks from their next time on."""
    try:
        settings = await asyncio.to_thread(reread)
        policy = to_policy(settings)
    except ConfigError as fault:
        # The keys and remedies, never values: see `bot.config.reading`.
        log.error("policy.not_reloaded", extra={"faults": len(fault.faults), "first": fault.faults[0]})  # noqa: TRY400 - the trace says nothing
        return
    _replace_wakers(replaced, settings)
    waits = needs_restart(replaced.started, settings)
    if waits:
        log.warning("config.needs_restart", extra={"sections": ", ".join(waits)})
    if policy == replaced.policies.now:
        log.info("policy.unchanged", extra={"policy": policy_digest(policy)})
    else:
        await note_policy(store, policy, "policy_reloaded")
        replaced.policies.now = policy
        log.info("policy.reloaded", extra={"policy": policy_digest(policy), "rules": len(policy.rules)})
    signals.all()


def _replace_wakers(replaced: Replaced, settings: Settings) -> None:
    """What wakes agents, unless it may name what only a start brings: an account, an agent, a secret to be masked."""
    waits = lacks(replaced.started, settings)
    cadences, planned = to_cadences(settings), to_planned(settings)
    if "schedule" not in waits and (cadences, planned) != (replaced.clocks.cadences, replaced.clocks.planned):
        replaced.clocks.cadences, replaced.clocks.planned = cadences, planned
        log.info("clocks.reloaded", extra={"cadences": len(cadences), "schedules": len(planned)})
    if "hook" not in waits and replaced.hooks.use(to_hooks(settings)):
        log.info("hooks.reloaded", extra={"hooks": len(settings.hook)})


async def note_policy(store: Store, policy: Policy, kind: str) -> None:
    """A line of the audit: from here on decisions go by these rules."""
    fields: Fields = {"policy": policy_digest(policy), "rules": len(policy.rules)}
    await store.write(lambda tx: tx.audit.note(kind, "operator", fields))


def policy_digest(policy: Policy) -> str:
    """64 hex digits that stand for these rules, people, groups and owners."""
    return hashlib.sha256(repr(policy).encode("utf-8", "surrogatepass")).hexdigest()
