"""A database connection that breaks in the moment of a commit: done or not, nobody can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import pytest

from bot.domain.event import EventState, TellOutcome
from bot.domain.execution import ExecutionState
from bot.errors import StoreError
from bot.ports import Store, Tx
from tests.flow.conftest import clock, migrated, opened, stage
from tests.flow.ends import WatchedStore
from tests.flow.stage import Stage

__all__ = ["clock", "migrated", "opened", "stage"]
R = TypeVar("R")
S = ExecutionState


@dataclass
class Breaking:
    """The real store; its next write, and one more, break before or after the commit."""

    inner: Store
    after: bool
    breaks: int = 2

    async def write(self, fn: Callable[[Tx], R]) -> R:
        if self.breaks == 0:
            return await self.inner.write(fn)
        self.breaks -= 1
        if self.after and self.breaks == 1:
            await self.inner.write(fn)
        raise StoreError("the connection broke; it is opened anew when it is needed again")

    async def read(self, fn: Callable[[Tx], R]) -> R:
        return await self.inner.read(fn)


async def handed_over_through(stage: Stage, *, after: bool) -> None:
    real = stage.store
    stage.store = cast("WatchedStore", Breaking(real, after))
    await stage.hand_over()
    stage.store = real


async def test_f088_a_hand_over_whose_commit_went_unanswered_is_told_as_not_known(stage: Stage) -> None:
    execution = await stage.approved()
    await handed_over_through(stage, after=True)

    assert stage.hub.gone == []
    await stage.in_state(execution, S.LOST)
    owed = [event for event in await stage.events(EventState.DUE) if isinstance(event.payload, TellOutcome)]
    assert [event.address for event in owed] == [execution.origin]
    await stage.hand_over()
    assert stage.hub.gone == []


@pytest.mark.parametrize("times", [1, 2])
async def test_f088_a_hand_over_whose_commit_failed_is_offered_again(stage: Stage, times: int) -> None:
    execution = await stage.approved()
    for _ in range(times):
        await handed_over_through(stage, after=False)
        await stage.in_state(execution, S.APPROVED)

    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)
    assert len(stage.hub.gone) == 1
