"""Which agent answers a session: the one whose name stands in its key. Deliberately absent: which place is whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.domain.event import Input
from bot.domain.session import AgentName, agent_of
from bot.ports import Agent, TurnStep


class Named(Agent, Protocol):
    """An agent that holds something open."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ByName:
    """Inputs of one turn are of one session, so of one agent."""

    named: Mapping[AgentName, Named]
    other: Agent
    """For every name that has none of its own."""

    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        return await self.named.get(agent_of(inputs[0].session), self.other).answer(inputs)

    async def close(self) -> None:
        for agent in self.named.values():
            await agent.close()
