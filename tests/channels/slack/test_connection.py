"""The connection comes back by itself, reads what it missed, and one account's trouble is no other's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from bot.domain.message import Nonce, Standing
from bot.domain.session import MessageId, Peer
from bot.ports import Check
from tests.channels.contract import APPROVE, DENY, RecordingInbox, at, card, until, words
from tests.channels.slack.rig import SlackRig, running
from tests.platforms.faults import Fault
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.world import App

BACK_S = 30.0
"""A lost connection is noticed and made again within so long; on a loaded machine too."""


async def heard(rig: SlackRig, text: str) -> None:
    await until(lambda: text in [each.text for each in rig.inbox.messages], what=f"{text!r} is in the inbox")


async def behind_its_back(rig: SlackRig, peer: Peer, text: str) -> MessageId:
    """Written while nobody of us listened: Slack has given up to deliver it."""
    message = await rig.network.people.write(
        rig.app, rig.network.conversation(peer), rig.ana, text, thread_ts=peer.thread, deliver=False
    )
    return MessageId(message.ts)


async def test_a_connection_that_slack_takes_back_is_made_again_and_loses_nothing(socket_network: SlackNetwork) -> None:
    server = socket_network.server
    async with running(socket_network) as rig:
        for number, reason in enumerate(("warning", "refresh_requested")):
            before = list(server.postman.sockets)
            await server.disconnect(reason=reason)
            await until(
                lambda: any(each not in before for each in server.postman.open_sockets()),  # noqa: B023
                what="it is connected anew",
                within_s=BACK_S,
            )
            await rig.write(rig.here, f"run {number}")
            await heard(rig, f"run {number}")


async def test_a_dropped_socket_is_made_again_and_what_came_meanwhile_is_read(socket_network: SlackNetwork) -> None:
    async with running(socket_network) as rig:
        seen = await rig.write(rig.here, "run before")
        rig.inbox.newest = [Standing(peer=rig.here, message_id=seen)]
        socket_network.server.drop()
        await behind_its_back(rig, rig.here, "run meanwhile")
        await until(lambda: socket_network.is_connected(), what="it is connected again", within_s=BACK_S)
        await heard(rig, "run meanwhile")
        assert [each.text for each in rig.inbox.messages] == ["run before", "run meanwhile"]


async def test_f107_after_many_breaks_exactly_one_socket_is_open(socket_network: SlackNetwork) -> None:
    server = socket_network.server
    async with running(socket_network) as rig:
        for _ in range(3):
            await until(lambda: socket_network.is_connected(), what="it is connected", within_s=BACK_S)
            await server.disconnect()
        await until(lambda: socket_network.is_connected(), what="it is connected", within_s=BACK_S)
        await rig.write(rig.here, "run uptime")
        await heard(rig, "run uptime")
        assert len(server.postman.open_sockets()) == 1
    await until(lambda: not server.postman.sockets, what="no socket is left after close")


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
    inbox = RecordingInbox(cards=cards)
    async with running(network, inbox) as later:
        await until(lambda: len(inbox.reactions) == len(cards), what="the reactions are in the inbox")
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


async def test_f044_an_account_with_a_wrong_token_ends_no_other_and_says_so(
    network: SlackNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for error in ("invalid_auth", "token_revoked", "account_inactive"):
        network.account("second").error = error
        caplog.clear()
        broken = network.channel("second")
        await broken.start(RecordingInbox())
        async with running(network) as rig:
            await until(
                lambda: any(record.message == "slack.rejected" for record in caplog.records),
                what="the refusal is logged",
            )
            await rig.write(rig.here, "run uptime")
            await heard(rig, "run uptime")
        async with asyncio.timeout(5):
            await broken.close()
    assert "fake" not in caplog.text, "no token is logged"


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.LOST_ANSWER, Fault.THROTTLED])
async def test_a_network_that_is_away_at_the_start_is_tried_again(socket_network: SlackNetwork, fault: Fault) -> None:
    for method in ("apps.connections.open", "auth.test"):
        socket_network.server.order(fault, method)
    async with running(socket_network) as rig:
        await rig.write(rig.here, "run uptime")
        await heard(rig, "run uptime")


async def test_a_channel_can_be_closed_before_it_ever_reached_its_network() -> None:
    async with SlackNetwork() as network:
        channel = network.channel()
    await channel.start(RecordingInbox())
    async with asyncio.timeout(5):
        await channel.close()


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open", "conversations.history"])
async def test_a_slack_that_never_answers_does_not_keep_it_from_closing(
    socket_network: SlackNetwork, method: str
) -> None:
    gate = socket_network.server.order(Fault.GATED, method, times=100)
    rig = SlackRig(socket_network, socket_network.channel(), RecordingInbox())
    rig.inbox.newest = [Standing(peer=rig.here, message_id=MessageId("1700000000.000100"))]
    await rig.channel.start(rig.inbox)
    await until(lambda: gate.met > 0, what="it waits for Slack")
    async with asyncio.timeout(5):
        await rig.channel.close()


async def test_an_address_without_a_server_is_a_fault_that_check_finds() -> None:
    async with SlackNetwork() as network:
        channel = network.channel()
    found = await channel.check()
    assert [each for each in found if not each.is_ok and each.remedy]
    await channel.close()


async def test_check_is_content_with_a_good_account_and_posts_and_hears_nothing(network: SlackNetwork) -> None:
    channel = network.channel()
    found = await channel.check()
    assert found
    assert [each.said for each in found if not each.is_ok] == []
    assert network.everywhere() == []
    assert not network.server.postman.sockets
    await channel.close()


def _without(scope: str) -> Callable[[App], None]:
    def change(app: App) -> None:
        app.scopes = ",".join(one for one in app.scopes.split(",") if one != scope)

    return change


def _set(name: str, value: object) -> Callable[[App], None]:
    return lambda app: setattr(app, name, value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("bot_token", "xoxb-fake-other"), "token"),
        (_set("error", "token_revoked"), "token"),
        (_set("error", "account_inactive"), ""),
        (_without("chat:write"), "chat:write"),
        (_without("im:history"), "im:history"),
        (_without("reactions:read"), "reactions:read"),
        (_without("files:write"), "files:write"),
    ],
)
async def test_check_names_what_is_wrong_and_its_remedy(
    network: SlackNetwork, change: Callable[[App], None], named: str
) -> None:
    channel = network.channel()
    change(network.app)
    found: Sequence[Check] = await channel.check()
    faults = [each for each in found if not each.is_ok]
    assert faults
    assert all(each.remedy for each in faults)
    assert named in " ".join(f"{each.said} {each.remedy}" for each in faults)
    await channel.close()


@pytest.mark.parametrize("change", [_set("app_token", "xapp-fake-other"), _set("socket_mode", False)])
async def test_check_finds_a_wrong_app_token(socket_network: SlackNetwork, change: Callable[[App], None]) -> None:
    channel = socket_network.channel()
    change(socket_network.app)
    assert [each for each in await channel.check() if not each.is_ok and each.remedy]
    await channel.close()
