"""A model that asks, on Discord, Slack and WhatsApp: plain words in, card, approval, result, and then its words.

Our adapters, their SDKs, strict servers of the networks and of the model's service. The result is first, wherever the
network puts it, and nothing that a model says pings anybody.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

import pytest

from bot.app import CoreSettings
from tests.platforms.driver import Seen
from tests.platforms.model.script import Acting, Fail, Say
from tests.platforms.model.server import ModelServer
from tests.story.models import Assistant, with_model
from tests.story.networks import NetworkWorld, run_ids, words_of
from tests.story.test_on_networks import MAKE

EACH = pytest.mark.parametrize(
    ("name", "wire"), [("discord", "openai"), ("slack", "anthropic"), ("whatsapp", "openai")]
)


def composed(service: ModelServer, wire: str, settings: CoreSettings) -> CoreSettings:
    return with_model(settings, service, wire, settings.masker)


@contextlib.asynccontextmanager
async def a_talking_world(
    url: str, name: str, wire: str, assistant: Assistant
) -> AsyncIterator[tuple[NetworkWorld, ModelServer]]:
    async with ModelServer(Acting(then=assistant)) as service, MAKE[name]() as network:
        world = NetworkWorld(
            networks={name: network},
            url=url,
            compose=partial(composed, service, wire),
            asks_with="please run {}",
        )
        await world.open()
        try:
            yield world, service
        finally:
            await world.close()
        assert service.refused == []


def standing(world: NetworkWorld, words: str) -> list[Seen]:
    """Every message of the bot, anywhere, that holds these words."""
    return [seen for network in world.networks.values() for _, seen in network.everywhere() if words in words_of(seen)]


async def until_stands(world: NetworkWorld, words: str) -> Seen:
    async def found() -> list[Seen]:
        return standing(world, words)

    return (await world.until(found, f"a message with {words!r}"))[0]


@EACH
async def test_f011_f118_plain_words_are_answered_by_a_card_the_result_and_then_the_models_words(
    sqlite_url: str, name: str, wire: str
) -> None:
    loud = "@everyone @here <!channel> <!here> <@{person}> is why {id} says *so*."
    assistant = Assistant(comment=loud)
    async with a_talking_world(sqlite_url, name, wire, assistant) as (world, service):
        network = world.networks[name]
        place = network.thread or network.rooms[0]
        ben = network.person("ben")
        assistant.comment = loud.replace("{person}", ben)
        asked = await world.ask(network, place, "ada", "df -h /srv")
        assert "df -h /srv" in asked.card.text
        await until_stands(world, "I have asked for it.")
        await world.approve(asked)
        await world.until_runs(asked)
        await world.finish(asked, "80% /srv\n")
        told = await world.told_once(asked, containing="80% /srv")
        comment = await until_stands(world, f"is why {asked.id} says")
        await world.settled()

        here = [seen.id for seen in network.seen(asked.peer)]
        assert here.index(told.id) < here.index(comment.id)
        assert comment.reply_to == told.reply_to
        assert len(standing(world, f"is why {asked.id} says")) == 1
        assert set(comment.mentions) <= {network.person("ada")}
        assert run_ids(world) == [asked.id]
        assert any("| 80% /srv" in one.prompt for one in service.asked)


@EACH
async def test_f022_f045_on_each_network_a_model_that_fails_or_has_nothing_to_say_leaves_the_result_alone(
    sqlite_url: str, name: str, wire: str
) -> None:
    async with a_talking_world(sqlite_url, name, wire, Assistant()) as (world, service):
        network = world.networks[name]
        several = [await world.ask_and_approve(network, room, "ada", f"echo {room.id}") for room in network.rooms[:2]]
        await world.settled()
        before = len(standing(world, ""))
        service.model.will(Fail(402, "insufficient_quota"), Say("**HEARTBEAT_OK**"))
        for number, asked in enumerate(several):
            await world.finish(asked, f"result {number}")
            await world.told_once(asked, containing=f"result {number}")

        async def has_answered() -> bool:
            return service.model.acts == []

        await world.until(has_answered, "the model was asked about both")
        await world.settled()
        assert len(standing(world, "")) == before + 2
        assert standing(world, "HEARTBEAT") == []
