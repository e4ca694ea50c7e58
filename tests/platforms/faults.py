"""What can be ordered to go wrong on the loopback network. Deliberately absent: how the network does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    LOST_ANSWER = "lost answer"  # the effect stands, the connection drops before the answer
    DROPPED = "dropped"  # the connection drops before the effect
    UNAVAILABLE = "503"  # before the effect
    THROTTLED = "429"  # before the effect, with Retry-After
    REJECTED = "400"  # never will be
    HELD = "409"  # not now
    SLOW = "slow"  # the answer takes `seconds`
    GATED = "gated"  # no effect and no answer until the test opens the gate


@dataclass(slots=True, kw_only=True)
class Order:
    """One fault, for the next `times` calls of `verb` that `fits`."""

    fault: Fault
    verb: str
    times: float
    seconds: float
    fits: Callable[[dict[str, Any]], bool]
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    met: int = 0
    """How many calls it has met."""

    def takes(self, verb: str, form: dict[str, Any]) -> bool:
        if verb != self.verb or self.met >= self.times or not self.fits(form):
            return False
        self.met += 1
        return True

    def lift(self) -> None:
        """The fault is over; whoever waits at its gate goes on."""
        self.times = self.met
        self.gate.set()
