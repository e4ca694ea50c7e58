"""What Discord and its people do that is not nice: limits of hours, late answers, hidden histories, many shards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from bot.domain.message import (
    Answer,
    ButtonPress,
    InboundMessage,
    Nonce,
    NotPosted,
    Sender,
    Standing,
    Suggest,
    Suggestion,
)
from bot.domain.session import AccountName, ChannelName, Peer
from bot.errors import ChannelError, ChannelRejected, ChannelThrottled, ChannelUncertain, StoreError
from tests.channels.contract import APPROVE, DENY, RecordingInbox, at, card, until, words
from tests.channels.discord.rig import DiscordRig, heard, running
from tests.platforms.discord import DiscordNetwork
from tests.platforms.driver import Order

N = Nonce("n-1")


class SlowInbox(RecordingInbox):
    """Nothing is recorded before the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.fails = False
        self.holds_messages = False
        self.met = 0
        self.is_away = False
        self.asked_away = 0

    async def message(self, message: InboundMessage) -> Answer:
        if self.holds_messages:
            self.met += 1
            await self.gate.wait()
        return await super().message(message)

    async def read_from(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        if self.is_away:
            self.asked_away += 1
            raise StoreError("away")
        return await super().read_from(channel, account)

    async def press(self, press: ButtonPress) -> Answer:
        await self.gate.wait()
        if self.fails:
            raise StoreError("the disk is full")
        return await super().press(press)

    async def suggest(
        self, peer: Peer, sender: Sender, what: Suggest, typed: str, space: str | None = None
    ) -> Sequence[Suggestion]:
        await self.gate.wait()
        return await super().suggest(peer, sender, what, typed, space)


# --- what goes out -------------------------------------------------------------------------------------------


async def test_a_history_that_nobody_may_read_proves_nothing(rig: DiscordRig) -> None:
    """Discord gives an empty list to who may not read it: "surely not posted" of that would post twice."""
    rig.network.order(Order.LOST_ANSWER)
    with pytest.raises(ChannelUncertain):
        await rig.channel.send(at(rig.here), words("once"), N)
    rig.network.place(rig.here).may_read_history = False
    assert await rig.channel.find(at(rig.here), N) is NotPosted.UNKNOWN


@pytest.mark.parametrize("seconds", [31.0, 40_000.0, 1e12, None])
async def test_a_long_limit_is_left_to_the_outbox_and_ends_within_the_hour(rig: DiscordRig, seconds: float) -> None:
    rig.network.rest.retry_after_s = seconds
    rig.network.order(Order.THROTTLED)
    with pytest.raises(ChannelThrottled) as found:
        await rig.channel.send(at(rig.here), words("later"), N)
    assert 30.0 <= found.value.retry_after_s <= 3_600.0
    assert rig.network.seen(rig.here) == []


@pytest.mark.parametrize("code", [50007, 50013, 50001])
async def test_where_it_may_not_speak_is_said_and_nothing_stands_elsewhere(rig: DiscordRig, code: int) -> None:
    for peer in (rig.here, rig.network.direct(rig.ana.id)):
        rig.network.place(peer).refuses_with = code
        with pytest.raises(ChannelRejected, match=str(code)):
            await rig.channel.send(at(peer), words("refused"), N)
    assert rig.network.everywhere() == []


async def test_a_close_under_a_send_is_over_soon_and_leaves_no_task(network: DiscordNetwork) -> None:
    met, gate = asyncio.Event(), asyncio.Event()

    async def hold(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/messages"):
            met.set()
            await gate.wait()

    async with running(network) as rig:
        network.rest.before_answer = hold
        sends = [
            asyncio.create_task(rig.channel.send(at(rig.here), words("x"), Nonce(f"n-{each}"))) for each in range(5)
        ]
        await met.wait()
        async with asyncio.timeout(5.0):
            await rig.channel.close()
        done = await asyncio.wait_for(asyncio.gather(*sends, return_exceptions=True), 5.0)
        gate.set()
    assert all(isinstance(each, ChannelError) for each in done), done


# --- presses -------------------------------------------------------------------------------------------------


async def test_a_press_that_is_answered_too_late_is_recorded_all_the_same(rig: DiscordRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
    rig.network.rest.answer_s = -1.0
    # Nobody answers it in time, so the person looks on until the app says that it failed.
    pressing = asyncio.create_task(rig.pressed(rig.here, receipt.message_id, APPROVE))
    await until(lambda: len(rig.inbox.presses) == 1, what="it is recorded")
    assert await pressing == "This interaction failed"
    rig.network.rest.answer_s = 3.0
    rig.inbox.note = "noted"
    assert await rig.pressed(rig.here, receipt.message_id, APPROVE) == "noted"


async def test_f105_two_processes_of_one_bot_record_a_press_as_one(network: DiscordNetwork) -> None:
    """Discord tells both, and takes one answer: 40060 for the other.

    The design differs: no lease keeps the second away from the token; one store keeps both from a second effect."""
    inbox = RecordingInbox(note="noted")
    async with running(network, inbox) as rig, running(network, inbox):
        receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
        await until(lambda: len(network.gateway.listening("default")) == 2, what="both listen")
        assert await rig.pressed(rig.here, receipt.message_id, APPROVE) == "noted"
        await until(lambda: inbox.calls >= 2, what="both have heard")
        assert len(inbox.presses) == 1
        await network.say(rig.here, rig.ana.id, "once")
        await heard(rig, "once")


async def test_a_store_that_fails_after_the_press_was_deferred_says_so(network: DiscordNetwork) -> None:
    inbox = SlowInbox()
    async with running(network, inbox) as rig:
        receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
        pressing = asyncio.create_task(rig.pressed(rig.here, receipt.message_id, APPROVE))
        await until(lambda: any(each.callback for each in network.rest.interactions.values()), what="deferred")
        inbox.fails = True
        inbox.gate.set()
        made = next(iter(network.rest.interactions.values()))
        await until(lambda: bool(made.followups), what="it is said")
        await pressing
        assert "Not recorded" in made.followups[0]["content"]
        assert made.followups[0]["flags"] & 64


async def test_completions_of_a_slow_store_are_empty_and_in_time(network: DiscordNetwork) -> None:
    async with running(network, SlowInbox()) as rig:
        options = [{"type": 3, "name": "id", "value": "7", "focused": True}]
        body = {"id": "1", "name": "approve", "type": 1, "options": options}
        made = await network.interact(network.app, network.place(rig.here), rig.ana, 4, body)
        assert made.callback is not None
        assert made.callback["data"]["choices"] == []


async def test_a_close_under_presses_leaves_no_task(network: DiscordNetwork) -> None:
    inbox = SlowInbox()
    async with running(network, inbox) as rig:
        receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
        pressing = asyncio.create_task(rig.pressed(rig.here, receipt.message_id, APPROVE))
        await until(lambda: any(each.callback for each in network.rest.interactions.values()), what="deferred")
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("discord-")]
    pressing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pressing
    assert left == []


# --- what comes in -------------------------------------------------------------------------------------------


async def test_what_there_was_no_room_for_is_read_once_there_is(
    network: DiscordNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.discord.hearing.MAX_WAITING", 3)
    inbox = SlowInbox()
    async with running(network, inbox) as rig:
        await until(lambda: "root" in [one.text for one in inbox.messages], what="the first reading", within_s=25.0)
        await asyncio.sleep(0.3)
        inbox.holds_messages = True
        said = [f"words {number}" for number in range(9)]
        for text in said:
            await network.write(network.place(rig.here), rig.ana, text)
        await until(lambda: inbox.met >= 1, what="the first one waits")
        await asyncio.sleep(0.2)
        inbox.gate.set()
        await until(lambda: {one.text for one in inbox.messages} >= set(said), what="all is heard", within_s=10.0)


async def test_direct_words_of_a_gap_are_read_though_the_store_was_away_when_it_began(network: DiscordNetwork) -> None:
    inbox = SlowInbox()
    async with running(network, inbox) as rig:
        direct = network.direct(rig.ana.id)
        first = await rig.write(direct, "before")
        inbox.newest = [Standing(peer=direct, message_id=first)]
        await until(lambda: "root" in [one.text for one in inbox.messages], what="the first reading", within_s=25.0)
        await asyncio.sleep(0.3)
        inbox.is_away = True
        await network.gateway.drop()
        network.world.post(network.place(direct), rig.ana, {"content": "missed"}, [])
        await until(lambda: inbox.asked_away >= 1, what="the store is asked in vain", within_s=10.0)
        inbox.is_away = False
        await until(lambda: "missed" in [one.text for one in inbox.messages], what="read on", within_s=25.0)


# --- the connection ------------------------------------------------------------------------------------------


async def test_several_shards_are_one_account(network: DiscordNetwork) -> None:
    async with running(network, shards=2) as rig:
        gateway = network.gateway
        await until(lambda: len(gateway.listening("default")) == 2, what="both shards listen", within_s=25.0)
        direct = network.direct(rig.ana.id)
        for number, peer in enumerate((rig.here, direct)):
            await rig.write(peer, f"words {number}")
        receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE, DENY), N)
        rig.inbox.note = "noted"
        assert await rig.pressed(rig.here, receipt.message_id, APPROVE) == "noted"
        await gateway.drop(forget=True)
        await until(lambda: len(gateway.listening("default")) == 2, what="both are back", within_s=40.0)
        await network.write(network.place(rig.here), rig.ana, "after the gap")
        await heard(rig, "after the gap")
    assert {message.peer for message in rig.inbox.messages} >= {rig.here, direct}


async def test_a_socket_that_sends_us_away_again_and_again_is_left_alone_for_a_while(network: DiscordNetwork) -> None:
    """Discord takes the token away from a bot that identifies a thousand times a day."""
    network.gateway.sends_away = True
    async with running(network, listens=False):
        await until(lambda: network.gateway.greeted >= 3, what="it came back")
        await asyncio.sleep(3.0)
        assert network.gateway.greeted <= 12
