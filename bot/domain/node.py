"""What is known of nodes: their pairing, and what they answer to questions about executions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.command import NodeFingerprint


class Pairing(StrEnum):
    PENDING = "pending"  # an operator: `homing nodes pair <fingerprint>`
    PAIRED = "paired"  # an operator: `homing nodes revoke <name>`
    REVOKED = "revoked"  # for ever: a machine that comes back makes a new key and is a new node


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that runs commands, as the store knows it."""

    fingerprint: NodeFingerprint
    public_key: bytes
    name: str
    pairing: Pairing
    first_seen_at: float
    last_seen_at: float
    paired_at: float | None = None
    revoked_at: float | None = None


class Known(StrEnum):
    """What a node's journal says of an execution, when it is asked."""

    UNSEEN = "unseen"  # never offered here
    NEVER_STARTED = "never_started"  # and never will be: the journal holds a tombstone now
    RUNNING = "running"  # or ended, and its report follows
    FINISHED = "finished"  # its report was acknowledged before
    UNKNOWN = "unknown"  # it was started, and the node died with it
