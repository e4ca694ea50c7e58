"""One store, on SQLite and on PostgreSQL: every test that takes `store` runs on both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from bot.store import OpenStore, open_store
from tests.clock import ManualClock
from tests.postgres import postgres_database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own: a file that is not there yet, or a database that is up to date."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'homing.db'}"
        return
    with postgres_database() as made:
        yield made


@pytest.fixture
async def store(url: str, clock: ManualClock) -> AsyncIterator[OpenStore]:
    """As the gateway opens it; the test holds the time on both databases."""
    opened = open_store(url, clock=clock, gateway=True, use_clock=True)
    yield opened
    await opened.close()


@pytest.fixture
async def another(url: str, clock: ManualClock, store: OpenStore) -> AsyncIterator[OpenStore]:
    """A second opening of the same database: a tool beside the gateway, or another replica."""
    assert store
    opened = open_store(url, clock=clock, gateway=not url.startswith("sqlite"), use_clock=True)
    yield opened
    await opened.close()


@pytest.fixture
async def opened(url: str, clock: ManualClock) -> AsyncIterator[Callable[[], OpenStore]]:
    """Opens the database as a gateway, as often as the test wants; all are closed."""
    stores: list[OpenStore] = []

    def open_one() -> OpenStore:
        stores.append(open_store(url, clock=clock, gateway=True, use_clock=True))
        return stores[-1]

    yield open_one
    for one in stores:
        await one.close()
