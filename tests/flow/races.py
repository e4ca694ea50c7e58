"""Races that one file cannot have: another replica is quicker between a look and its lock. On PostgreSQL alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import text

from bot.domain.execution import Execution
from bot.ports import Tx
from bot.store.transaction import Connected
from tests.flow.stage import Stage

R = TypeVar("R")


async def beaten(
    stage: Stage,
    execution: Execution,
    change: Callable[[Tx, Execution], object],
    *,
    act: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """A pass (of the sweep, or `act`) finds `execution` and waits for its lock, while another replica changes it."""
    await overtaken(stage, lambda tx: tx.executions.lock(execution.id), change, act=stage.tidy if act is None else act)


async def overtaken(
    stage: Stage,
    lock: Callable[[Tx], R | None],
    change: Callable[[Tx, R], object],
    *,
    act: Callable[[], Awaitable[object]],
) -> None:
    """`act` waits for the row that `lock` locks, while another replica changes it."""
    has_lock, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        locked = lock(tx)
        assert locked is not None
        has_lock.set()
        assert go_on.wait(10.0)
        change(tx, locked)

    holding = asyncio.create_task(stage.store.write(hold))
    await asyncio.to_thread(has_lock.wait, 10.0)
    acting = asyncio.ensure_future(act())
    await _until_blocked(stage)
    go_on.set()
    await asyncio.gather(holding, acting)


async def _until_blocked(stage: Stage) -> None:
    """Until the sweep's transaction waits for the row: what it has found so far is what stood before the change."""

    def waits(tx: Tx) -> bool:
        assert isinstance(tx.executions, Connected)
        query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'")
        return bool(tx.executions.connection.execute(query).scalar_one())

    async with asyncio.timeout(10.0):
        while not await stage.store.inner.read(waits):
            await asyncio.sleep(0.005)
