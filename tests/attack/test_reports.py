"""What a node says, and a gateway (one on a restored backup, too) must not take for more. On both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.event import EventState
from bot.domain.execution import Execution, ExecutionState
from bot.domain.node import Known
from bot.flow.completion import Completion
from bot.flow.signals import Signals
from bot.store import OpenStore, open_store
from tests.clock import ManualClock
from tests.postgres import postgres_database
from tests.store.made import NODE, execution

S = ExecutionState


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'homing.db'}"
        return
    with postgres_database() as made:
        yield made


@pytest.fixture
async def store(url: str) -> AsyncIterator[OpenStore]:
    opened = open_store(url, clock=ManualClock(), gateway=True, use_clock=True)
    yield opened
    await opened.close()


async def handed_over(store: OpenStore, state: ExecutionState) -> Execution:
    made = replace(execution(state=state), node=NODE)
    await store.write(lambda tx: tx.executions.insert(made))
    return made


@pytest.mark.parametrize("state", [S.DISPATCHED, S.RUNNING])
async def test_what_ended_after_the_backup_was_made_is_told_as_not_known_when_the_node_connects(
    store: OpenStore, state: ExecutionState
) -> None:
    made = await handed_over(store, state)
    await Completion(store, Signals()).known(NODE, made.id, Known.FINISHED)
    found = await store.read(lambda tx: tx.executions.get(made.id))
    assert found is not None
    assert found.state is S.LOST
    assert "older copy" in (found.reason or "")
    owed = await store.read(lambda tx: tx.events.listing(states={EventState.DUE}))
    assert [event.address for event in owed] == [made.origin]


@pytest.mark.parametrize("state", [S.FINISHED, S.LOST, S.REFUSED])
async def test_what_is_settled_already_stays_as_it_is(store: OpenStore, state: ExecutionState) -> None:
    made = await handed_over(store, state)
    await Completion(store, Signals()).known(NODE, made.id, Known.FINISHED)
    found = await store.read(lambda tx: tx.executions.get(made.id))
    assert found is not None
    assert found.state is state


async def test_another_node_may_say_nothing_of_it(store: OpenStore) -> None:
    made = await handed_over(store, S.RUNNING)
    reports = Completion(store, Signals())
    other = type(NODE)("another")
    for known in Known:
        await reports.known(other, made.id, known)
    await reports.not_known(other, made.id, "gone")
    await reports.refused(other, made.id, "no")
    await reports.progress(other, made.id, "forged")
    assert await store.read(lambda tx: tx.executions.get(made.id)) == made
