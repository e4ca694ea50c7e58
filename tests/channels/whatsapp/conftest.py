"""The adapter of the account `default`, for every test that does not name one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.channels.whatsapp.rig import WhatsAppRig, running
from tests.platforms.whatsapp import WhatsAppNetwork


@pytest.fixture
async def network() -> AsyncIterator[WhatsAppNetwork]:
    async with WhatsAppNetwork() as network:
        yield network


@pytest.fixture
async def rig(network: WhatsAppNetwork) -> AsyncIterator[WhatsAppRig]:
    async with running(network) as rig:
        yield rig
