"""The `Tx` of the ports: every group of rows over one connection, all at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from bot.store.audit import StoredAudit
from bot.store.audit_key import AuditKey
from bot.store.cards import StoredCards
from bot.store.chat_rows import StoredChat
from bot.store.events import StoredEvents
from bot.store.executions import StoredExecutions
from bot.store.factors import StoredFactors
from bot.store.glasses import StoredGlasses
from bot.store.grants import StoredGrants
from bot.store.inputs import StoredInputs
from bot.store.memories import StoredMemories
from bot.store.nodes import StoredNodes
from bot.store.pairings import StoredPairings
from bot.store.switches import StoredSwitches
from bot.store.ticks import StoredTicks
from bot.store.vault import Vault

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What lies beside the database and in no copy of it."""

    audit: AuditKey
    vault: Vault


class OpenTx:
    """One open transaction. `clock` is asked once, when somebody first wants to know what time it is."""

    __slots__ = (
        "_clock",
        "_now",
        "audit",
        "cards",
        "chat",
        "events",
        "executions",
        "factors",
        "glasses",
        "grants",
        "inputs",
        "memories",
        "nodes",
        "pairings",
        "switches",
        "ticks",
    )

    def __init__(self, connection: Connection, clock: Callable[[], float], keys: Keys) -> None:
        self._clock = clock
        self._now: float | None = None
        self.audit = StoredAudit(connection, self._moment, keys.audit)
        self.executions = StoredExecutions(connection, self._moment, self.audit)
        self.events = StoredEvents(connection, self._moment)
        self.inputs = StoredInputs(connection, self._moment)
        self.memories = StoredMemories(connection, self._moment)
        self.ticks = StoredTicks(connection, self._moment)
        self.cards = StoredCards(connection, self._moment)
        self.nodes = StoredNodes(connection, self._moment, self.audit)
        self.pairings = StoredPairings(connection, self._moment, self.audit)
        self.glasses = StoredGlasses(connection, self._moment, self.audit)
        self.grants = StoredGrants(connection, self._moment, self.audit)
        self.factors = StoredFactors(connection, self._moment, self.audit, keys.vault)
        self.switches = StoredSwitches(connection, self._moment, self.audit)
        self.chat = StoredChat(connection, self._moment)

    @property
    def now(self) -> float:
        return self._moment()

    def _moment(self) -> float:
        if self._now is None:
            self._now = self._clock()
        return self._now


def run(fn: Callable[[OpenTx], R], tx: OpenTx) -> R:
    """What `fn` returns. No future can hold a StopIteration (its caller would wait for ever), so it is renamed.

    The lines of the audit come last: see `StoredAudit.flush`. In a read there are none, or the read is refused.
    """
    try:
        value = fn(tx)
    except StopIteration as fault:
        raise RuntimeError("a transaction ended with StopIteration") from fault
    tx.events.settle()
    tx.audit.flush()
    return value
