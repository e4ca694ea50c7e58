"""The wakes that flow gives its loops: "look now", one for each loop, none with data."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.loop import Wake


@dataclass(frozen=True, slots=True)
class Signals:
    turn: Wake = field(default_factory=Wake)
    prepare: Wake = field(default_factory=Wake)
    dispatch: Wake = field(default_factory=Wake)
    heartbeat: Wake = field(default_factory=Wake)
    cards: Wake = field(default_factory=Wake)
    early: Wake = field(default_factory=Wake)

    def all(self) -> None:
        """Look everywhere now. A look that finds nothing costs one indexed read."""
        for wake in (self.turn, self.prepare, self.dispatch, self.heartbeat, self.cards, self.early):
            wake.wake()
