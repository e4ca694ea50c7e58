"""Worlds for stories: a gateway over SQLite, and where a story asks for it over PostgreSQL as well."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from bot.app import CoreSettings
from bot.domain.message import Capabilities
from bot.store import migrate
from tests.platforms.loopback import LoopbackPlatform
from tests.postgres import fresh_postgres_url
from tests.story.agents import Seen, seen
from tests.story.cast import ACCOUNTS, a_settings
from tests.story.puppet import Puppets
from tests.story.shifted import ShiftedClock
from tests.story.world import World

__all__ = ["Seen", "seen"]

MakeWorld = Callable[..., contextlib.AbstractAsyncContextManager[World]]


@contextlib.asynccontextmanager
async def a_world(
    url: str,
    *,
    settings: CoreSettings | None = None,
    accounts: Sequence[tuple[str, str]] = ACCOUNTS,
    capabilities: Capabilities | None = None,
    puppets: Puppets | None = None,
    dedupes: bool = False,
    remembers: bool = True,
) -> AsyncIterator[World]:
    async with LoopbackPlatform(dedupes=dedupes, remembers=remembers) as platform:
        world = World(
            platform=platform,
            url=url,
            clock=ShiftedClock(),
            settings=settings or a_settings(),
            accounts=accounts,
            capabilities=capabilities,
            puppets=puppets or Puppets(),
        )
        await world.open()
        try:
            yield world
        finally:
            await world.close()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file whose schema is up to date: copying it takes a millisecond, migrating half a second."""
    path = tmp_path_factory.mktemp("migrated") / "homing.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated: Path) -> str:
    shutil.copy(migrated, tmp_path / "homing.db")
    return f"sqlite:///{tmp_path}/homing.db"


@pytest.fixture
def make_world(sqlite_url: str) -> MakeWorld:
    """A world on SQLite, with the settings that a test gives."""
    return lambda **more: a_world(sqlite_url, **more)


@pytest.fixture
def open_at() -> MakeWorld:
    """A world on the database of this URL."""
    return a_world


@pytest.fixture
async def world(make_world: MakeWorld) -> AsyncIterator[World]:
    """A world on SQLite whose time the test holds."""
    async with make_world() as world:
        yield world


@pytest.fixture(params=["sqlite", "postgresql"])
async def either_url(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield sqlite_url
        return
    async with fresh_postgres_url() as url:
        yield url


@pytest.fixture
async def either_world(either_url: str) -> AsyncIterator[World]:
    """A world on either database."""
    async with a_world(either_url) as world:
        yield world
