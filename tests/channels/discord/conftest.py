"""A Discord of its own for each test, and the adapter on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.channels.discord.rig import DiscordRig, running
from tests.platforms.discord import DiscordNetwork


@pytest.fixture
async def network() -> AsyncIterator[DiscordNetwork]:
    async with DiscordNetwork() as network:
        yield network


@pytest.fixture
async def rig(network: DiscordNetwork) -> AsyncIterator[DiscordRig]:
    async with running(network) as rig:
        yield rig
