"""Break-glass on the real path: opened in one room, announced in another, used on a card, ended, reviewed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.app import CoreSettings
from bot.domain.directory import Person
from bot.domain.execution import ExecutionState
from bot.domain.glass import GlassRule, GlassState
from bot.domain.message import Action
from bot.domain.policy import Rule, Verdict
from bot.domain.session import PersonId
from bot.domain.terms import Terms
from bot.flow.glass_watch import GlassWatch
from tests.platforms.posted import Posted
from tests.postgres import fresh_postgres_url
from tests.story.cast import OWNER, a_peer, a_settings
from tests.story.conftest import MakeWorld
from tests.story.world import WITHIN_S, World

S = ExecutionState
OPS = a_peer("ops", thread="17")
"""A thread: what is typed in it holds in the whole conversation."""
ROOM = a_peer("ops")
ALL = a_peer("announcements", channel="slack")
DOC = Person(name="doc", ids=(PersonId("discord:doc"), PersonId("slack:doc")))
EVE = Person(name="eve", ids=(PersonId("discord:eve"), PersonId("slack:eve")))
STRICT = Rule(name="three eyes", action=Verdict.ASK, deciders=("owner", "eve"), terms=Terms(quorum=2, four_eyes=True))


def settings() -> CoreSettings:
    made = a_settings(STRICT, people=(OWNER, DOC, EVE))
    glass = GlassRule(people=("doc",), reviewers=("eve", "doc"), announce_to=(ALL,))
    return replace(made, policy=replace(made.policy, glass=glass))


@pytest.fixture(params=["sqlite", "postgresql"])
async def broken_world(request: pytest.FixtureRequest, sqlite_url: str, open_at: MakeWorld) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        url = sqlite_url if request.param == "sqlite" else await stack.enter_async_context(fresh_postgres_url())
        yield await stack.enter_async_context(open_at(url, settings=settings()))


async def announced(world: World, count: int) -> list[Posted]:
    """All that stands in the announced room, read back from its network."""

    def found() -> list[Posted] | None:
        standing = world.platform.at(ALL)
        return standing if len(standing) >= count else None

    return await world.platform.until(found, f"{count} announcements", within_s=WITHIN_S)


async def open_glass(world: World, words: str = "break-glass 10m the database is down") -> str:
    await world.say(OPS, "doc", words)
    (opened,) = await announced(world, 1)
    return opened.text.split("Break-glass ")[1].split(":")[0]


async def test_opened_used_ended_and_reviewed_it_is_read_back_where_it_is_announced(broken_world: World) -> None:
    world = broken_world
    glass_id = await open_glass(world)
    asked = await world.ask(OPS, "doc", "systemctl restart database")
    await world.settled()
    note = await world.platform.press(asked.card, "doc", Action.APPROVE)
    assert note is not None
    assert f"alone, under break-glass {glass_id}" in note
    await world.until_runs(asked)
    await world.finish(asked, "OUTPUT-THAT-STAYS-HOME\n")
    told = await world.told_once(asked, containing="OUTPUT-THAT-STAYS-HOME")
    assert f"doc alone, under break-glass {glass_id}" in told.text
    await world.say(ROOM, "doc", "break-glass end")
    await announced(world, 3)
    await world.say(ROOM, "doc", f"review {glass_id} ok all is well")
    await world.say(ROOM, "eve", f"review {glass_id} ok it was down indeed")
    said = [posted.text for posted in await announced(world, 4)]
    await world.settled()
    assert len(world.platform.at(ALL)) == 4
    words = ("doc opened it in discord channel ops", f"doc alone approved {asked.id}", "ended by doc", "by eve: ok")
    for text, part in zip(said, words, strict=True):
        assert part in text
        assert glass_id in text
    assert "systemctl restart database" in said[1]
    everywhere = [posted for posted in world.platform.by_bot() if "OUTPUT-THAT-STAYS-HOME" in posted.text]
    assert [posted.place for posted in everywhere] == [asked.card.place]


async def test_nobody_else_no_other_room_no_replay_and_nothing_after_its_end(broken_world: World) -> None:
    world = broken_world
    for who in ("eve", "owner", "mallory"):
        await world.say(OPS, who, "break-glass the database is down")
    await world.settled()
    assert world.platform.at(ALL) == []

    glass_id = await open_glass(world)
    mine = await world.ask(OPS, "ada", "df -h")
    other = await world.ask(a_peer("deploys"), "ada", "df -h")
    await world.settled()
    for asked, who in ((other, "doc"), (mine, "mallory"), (mine, "ada")):
        await world.platform.press(asked.card, who, Action.APPROVE)
    assert {(await world.execution(one.id)).state for one in (mine, other)} == {S.AWAITING_APPROVAL}

    await world.say(OPS, "doc", f"break-glass end {glass_id}")
    await announced(world, 2)
    await world.platform.press(mine.card, "doc", Action.APPROVE)
    await world.settled()
    assert (await world.execution(mine.id)).state is S.AWAITING_APPROVAL
    assert world.puppets.starts == []
    assert len(world.platform.at(ALL)) == 2


async def test_what_was_approved_under_it_and_waits_for_its_node_is_withdrawn_with_its_end(broken_world: World) -> None:
    world = broken_world
    world.puppets.away.update(world.puppets.fingerprints())
    glass_id = await open_glass(world)
    await world.puppets.reconnect(world.core.reports)
    asked = await world.ask(OPS, "ada", "df -h")
    world.puppets.away.update(world.puppets.fingerprints())
    await world.platform.press(asked.card, "doc", Action.APPROVE)
    await world.until_state(asked.id, S.APPROVED)
    await world.say(OPS, "doc", "break-glass end")
    await announced(world, 3)
    await world.puppets.reconnect(world.core.reports)
    world.core.signals.all()
    assert f"break-glass {glass_id} was ended by doc; ask again" in (await world.told_once(asked)).text
    assert world.puppets.starts == []


async def test_a_restart_forgets_neither_what_is_open_nor_what_is_owed(broken_world: World) -> None:
    world = broken_world
    glass_id = await open_glass(world)
    await world.restart()
    asked = await world.ask(OPS, "ada", "df -h")
    await world.platform.press(asked.card, "doc", Action.APPROVE)
    await world.until_runs(asked)
    world.advance(601.0)
    await world.restart()
    await GlassWatch(world.store, world.core.policies, world.core.signals).step()
    texts = [posted.text for posted in await announced(world, 3)]
    assert "its time is over, after 10 min" in texts[2]
    world.advance(86_401.0)
    await GlassWatch(world.store, world.core.policies, world.core.signals).step()
    assert "was not reviewed within 24 h" in (await announced(world, 4))[3].text
    (kept,) = await world.store.read(lambda tx: tx.glasses.listing(frozenset(GlassState)))
    assert (kept.id, kept.state) == (glass_id, GlassState.OVERDUE)
