"""A stage on a SQLite file of its own, whose schema is copied, not migrated; and on PostgreSQL for real races."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store import OpenStore, migrate, open_store
from tests.clock import ManualClock
from tests.device import KEY
from tests.flow.ends import NODE, OTHER_NODE, WatchedStore
from tests.flow.stage import Stage
from tests.postgres import fresh_postgres_url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "homing.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def opened(tmp_path: Path, migrated: Path, clock: ManualClock) -> AsyncIterator[OpenStore]:
    shutil.copy(migrated, tmp_path / "homing.db")
    store = open_store(f"sqlite:///{tmp_path}/homing.db", clock=clock, gateway=True, use_clock=True, factor_key=KEY)
    yield store
    await store.close()


@pytest.fixture
async def stage(opened: OpenStore, clock: ManualClock) -> Stage:
    """One node is paired and connected, `web-1`; another one is paired and away, `db-1`."""
    return await furnished(Stage(store=WatchedStore(opened), clock=clock))


@pytest.fixture
async def postgres_stage(clock: ManualClock) -> AsyncIterator[Stage]:
    """For races that one file cannot have: there a write transaction is alone."""
    async with fresh_postgres_url() as url:
        store = open_store(url, clock=clock, gateway=True, use_clock=True, factor_key=KEY)
        yield await furnished(Stage(store=WatchedStore(store), clock=clock))
        await store.close()


async def furnished(stage: Stage) -> Stage:
    for node, name in ((NODE, "web-1"), (OTHER_NODE, "db-1")):
        await stage.pair(node, name)
    return stage
