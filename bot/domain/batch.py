"""What one turn asked for in answer to one message: the batch, and where in it an execution stands.

Deliberately absent: what a batch's card shows (see `batch_card`), and who cuts a batch into cards (see `flow/batch`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

from bot.domain.command import CommandHash

BatchId = NewType("BatchId", str)
"""`T` and six characters: no id of an execution (six), of a grant or of a broken glass can be one."""
BATCH_MARK = "T"
OWN_CARD = 0
"""In the place of a card's number: it has a card of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InBatch:
    """An execution's place among those that were asked for with it."""

    id: BatchId
    at: int
    """Counted from 0, in the order of asking."""
    card: int | None = None
    """The number of the batch's card that shows it, from 1; `OWN_CARD`; None while nobody has been shown it."""


def batch_hash(shown: Iterable[tuple[str, CommandHash | None]]) -> CommandHash:
    """What a button for all of a card binds to: which executions stand on it, in which order, and what each would run.

    As JSON, so that no two lists are one text.
    """
    form = json.dumps(["homing/batch/1", [[one, command] for one, command in shown]], separators=(",", ":"))
    return CommandHash(hashlib.sha256(form.encode("ascii")).hexdigest())
