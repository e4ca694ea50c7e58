"""What comes in: recorded once, acknowledged after that, acted on once, and never late."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from bot.domain.message import PostKind
from bot.domain.session import PeerKind
from bot.errors import StoreError
from bot.flow.turn import Turns
from bot.ports import Tx
from tests.platforms.posted import Posted
from tests.story.agents import Seen
from tests.story.cast import a_peer
from tests.story.conftest import MakeWorld
from tests.story.world import World

OPS = a_peer("ops", thread="17")


async def test_f108_f109_a_delivery_that_comes_many_times_at_once_has_one_effect(world: World) -> None:
    await asyncio.gather(
        *(world.platform.say(OPS, "ada", "run uptime", sent_at=world.clock.now(), delivery="d-1") for _ in range(10))
    )
    await world.settled()
    assert len(_cards(world)) == 1
    await world.restart()
    await world.platform.say(OPS, "ada", "run uptime", sent_at=world.clock.now(), delivery="d-1")
    await world.settled()
    assert len(_cards(world)) == 1
    await world.platform.say(OPS, "ada", "run uptime", sent_at=world.clock.now(), delivery="d-2")
    await world.platform.until(lambda: len(_cards(world)) == 2, "another delivery is another request", within_s=15)


async def test_f109_what_was_acknowledged_is_answered_after_a_restart(make_world: MakeWorld, seen: Seen) -> None:
    """The turn was under way when the process ended: the input is in the store, so the turn is run again."""
    async with make_world() as world:
        await world.say(OPS, "ada", "think")
        await world.platform.until(lambda: seen.blocked == 1, "the turn is under way", within_s=15)
        asked = await world.say(OPS, "ada", "run uptime")
        seen.blocks_at = "nothing"
        await world.restart()
        await world.answered(OPS, "ada", asked)
        await world.settled()
        assert len(_cards(world)) == 1


async def test_f044_a_turn_whose_commit_fails_is_run_again_soon_and_asks_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, faults = Turns._commit, [StoreError("the connection to the database broke")] * 2

    def breaks_twice(turns: Turns, tx: Tx, *rest: Any) -> None:  # noqa: ANN401 -- handed on as it comes
        commit(turns, tx, *rest)
        if faults:
            raise faults.pop()

    monkeypatch.setattr(Turns, "_commit", breaks_twice)
    await world.ask(OPS, "ada", "uptime")
    await world.settled()
    assert faults == []
    assert len(_cards(world)) == 1


async def test_f108_the_same_id_on_another_account_is_another_delivery(make_world: MakeWorld) -> None:
    async with make_world(accounts=(("slack", "default"), ("slack", "second"))) as world:
        for account in ("default", "second"):
            peer = a_peer("C1", channel="slack", account=account)
            await world.platform.say(peer, "ada", "run uptime", sent_at=world.clock.now(), delivery="same")
        await world.platform.until(lambda: len(_cards(world)) == 2, "both are asked", within_s=15)


async def test_a_message_that_is_seen_an_hour_late_does_nothing_and_says_so(world: World) -> None:
    late = world.clock.now() - 3_601.0
    for words in ("run uptime", "pause"):
        await world.platform.say(OPS, "owner", words, sent_at=late)
    await world.settled()
    assert [one.kind for one in world.platform.at(OPS)] == [PostKind.REPLY] * 2
    assert all("saw it only now" in one.text for one in world.platform.at(OPS))
    assert await world.store.read(lambda tx: tx.switches.paused()) is None


async def test_f008_three_hundred_interleaved_messages_are_each_answered_where_they_were_written(world: World) -> None:
    """Over rooms, threads and direct conversations, in a shuffled order, at once."""
    peers = [a_peer(f"room-{number % 5}", thread=None if number % 3 else f"t{number % 4}") for number in range(20)] + [
        a_peer(f"person-{number}", kind=PeerKind.DIRECT, channel="slack") for number in range(10)
    ]
    peers = list(dict.fromkeys(peers))
    rounds = [peer for peer in peers for _ in range(300 // len(peers))]
    random.Random(7).shuffle(rounds)  # noqa: S311 -- an order, no secret
    said = list(zip(rounds, await asyncio.gather(*(world.say(peer, "ada", "whoami") for peer in rounds)), strict=True))
    await world.settled()
    answers = {(one.place, one.reply_to) for one in world.platform.by_bot()}
    assert len(world.platform.by_bot()) == len(said)
    standing = {one.id: one.place for one in world.platform.messages}
    assert answers == {(standing[message_id], message_id) for _, message_id in said}


async def test_f046_talk_in_a_room_is_left_alone_and_a_direct_one_gets_a_hint(world: World) -> None:
    direct = a_peer("ada", kind=PeerKind.DIRECT)
    await world.say(OPS, "ada", "what a lovely day")
    await world.say(direct, "ada", "what a lovely day")
    await world.settled()
    assert world.platform.at(OPS) == []
    assert ["help" in one.text for one in world.platform.at(direct)] == [True]


def _cards(world: World) -> list[Posted]:
    return [one for one in world.platform.by_bot() if one.kind is PostKind.CARD]
