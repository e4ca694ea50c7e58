"""The twelve stories on Discord, Slack and WhatsApp: our adapters, their SDKs, strict servers, real databases.

On SQLite every network, on PostgreSQL Slack; the rest of the product is long. The last stories mix the networks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bot.domain.execution import ExecutionState
from bot.domain.message import Action
from bot.domain.policy import Rule, Verdict
from bot.domain.session import Peer
from tests.platforms.discord import DiscordNetwork
from tests.platforms.driver import Network, Order
from tests.platforms.slack import SlackNetwork
from tests.platforms.whatsapp import WhatsAppNetwork
from tests.postgres import fresh_postgres_url
from tests.story.networks import NetworkWorld, run_ids, words_of
from tests.story.puppet import a_result

MAKE = {"discord": DiscordNetwork, "slack": SlackNetwork, "whatsapp": WhatsAppNetwork}
WHERE = [
    pytest.param(("discord", "sqlite"), id="discord"),
    pytest.param(("slack", "sqlite"), id="slack"),
    pytest.param(("whatsapp", "sqlite"), id="whatsapp"),
    pytest.param(("slack", "postgresql"), id="slack-postgresql"),
    pytest.param(("discord", "postgresql"), id="discord-postgresql", marks=pytest.mark.long),
    pytest.param(("whatsapp", "postgresql"), id="whatsapp-postgresql", marks=pytest.mark.long),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    world: NetworkWorld
    network: Network

    @property
    def ops(self) -> Peer:
        return self.network.rooms[0]

    @property
    def deploys(self) -> Peer:
        return self.network.rooms[1]


@contextlib.asynccontextmanager
async def a_network_world(url: str, *names: str, rules: tuple[Rule, ...] = ()) -> AsyncIterator[NetworkWorld]:
    async with contextlib.AsyncExitStack() as stack:
        networks = {name: await stack.enter_async_context(MAKE[name]()) for name in names}
        world = NetworkWorld(networks=networks, url=url, rules=rules)
        await world.open()
        try:
            yield world
        finally:
            await world.close()


@pytest.fixture(params=WHERE)
async def scene(request: pytest.FixtureRequest, sqlite_url: str) -> AsyncIterator[Scene]:
    name, database = request.param
    async with contextlib.AsyncExitStack() as stack:
        url = sqlite_url if database == "sqlite" else await stack.enter_async_context(fresh_postgres_url())
        world = await stack.enter_async_context(a_network_world(url, name))
        yield Scene(world=world, network=world.networks[name])


async def test_the_result_returns_to_the_place_that_asked(scene: Scene) -> None:
    world, network = scene.world, scene.network
    peer = network.thread or scene.ops
    asked = await world.ask_and_approve(network, peer, "ada", "df -h /srv")
    await world.finish(asked, "80% /srv\n")
    told = await world.told_once(asked, containing="80% /srv")
    if network.name != "whatsapp":
        assert told.mentions == (network.person("ada"),)
    assert "80% /srv" in "".join(told.code)


async def test_two_rooms_finish_at_once_and_each_gets_its_own(scene: Scene) -> None:
    world, network = scene.world, scene.network
    ours = await world.ask_and_approve(network, scene.ops, "ada", "echo ours")
    theirs = await world.ask_and_approve(network, scene.deploys, "ben", "echo theirs")
    await asyncio.gather(world.finish(theirs, "for deploys"), world.finish(ours, "for ops"))
    await world.told_once(ours, containing="for ops")
    await world.told_once(theirs, containing="for deploys")


async def test_f004_f008_f009_talk_elsewhere_meanwhile_changes_nothing(scene: Scene) -> None:
    """The same person, other people, the same room's other places: none of it is the way home."""
    world, network = scene.world, scene.network
    asked = await world.ask_and_approve(network, network.thread or scene.ops, "ada", "uptime")
    for peer in (scene.ops, scene.deploys, network.direct(network.person("ada"))):
        await network.say(peer, network.person("ada"), "whoami")
        await network.say(peer, network.person("ben"), "what a day")
    await world.finish(asked, "up 3 days")
    await world.told_once(asked, containing="up 3 days")


async def test_f037_two_identical_results_are_both_told(scene: Scene) -> None:
    world = scene.world
    several = [await world.ask_and_approve(scene.network, scene.ops) for _ in range(2)]
    for asked in several:
        await world.finish(asked, "the same words")
    for asked in several:
        await world.told(asked, containing="the same words")
    await world.settled()
    assert [len(await world.outcome_ids(asked)) for asked in several] == [1, 1]


async def test_f035_several_results_of_one_place_are_all_told_in_order(scene: Scene) -> None:
    world, network = scene.world, scene.network
    several = [await world.ask_and_approve(network, scene.ops, "ada", f"echo {number}") for number in range(5)]
    for number, asked in enumerate(several):
        await world.finish(asked, f"result number {number}")
    for number, asked in enumerate(several):
        await world.told(asked, containing=f"result number {number}")
    await world.settled()
    seen = [one.text for one in network.seen(scene.ops) if "result number" in one.text]
    assert [text.partition("result number ")[2][:1] for text in seen] == ["0", "1", "2", "3", "4"]


async def test_f034_a_restart_between_finish_and_relay_loses_nothing(scene: Scene) -> None:
    world, network = scene.world, scene.network
    several = [await world.ask_and_approve(network, peer) for peer in (scene.ops, scene.deploys)]
    await world.settled()
    for number, asked in enumerate(several):
        await world.finish_and_die(asked, f"told late {number}")
    assert not any("told late" in words_of(seen) for _, seen in network.everywhere())
    await world.open()
    for number, asked in enumerate(several):
        await world.told_once(asked, containing=f"told late {number}")


async def test_f048_the_buttons_of_an_earlier_process_work(scene: Scene) -> None:
    world = scene.world
    asked = await world.ask(scene.network, scene.ops)
    await world.settled()
    await world.restart()
    await world.approve(asked)
    await world.until_runs(asked)
    await world.finish(asked, "after the restart")
    await world.told_once(asked, containing="after the restart")


async def test_f033_f047_the_told_result_contains_command_status_and_output(scene: Scene) -> None:
    world = scene.world
    asked = await world.ask_and_approve(scene.network, scene.ops, "ada", "ls '/no such place'")
    await world.finish(asked, a_result("ls: no such place\n", exit_code=2, duration_s=1.5))
    told = await world.told_once(asked, containing="ls: no such place")
    for part in (asked.id, "exit 2", "web-1", "1.5 s", "ls '/no such place'"):
        assert part in told.text


async def test_f050_f061_a_denied_or_expired_request_never_reaches_a_node(scene: Scene) -> None:
    world, network = scene.world, scene.network
    denied = await world.ask(network, scene.ops, "ada", "reboot")
    expired = await world.ask(network, scene.ops, "ada", "halt")
    await world.settled()
    owner = network.person("owner")
    await network.press(denied.peer, denied.card.id, owner, Action.DENY, reason="not during the freeze")
    if network.name == "whatsapp":
        # Its buttons have no form; the reason is typed.
        assert await world.state(denied) is ExecutionState.DENIED
    else:
        await world.told_once(denied, containing="not during the freeze")
    await world.pass_time(1_800.0 + 1.0)
    await world.told_once(expired, containing="Expired, nothing ran")
    await network.press(expired.peer, expired.card.id, owner, Action.APPROVE)
    await network.say(scene.ops, owner, f"approve {denied.id}")
    await world.settled()
    assert world.puppets.offers == []
    assert run_ids(world) == []


async def test_f051_f068_f069_only_a_permitted_approval_counts_and_the_second_changes_nothing(scene: Scene) -> None:
    world, network = scene.world, scene.network
    asked = await world.ask(network, scene.ops)
    await world.settled()
    for stranger in ("ada", "mallory"):
        await network.press(asked.peer, asked.card.id, network.person(stranger), Action.APPROVE)
    assert await world.state(asked) is ExecutionState.AWAITING_APPROVAL
    owner = network.person("owner")
    await asyncio.gather(*(network.press(asked.peer, asked.card.id, owner, Action.APPROVE) for _ in range(5)))
    await world.until_runs(asked)
    await network.press(asked.peer, asked.card.id, owner, Action.APPROVE)
    await world.finish(asked, "ran once")
    await world.told_once(asked, containing="ran once")
    assert run_ids(world) == [asked.id]
    assert await world.store.read(lambda tx: tx.executions.approvers(asked.id)) == ["owner"]


async def test_f088_a_node_that_vanishes_after_the_hand_over_runs_nothing_twice(scene: Scene) -> None:
    world = scene.world
    asked = await world.ask_and_approve(scene.network, scene.ops, "ada", "deploy")
    world.puppets.away.update(world.puppets.fingerprints())
    await world.pass_time(700.0)
    await world.told(asked, containing="Not known whether it ran")
    await world.restart()
    # A word of the network that came while nobody listened is asked for after a minute.
    await world.pass_time(61.0)
    await world.finish(asked, "deployed after all")
    await world.told(asked, containing="deployed after all")
    await world.settled()
    assert run_ids(world) == [asked.id]


async def test_f098_an_answer_lost_after_the_effect_leaves_one_visible_message(scene: Scene) -> None:
    world, network = scene.world, scene.network
    asked = await world.ask_and_approve(network, scene.ops)
    await world.settled()
    network.order(Order.LOST_ANSWER)
    await world.finish(asked, "up 3 days")
    await world.told_once(asked, containing="up 3 days")


# --- networks together -------------------------------------------------------------------------------------


async def test_f010_asked_on_slack_approved_from_whatsapp_and_the_result_is_home_in_slack(sqlite_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        slack = await stack.enter_async_context(SlackNetwork())
        whatsapp = await stack.enter_async_context(WhatsAppNetwork())
        phone = whatsapp.direct(whatsapp.person("owner"))
        rule = Rule(name="the owner's phone is asked too", action=Verdict.ASK, copy_to=(phone,))
        world = NetworkWorld(networks={"slack": slack, "whatsapp": whatsapp}, url=sqlite_url, rules=(rule,))
        await world.open()
        stack.push_async_callback(world.close)
        # The phone's window is open: its owner wrote today.
        await whatsapp.say(phone, whatsapp.person("owner"), "whoami")
        place = slack.thread or slack.rooms[0]
        asked = await world.ask(slack, place, "ada", "df -h /srv")
        copy = await world.card_of(whatsapp, phone, asked.id)
        await whatsapp.press(phone, copy.id, whatsapp.person("owner"), Action.APPROVE)
        await world.until_runs(asked)
        await world.finish(asked, "80% /srv is used\n")
        await world.told_once(asked, containing="80% /srv is used")
        lines = [words_of(seen) for seen in whatsapp.seen(phone)]
        assert any(asked.id in line and "Finished, exit 0" in line for line in lines), lines


async def test_f010_a_typed_approval_from_another_network_counts_once(sqlite_url: str) -> None:
    async with a_network_world(sqlite_url, "slack", "discord", "whatsapp") as world:
        slack, discord, whatsapp = (world.networks[name] for name in ("slack", "discord", "whatsapp"))
        asked = await world.ask(discord, discord.rooms[0], "ada", "uptime")
        for network in (whatsapp, slack):
            owner = network.person("owner")
            await network.say(network.direct(owner), owner, f"approve {asked.id}")
        await world.until_runs(asked)
        await world.finish(asked, "home in discord")
        await world.told_once(asked, containing="home in discord")
        assert run_ids(world) == [asked.id]


async def test_one_network_that_is_away_delays_no_other(sqlite_url: str) -> None:
    async with a_network_world(sqlite_url, "slack", "discord") as world:
        slack, discord = world.networks["slack"], world.networks["discord"]
        ours = await world.ask_and_approve(slack, slack.rooms[0], "ada", "echo ours")
        theirs = await world.ask_and_approve(discord, discord.rooms[0], "ben", "echo theirs")
        await world.settled()
        for _ in range(3):
            slack.order(Order.UNAVAILABLE)
        await world.finish(ours, "for slack")
        await world.finish(theirs, "for discord")
        await world.told_once(theirs, containing="for discord")
        await world.told_once(ours, containing="for slack")
