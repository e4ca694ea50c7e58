"""What was missed is read after every gap: words and reactions, once, in order, whatever is away meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from bot.domain.message import Nonce, Standing
from bot.domain.session import AccountName, ChannelName, MessageId
from bot.errors import StoreError
from channels.slack import catchup
from tests.channels.contract import APPROVE, DENY, RecordingInbox, at, card, until, words
from tests.channels.slack.rig import BACK_S, behind_its_back, heard, running
from tests.platforms.faults import Fault
from tests.platforms.slack import SlackNetwork


async def test_what_was_missed_is_read_at_the_start_of_every_kind_once_and_in_order(network: SlackNetwork) -> None:
    async with running(network) as earlier:
        assert network.thread is not None
        places = [*earlier.peers, network.thread]
        seen = [Standing(peer=place, message_id=await earlier.write(place, "run before")) for place in places]
        before = list(earlier.inbox.messages)
    for place in places:
        for text in ("run one", "run two"):
            await behind_its_back(earlier, place, text)
    await network.people.write(earlier.app, earlier.room, earlier.ana, "no mention", mention=False, deliver=False)
    inbox = RecordingInbox(newest=seen, messages=before)
    async with running(network, inbox) as later:
        await until(lambda: len(inbox.messages) >= 3 * len(places) + 1, what="all that was missed is in the inbox")
        await later.write(later.here, "run now")
        await heard(later, "run now")
    for place in places:
        there = [each.text for each in inbox.messages if each.peer == place and each.is_addressed]
        assert there[:3] == ["run before", "run one", "run two"]
    assert [each.is_addressed for each in inbox.messages if each.text == "no mention"] == [False]
    assert len(inbox.messages) == 3 * len(places) + 2, "what is known is known by its delivery"


async def test_what_was_missed_and_could_not_be_recorded_is_read_again(socket_network: SlackNetwork) -> None:
    async with running(socket_network) as earlier:
        seen = Standing(peer=earlier.here, message_id=await earlier.write(earlier.here, "run before"))
    await behind_its_back(earlier, earlier.here, "run one")
    inbox = RecordingInbox(newest=[seen], is_down=True)
    async with running(socket_network, inbox) as later:
        await until(lambda: inbox.calls > 0, what="it was tried")
        inbox.is_down = False
        socket_network.server.drop()
        await until(
            lambda: "run one" in [each.text for each in later.inbox.messages], what="it is read", within_s=BACK_S
        )


async def test_f099_reading_on_waits_as_it_is_told_and_loses_nothing(socket_network: SlackNetwork) -> None:
    async with running(socket_network) as earlier:
        assert socket_network.thread is not None
        places = [earlier.here, socket_network.thread]
        seen = [Standing(peer=place, message_id=await earlier.write(place, "run before")) for place in places]
    for place in places:
        await behind_its_back(earlier, place, "run one")
    for method in ("conversations.history", "conversations.replies"):
        socket_network.server.order(Fault.THROTTLED, method)
        socket_network.server.order(Fault.UNAVAILABLE, method)
    inbox = RecordingInbox(newest=seen)
    async with running(socket_network, inbox):
        await until(
            lambda: {each.peer for each in inbox.messages if each.text == "run one"} == set(places),
            what="both conversations are read",
            within_s=BACK_S,
        )


async def test_what_was_missed_is_read_however_often_the_store_was_asked_in_vain(
    network: SlackNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What takes an hour by the schedule takes a second here; the connection stands all the time.
    monkeypatch.setattr(catchup, "delay_s", lambda *_, **__: 0.02)
    async with running(network) as earlier:
        seen = Standing(peer=earlier.here, message_id=await earlier.write(earlier.here, "run before"))
    await behind_its_back(earlier, earlier.here, "run one")
    inbox = RecordingInbox(newest=[seen], is_down=True)
    async with running(network, inbox) as later:
        await until(lambda: inbox.calls > 30, what="it was tried again and again")
        inbox.is_down = False
        await heard(later, "run one")


@dataclass(slots=True)
class AwayInbox(RecordingInbox):
    """A store that cannot even be asked where to read on."""

    asked: int = 0

    async def read_from(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        self.asked += 1
        if self.is_down:
            raise StoreError("the disk is full")
        return await RecordingInbox.read_from(self, channel, account)

    async def open_cards(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        if self.is_down:
            raise StoreError("the disk is full")
        return await RecordingInbox.open_cards(self, channel, account)


async def test_a_store_that_was_away_when_the_gap_ended_is_asked_again_where_to_read_on(
    network: SlackNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "delay_s", lambda *_, **__: 0.02)
    async with running(network) as earlier:
        seen = Standing(peer=earlier.here, message_id=await earlier.write(earlier.here, "run before"))
        sent = await earlier.channel.send(at(earlier.here), card("Ask", APPROVE, DENY), Nonce("n-1"))
    await behind_its_back(earlier, earlier.here, "run one")
    message = network.message(earlier.here, sent.message_id)
    await network.people.react(earlier.app, message, earlier.ana, "✅", deliver=False)
    inbox = AwayInbox(newest=[seen], cards=[Standing(peer=earlier.here, message_id=sent.message_id)], is_down=True)
    async with running(network, inbox) as later:
        await until(lambda: inbox.asked > 2, what="it was asked in vain")
        inbox.is_down = False
        await heard(later, "run one")
        await until(lambda: len(inbox.reactions) == 1, what="the reaction is in the inbox")


async def test_a_conversation_that_fails_for_now_keeps_no_other_waiting(socket_network: SlackNetwork) -> None:
    async with running(socket_network) as earlier:
        places = earlier.peers[:2]
        seen = [Standing(peer=place, message_id=await earlier.write(place, "run before")) for place in places]
    for place in places:
        await behind_its_back(earlier, place, "run one")
    for place in places:
        server, inbox = socket_network.server, RecordingInbox(newest=seen)
        order = server.order(
            Fault.UNAVAILABLE,
            "conversations.history",
            times=1_000,
            fits=lambda form, channel=place.id: form["channel"] == channel,  # type: ignore[misc]
        )
        async with running(socket_network, inbox):
            await until(
                lambda: {each.peer for each in inbox.messages} == set(places) - {place},  # noqa: B023
                what="the other is read",
            )
            order.lift()
            await until(
                lambda: {each.peer for each in inbox.messages} == set(places),  # noqa: B023
                what="and then this one too",
                within_s=BACK_S,
            )


async def test_a_second_gap_while_the_first_is_read_is_read_too(socket_network: SlackNetwork) -> None:
    async with running(socket_network) as earlier:
        here, there = earlier.peers[:2]
        seen = [Standing(peer=place, message_id=await earlier.write(place, "run before")) for place in (here, there)]
    server, inbox = socket_network.server, RecordingInbox(newest=seen)
    for blocked, free in ((here, there), (there, here)):
        gate = server.order(
            Fault.GATED,
            "conversations.history",
            times=1,
            fits=lambda form, channel=blocked.id: form["channel"] == channel,  # type: ignore[misc]
        )
        first, second = f"run first {free.id}", f"run second {free.id}"
        await behind_its_back(earlier, free, first)
        async with running(socket_network, inbox) as later:
            await until(lambda: gate.met > 0, what="the first gap is being read")  # noqa: B023
            server.drop()
            await behind_its_back(earlier, free, second)
            await until(lambda: socket_network.is_connected(), what="it is connected again", within_s=BACK_S)
            gate.lift()
            await heard(later, first)
            await heard(later, second)


async def test_many_missed_messages_are_all_read(network: SlackNetwork) -> None:
    async with running(network) as earlier:
        seen = Standing(peer=earlier.here, message_id=await earlier.write(earlier.here, "run before"))
    for number in range(230):
        await behind_its_back(earlier, earlier.here, f"run {number}")
    inbox = RecordingInbox(newest=[seen])
    async with running(network, inbox):
        await until(lambda: len(inbox.messages) >= 230, what="all that was missed is in the inbox")
        assert [each.text for each in inbox.messages if each.text != "run before"] == [f"run {n}" for n in range(230)]


async def test_our_own_words_are_not_read_back_after_a_gap(network: SlackNetwork) -> None:
    async with running(network) as earlier:
        seen = Standing(peer=earlier.here, message_id=await earlier.write(earlier.here, "run before"))
        await earlier.channel.send(at(earlier.here), words("run this"), Nonce("n-1"))
    await behind_its_back(earlier, earlier.here, "run after")
    inbox = RecordingInbox(newest=[seen])
    async with running(network, inbox) as later:
        await heard(later, "run after")
        assert {each.text for each in inbox.messages} <= {"run before", "run after"}


async def test_reactions_on_open_cards_are_read_after_a_gap(network: SlackNetwork) -> None:
    async with running(network) as earlier:
        assert network.thread is not None
        places = [earlier.here, network.direct(earlier.ana.id), network.thread]
        cards = []
        for number, place in enumerate(places):
            sent = await earlier.channel.send(at(place), card("Ask", APPROVE, DENY), Nonce(f"n-{number}"))
            cards.append(Standing(peer=place, message_id=sent.message_id))
    for standing in cards:
        message = network.message(standing.peer, standing.message_id)
        await network.people.react(earlier.app, message, earlier.ana, "✅", deliver=False)
        await network.people.react(earlier.app, message, network.who(earlier.app.bot_user), "✅", deliver=False)
    inbox = RecordingInbox(cards=cards)
    async with running(network, inbox) as later:
        await until(lambda: len(inbox.reactions) >= len(cards), what="the reactions are in the inbox")
        await later.write(later.here, "run now")
        await heard(later, "run now")
        assert [(each.peer, each.message_id) for each in inbox.reactions] == [(c.peer, c.message_id) for c in cards]
        assert {each.sender.native for each in inbox.reactions} == {later.ana.id}


async def test_a_conversation_that_cannot_be_read_stops_no_other(network: SlackNetwork) -> None:
    async with running(network) as earlier:
        seen = [Standing(peer=place, message_id=await earlier.write(place, "x")) for place in earlier.peers[:2]]
    await behind_its_back(earlier, earlier.peers[1], "run one")
    earlier.room.members.discard(earlier.app.bot_user)
    inbox = RecordingInbox(newest=seen, cards=[replace(seen[0], message_id=MessageId("1700000000.000100"))])
    async with running(network, inbox) as later:
        await heard(later, "run one")
