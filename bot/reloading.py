"""SIGHUP: the rules, people, node groups and owners of the config file, read anew under a running gateway.

Deliberately absent: everything else in the file, which counts from the next start. A file with a fault changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from bot.config import Settings, to_policy
from bot.domain.audit import Fields
from bot.domain.policy import Policy
from bot.errors import ConfigError
from bot.flow.signals import Signals
from bot.loop import attempt
from bot.ports import Policies, Store

log = logging.getLogger(__name__)

Reread = Callable[[], Settings]
"""The config as it is now. Raises `ConfigError` with every fault."""


def reload_asked() -> asyncio.Event:
    """Set by a SIGHUP, from now on and to the last moment: without a hand for it the system would end the process."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    return asked


@asynccontextmanager
async def reloading(
    asked: asyncio.Event, reread: Reread, policies: Policies, store: Store, signals: Signals
) -> AsyncIterator[None]:
    """Read the file anew whenever that is asked for."""

    async def wait() -> None:
        while True:
            await asked.wait()
            asked.clear()
            await attempt(lambda: reload(reread, policies, store, signals), event="policy.reload", extra={})

    waiting = asyncio.create_task(wait(), name="reload")
    try:
        yield
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


async def reload(reread: Reread, policies: Policies, store: Store, signals: Signals) -> None:
    """The policy of the file as it is now, from the next decision, expiry and hand-over on."""
    try:
        policy = to_policy(await asyncio.to_thread(reread))
    except ConfigError as fault:
        # The keys and remedies, never values: see `bot.config.reading`.
        log.error("policy.not_reloaded", extra={"faults": len(fault.faults), "first": fault.faults[0]})  # noqa: TRY400 - the trace says nothing
        return
    if policy == policies.now:
        log.info("policy.unchanged", extra={"policy": policy_digest(policy)})
        return
    await note_policy(store, policy, "policy_reloaded")
    policies.now = policy
    log.info("policy.reloaded", extra={"policy": policy_digest(policy), "rules": len(policy.rules)})
    signals.all()


async def note_policy(store: Store, policy: Policy, kind: str) -> None:
    """A line of the audit: from here on decisions go by these rules."""
    fields: Fields = {"policy": policy_digest(policy), "rules": len(policy.rules)}
    await store.write(lambda tx: tx.audit.note(kind, "operator", fields))


def policy_digest(policy: Policy) -> str:
    """64 hex digits that stand for these rules, people, groups and owners."""
    return hashlib.sha256(repr(policy).encode("utf-8", "surrogatepass")).hexdigest()
