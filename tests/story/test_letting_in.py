"""Whom the gateway hears: an unknown person is let in from the terminal while it runs, by one account, to one place."""

from __future__ import annotations

import asyncio
import re

from bot.domain.gate import CODE_LASTS_S, Admission, Gate
from bot.domain.session import AccountName, ChannelName, Peer, PeerKind
from bot.flow.admission import let_in
from tests.platforms.posted import Posted
from tests.story.cast import a_peer, a_settings
from tests.story.conftest import MakeWorld
from tests.story.world import WITHIN_S, World

ACCOUNTS = (("slack", "default"), ("slack", "second"), ("whatsapp", "default"))
GATE = Gate(
    admissions={
        (ChannelName(channel), AccountName(account)): Admission(rooms=frozenset({"C0AB"}))
        for channel, account in ACCOUNTS
    }
)
EVE = a_peer("eve", channel="slack", kind=PeerKind.DIRECT)
SECOND = a_peer("eve", channel="slack", account="second", kind=PeerKind.DIRECT)


async def the_bots(world: World, peer: Peer, count: int) -> list[Posted]:
    def found() -> list[Posted] | None:
        posted = [one for one in world.platform.at(peer) if one in world.platform.by_bot()]
        return posted if len(posted) >= count else None

    posted = await world.platform.until(found, f"{count} messages of ours in {peer.id}", within_s=WITHIN_S)
    assert len(posted) == count
    return posted


async def code_told(world: World, peer: Peer, count: int = 1) -> str:
    said = (await the_bots(world, peer, count))[-1].text
    found = re.search(r"homing pairing approve ([2-9A-Z]{8})\b", said)
    assert found is not None, said
    return found[1]


async def test_an_unknown_person_is_let_in_by_their_code_and_gets_their_result_home(make_world: MakeWorld) -> None:
    async with make_world(settings=a_settings(gate=GATE), accounts=ACCOUNTS) as world:
        for _ in range(3):
            await world.say(EVE, "eve", "run uptime")
        code = await code_told(world, EVE)
        await world.settled()
        assert await world.count("SELECT count(*) FROM executions") == 0

        await world.restart()
        assert await world.store.write(lambda tx: let_in(tx, code, by="op")) is not None
        await the_bots(world, EVE, 2)
        asked = await world.ask_and_approve(EVE, "eve", "uptime")
        await world.finish(asked, "up 3 days\n")
        await world.told_once(asked, containing="up 3 days")


async def test_one_account_lets_in_for_itself_and_no_room_besides(make_world: MakeWorld) -> None:
    async with make_world(settings=a_settings(gate=GATE), accounts=ACCOUNTS) as world:
        await world.say(EVE, "eve", "hello")
        code = await code_told(world, EVE)
        assert await world.store.write(lambda tx: let_in(tx, code, by="op")) is not None
        await the_bots(world, EVE, 2)

        await world.say(SECOND, "eve", "run uptime")
        assert await code_told(world, SECOND) != code
        elsewhere = a_peer("C0ZZ", channel="slack")
        await world.say(elsewhere, "eve", "run uptime")
        allowed = await world.ask(a_peer("C0AB", channel="slack", thread="17.1"), "eve", "uptime")
        await world.settled()
        assert not [one for one in world.platform.by_bot() if one.peer == elsewhere]
        assert await world.count("SELECT count(*) FROM executions") == 1
        assert allowed.peer.thread == "17.1"


async def test_a_code_that_ran_out_lets_nobody_in_and_a_new_one_does(make_world: MakeWorld) -> None:
    async with make_world(settings=a_settings(gate=GATE), accounts=ACCOUNTS) as world:
        number = a_peer("+15551230002", channel="whatsapp", kind=PeerKind.DIRECT)
        await world.say(number, "eve", "hello")
        first = await code_told(world, number)
        world.advance(CODE_LASTS_S)
        assert await world.store.write(lambda tx: let_in(tx, first, by="op")) is None
        await world.say(number, "eve", "hello")
        second = await code_told(world, number, 2)
        tries = await asyncio.gather(*(world.store.write(lambda tx: let_in(tx, second, by="op")) for _ in range(5)))
        assert len([one for one in tries if one is not None]) == 1
