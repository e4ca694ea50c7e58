"""Sites and visitors for the web chat's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.channels.web.site import Site, Visitor, site_at, visitor_of


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_at(tmp_path) as one:
        yield one


@pytest.fixture
async def ana(site: Site) -> AsyncIterator[Visitor]:
    async with visitor_of(site) as one:
        await one.sign_in("ana", "Ana Sol")
        yield one


@pytest.fixture
async def ben(site: Site) -> AsyncIterator[Visitor]:
    async with visitor_of(site) as one:
        await one.sign_in("ben", "Ben Ito")
        yield one


@pytest.fixture
async def stranger(site: Site) -> AsyncIterator[Visitor]:
    """Somebody without a cookie."""
    async with visitor_of(site) as one:
        yield one
