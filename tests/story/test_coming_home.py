"""Where results go: the address is captured once, travels with the work, and nothing that happens later moves it."""

from __future__ import annotations

import asyncio

from bot.domain.event import EventState
from bot.domain.execution import ExecutionState
from bot.domain.message import Action, PostKind
from bot.domain.session import DirectScope, PeerKind
from tests.platforms.posted import Posted
from tests.story.agents import Seen
from tests.story.cast import NETWORKS, a_peer, a_settings
from tests.story.conftest import MakeWorld
from tests.story.world import World

DEFAULTS = tuple((network, "default") for network in NETWORKS)
BOTH = (*DEFAULTS, ("slack", "second"))
OPS = a_peer("ops", thread="17")


async def test_f004_f012_the_account_that_was_asked_is_the_account_that_answers(make_world: MakeWorld) -> None:
    async with make_world(accounts=BOTH) as world:
        second = a_peer("D9", channel="slack", account="second", kind=PeerKind.DIRECT, thread="1699.1")
        default = a_peer("D9", channel="slack", kind=PeerKind.DIRECT)
        asked = await world.ask_and_approve(second, "ada", "uptime")
        await world.say(default, "ada", "whoami")
        await world.finish(asked, "up 3 days")
        await world.told_once(asked, containing="up 3 days")
        assert {one.peer.account for one in world.platform.by_bot() if one.execution} == {"second"}


async def test_f012_an_account_that_is_gone_keeps_its_results_due_and_the_default_never_sends_them(
    make_world: MakeWorld,
) -> None:
    second = a_peer("C9", channel="slack", account="second")
    async with make_world(accounts=BOTH) as world:
        asked = await world.ask_and_approve(second, "ada", "uptime")
        other = await world.ask_and_approve(a_peer("C9", channel="slack"), "ada", "uptime")
        await world.settled()
        world.accounts = DEFAULTS
        await world.restart()
        await world.finish(asked, "up 3 days")
        await world.finish(other, "up 5 days")
        await world.told_once_besides(other, second, containing="up 5 days")
        await world.pass_time(3_600.0)
        due = await world.events(EventState.DUE)
        assert [event.address.peer for event in due] == [second]
        assert world.told(asked) == []
        world.accounts = BOTH
        await world.restart()
        await world.told_once(asked, containing="up 3 days")


async def test_f005_a_thread_that_asked_gets_its_card_and_its_result_in_the_thread(world: World) -> None:
    for peer in (OPS, a_peer("C0AB", channel="slack", thread="1699999999.000100")):
        asked = await world.ask_and_approve(peer, "ada", "uptime")
        await world.finish(asked, "up 3 days")
        told = await world.told_once(asked)
        assert told.peer.thread == asked.card.peer.thread == peer.thread is not None
        assert told.reply_to == asked.message_id


async def test_f010_approved_from_another_surface_the_result_comes_to_the_origin(world: World) -> None:
    elsewhere = a_peer("owner", channel="slack", kind=PeerKind.DIRECT)
    asked = await world.ask(OPS, "ada", "df -h")
    await world.say(elsewhere, "owner", f"approve {asked.id}")
    await world.until_runs(asked)
    await world.finish(asked, "80% /srv")
    told = await world.told_once(asked, containing="80% /srv")
    assert "df -h" in told.text
    acknowledged = world.platform.at(elsewhere)
    assert len(acknowledged) == 1
    assert f"You approved {asked.id}" in acknowledged[0].text
    assert "80%" not in acknowledged[0].text


async def test_f083_nobody_approves_from_elsewhere_what_no_list_shows_whole(world: World) -> None:
    """A yes that is typed in another conversation may come from somebody who saw a cut line."""
    elsewhere = a_peer("owner", channel="slack", kind=PeerKind.DIRECT)
    long = await world.ask(OPS, "ada", "echo " + "harmless " * 12 + "; evil")
    await world.say(elsewhere, "owner", f"approve {long.id}")
    await world.settled()
    assert (await world.execution(long.id)).state is ExecutionState.AWAITING_APPROVAL
    assert "Nothing was decided" in world.platform.at(elsewhere)[-1].text

    await world.say(OPS, "owner", f"approve {long.id}")
    await world.until_runs(long)


async def test_f011_three_chained_commands_bring_three_cards_and_three_results_home(
    make_world: MakeWorld, seen: Seen
) -> None:
    """An agent that asks on when a result came: nobody writes anything between the first request and the last."""
    seen.chain = ["echo second", "echo third"]
    async with make_world() as world:
        asked = await world.ask(OPS, "ada", "echo first")
        for number, command in enumerate(("echo first", "echo second", "echo third")):
            cards = await until_cards(world, number + 1)
            assert command in cards[-1].text
            await world.settled()
            await world.platform.press(cards[-1], "owner", Action.APPROVE)
            await world.until_started(cards[-1].execution)
            await world.finish(cards[-1].execution, f"<{number}>")
        await world.settled()
        results = [one for one in world.platform.at(OPS) if one.kind is PostKind.RESULT]
        assert [f"<{number}>" in one.text for number, one in enumerate(results)] == [True] * 3
        assert {one.place for one in world.platform.by_bot()} == {asked.card.place}
        assert {one.mention for one in results} == {"ada"}


async def test_f016_changing_the_scope_of_direct_keys_moves_nothing_that_is_under_way(make_world: MakeWorld) -> None:
    here = a_peer("D1", kind=PeerKind.DIRECT)
    async with make_world() as world:
        asked = await world.ask_and_approve(here, "ada", "uptime")
        for scope in (DirectScope.MAIN, DirectScope.PER_PEER):
            world.settings = a_settings(scope=scope)
            await world.restart()
        await world.finish(asked, "up 3 days")
        await world.told_once(asked, containing="up 3 days")


async def test_f019_two_sessions_on_one_node_never_see_each_other_s_results(world: World) -> None:
    """We depart from the row's fallback key `node-<id>`: an execution without an origin cannot exist here."""
    several = [await world.ask_and_approve(a_peer(f"room-{number}"), "ada", "uptime") for number in range(4)]
    await asyncio.gather(*(world.finish(asked, f"<{asked.peer.id}>") for asked in several))
    for asked in several:
        told = await world.told_once(asked, containing=f"<{asked.peer.id}>")
        assert told.text.count("<room-") == 1


async def test_f063_results_that_come_out_of_order_keep_their_own_command_and_output(world: World) -> None:
    several = [await world.ask_and_approve(OPS, "ada", f"echo {number}") for number in range(4)]
    for asked in reversed(several):
        await world.finish(asked, f"<output of {asked.id}>")
    for number, asked in enumerate(several):
        told = await world.told_once(asked, containing=f"<output of {asked.id}>")
        assert f"Command:\necho {number}\n" in told.text


async def test_f065_approver_asker_and_node_are_three_connections_that_all_break_in_between(world: World) -> None:
    asked = await world.ask(OPS, "ada", "uptime")
    world.puppets.away.update(world.puppets.fingerprints())
    await world.restart()
    await world.approve(asked)
    await world.until_state(asked.id, ExecutionState.APPROVED)
    await world.restart()
    await world.puppets.reconnect(world.core.reports)
    await world.until_runs(asked)
    await world.restart()
    await world.finish(asked, "up 3 days")
    await world.told_once(asked, containing="up 3 days")


async def test_f073_nothing_stands_anywhere_but_where_it_was_asked(world: World) -> None:
    places = [OPS, a_peer("ops"), a_peer("ada", kind=PeerKind.DIRECT), a_peer("+49170", channel="whatsapp")]
    several = [await world.ask(peer, "ada", "uptime") for peer in places]
    await world.platform.press(several[0].card, "owner", Action.DENY)
    for asked in several[1:3]:
        await world.approve(asked)
    await world.until_runs(*several[1:3])
    for asked in several[1:3]:
        await world.finish(asked, f"<{asked.id}>")
    await world.pass_time(2_000.0)
    for asked in several:
        await world.told_once(asked)
        for one in world.platform.by_bot():
            if one.execution == asked.id or asked.id in one.text:
                assert one.place == asked.card.place
    assert {one.place for one in world.platform.by_bot()} == {asked.card.place for asked in several}


async def until_cards(world: World, count: int) -> list[Posted]:
    def found() -> list[Posted] | None:
        cards = [one for one in world.platform.at(OPS) if one.kind is PostKind.CARD]
        return cards if len(cards) == count else None

    return await world.platform.until(found, f"card {count}", within_s=15)
