"""An agent asks for 63 commands in one turn, the worst that we know of the field: few cards, and each its own way home.

On the loopback network with both databases, and on Discord, Slack and WhatsApp through their SDKs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action, Code, PostKind
from channels.slack import pace
from tests.platforms.driver import Network
from tests.platforms.driver import Seen as SeenMessage
from tests.platforms.forms import buttons_of
from tests.platforms.posted import Posted
from tests.postgres import fresh_postgres_url
from tests.story.agents import Seen
from tests.story.cast import a_peer
from tests.story.conftest import MakeWorld, a_world
from tests.story.networks import NetworkWorld
from tests.story.puppet import a_result
from tests.story.test_on_networks import MAKE
from tests.story.world import WITHIN_S, World

OPS = a_peer("ops", thread="17")
S = ExecutionState
COMMANDS = [f"systemctl status app-{number}" for number in range(63)]
ASKED = "look after all of them"


def cards_of(world: World) -> list[Posted]:
    return [one for one in world.platform.by_bot() if one.kind is PostKind.CARD]


async def asked_for_all(world: World) -> tuple[list[Posted], list[Execution]]:
    """Until every command stands on a card, in the order of asking."""
    await world.say(OPS, "ada", ASKED)

    def found() -> list[Posted] | None:
        cards = cards_of(world)
        shown = [block.text for card in cards for block in card.post.blocks if isinstance(block, Code)]
        return cards if shown == COMMANDS else None

    cards = await world.platform.until(found, "63 commands stand on cards", within_s=WITHIN_S)
    everything = await world.store.read(lambda tx: tx.executions.in_states(frozenset(S), limit=100))
    return cards, [one for one in everything if one.batch is not None]


async def ended_and_told(world: World, several: list[Execution]) -> None:
    """Each runs once; each result is one message, in the thread that asked, and none stands elsewhere."""
    async with asyncio.timeout(WITHIN_S):
        while len(world.puppets.starts) < len(several):
            await asyncio.sleep(0.01)
    assert sorted(started for _, started in world.puppets.starts) == sorted(one.id for one in several)
    for one in several:
        await world.finish(one.id, f"the state of {one.id}\n")
    await world.platform.until(
        lambda: all(world.told(one.id) for one in several), "every result is told", within_s=WITHIN_S
    )
    await world.settled()
    for one in several:
        (told,) = world.told(one.id)
        assert told.peer.thread == "17"
        assert told.place == cards_of(world)[0].place
        assert told.reply_to == cards_of(world)[0].reply_to
        (stands,) = [each for each in world.platform.by_bot() if f"the state of {one.id}" in each.text]
        assert stands is told
    assert len(world.puppets.starts) == len(several)


@contextlib.asynccontextmanager
async def a_world_on(database: str, make_world: MakeWorld) -> AsyncIterator[World]:
    if database == "sqlite":
        async with make_world() as world:
            yield world
        return
    async with fresh_postgres_url() as url, a_world(url) as world:
        yield world


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_f060_63_commands_of_one_turn_are_8_cards_and_63_results(
    make_world: MakeWorld, seen: Seen, database: str
) -> None:
    seen.together[ASKED] = COMMANDS
    async with a_world_on(database, make_world) as world:
        cards, several = await asked_for_all(world)
        assert len(cards) == 8, "eight commands a card, as the loopback network declares"
        await world.settled()
        for card in cards:
            note = await world.platform.press(card, "owner", Action.APPROVE_ALL)
            assert note is not None
            assert note.startswith("✅ You approved")
        await ended_and_told(world, several)
        assert all(card.status == "finished" and buttons_of(card.post) == [] for card in cards)
        assert not any("the state of" in card.text for card in cards)


async def test_f048_each_of_63_can_be_decided_alone(make_world: MakeWorld, seen: Seen) -> None:
    seen.together[ASKED] = COMMANDS
    async with make_world() as world:
        cards, several = await asked_for_all(world)
        await world.settled()
        wanted = several[::3]
        for one in several:
            assert one.batch is not None
            card = cards[(one.batch.card or 0) - 1]
            action = Action.APPROVE if one in wanted else Action.DENY
            shown = [each for block in card.post.blocks if isinstance(block, Code) for each in block.buttons]
            (button,) = [each for each in shown if each.action is action and each.execution_id == one.id]
            note = await world.platform.press_button(card, "owner", button)
            assert note is not None
            assert one.id in note
        await ended_and_told_these(world, several, wanted)


async def ended_and_told_these(world: World, several: list[Execution], wanted: list[Execution]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while len(world.puppets.starts) < len(wanted):
            await asyncio.sleep(0.01)
    assert sorted(started for _, started in world.puppets.starts) == sorted(one.id for one in wanted)
    for one in wanted:
        await world.finish(one.id, f"the state of {one.id}\n")
    await world.settled()
    assert [len(world.told(one.id)) for one in several] == [1] * len(several)
    for one in several:
        (told,) = world.told(one.id)
        assert ("Denied" in told.text) is (one not in wanted)


async def test_f052_a_card_of_several_that_is_older_than_the_process_still_decides(
    make_world: MakeWorld, seen: Seen
) -> None:
    seen.together[ASKED] = COMMANDS
    async with make_world() as world:
        cards, several = await asked_for_all(world)
        await world.restart()
        for card in cards:
            await world.platform.press(card, "owner", Action.APPROVE_ALL)
        await ended_and_told(world, several)


async def test_f034_a_gateway_that_dies_before_the_cards_are_owed_owes_them_when_it_is_back(
    make_world: MakeWorld, seen: Seen
) -> None:
    seen.together[ASKED] = COMMANDS[:5]
    async with make_world() as world:
        await world.say(OPS, "ada", ASKED)
        await world.restart()
        cards = await world.platform.until(lambda: cards_of(world), "the card stands", within_s=WITHIN_S)
        await world.settled()
        assert [len([b for b in card.post.blocks if isinstance(b, Code)]) for card in cards] == [5]


# --- on the networks -----------------------------------------------------------------------------------------

ON = [
    # Seven each: a message has 40 components, and each command takes four of them.
    pytest.param("discord", 9, id="discord"),
    # Eleven or twelve each: a message has some 13,000 characters of blocks, and each command takes 700 of them.
    pytest.param("slack", 6, id="slack"),
    # Six each, and one that is left: the words above quick replies have 1,024 characters.
    pytest.param("whatsapp", 11, id="whatsapp"),
]


async def network_cards(world: NetworkWorld, network: Network, several: list[Execution]) -> list[SeenMessage]:
    def here() -> list[SeenMessage]:
        seen = network.seen(several[0].origin.peer)
        # The last one may be left alone, with a card of its own.
        return [one for one in seen if {Action.APPROVE_ALL, Action.APPROVE} & {action for action, _ in one.buttons}]

    async def found() -> list[SeenMessage] | None:
        cards = here()
        words = "\n".join(card.text for card in cards)
        return cards if all(one.id in words for one in several) else None

    return await world.until(found, f"all commands stand on cards of {network.name}")


@pytest.mark.parametrize(("name", "count"), ON)
async def test_f060_63_commands_on_a_network_are_few_cards_and_63_results(
    sqlite_url: str, seen: Seen, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    # Slack's pace is a minute for so many; it is not what is told here.
    monkeypatch.setattr(pace, "INTERVAL_S", 0.01)
    seen.together[ASKED] = COMMANDS
    async with contextlib.AsyncExitStack() as stack:
        network = await stack.enter_async_context(MAKE[name]())
        world = NetworkWorld(networks={name: network}, url=sqlite_url)
        await world.open()
        stack.push_async_callback(world.close)
        owner = network.person("owner")
        # On WhatsApp there are direct conversations only: there the owner asks, and decides.
        alone = name == "whatsapp"
        peer, asker = (network.direct(owner), owner) if alone else (network.rooms[0], network.person("ada"))
        message_id = await network.say(peer, asker, ASKED)

        async def asked() -> list[Execution] | None:
            found = await world.store.read(lambda tx: tx.executions.in_states({S.AWAITING_APPROVAL}, limit=100))
            return list(found) if len(found) == 63 else None

        several = await world.until(asked, "63 commands wait")
        cards = await network_cards(world, network, several)
        assert len(cards) == count
        assert [code for card in cards for code in card.code] == COMMANDS
        await world.settled()
        origin = several[0].origin.peer
        for card in cards:
            of_all = any(action is Action.APPROVE_ALL for action, _ in card.buttons)
            await network.press(origin, card.id, owner, Action.APPROVE_ALL if of_all else Action.APPROVE)

        async def all_run() -> bool:
            return len(world.puppets.starts) == 63

        await world.until(all_run, "all 63 run")
        assert sorted(started for _, started in world.puppets.starts) == sorted(one.id for one in several)
        for node, started in tuple(world.puppets.starts):
            now = world.clock.now()
            await world.core.reports.finished(node, started, a_result(f"the state of {started}\n"), now, now)

        async def told() -> bool:
            standing = "\n".join(one.text for one in network.seen(origin))
            return all(f"the state of {one.id}" in standing for one in several)

        await world.until(told, "63 results stand where they were asked for")
        await world.settled()
        everywhere = [seen for _, seen in network.everywhere()]
        for one in several:
            (stands,) = [each for each in everywhere if f"the state of {one.id}" in each.text]
            assert stands in network.seen(origin)
            assert str(stands.reply_to) == str(message_id) or stands.reply_to is None
        assert len(world.puppets.starts) == 63


@pytest.mark.parametrize("name", ["discord", "slack"])
async def test_f048_one_of_a_card_is_decided_by_its_own_buttons_and_the_card_shows_it(
    sqlite_url: str, seen: Seen, name: str
) -> None:
    seen.together[ASKED] = COMMANDS[:3]
    async with contextlib.AsyncExitStack() as stack:
        network = await stack.enter_async_context(MAKE[name]())
        world = NetworkWorld(networks={name: network}, url=sqlite_url)
        await world.open()
        stack.push_async_callback(world.close)
        await network.say(network.rooms[0], network.person("ada"), ASKED)

        async def asked() -> list[Execution] | None:
            found = await world.store.read(lambda tx: tx.executions.in_states({S.AWAITING_APPROVAL}))
            return list(found) if len(found) == 3 else None

        first, second, third = several = await world.until(asked, "three commands wait")
        (card,) = await network_cards(world, network, several)
        await world.settled()
        peer, owner = first.origin.peer, network.person("owner")
        note = await network.press(peer, card.id, owner, Action.APPROVE, execution=second.id)
        assert f"You approved {second.id}" in note
        note = await network.press(peer, card.id, owner, Action.DENY, execution=third.id, reason="not today")
        assert f"You denied {third.id}" in note
        with contextlib.suppress(NotImplementedError):
            await network.react(peer, card.id, owner, "✅")

        async def shown() -> bool:
            (now,) = [one for one in network.seen(peer) if one.id == card.id]
            offered = [(action, token) for action, token in now.buttons if action is Action.APPROVE]
            return [first.id in token for _, token in offered] == [True] and "Denied" in now.text

        await world.until(shown, "the card shows what was decided")
        note = await network.press(peer, card.id, owner, Action.DENY_ALL, reason="no more")
        assert f"You denied {first.id}; whoever asked is told: no more" in note.replace("\\", "")
        assert f"{third.id} is already settled" in note
