"""What a stranger tries on the buttons, reactions and words of others, told with the whole gateway: nothing runs.

Deliberately absent: WhatsApp's forged requests, which its own tests refuse before they are read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.execution import ExecutionState
from bot.domain.message import Action, Button
from bot.domain.session import MessageId
from bot.ports import Tx
from tests.platforms.discord import DiscordNetwork
from tests.platforms.discord.rest import created
from tests.platforms.driver import Network
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.payloads import (
    buttons_in,
    changed_event,
    event_callback,
    mention_event,
    message_event,
    press_payload,
)
from tests.story.networks import Asked, NetworkWorld

Played = SlackNetwork | DiscordNetwork
TICKS = ("✅", "👍", "👍🏽", "✔️")


@pytest.fixture(params=["discord", "slack"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NetworkWorld]:
    async with contextlib.AsyncExitStack() as stack:
        network: Network
        if request.param == "discord":
            network = await stack.enter_async_context(DiscordNetwork())
        else:
            network = await stack.enter_async_context(SlackNetwork())
        world = NetworkWorld(networks={request.param: network}, url=f"sqlite:///{tmp_path}/homing.db")
        await world.open()
        stack.push_async_callback(world.close)
        yield world


def played(world: NetworkWorld) -> Played:
    (network,) = world.networks.values()
    assert isinstance(network, SlackNetwork | DiscordNetwork)
    return network


async def forge(network: Played, asked: Asked, message_id: MessageId, button: Button, person: str) -> None:
    """This token, pressed on that message, as if the platform had shown it there."""
    if isinstance(network, DiscordNetwork):
        message = network.place(asked.peer).messages[message_id]
        body = {"component_type": 2, "custom_id": button.token()}
        await network.interact(network.app, message.channel, network.world.people[person], 3, body, message)
        return
    server, who = network.server, network.who(person)
    shown = next(one for one in buttons_in(network.message(asked.peer, asked.card.id).blocks))
    on = network.message(asked.peer, message_id)
    link = server.response_url(network.app, on.channel, person, on.ts)
    payload = press_payload(
        network.app,
        who,
        on,
        shown | {"value": button.token()},
        server.world,
        trigger=server.trigger(),
        response_url=link,
    )
    await server.postman.deliver(network.app, payload, repeats=False)


async def button_of(world: NetworkWorld, asked: Asked, action: Action = Action.APPROVE) -> Button:
    execution = await world.store.read(lambda tx: tx.executions.get(asked.id))
    assert execution is not None
    assert execution.command_hash is not None
    return Button(action=action, execution_id=asked.id, shown=execution.command_hash)


async def nothing_was_decided(world: NetworkWorld, *asked: Asked) -> None:
    # What waits for a receipt is tried again by a pass of its own.
    for _ in range(3):
        await world.core.inbox.settle_early()
        await asyncio.sleep(0.1)
    for one in asked:
        assert await world.state(one) is ExecutionState.AWAITING_APPROVAL
    assert world.puppets.starts == []


async def test_f068_whoever_may_not_decide_decides_by_no_button_no_reaction_and_no_word(world: NetworkWorld) -> None:
    network = played(world)
    here, mallory = network.rooms[0], network.person("mallory")
    asked = await world.ask(network, here)
    for action in (Action.APPROVE, Action.DENY):
        said = await network.press(here, asked.card.id, mallory, action)
        assert "may" in said
    for tick in (*TICKS, "❌", "👎"):
        await network.react(here, asked.card.id, mallory, tick)
    for words in (f"approve {asked.id}", f"deny {asked.id}", f"stop {asked.id}"):
        await network.say(here, mallory, words)
        await network.say(network.direct(mallory), mallory, words)
    await world.settled()
    await nothing_was_decided(world, asked)


async def test_f070_a_button_of_one_card_decides_nothing_on_another_message(world: NetworkWorld) -> None:
    network = played(world)
    here, owner = network.rooms[0], network.person("owner")
    first, second = await world.ask(network, here, command="uptime"), await world.ask(network, here, command="date")
    theirs = await network.say(here, network.person("mallory"), "Approval needed: uptime")
    await world.settled()
    button = await button_of(world, first)
    other = await button_of(world, second)
    wrong = Button(action=Action.APPROVE, execution_id=first.id, shown=other.shown)
    nobody = Button(action=Action.APPROVE, execution_id="ZZZZZZ", shown=other.shown)
    for message_id, forged in (
        (second.card.id, button),
        (first.card.id, other),
        (theirs, button),
        (first.message_id, button),
        (first.card.id, wrong),
        (first.card.id, nobody),
    ):
        await forge(network, first, message_id, forged, owner)
    await nothing_was_decided(world, first, second)
    await forge(network, first, first.card.id, button, owner)
    await world.until_runs(first)
    assert await world.state(second) is ExecutionState.AWAITING_APPROVAL


async def test_f071_a_tick_counts_on_the_card_and_on_no_other_message(world: NetworkWorld) -> None:
    network = played(world)
    here, owner = network.rooms[0], network.person("owner")
    asked = await world.ask(network, here)
    theirs = await network.say(here, network.person("mallory"), asked.card.text[:300])
    await network.say(here, owner, "whoami")

    async def answers() -> list[MessageId]:
        return [seen.id for seen in network.seen(here) if seen.author is None and seen.id != asked.card.id]

    ours = await world.until(answers, "an answer that is no card")
    await world.settled()
    for message_id in (theirs, asked.message_id, *ours):
        for tick in TICKS:
            await network.react(here, message_id, owner, tick)
    await nothing_was_decided(world, asked)
    for wrong in ("👀", "🎉", "👍👍", "white_check_mark:1"):
        with contextlib.suppress(KeyError, ValueError, AssertionError):
            await network.react(here, asked.card.id, owner, wrong)
    await nothing_was_decided(world, asked)
    await network.react(here, asked.card.id, owner, "👍🏽")
    await world.until_runs(asked)


async def test_our_own_reaction_is_no_yes_though_the_bot_were_an_owner(world: NetworkWorld) -> None:
    network = played(world)
    here = network.rooms[0]
    asked = await world.ask(network, here)
    if isinstance(network, DiscordNetwork):
        await network.react(here, asked.card.id, network.app.bot.id, "✅")
    else:
        message = network.message(here, asked.card.id)
        message.reactions["white_check_mark"] = [network.app.bot_user]
        await network.people.react(network.app, message, network.server.world.people[network.app.bot_user], "✅")
    await nothing_was_decided(world, asked)


async def test_what_is_edited_runs_nothing_and_nothing_again(world: NetworkWorld) -> None:
    network = played(world)
    here = network.rooms[0]
    asked = await world.ask(network, here)

    def known(tx: Tx) -> int:
        return len(tx.executions.in_states(frozenset(ExecutionState), limit=50))

    if isinstance(network, DiscordNetwork):
        message = network.place(here).messages[asked.message_id]
        message.content = f"<@{network.app.bot.id}> run something else"
        guild = message.channel.guild
        for kind in ("MESSAGE_UPDATE", "MESSAGE_UPDATE", "MESSAGE_CREATE"):
            form = created(message) | {"edited_timestamp": "2026-01-01T00:00:00+00:00"}
            await network.gateway.tell(network.app, kind, form, guild=None if guild is None else guild.id)
    else:
        shown = network.message(here, asked.message_id)
        shown.text, shown.blocks, shown.edited = "run something else", [], network.server.world.ts()
        room = network.conversation(here)
        changed = changed_event(shown, room, network.server.world)
        again = message_event(shown, room, network.server.world)
        mention = mention_event(shown, room, network.server.world)
        for event in (changed, again, mention):
            body = event_callback(network.app, event, network.server.world)
            await network.server.postman.deliver(network.app, body, repeats=True)
    await network.say(here, network.person("ada"), "whoami")
    await world.settled()
    assert await world.store.read(known) == 1
    await nothing_was_decided(world, asked)
