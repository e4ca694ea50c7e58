"""PostgreSQL goes down in the middle of everything and comes back: a pause, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import aiohttp
import pytest

from bot.errors import StoreError
from tests.postgres import Server
from tests.story.cast import a_peer
from tests.story.conftest import MakeWorld
from tests.story.world import WITHIN_S, Asked, World

OPS = a_peer("ops", thread="17")


@pytest.fixture
def ours() -> Iterator[Server]:
    """A server of this test's own: others would not like what becomes of it."""
    server = Server(is_durable=True)
    try:
        server.start()
        yield server
    finally:
        server.close()


async def report_until_taken(world: World, asked: Asked, output: str) -> int:
    """As a node does: again until it is acknowledged. How often it was not."""
    refused = 0
    async with asyncio.timeout(WITHIN_S * 3):
        while True:
            try:
                await world.finish(asked, output)
            except StoreError:
                refused += 1
                await asyncio.sleep(0.2)
            else:
                return refused


async def test_a_postgresql_that_is_restarted_under_way_delays_and_loses_nothing(
    ours: Server, open_at: MakeWorld
) -> None:
    async with open_at(ours.url(ours.fresh())) as world:
        running = await world.ask_and_approve(OPS, "ada", "uptime")
        await world.until_runs(running)
        waiting = await world.ask(OPS, "ada", "whoami")
        await world.settled()
        ours.crash()
        with pytest.raises(StoreError):
            await world.finish(running, "up 3 days")
        # The loops meet it as well, and go on.
        await asyncio.sleep(1.0)
        ours.serve_again()
        await report_until_taken(world, running, "up 3 days")
        await world.told_once(running, containing="up 3 days")
        await approve_until_taken(world, waiting)
        await world.until_runs(waiting)
        await report_until_taken(world, waiting, "ada")
        await world.told_once(waiting, containing="ada")
        assert [started for _, started in world.puppets.starts] == [running.id, waiting.id]


async def approve_until_taken(world: World, asked: Asked) -> None:
    """As a person does who sees that the press was not taken."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await world.approve(asked)
                return
            await asyncio.sleep(0.1)
