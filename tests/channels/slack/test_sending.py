"""What we send stands on Slack once, where it belongs, whole and inert; what goes wrong is told by its remedy."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from bot.domain.message import Attachment, Nonce, NotPosted, Receipt
from bot.domain.session import NativeId, Peer, PeerKind, ThreadId
from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)
from tests.channels.contract import APPROVE, DENY, at, card, until, words
from tests.channels.slack.rig import SlackRig, running
from tests.platforms.faults import Fault
from tests.platforms.slack import SlackNetwork

N1 = Nonce("n-1")


@pytest.fixture
async def network(socket_network: SlackNetwork) -> SlackNetwork:
    """Socket Mode alone: sending is the same in both, and the contract runs in both."""
    return socket_network


@pytest.fixture
def places(rig: SlackRig) -> list[Peer]:
    group = rig.network.peer(rig.network.room("mpdm-ana--bo--homing-1", "mpim", letter="G"))
    assert rig.network.thread is not None
    return [*rig.peers, rig.network.thread, group]


def standing(rig: SlackRig) -> list[str]:
    return [seen.text for _, seen in rig.network.everywhere()]


async def test_a_post_stands_in_its_conversation_of_every_kind(rig: SlackRig, places: list[Peer]) -> None:
    for number, place in enumerate(places):
        receipt = await rig.channel.send(at(place), words(f"to {number}"), Nonce(f"n-{number}"))
        assert [(seen.id, seen.text) for seen in rig.network.seen(place)] == [(receipt.message_id, f"to {number}")]
        assert receipt.confirmed
    assert len(standing(rig)) == len(places)


@pytest.mark.parametrize(
    ("fault", "error", "remedy", "stands"),
    [
        (Fault.UNAVAILABLE, "", ChannelUnavailable, 0),
        (Fault.THROTTLED, "", ChannelThrottled, 0),
        (Fault.LOST_ANSWER, "", ChannelUncertain, 1),
        (Fault.DROPPED, "", ChannelUncertain, 0),
        (Fault.REJECTED, "is_archived", ChannelHeld, 0),
        (Fault.REJECTED, "channel_not_found", ChannelRejected, 0),
        (Fault.REJECTED, "not_in_channel", ChannelRejected, 0),
        (Fault.REJECTED, "thread_not_found", ChannelRejected, 0),
        (Fault.REJECTED, "restricted_action", ChannelRejected, 0),
        (Fault.REJECTED, "missing_scope", ChannelRejected, 0),
        (Fault.REJECTED, "invalid_blocks", ChannelRejected, 0),
        (Fault.REJECTED, "from_the_future", ChannelRejected, 0),
        (Fault.REJECTED, "service_unavailable", ChannelUnavailable, 0),
        (Fault.REJECTED, "internal_error", ChannelError, 0),
        (Fault.REJECTED, "invalid_auth", ChannelError, 0),
    ],
)
async def test_f098_what_goes_wrong_is_told_by_its_remedy_and_nothing_is_doubled(
    rig: SlackRig, fault: Fault, error: str, remedy: type[ChannelError], stands: int
) -> None:
    rig.network.server.order(fault, error=error, seconds=7)
    with pytest.raises(remedy) as raised:
        await rig.channel.send(at(rig.here), words("once"), N1)
    if isinstance(raised.value, ChannelThrottled):
        assert raised.value.retry_after_s >= 7
    assert len(standing(rig)) == stands
    assert len(rig.network.server.called("chat.postMessage")) == 1


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.DROPPED])
async def test_f040_a_lost_answer_is_cleared_up_by_what_stands_there(network: SlackNetwork, fault: Fault) -> None:
    async with running(network) as earlier:
        assert network.thread is not None
        places = [earlier.here, network.direct(earlier.ana.id), network.thread]
        for number, place in enumerate(places):
            network.server.order(fault)
            with pytest.raises(ChannelUncertain):
                await earlier.channel.send(at(place), words(f"once {number}"), Nonce(f"n-{number}"))
            await earlier.channel.send(at(place), words("another"), Nonce(f"other-{number}"))
    # Whoever clears it up may be another process.
    async with running(network) as later:
        for number, place in enumerate(places):
            found = await later.channel.find(at(place), Nonce(f"n-{number}"))
            if fault is Fault.DROPPED:
                assert found is NotPosted.SURELY
            else:
                assert found == Receipt(message_id=network.seen(place)[0].id)


async def test_f040_a_message_that_slack_shows_after_its_answer_was_given_up_is_found(rig: SlackRig) -> None:
    order = rig.network.server.order(Fault.GATED)
    sending = asyncio.create_task(rig.channel.send(at(rig.here), words("slow"), N1))
    await until(lambda: order.met == 1, what="Slack is at work on it")
    sending.cancel()
    await asyncio.wait({sending})
    looks = len(rig.network.server.called("conversations.history"))
    looking = asyncio.create_task(rig.channel.find(at(rig.here), N1))
    await until(lambda: len(rig.network.server.called("conversations.history")) > looks, what="it is looked for")
    order.lift()
    assert isinstance(await looking, Receipt)
    assert standing(rig) == ["slow"]


async def test_a_search_that_slack_does_not_answer_says_nothing(rig: SlackRig) -> None:
    for place, method in ((rig.here, "conversations.history"), (rig.network.thread, "conversations.replies")):
        assert place is not None
        for fault in (Fault.UNAVAILABLE, Fault.LOST_ANSWER):
            # aiohttp asks a second time by itself where a question was cut off.
            order = rig.network.server.order(fault, method, times=10)
            with pytest.raises(ChannelUnavailable):
                await rig.channel.find(at(place), N1)
            order.lift()


async def test_a_message_far_back_is_found_or_said_to_be_unknown_and_never_surely_not(rig: SlackRig) -> None:
    receipt = await rig.channel.send(at(rig.here), words("long ago"), N1)
    people = rig.network.people
    for number in range(2_500):
        await people.write(rig.app, rig.room, rig.ana, f"chatter {number}", mention=False, deliver=False)
    assert await rig.channel.find(at(rig.here), N1) in (receipt, NotPosted.UNKNOWN)


async def test_f007_a_thread_that_is_gone_is_never_answered_in_its_parent(rig: SlackRig) -> None:
    gone = replace(rig.here, thread=ThreadId("1700000000.000100"))
    with pytest.raises(ChannelRejected):
        await rig.channel.send(at(gone), words("astray"), N1)
    assert standing(rig) == []


async def test_f007_a_thread_that_goes_under_a_send_leaves_nothing_in_its_parent(rig: SlackRig) -> None:
    """Slack posts such a message into the channel, and says so nowhere but in its answer."""
    root = await rig.write(rig.here, "run uptime")
    thread = replace(rig.here, thread=ThreadId(root))
    order = rig.network.server.order(Fault.GATED)
    sending = asyncio.create_task(rig.channel.send(at(thread), words("astray"), N1))
    await until(lambda: order.met == 1, what="the post is under way")
    del rig.room.messages[root]
    order.lift()
    with pytest.raises(ChannelRejected):
        await sending
    assert standing(rig) == []


async def test_a_thread_whose_first_message_nobody_may_read_is_still_answered(rig: SlackRig) -> None:
    """What Slack keeps of a deleted question with answers has no reactions, and is a thread all the same."""
    thread = replace(rig.here, thread=ThreadId(await rig.write(rig.here, "run uptime")))
    rig.network.server.order(Fault.REJECTED, "reactions.get", error="message_not_found")
    await rig.channel.send(at(thread), words("home"), N1)
    assert [seen.text for seen in rig.network.seen(thread)] == ["home"]


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.LOST_ANSWER, Fault.THROTTLED])
async def test_a_thread_that_cannot_be_looked_for_is_answered_later(rig: SlackRig, fault: Fault) -> None:
    thread = replace(rig.here, thread=ThreadId(await rig.write(rig.here, "run uptime")))
    # A look that only reads is made again by the HTTP library itself.
    rig.network.server.order(fault, "reactions.get", times=5)
    with pytest.raises(ChannelUnavailable if fault is not Fault.THROTTLED else ChannelThrottled):
        await rig.channel.send(at(thread), words("home"), N1)
    assert standing(rig) == []


async def test_f104_an_archived_room_holds_what_is_sent_to_it(rig: SlackRig) -> None:
    receipt = await rig.channel.send(at(rig.here), words("before"), N1)
    rig.room.is_archived = True
    with pytest.raises(ChannelHeld):
        await rig.channel.send(at(rig.here), words("later"), Nonce("n-2"))
    with pytest.raises(ChannelError):
        await rig.channel.edit(rig.here, receipt.message_id, words("later"))
    rig.room.is_archived = False
    await rig.channel.send(at(rig.here), words("later"), Nonce("n-2"))
    assert standing(rig) == ["before", "later"]


async def test_a_direct_conversation_that_cannot_be_opened_is_no_other_conversation(rig: SlackRig) -> None:
    bo = rig.network.direct(rig.network.person("bo"))
    for fault in (Fault.UNAVAILABLE, Fault.LOST_ANSWER):
        rig.network.server.order(fault, "conversations.open")
        with pytest.raises(ChannelUnavailable):
            await rig.channel.send(at(bo), words("private"), N1)
    nobody = replace(bo, id=NativeId("U0NOBODY"))
    with pytest.raises(ChannelRejected):
        await rig.channel.send(at(nobody), words("private"), N1)
    assert standing(rig) == []
    for number in range(3):
        await rig.channel.send(at(bo), words("private"), Nonce(f"n-{number}"))
    assert len([form for form in rig.network.server.called("conversations.open") if form["users"] == bo.id]) == 3


@pytest.mark.parametrize(
    ("kind", "native", "thread"),
    [
        (PeerKind.CHANNEL, "general", None),
        (PeerKind.CHANNEL, "#general", None),
        (PeerKind.CHANNEL, "slack:C0HOMING0003", None),
        (PeerKind.CHANNEL, "c0homing0003", None),
        (PeerKind.CHANNEL, "U0HOMING0003", None),
        (PeerKind.CHANNEL, "C0HOMING0003\n", None),
        (PeerKind.DIRECT, "C0HOMING0003", None),
        (PeerKind.DIRECT, "@ana", None),
        (PeerKind.CHANNEL, "C0HOMING0003", "7K3QHM"),
        (PeerKind.CHANNEL, "C0HOMING0003", "1700000000"),
    ],
)
async def test_f006_an_id_that_is_none_of_slacks_never_reaches_it(
    rig: SlackRig, kind: PeerKind, native: str, thread: str | None
) -> None:
    before = len(rig.network.server.calls)
    peer = replace(rig.here, kind=kind, id=NativeId(native), thread=None if thread is None else ThreadId(thread))
    with pytest.raises(ChannelRejected):
        await rig.channel.send(at(peer), words("astray"), N1)
    assert not [call for call in rig.network.server.calls[before:] if call[1] != "apps.connections.open"]


async def test_f012_each_account_speaks_with_its_own_mouth(network: SlackNetwork) -> None:
    network.account("second")
    async with running(network) as first, running(network, account="second") as second:
        room = network.peer(network.room("general", account="second"), account="second")
        await second.channel.send(at(room), words("from the second"), N1)
        with pytest.raises(ChannelRejected):
            await first.channel.send(at(room), words("astray"), N1)
        assert [seen.text for seen in network.seen(room)] == ["from the second"]
        assert network.server.called("chat.postMessage", "default") == []


async def test_only_the_one_who_asked_is_pinged(rig: SlackRig) -> None:
    bo = rig.network.person("bo")
    post = replace(words(f"<@{bo}> <!channel> @here"), mention=rig.ana.id)
    receipt = await rig.channel.send(at(rig.here), post, N1)
    seen = rig.network.seen(rig.here)[0]
    assert seen.mentions == (rig.ana.id,)
    assert f"<@{bo}> <!channel> @here" in seen.text
    await rig.channel.edit(rig.here, receipt.message_id, card("<!channel>"))
    assert "everyone" not in rig.network.seen(rig.here)[0].mentions


async def test_nothing_is_previewed(rig: SlackRig) -> None:
    receipt = await rig.channel.send(at(rig.here), words("see https://example.org/secret"), N1)
    assert rig.network.message(rig.here, receipt.message_id).unfurls == (False, False)


async def test_a_long_output_hangs_as_a_file_in_the_same_conversation(rig: SlackRig, places: list[Peer]) -> None:
    text = "all of it <!channel> 🏠\n" * 3_000
    for number, place in enumerate(places):
        post = replace(words("the end of it"), attachment=Attachment(name="7K3QHM.txt", text=text))
        await rig.channel.send(at(place), post, Nonce(f"n-{number}"))
        seen = rig.network.seen(place)
        assert [each.file for each in seen if each.file is not None] == [text]
        assert "the end of it" in "".join(each.text for each in seen)
    assert rig.channel.capabilities.file_bytes >= len(text.encode())


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal", "chat.postMessage"])
@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.THROTTLED, Fault.LOST_ANSWER])
async def test_words_with_a_file_stand_once_whatever_goes_wrong_between(
    rig: SlackRig, method: str, fault: Fault
) -> None:
    post = replace(words("the end of it"), attachment=Attachment(name="7K3QHM.txt", text="all of it"))
    rig.network.server.order(fault, method)
    for _ in range(4):
        try:
            await rig.channel.send(at(rig.here), post, N1)
            break
        except ChannelUncertain:
            if isinstance(await rig.channel.find(at(rig.here), N1), Receipt):
                break
        except (ChannelUnavailable, ChannelThrottled):
            continue
    seen = rig.network.seen(rig.here)
    assert [each.text for each in seen].count("the end of it") == 1
    assert len([each for each in seen if each.file is not None]) <= 1


async def test_a_send_that_is_cut_off_under_its_file_shows_the_file_in_the_end_and_once(rig: SlackRig) -> None:
    post = replace(words("the end of it"), attachment=Attachment(name="7K3QHM.txt", text="all of it"))
    order = rig.network.server.order(Fault.GATED, "files.completeUploadExternal")
    sending = asyncio.create_task(rig.channel.send(at(rig.here), post, N1))
    await until(lambda: order.met == 1, what="the file is under way")
    sending.cancel()
    await asyncio.wait({sending})
    assert isinstance(await rig.channel.find(at(rig.here), N1), Receipt)
    order.lift()
    seen = rig.network.seen(rig.here)
    assert [each.text for each in seen].count("the end of it") == 1
    assert [each.file for each in seen if each.file is not None] == ["all of it"]


@pytest.mark.parametrize("is_shown", [False, True])
async def test_words_whose_file_an_earlier_process_left_behind_say_so(network: SlackNetwork, is_shown: bool) -> None:
    post = replace(words("the end of it"), attachment=Attachment(name="7K3QHM.txt", text="all of it"))
    async with running(network) as rig:
        if is_shown:
            await rig.channel.send(at(rig.here), post, N1)
        else:
            order = network.server.order(Fault.GATED, "files.completeUploadExternal")
            sending = asyncio.create_task(rig.channel.send(at(rig.here), post, N1))
            await until(lambda: order.met == 1, what="the file is under way")
            sending.cancel()
            await asyncio.wait({sending})  # it stays at its gate, so Slack never has it
    async with running(network) as rig:
        assert isinstance(await rig.channel.find(at(rig.here), N1), Receipt)
        text = network.seen(rig.here)[0].text
    assert ("The file could not be put here" in text) is not is_shown
    assert "the end of it" in text


async def test_one_message_a_second_is_kept_to_and_nothing_is_lost(rig: SlackRig) -> None:
    rig.network.server.pace_s = 0.9
    for number in range(3):
        async with asyncio.timeout(10):
            for _ in itertools.count():
                try:
                    await rig.channel.send(at(rig.here), words(f"part {number}"), Nonce(f"n-{number}"))
                    break
                except ChannelThrottled as throttled:
                    await asyncio.sleep(throttled.retry_after_s)
    assert standing(rig) == ["part 0", "part 1", "part 2"]


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.LOST_ANSWER, Fault.DROPPED])
async def test_an_edit_that_may_have_happened_is_simply_made_again(rig: SlackRig, fault: Fault) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), N1)
    rig.network.server.order(fault, "chat.update")
    with pytest.raises(ChannelUnavailable):
        await rig.channel.edit(rig.here, receipt.message_id, card("Denied"))
    await rig.channel.edit(rig.here, receipt.message_id, card("Denied"))
    assert "Denied" in rig.network.seen(rig.here)[0].text
    assert rig.network.seen(rig.here)[0].buttons == ()


async def test_an_edit_keeps_the_mark_by_which_the_message_is_found(rig: SlackRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), N1)
    await rig.channel.edit(rig.here, receipt.message_id, card("Denied"))
    assert await rig.channel.find(at(rig.here), N1) == receipt


async def test_an_edit_in_a_thread_and_of_what_is_gone(rig: SlackRig) -> None:
    assert rig.network.thread is not None
    receipt = await rig.channel.send(at(rig.network.thread), card("Approval needed", APPROVE), N1)
    await rig.channel.edit(rig.network.thread, receipt.message_id, card("Denied"))
    assert "Denied" in rig.network.seen(rig.network.thread)[0].text
    del rig.room.messages[receipt.message_id]
    with pytest.raises(ChannelRejected):
        await rig.channel.edit(rig.network.thread, receipt.message_id, card("Denied"))


async def test_a_button_says_its_state_in_words_and_the_fallback_says_what_it_is_about(rig: SlackRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), N1)
    message = rig.network.message(rig.here, receipt.message_id)
    assert "Approval needed" in message.text, "what a notification and a screen reader say"
    await until(lambda: len(rig.network.seen(rig.here)[0].buttons) == 2, what="both buttons stand")
