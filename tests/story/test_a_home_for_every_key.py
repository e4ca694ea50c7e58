"""The seed's case and its kin: a result comes home under every shape of key, whoever is idle, whatever the hour."""

from __future__ import annotations

import asyncio
from datetime import time
from zoneinfo import ZoneInfo

import pytest

from bot.app import CoreSettings
from bot.domain.message import PostKind
from bot.domain.session import AgentName, DirectScope, MainKey, PeerKind, format_key, key_for
from bot.flow.schedule import ActiveHours
from bot.loop import Wake
from tests.story.agents import Seen
from tests.story.cast import NETWORKS, a_peer, a_settings
from tests.story.conftest import MakeWorld
from tests.story.watch import watching
from tests.story.world import World

MAIN = format_key(MainKey(agent=AgentName("main")))
ACCOUNTS = (*((network, "default") for network in NETWORKS), ("slack", "second"))
SEED = a_peer("1469129735133932162")
SHAPES = (
    SEED,
    a_peer("1469129735133932162", thread="1469129735133932163"),
    a_peer("1469129735133932162", kind=PeerKind.GROUP),
    a_peer("1469129735133932162", kind=PeerKind.GROUP, thread="7"),
    a_peer("1469129735133932162", kind=PeerKind.DIRECT),
    a_peer("1469129735133932162", kind=PeerKind.DIRECT, thread="7"),
    a_peer("C0AB", channel="slack"),
    a_peer("c0ab", channel="slack"),
    a_peer("C0AB", channel="slack", account="second"),
    a_peer("C0AB", channel="slack", thread="1699999999.000100"),
    a_peer("C0AB", channel="slack", thread="1699999999.0001"),
    a_peer("+491701234567", channel="whatsapp", kind=PeerKind.DIRECT),
    a_peer("another agent's room", agent="ops"),
    a_peer("main"),
    a_peer("a:b%3A/c d🏠"),
    a_peer("a%3Ab%253A/c d🏠"),
    a_peer("x" * 512, channel="whatsapp", kind=PeerKind.GROUP, thread="y" * 512),
)


async def test_f001_a_result_comes_home_while_main_is_idle_and_nobody_speaks(either_world: World) -> None:
    assert key_for(SEED) == "agent:main:discord:channel:1469129735133932162"
    with watching(MAIN) as main, watching(key_for(SEED)) as own:
        asked = await either_world.ask_and_approve(SEED, "ada", "df -h /srv")
        await either_world.finish(asked, "80% /srv\n")
        told = await either_world.told_once(asked, containing="80% /srv")
    assert "df -h /srv" in told.text
    assert main.statements == []
    assert own.statements, "the watch sees keys that are bound"


async def test_f001_the_watch_over_main_can_fail(make_world: MakeWorld) -> None:
    """A direct conversation that the scope maps to main does touch main's queue, and the watch sees it."""
    async with make_world(settings=a_settings(scope=DirectScope.MAIN)) as world:
        with watching(MAIN) as main:
            await world.ask(a_peer("42", kind=PeerKind.DIRECT))
    assert any("inputs" in statement for statement in main.statements)


async def test_f001_the_same_under_every_shape_of_key_finishing_at_once(either_url: str, open_at: MakeWorld) -> None:
    async with open_at(either_url, accounts=ACCOUNTS) as world:
        with watching(MAIN) as main:
            several = [await world.ask(peer, f"person-{at}", f"echo {at}") for at, peer in enumerate(SHAPES)]
            await asyncio.gather(*(world.approve(asked) for asked in several))
            await world.until_runs(*several)
            await asyncio.gather(*(world.finish(asked, f"token-{at};") for at, asked in enumerate(several)))
            for at, asked in enumerate(several):
                told = await world.told_once(asked, containing=f"token-{at};")
                assert told.mention == f"person-{at}"
        assert main.statements == []
        results = [one for one in world.platform.by_bot() if one.kind is PostKind.RESULT]
        assert len(results) == len(SHAPES)


@pytest.mark.parametrize("loses_wakes", [False, True], ids=["woken", "every wake lost"])
async def test_f002_fifty_sessions_that_finish_in_one_window_are_each_told(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, loses_wakes: bool
) -> None:
    """No wake carries a key, so none can be coalesced away: losing all of them costs the poll interval."""
    async with make_world() as world:
        peers = [a_peer(f"room-{number}", channel=NETWORKS[number % 3]) for number in range(50)]
        several = await asyncio.gather(*(world.ask(peer, "ada", f"echo {peer.id}") for peer in peers))
        await asyncio.gather(*(world.approve(asked) for asked in several))
        await world.until_runs(*several)
        if loses_wakes:
            monkeypatch.setattr(Wake, "wake", lambda _self: None)
        await asyncio.gather(*(world.finish(asked, f"<{asked.peer.id}>") for asked in several))
        for asked in several:
            await world.wait_told(asked, containing=f"<{asked.peer.id}>")
        await world.settled()
        assert all(len(world.told(asked)) == 1 for asked in several)


async def test_f003_a_completion_makes_no_work_for_any_other_key(make_world: MakeWorld, seen: Seen) -> None:
    async with make_world() as world:
        here, there = a_peer("here"), a_peer("there")
        waiting = await world.ask_and_approve(there, "ben", "sleep 60")
        asked = await world.ask_and_approve(here, "ada", "uptime")
        await world.settled()
        turns, posts = len(seen.turns), len(world.platform.at(there))
        edits = sum(len(one.forms) for one in world.platform.at(there))
        with watching(key_for(there)) as other:
            await world.finish(asked, "up 3 days")
            await world.told_once(asked)
        assert other.statements == []
        assert {session for session, _ in seen.turns[turns:]} == {key_for(here)}
        assert len(world.platform.at(there)) == posts
        assert sum(len(one.forms) for one in world.platform.at(there)) == edits
        assert world.told(waiting) == []


QUIET = ActiveHours(start=time(9), end=time(10), zone=ZoneInfo("UTC"))
"""The manual clock begins at 8:00 UTC."""


@pytest.mark.parametrize(
    "cadence",
    [a_settings(), a_settings(cadence_every_s=1800.0, active_hours=QUIET), a_settings(cadence_every_s=1800.0)],
    ids=["cadence off", "quiet hours", "just had its turn"],
)
async def test_f022_no_cadence_holds_back_a_result(make_world: MakeWorld, cadence: CoreSettings) -> None:
    async with make_world(settings=cadence) as world:
        for wait_s in (0.0, 96.0, 24.0):
            await world.pass_time(wait_s)
            asked = await world.ask_and_approve(SEED, "ada", "uptime")
            await world.finish(asked, f"after {wait_s}")
            await world.told_once(asked, containing=f"after {wait_s}")


async def test_f013_the_clock_s_own_input_of_main_is_answered_and_tells_nobody(
    make_world: MakeWorld, seen: Seen
) -> None:
    async with make_world(settings=a_settings(cadence_every_s=60.0)) as world:
        await world.platform.until(
            lambda: [session for session, _ in seen.turns if session == MAIN], "main has its turn", within_s=15
        )
        await world.settled()
        assert world.platform.by_bot() == []


async def test_f025_a_result_is_told_while_its_session_s_own_turn_is_busy(make_world: MakeWorld, seen: Seen) -> None:
    """We depart from the row, which tells after the turn: a result of ours waits for no turn, and aborts none."""
    async with make_world() as world:
        asked = await world.ask_and_approve(SEED, "ada", "uptime")
        await world.say(SEED, "ada", "think long about it")
        await world.platform.until(lambda: seen.blocked == 1, "the turn is busy", within_s=15)
        await world.finish(asked, "up 3 days")
        await world.wait_told(asked, containing="up 3 days")
        assert seen.at_once[key_for(SEED)] == 1
        seen.gate.set()
        await world.told_once(asked)
        assert seen.most_at_once == 1


async def test_f026_a_session_has_one_turn_at_a_time_and_no_session_starves(make_world: MakeWorld, seen: Seen) -> None:
    async with make_world() as world:
        await world.say(SEED, "ada", "think")
        await world.platform.until(lambda: seen.blocked == 1, "the turn is busy", within_s=15)
        await asyncio.gather(*(world.say(SEED, "ada", f"run echo {number}") for number in range(8)))
        others = await asyncio.gather(*(world.ask(a_peer(f"other-{number}")) for number in range(8)))
        assert len(others) == 8
        assert world.platform.at(SEED) == []
        seen.gate.set()
        await world.platform.until(lambda: len(world.platform.at(SEED)) == 8, "all eight are asked", within_s=15)
        assert seen.most_at_once == 1


async def test_f034_a_restart_between_finish_and_relay_loses_nothing(either_world: World) -> None:
    world = either_world
    asked = await world.ask_and_approve(SEED, "ada", "uptime")
    await world.settled()
    await world.finish_and_die(asked, "up 3 days")
    assert world.told(asked) == []
    await world.open()
    await world.told_once(asked, containing="up 3 days")
