"""Agents for stories: one that blocks at a word, one that asks on, one that only records. All answer as ours else."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bot.agent.commands import CommandsAgent
from bot.domain.command import parse_request
from bot.domain.event import Input, InputKind
from bot.domain.session import SessionKey
from bot.ports import Agent, Ask, NodeHub, Policies, Store, TurnStep


@dataclass(slots=True)
class Seen:
    """What the agents of one story were given, and where they wait."""

    turns: list[tuple[SessionKey, list[Input]]] = field(default_factory=list)
    at_once: dict[SessionKey, int] = field(default_factory=lambda: defaultdict(int))
    most_at_once: int = 0
    blocks_at: str = "think"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    blocked: int = 0
    chain: list[str] = field(default_factory=list)
    """Commands to ask for when an execution of the session has ended, one after the other."""
    together: dict[str, list[str]] = field(default_factory=dict)
    """Commands to ask for in answer to one message, by its words."""


@dataclass(frozen=True, slots=True)
class StoryAgent:
    inner: Agent
    seen: Seen

    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        seen, session = self.seen, inputs[0].session
        seen.turns.append((session, list(inputs)))
        seen.at_once[session] += 1
        seen.most_at_once = max(seen.most_at_once, seen.at_once[session])
        try:
            if any(one.text.startswith(seen.blocks_at) for one in inputs):
                seen.blocked += 1
                await seen.gate.wait()
            steps = list(await self.inner.answer(inputs))
            ends = [one for one in inputs if one.kind is InputKind.FINISHED][: len(seen.chain)]
            wanted = [(one, seen.chain.pop(0)) for one in ends]
            said = [one for one in inputs if one.kind is InputKind.MESSAGE]
            wanted += [(one, text) for one in said for text in seen.together.get(one.text, ())]
            return steps + [Ask(input_id=one.id, request=parse_request(text), node_name=None) for one, text in wanted]
        finally:
            seen.at_once[session] -= 1


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Worlds that are opened after this have a `StoryAgent` around the agent that they would have."""
    seen = Seen()

    def compose(store: Store, hub: NodeHub, policies: Policies) -> Agent:
        return StoryAgent(CommandsAgent(store, hub, policies), seen)

    monkeypatch.setattr("bot.app.CommandsAgent", compose)
    return seen
