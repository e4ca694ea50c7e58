"""One account or room that is slow or loud holds up nobody else: places are each account's own, claims are fair."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.domain.event import EventState, NewEvent
from bot.domain.message import Nonce, Post, Receipt
from bot.domain.session import AccountName, MessageId, ReturnAddress
from bot.flow.heartbeat import Heartbeat
from tests.flow.ends import RecordingChannel
from tests.flow.stage import BOB, Stage, words
from tests.flow.test_express import outcome, report

OTHER = AccountName("other")
S = EventState


class HungChannel(RecordingChannel):
    """Takes every message, and answers none before it is let go."""

    def __init__(self) -> None:
        super().__init__(account=OTHER)
        self.let_go = asyncio.Event()
        self.held = 0

    async def send(self, address: ReturnAddress, post: Post, nonce: Nonce) -> Receipt:
        assert (address.peer.account, bool(post.blocks)) == (OTHER, True)
        self.held += 1
        await self.let_go.wait()
        return Receipt(message_id=MessageId(f"late-{nonce}"))

    async def edit(self, *_: object) -> None:
        self.held += 1
        await self.let_go.wait()


def two_accounts(stage: Stage, hung: HungChannel) -> Heartbeat:
    channels = {(one.name, one.account): one for one in (stage.channel, hung)}
    return Heartbeat(stage.store, channels, stage.clock, stage.signals)


def elsewhere(identity: str, room: str) -> NewEvent:
    new = words(identity, room=room)
    peer = replace(new.address.peer, account=OTHER)
    return replace(new, address=replace(new.address, peer=peer))


async def states(stage: Stage, identity: str) -> EventState:
    return (await stage.event(identity)).state


async def test_an_account_that_answers_nothing_holds_its_own_places_alone(stage: Stage) -> None:
    hung = HungChannel()
    heartbeat = two_accounts(stage, hung)
    heartbeat.places.each = 3
    await stage.add(*(elsewhere(f"hung-{number}", f"h{number}") for number in range(8)))
    await heartbeat.step()
    await asyncio.sleep(0)
    assert heartbeat.places.free((hung.name, OTHER)) == 0

    await stage.add(*(words(f"ours-{number}", room=f"o{number}") for number in range(3)))
    await heartbeat.step()
    async with asyncio.timeout(5.0):
        while [await states(stage, f"ours-{number}") for number in range(3)] != [S.TOLD] * 3:
            await asyncio.sleep(0.01)
    assert hung.held == 3, "no more of it than its own places"
    hung.let_go.set()
    await heartbeat.tasks.drain()


async def test_what_waits_longer_elsewhere_does_not_take_the_look_from_an_account_with_places(stage: Stage) -> None:
    """All of the first look may be one account's; then each is looked at by itself."""
    hung = HungChannel()
    heartbeat = two_accounts(stage, hung)
    heartbeat.places.each = 2
    await stage.add(*(elsewhere(f"hung-{number}", f"h{number}") for number in range(6)))
    stage.clock.advance(1.0)
    await stage.add(words("ours"))
    await heartbeat.step()
    async with asyncio.timeout(5.0):
        while await states(stage, "ours") is not S.TOLD:
            await asyncio.sleep(0.01)
    assert hung.held == 2
    hung.let_go.set()
    await heartbeat.tasks.drain()


async def test_a_result_passes_an_account_that_others_wait_for(stage: Stage) -> None:
    hung = HungChannel()
    heartbeat = two_accounts(stage, hung)
    heartbeat.places.each = 1
    await stage.add(elsewhere("hung-1", "h1"), elsewhere("hung-2", "h2"))
    await heartbeat.step()
    execution = await stage.running()
    await report(stage, heartbeat, execution)
    async with asyncio.timeout(5.0):
        while await outcome(stage) is not S.TOLD:
            await asyncio.sleep(0.01)
    hung.let_go.set()
    await heartbeat.tasks.drain()


async def test_one_loud_room_takes_one_place(stage: Stage) -> None:
    heartbeat = stage.heartbeat()
    await stage.add(*(words(f"loud-{number:02}", room="loud") for number in range(20)))
    await stage.add(*(words(f"calm-{number}", room=f"calm-{number}") for number in range(5)))
    await heartbeat.step()
    await heartbeat.tasks.drain()
    assert [await states(stage, f"calm-{number}") for number in range(5)] == [S.TOLD] * 5
    assert [await states(stage, f"loud-{number:02}") for number in (0, 1)] == [S.TOLD, S.DUE]


async def test_edits_of_an_account_that_answers_nothing_hold_up_no_other_ones(stage: Stage) -> None:
    hung = HungChannel()
    heartbeat = two_accounts(stage, hung)
    heartbeat.edits.each = 1
    execution = await stage.shown()
    await stage.say(f"approve {execution.id}", who=BOB)
    await stage.tell_all()
    heartbeat.edits.take((hung.name, OTHER))
    assert heartbeat.edits.free((hung.name, OTHER)) == 0
    await heartbeat.bring_cards_up_to_date()
    await heartbeat.tasks.drain()
    assert stage.channel.edits, "ours was edited all the same"
    assert heartbeat.edits.free((stage.channel.name, stage.channel.account)) == 1, "its place was given back"
    heartbeat.edits.take((stage.channel.name, stage.channel.account))
    assert not await heartbeat.bring_cards_up_to_date(), "without a place nothing is looked for"


async def test_cards_of_each_account_are_looked_for_where_those_of_one_are_many(stage: Stage) -> None:
    """All of the first look may be one account's; then each is looked at by itself, for as many as it has places."""
    hung = HungChannel()
    heartbeat = two_accounts(stage, hung)
    heartbeat.edits.each = 1
    for room in ("a", "b"):
        execution = await stage.shown(room=room)
        await stage.say(f"approve {execution.id}", who=BOB, room=room)
        await stage.tell_all()
    await heartbeat.bring_cards_up_to_date()
    await heartbeat.tasks.drain()
    assert len(stage.channel.edits) == 1
