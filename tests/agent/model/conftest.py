"""A model's service on loopback, in each wire, whole and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.agent.model.dialog import Dialog, Endpoint, open_model
from tests.platforms.model.server import KEY, ModelServer

WIRES = ("openai", "anthropic")


@pytest.fixture
async def service() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def has_stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def a_dialog(
    service: ModelServer, wire: str, *, has_stream: bool = True, key: str = KEY, timeout_s: float = 5.0
) -> Dialog:
    endpoint = Endpoint(
        model=f"{wire}:test-1",
        base_url=service.base_url(wire),
        api_key=key,
        has_stream=has_stream,
        timeout_s=timeout_s,
    )
    return Dialog(open_model(endpoint), endpoint)


@pytest.fixture
async def dialog(service: ModelServer, wire: str, has_stream: bool) -> AsyncIterator[Dialog]:
    dialog = a_dialog(service, wire, has_stream=has_stream)
    yield dialog
    await dialog.close()
