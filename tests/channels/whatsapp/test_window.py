"""The 24 hours of WhatsApp, told with the whole gateway: held, asked for by the template, reopened, told once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.event import EventState
from bot.domain.message import Action
from tests.platforms.whatsapp import WhatsAppNetwork
from tests.story.networks import NetworkWorld, words_of


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[NetworkWorld]:
    async with contextlib.AsyncExitStack() as stack:
        network = await stack.enter_async_context(WhatsAppNetwork())
        network.with_template()
        world = NetworkWorld(networks={"whatsapp": network}, url=f"sqlite:///{tmp_path}/homing.db")
        await world.open()
        stack.push_async_callback(world.close)
        yield world


def whatsapp(world: NetworkWorld) -> WhatsAppNetwork:
    network = world.networks["whatsapp"]
    assert isinstance(network, WhatsAppNetwork)
    return network


async def held(world: NetworkWorld) -> bool:
    return bool(await world.store.read(lambda tx: tx.events.listing(states={EventState.HELD}, limit=5)))


async def test_a_result_that_came_too_late_waits_asks_and_comes_home_when_the_person_writes(
    world: NetworkWorld,
) -> None:
    network = whatsapp(world)
    here = network.rooms[0]
    asked = await world.ask_and_approve(network, here, "ada", "make backup")
    await world.settled()
    network.account(here).heard[str(here.id)] = 0.0
    await world.finish(asked, "backed up 40 GB")
    await world.until(lambda: held(world), "the result is held")

    async def notices() -> list[str]:
        return [seen.text for seen in network.seen(here) if "news for you" in seen.text]

    assert len(await world.until(notices, "the notice")) == 1
    assert not any("40 GB" in words_of(seen) for seen in network.seen(here))
    await network.say(here, str(here.id), "whoami")
    await world.told_once(asked, containing="backed up 40 GB")
    assert len(await notices()) == 1


async def test_what_was_held_before_a_restart_comes_home_after_it(world: NetworkWorld) -> None:
    network = whatsapp(world)
    here = network.rooms[0]
    asked = await world.ask_and_approve(network, here, "ada", "make backup")
    await world.settled()
    network.account(here).heard[str(here.id)] = 0.0
    await world.finish(asked, "backed up 40 GB")
    await world.until(lambda: held(world), "the result is held")
    await world.restart()
    await network.say(here, str(here.id), "whoami")
    await world.told_once(asked, containing="backed up 40 GB")


async def test_f048_a_press_on_a_card_of_an_earlier_process_decides(world: NetworkWorld) -> None:
    """The stories' owner types; here it is the button that survives."""
    network = whatsapp(world)
    phone = network.direct(network.person("owner"))
    asked = await world.ask(network, phone, "owner", "uptime")
    await world.settled()
    await world.restart()
    await network.press(phone, asked.card.id, network.person("owner"), Action.APPROVE)
    await world.until_runs(asked)
    await world.finish(asked, "up 3 days")
    await world.told_once(asked, containing="up 3 days")


async def test_a_press_by_somebody_who_may_not_decide_is_refused_in_their_own_conversation(world: NetworkWorld) -> None:
    network = whatsapp(world)
    here = network.rooms[0]
    asked = await world.ask(network, here, "ada", "uptime")
    said = await network.press(here, asked.card.id, str(here.id), Action.APPROVE)
    assert "owner" in said
    assert said in [seen.text for seen in network.seen(here)]
