"""Faults from outside on the whole program: each delays something, and loses, doubles or misroutes nothing.

Deliberately absent: kills, which are everywhere else in this folder.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bot.domain.execution import ExecutionState
from tests.chaos.points import Moment, commit
from tests.chaos.proxy import Road
from tests.chaos.records import compare
from tests.chaos.stories import ENDS, reloaded
from tests.chaos.world import Asked, World, a_world
from tests.platforms.faults import Fault

S = ExecutionState
DRAINS_WITHIN_S = 20.0
"""Accounts get 5 s to close, the server 5 s, the store what is queued; a loaded machine gets as much again."""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def world(home: Path, migrated: Path) -> AsyncIterator[World]:
    async with a_world(home / "w", migrated, speaks=("slack",)) as world:
        yield world


async def several(world: World, count: int, seconds: float = 0.0) -> list[Asked]:
    """Asked, on both networks by turns."""
    people = world.networks
    asking = [
        world.ask(people[n % len(people)], people[n % len(people)].places()[n % 2], seconds) for n in range(count)
    ]
    return list(await asyncio.gather(*asking))


async def brought_home(world: World, asked: list[Asked]) -> None:
    """Approved, ended and told; then the three records agree."""
    await asyncio.gather(*(world.decide(one) for one in asked))
    for one in asked:
        await world.until_state(one, *ENDS)
    await world.settled()
    assert await compare(world) == []


async def while_it_lasts(world: World, trouble: Callable[[], Awaitable[None]]) -> None:
    """People ask before, during and after."""
    before = await several(world, 3)
    during, _ = await asyncio.gather(several(world, 4), trouble())
    await brought_home(world, before + during + await several(world, 2))


def pid_of(world: World, who: str) -> int:
    return world.running[who].pid


async def test_sigterm_in_the_middle_of_everything_drains_in_time_and_loses_nothing(world: World) -> None:
    running = await several(world, 2, 1.5)
    await asyncio.gather(*(world.decide(one) for one in running))
    for one in running:
        await world.until_state(one, S.RUNNING, *ENDS)
    waiting = await several(world, 3)
    # Zero: it went in its own order.
    assert await world.stop("gateway", within_s=DRAINS_WITHIN_S) == 0
    world.up("gateway")
    await world.until_async(world.is_listening, "the gateway is back")
    await brought_home(world, running + waiting)


async def test_a_node_told_to_end_in_the_middle_says_how_its_commands_ended(world: World) -> None:
    (asked,) = await several(world, 1, 60.0)
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING)
    assert await world.stop("node", within_s=DRAINS_WITHIN_S) == 0
    world.up("node")
    await world.until_state(asked, S.FINISHED)
    await world.settled()
    assert await compare(world) == []


async def test_a_database_that_somebody_locks_for_seconds_delays_and_loses_nothing(world: World) -> None:
    async def locked() -> None:
        with closing(sqlite3.connect(world.database, isolation_level=None)) as other:
            for _ in range(2):
                other.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(4.0)
                other.execute("ROLLBACK")
                await asyncio.sleep(0.5)

    await while_it_lasts(world, locked)


async def test_a_disk_that_takes_no_more_bytes_for_a_while_loses_nothing(world: World) -> None:
    """The gateway's files may not grow: SQLite is told so by every write of a new page, as by a full disk."""

    async def full() -> None:
        process = psutil.Process(pid_of(world, "gateway"))
        unlimited = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (4_096, unlimited[1]))
        try:
            await asyncio.sleep(4.0)
        finally:
            process.rlimit(psutil.RLIMIT_FSIZE, unlimited)

    await while_it_lasts(world, full)
    assert world.kills["gateway"] == 0


async def test_no_descriptors_left_is_waited_out(world: World) -> None:
    """As many idle connections as the gateway may have open; they go, and everything goes on."""

    async def crowded() -> None:
        process = psutil.Process(pid_of(world, "gateway"))
        _, hard = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 8, hard))
        held: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        try:
            held += [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(16)]
            await asyncio.sleep(3.0)
        finally:
            for _, writer in held:
                writer.transport.abort()
            process.rlimit(psutil.RLIMIT_NOFILE, (min(1_024, hard), hard))

    await while_it_lasts(world, crowded)
    assert world.kills["gateway"] == 0


async def test_a_clock_that_is_set_back_and_forth_delays_no_result(world: World) -> None:
    async def moves() -> None:
        # Forward by less than what makes a node silent or an approval too old; back by as much as one likes.
        for ahead_s in (200.0, -30.0, 150.0, 0.0, -1_800.0):
            world.ahead(ahead_s)
            await asyncio.sleep(0.8)

    await while_it_lasts(world, moves)


async def test_a_storm_of_429_is_waited_out(world: World) -> None:
    async def patience() -> None:
        order = world.slack.server.order(Fault.THROTTLED, times=12, seconds=1.0)
        await asyncio.sleep(5.0)
        order.lift()

    await while_it_lasts(world, patience)


async def test_answers_lost_after_the_effect_one_after_the_other_are_each_found_again(world: World) -> None:
    async def lost() -> None:
        order = world.slack.server.order(Fault.LOST_ANSWER, times=6)
        await asyncio.sleep(4.0)
        order.lift()

    await while_it_lasts(world, lost)


async def test_a_config_that_is_reloaded_meanwhile_changes_nothing_that_is_under_way(world: World) -> None:
    await while_it_lasts(world, lambda: reloaded(world))


async def test_a_reload_that_comes_while_the_gateway_starts_does_not_end_it(world: World) -> None:
    ledger = world.ledger("gateway")
    since, kills = ledger.size(), world.kills["gateway"]
    await world.kill("gateway")
    started = f"{Moment.AFTER} {commit('reloading.note_policy audit.note')}"
    await world.until(lambda: started in {point for point, _ in ledger.passed(since=since)}, "the rules are read")
    os.kill(pid_of(world, "gateway"), signal.SIGHUP)
    await world.until_async(world.is_listening, "the gateway listens")
    await brought_home(world, await several(world, 2))
    assert world.kills["gateway"] == kills + 1


@pytest.fixture
async def road_world(home: Path, migrated: Path) -> AsyncIterator[tuple[World, Road]]:
    async with a_world(home / "w", migrated, speaks=()) as world, Road(world.port) as road:
        await world.down("node")
        world.node_port = road.port
        world.up("node")
        yield world, road


async def test_a_node_whose_connection_flaps_runs_everything_once_and_reports_it(
    road_world: tuple[World, Road],
) -> None:
    world, road = road_world

    async def flaps() -> None:
        for _ in range(8):
            await asyncio.sleep(0.7)
            road.cut()

    before = await several(world, 2, 2.0)
    await asyncio.gather(flaps(), *(world.decide(one) for one in before))
    assert road.cuts >= 8
    await brought_home(world, before + await several(world, 2))


@pytest.mark.long
async def test_a_half_open_connection_is_noticed_and_its_report_comes_on_the_next_one(
    road_world: tuple[World, Road],
) -> None:
    """Silence in both directions with the sockets open; each end finds out by its own pings."""
    world, road = road_world
    (asked,) = await several(world, 1, 2.0)
    await world.decide(asked)
    await world.until_state(asked, S.RUNNING)
    road.is_silent = True
    # One and a half heartbeats of 15 s, and the time-out of a close that nobody answers.
    await asyncio.sleep(40.0)
    road.is_silent = False
    await world.until_state(asked, S.FINISHED, within_s=120.0)
    await world.settled()
    assert await compare(world) == []


async def test_the_whole_path_in_little_memory(world: World) -> None:
    """A flood of output on a node that may not grow: it is cut, with a count, and told."""
    process = psutil.Process(pid_of(world, "node"))
    room = process.memory_info().vms + 512 * 1_048_576
    process.rlimit(psutil.RLIMIT_AS, (room, resource.RLIM_INFINITY))
    script = world.home / "flood"
    script.write_text((world.home / "mark").read_text() + "\nhead -c 200000000 /dev/zero | tr '\\0' x\n")
    script.chmod(0o755)
    asked = await world.ask(world.web, world.web.places()[0], words=f"{script} {{token}} 0")
    await brought_home(world, [asked, *await several(world, 2)])
    assert world.kills["node"] == 0
