"""The adapter in both of its modes, for every test that does not name one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.channels.slack.rig import SlackRig, running
from tests.platforms.slack import SlackNetwork


@pytest.fixture(params=["socket", "http"])
async def network(request: pytest.FixtureRequest) -> AsyncIterator[SlackNetwork]:
    async with SlackNetwork(is_http=request.param == "http") as network:
        yield network


@pytest.fixture
async def socket_network() -> AsyncIterator[SlackNetwork]:
    async with SlackNetwork() as network:
        yield network


@pytest.fixture
async def http_network() -> AsyncIterator[SlackNetwork]:
    async with SlackNetwork(is_http=True) as network:
        yield network


@pytest.fixture
async def rig(network: SlackNetwork) -> AsyncIterator[SlackRig]:
    async with running(network) as rig:
        yield rig
