"""The runs of one turn: what does not come to its run in time, and what a run took that ends in a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bot.agent.commands import CommandsAgent
from bot.agent.model.answering import ModelAgent
from bot.agent.model.profile import Meter, Profile, Thought, ToolBox
from bot.domain.memory import Remembered
from bot.domain.message import Sender
from bot.domain.session import AgentName
from bot.domain.spending import Budget, Spent
from bot.errors import ModelAway, ModelRefused
from tests.flow.stage import Stage, a_peer, session
from tests.flow.test_turn import said

MAIN = AgentName("main")


@dataclass
class Thinker:
    """A model that takes its time, and then answers or fails."""

    takes_s: float = 0.0
    fault: Exception | None = None
    now_s: float = 0.0
    prompts: list[str] = field(default_factory=list)

    async def think(
        self, instructions: str, past: Sequence[Remembered], prompt: str, tools: ToolBox, meter: Meter
    ) -> Thought:
        del instructions, past, tools
        self.prompts.append(prompt)
        self.now_s += self.takes_s
        meter.add(Spent(requests=1, tokens_read=100, tokens_written=10))
        if self.fault is not None:
            raise self.fault
        return Thought(text=f"Answer {len(self.prompts)}", called=())

    async def close(self) -> None:
        return


def agent(stage: Stage, brain: Thinker, budget: Budget | None = None) -> ModelAgent:
    return ModelAgent(
        profile=Profile(name=MAIN, model="openai:test-1", budget=budget or Budget()),
        brain=brain,
        store=stage.store,
        hub=stage.hub,
        policies=stage.policies,
        commands=CommandsAgent(stage.store, stage.hub, stage.policies),
        ticks=lambda: brain.now_s,
    )


async def test_f026_whoever_waits_for_others_runs_has_not_been_tried(stage: Stage) -> None:
    """A slow model answers two people a turn: the last of twenty is answered like the first, and not given up."""
    brain = Thinker(takes_s=60.0)
    stage.agent = agent(stage, brain)
    for number in range(20):
        await stage.say("How is it?", who=Sender(native=f"U{number + 10}", name=f"Person {number}"))
    for _ in range(12):
        await stage.answer()
    assert len(brain.prompts) == 20
    assert sorted(await said(stage)) == sorted(f"Answer {number + 1}" for number in range(20))


@pytest.mark.parametrize("fault", [ModelAway("it broke off"), ModelRefused("no quota")], ids=["away", "refused"])
async def test_a_run_that_fails_late_is_paid_for_and_counts_for_budgets(stage: Stage, fault: Exception) -> None:
    brain = Thinker(fault=fault)
    stage.agent = agent(stage, brain, Budget(tokens_a_day=200))
    for number in range(3):
        await stage.say("How is it?", message=f"m{number}")
        await stage.answer()
        stage.clock.advance(60.0)
    spent = await stage.store.read(lambda tx: tx.memories.spent(since=0.0, agent=MAIN))
    assert spent.tokens == 220
    assert len(brain.prompts) == 2
    past = await stage.store.read(lambda tx: tx.memories.recall(session(), a_peer()))
    assert past.turns == []


@pytest.mark.parametrize("why", ["no quota", "no budget"])
async def test_f031_what_came_home_is_known_though_no_model_has_read_it(stage: Stage, why: str) -> None:
    """It was told; somebody who asks about it later is not answered by one who knows nothing of it."""
    brain = Thinker(fault=ModelRefused("no quota") if why == "no quota" else None)
    stage.agent = agent(stage, brain, Budget(tokens_a_day=0) if why == "no budget" else None)
    execution = await stage.finished()
    before = await said(stage)
    await stage.answer()
    past = await stage.store.read(lambda tx: tx.memories.recall(session(), a_peer()))
    (turn,) = past.turns
    assert f"Execution {execution.id} on node" in str(turn.entries[0])
    assert "| all is well" in str(turn.entries[0])
    assert turn.read_untrusted
    # Nobody wrote, so nobody hears of the model's trouble; and a message alone is not remembered without an answer.
    assert await said(stage) == before
    await stage.say("How is it?")
    await stage.answer()
    assert len(await said(stage)) == len(before) + 1
    past = await stage.store.read(lambda tx: tx.memories.recall(session(), a_peer()))
    assert len(past.turns) == 1
