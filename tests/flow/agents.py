"""Agents for tests of turns: one that answers as it was told, one that does not come to its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from bot.domain.event import Input
from bot.ports import TurnStep

Answering = Callable[[Sequence[Input]], Sequence[TurnStep]]


@dataclass
class ScriptedAgent:
    """Gives what `answering` makes of the inputs; before that, the faults that are laid ready, one a turn."""

    answering: Answering = lambda _inputs: []
    faults: deque[Exception] = field(default_factory=deque)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    turns: list[list[Input]] = field(default_factory=list)

    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        self.turns.append(list(inputs))
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.faults:
            raise self.faults.popleft()
        return self.answering(inputs)


@dataclass
class EndlessAgent:
    """A turn that hangs."""

    begun: int = 0

    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        del inputs
        self.begun += 1
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")
