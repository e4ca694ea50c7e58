"""What comes of a message on its way to a phone and back: windows, faults, files, accounts, later words of Twilio."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace

import aiohttp
import pytest

from bot.domain.message import (
    Answer,
    Attachment,
    Code,
    Delivery,
    InboundMessage,
    Nonce,
    NotPosted,
    Post,
    PostKind,
    Receipt,
)
from bot.domain.session import AccountName, MessageId
from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)
from channels.whatsapp import links, twilio_rest, wire
from tests.channels.contract import APPROVE, DENY, RecordingInbox, at, card, until, words
from tests.channels.whatsapp.rig import WhatsAppRig, running
from tests.platforms.faults import Fault
from tests.platforms.whatsapp import WhatsAppNetwork
from tests.platforms.whatsapp.world import Message


def ours(rig: WhatsAppRig) -> list[Message]:
    return [each for each in rig.twilio.messages.values() if each.author is None]


async def told(rig: WhatsAppRig, delivery: Delivery) -> None:
    await until(lambda: any(one.delivery is delivery for one in rig.inbox.reports), what=f"a report: {delivery}")


# --- recorded, then acknowledged ---------------------------------------------------------------------------


async def test_what_could_not_be_recorded_is_delivered_again(rig: WhatsAppRig) -> None:
    rig.inbox.is_down = True
    writing = asyncio.create_task(rig.write(rig.here, "run uptime"))
    await until(lambda: rig.inbox.calls == 1, what="the first delivery")
    rig.inbox.is_down = False
    await writing
    assert [status for _, status in rig.network.server.carrier.hook_log] == [503, 200]
    assert [message.text for message in rig.inbox.messages] == ["run uptime"]


async def test_a_message_for_another_number_of_the_account_is_acknowledged_and_dropped(rig: WhatsAppRig) -> None:
    _, answered = await rig.network.write(rig.here, "run uptime", To="whatsapp:+15559999999")
    assert answered.status == 200
    assert rig.inbox.calls == 0


async def test_a_repeated_press_is_one_press(rig: WhatsAppRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    await rig.network.tap(rig.here, receipt.message_id, APPROVE.token(), repeats=3)
    assert rig.inbox.calls == 4
    assert len(rig.inbox.presses) == 1


async def test_the_note_to_one_who_pressed_stands_in_their_conversation_and_is_inert(rig: WhatsAppRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    rig.inbox.note = "Only *sre* <may> decide this."
    await rig.press(rig.here, receipt.message_id, APPROVE)
    assert rig.network.seen(rig.here)[-1].text == "Only *sre* <may> decide this."


@dataclass(slots=True)
class WorkingInbox(RecordingInbox):
    async def message(self, message: InboundMessage) -> Answer:
        await RecordingInbox.message(self, message)
        return Answer(is_working=True)


@pytest.mark.parametrize("is_refused", [False, True])
async def test_while_a_turn_works_it_shows_that_somebody_types(network: WhatsAppNetwork, is_refused: bool) -> None:
    if is_refused:
        network.server.order(Fault.REJECTED, verb="POST Typing", code=20001)
    async with running(network, WorkingInbox()) as rig:
        message_id = await rig.write(rig.here, "run uptime")
        await until(lambda: any("Typing" in verb for verb, _ in network.server.calls), what="the sign")
        assert rig.twilio.typing == ([] if is_refused else [message_id])


# --- accounts ----------------------------------------------------------------------------------------------


async def test_two_accounts_keep_apart(network: WhatsAppNetwork) -> None:
    async with running(network) as first, running(network, account="second") as second:
        await first.write(first.here, "to the first")
        await second.write(second.here, "to the second")
        assert [message.text for message in first.inbox.messages] == ["to the first"]
        assert [message.peer.account for message in second.inbox.messages] == ["second"]
        await second.channel.send(at(second.here), words("from the second"), Nonce("n-1"))
        assert [each.text for each in network.seen(second.here)] == ["to the second", "from the second"]
        assert [each.text for each in network.seen(first.here)] == ["to the first"]
        await told(second, Delivery.CONFIRMED)
        assert first.inbox.reports == []
        with pytest.raises(ChannelRejected):
            await first.channel.send(at(replace(first.here, account=AccountName("third"))), words("x"), Nonce("n-2"))


async def test_a_messaging_service_sends_where_one_is_named(network: WhatsAppNetwork) -> None:
    network.service_sid = "MG" + "0" * 32
    async with running(network) as rig:
        await rig.channel.send(at(rig.here), words("through the service"), Nonce("n-1"))
        assert [form.get("MessagingServiceSid") for verb, form in network.server.calls if verb.startswith("POST")] == [
            network.service_sid
        ]
        await told(rig, Delivery.CONFIRMED)


# --- what Twilio says later --------------------------------------------------------------------------------


async def test_a_message_is_confirmed_when_it_is_on_the_phone(rig: WhatsAppRig) -> None:
    receipt = await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    assert not receipt.confirmed
    await told(rig, Delivery.CONFIRMED)
    assert {report.message_id for report in rig.inbox.reports} == {receipt.message_id}
    assert await rig.channel.delivery(rig.here, receipt.message_id) is Delivery.CONFIRMED


async def test_a_callback_that_overtakes_the_answer_waits_until_the_receipt_is_kept(rig: WhatsAppRig) -> None:
    rig.network.server.order(Fault.SLOW, seconds=0.5)
    receipt = await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    assert receipt.confirmed
    await asyncio.sleep(0.1)  # the core commits it
    assert rig.inbox.reports == []
    await told(rig, Delivery.CONFIRMED)


async def test_sent_is_no_proof(rig: WhatsAppRig) -> None:
    rig.network.server.carrier.plan = ("sent",)
    receipt = await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    await until(lambda: len(rig.network.server.carrier.hook_log) == 1, what="the callback was taken")
    assert rig.inbox.reports == []
    assert await rig.channel.delivery(rig.here, receipt.message_id) is Delivery.PENDING


async def test_f110_a_later_word_on_a_message_counts_beside_an_earlier_one_in_whatever_order(rig: WhatsAppRig) -> None:
    """Twelve callbacks with one id: `delivered` is no repeat of `sent`, and a repeat of `delivered` changes nothing."""
    carrier = rig.network.server.carrier
    carrier.callback_repeats, carrier.is_shuffled, carrier.plan = 2, True, ("queued", "sent", "delivered", "read")
    receipt = await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    await until(lambda: len(carrier.hook_log) == 12, what="all callbacks")
    assert {report.delivery for report in rig.inbox.reports} == {Delivery.CONFIRMED}
    assert await rig.channel.find(at(rig.here), Nonce("n-1")) == Receipt(message_id=receipt.message_id, confirmed=True)


async def test_f102_a_message_that_fails_later_is_reported_with_its_reason(rig: WhatsAppRig) -> None:
    rig.network.server.carrier.failing = 63024
    receipt = await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    await told(rig, Delivery.FAILED)
    assert rig.inbox.reports[0].message_id == receipt.message_id
    assert "63024" in rig.inbox.reports[0].reason
    assert await rig.channel.delivery(rig.here, receipt.message_id) is Delivery.FAILED


@pytest.mark.parametrize("signs_overrides", [False, True])
async def test_a_closed_window_holds_the_message_and_the_template_asks_once(
    network: WhatsAppNetwork, signs_overrides: bool
) -> None:
    network.server.carrier.signs_overrides = signs_overrides
    template = network.with_template()
    async with running(network) as rig:
        rig.twilio.heard.clear()
        for number in range(3):
            await rig.channel.send(at(rig.here), words(f"result {number}"), Nonce(f"n-{number}"))
        await until(lambda: len(rig.inbox.reports) == 3, what="three reports")
        assert {report.delivery for report in rig.inbox.reports} == {Delivery.HELD}
        assert "63016" in rig.inbox.reports[0].reason
        await until(lambda: len(network.seen(rig.here)) == 1, what="the notice")
        assert [form for _, form in network.server.calls if form.get("ContentSid") == template] != []
        assert network.seen(rig.here)[0].text == "There is news for you. Answer to see it."
        await rig.write(rig.here, "yes?")
        # The same part of the same event, so the same nonce: what did not arrive is no repeat of it.
        again = await rig.channel.send(at(rig.here), words("result 0"), Nonce("n-0"))
        await told(rig, Delivery.CONFIRMED)
        assert rig.inbox.reports[-1].message_id == again.message_id


async def test_a_closed_window_without_a_template_only_holds(rig: WhatsAppRig) -> None:
    rig.twilio.heard.clear()
    await rig.channel.send(at(rig.here), words("result"), Nonce("n-1"))
    await told(rig, Delivery.HELD)
    assert len(ours(rig)) == 1


# --- faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_quiet", [False, True], ids=["by its callback", "by looking through what was sent"])
async def test_f098_a_lost_answer_is_found_and_not_posted_again(rig: WhatsAppRig, is_quiet: bool) -> None:
    rig.network.server.carrier.is_quiet = is_quiet
    await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-0"))
    for nonce in ("n-1", "n-2"):
        rig.network.server.order(Fault.LOST_ANSWER)
        with pytest.raises(ChannelUncertain):
            await rig.channel.send(at(rig.here), words("up 3 days"), Nonce(nonce))
    if not is_quiet:
        await until(lambda: len(rig.network.server.carrier.hook_log) == 6, what="the callbacks of all three")
    found = [await rig.channel.find(at(rig.here), Nonce(nonce)) for nonce in ("n-1", "n-2")]
    assert any(verb.startswith("GET") and "Messages" in verb for verb, _ in rig.network.server.calls) is is_quiet
    ids = [one.message_id for one in found if isinstance(one, Receipt)]
    assert len(set(ids)) == 2
    assert set(ids) < {MessageId(message.sid) for message in ours(rig)}
    repeated = await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    assert repeated.message_id == ids[0]
    assert len(ours(rig)) == 3


async def test_a_send_that_was_lost_on_its_way_is_unknown_never_surely_not(rig: WhatsAppRig) -> None:
    await rig.channel.send(at(rig.here), words("another"), Nonce("n-0"))
    rig.network.server.order(Fault.DROPPED)
    with pytest.raises(ChannelUncertain):
        await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    assert await rig.channel.find(at(rig.here), Nonce("n-1")) is NotPosted.UNKNOWN


async def test_the_same_words_of_an_earlier_life_are_not_taken_for_these(network: WhatsAppNetwork) -> None:
    network.server.carrier.is_quiet = True
    async with running(network) as rig:
        await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
        ours(rig)[0].created_at -= 10.0
    async with running(network) as rig:
        await until(lambda: len(network.server.calls) >= 3, what="Twilio's clock is known")
        network.server.order(Fault.DROPPED)
        with pytest.raises(ChannelUncertain):
            await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-2"))
        assert await rig.channel.find(at(rig.here), Nonce("n-2")) is NotPosted.UNKNOWN


async def test_the_same_words_to_somebody_else_are_not_taken_for_these(rig: WhatsAppRig) -> None:
    rig.network.server.carrier.is_quiet = True
    for fault, peer, nonce in ((Fault.LOST_ANSWER, rig.peers[1], "n-1"), (Fault.DROPPED, rig.here, "n-2")):
        rig.network.server.order(fault)
        with pytest.raises(ChannelUncertain):
            await rig.channel.send(at(peer), words("up 3 days"), Nonce(nonce))
    assert await rig.channel.find(at(rig.here), Nonce("n-2")) is NotPosted.UNKNOWN
    assert isinstance(await rig.channel.find(at(rig.peers[1]), Nonce("n-1")), Receipt)


async def test_after_the_end_nothing_is_sent_and_no_socket_is_left_open(network: WhatsAppNetwork) -> None:
    async with running(network) as rig:
        await rig.write(rig.here, "run uptime")
    for call in (
        rig.channel.send(at(rig.here), words("late"), Nonce("n-1")),
        rig.channel.delivery(rig.here, MessageId("SM" + "0" * 32)),
    ):
        with pytest.raises(ChannelUnavailable):
            await call
    assert ours(rig) == []


async def test_an_answer_that_is_too_slow_is_a_lost_one(
    network: WhatsAppNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_rest, "CALL_S", 0.3)
    async with running(network) as rig:
        network.server.order(Fault.SLOW, seconds=1.0)
        with pytest.raises(ChannelUncertain):
            await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (20003, ChannelUnavailable),
        (63007, ChannelUnavailable),
        (63016, ChannelHeld),
        (21617, ChannelRejected),
        (21211, ChannelRejected),
        (21614, ChannelRejected),
        (21610, ChannelRejected),
        (99999, ChannelRejected),
    ],
)
async def test_each_error_code_has_its_remedy(rig: WhatsAppRig, code: int, expected: type[ChannelError]) -> None:
    rig.network.server.order(Fault.REJECTED, code=code)
    with pytest.raises(expected) as fault:
        await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    assert str(code) in str(fault.value)
    assert ours(rig) == []


async def test_a_person_who_wrote_stop_gets_nothing(rig: WhatsAppRig) -> None:
    rig.twilio.stopped.add(str(rig.here.id))
    with pytest.raises(ChannelRejected):
        await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))


async def test_patience_is_asked_for_as_long_as_twilio_says(rig: WhatsAppRig) -> None:
    rig.network.server.order(Fault.THROTTLED, seconds=7)
    with pytest.raises(ChannelThrottled) as fault:
        await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    assert fault.value.retry_after_s == 7.0


async def test_503_is_surely_not_posted_and_never_repeated_by_itself(rig: WhatsAppRig) -> None:
    rig.network.server.order(Fault.UNAVAILABLE)
    with pytest.raises(ChannelUnavailable):
        await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
    assert sum(verb.endswith("Messages.json") for verb, _ in rig.network.server.calls) == 1


async def test_a_twilio_that_is_away_is_surely_not_posted_and_harms_no_start() -> None:
    async with WhatsAppNetwork() as gone:
        pass
    async with running(gone) as rig:
        with pytest.raises(ChannelUnavailable):
            await rig.channel.send(at(rig.here), words("up 3 days"), Nonce("n-1"))
        with pytest.raises(ChannelError):
            await rig.channel.delivery(rig.here, MessageId("SM" + "0" * 32))
        assert [check.is_ok for check in await rig.channel.check()] == [True, False]


async def test_a_refused_content_resource_leaves_the_words(rig: WhatsAppRig) -> None:
    rig.network.server.order(Fault.REJECTED, verb="POST Content", code=20001)
    await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    seen = rig.network.seen(rig.here)[0]
    assert seen.buttons == ()
    assert "approve 7K3QHM" in seen.text


async def test_content_resources_do_not_pile_up(network: WhatsAppNetwork) -> None:
    async with running(network) as rig:
        await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
        network.server.order(Fault.UNAVAILABLE)
        with pytest.raises(ChannelUnavailable):
            await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), Nonce("n-2"))
        await until(lambda: not rig.twilio.contents, what="no content is left")
        network.server.order(Fault.LOST_ANSWER)
        network.server.carrier.is_quiet = True
        with pytest.raises(ChannelUncertain):
            await rig.channel.send(at(rig.here), card("Approval needed", APPROVE, DENY), Nonce("n-3"))
        assert len(rig.twilio.contents) == 1
        next(iter(rig.twilio.contents.values())).created_at -= 7_200
        rig.twilio.template("somebody's own").created_at -= 7_200
    async with running(network) as rig:
        await until(lambda: len(rig.twilio.contents) == 1, what="the leftover is swept, and nobody else's")


# --- files -------------------------------------------------------------------------------------------------

RESULT = Post(
    kind=PostKind.RESULT,
    blocks=(Code(text="the end of it", label="Output"),),
    execution_id="7K3QHM",
    attachment=Attachment(name="7K3QHM.txt", text="all of it"),
)


async def test_a_long_output_follows_as_a_file(rig: WhatsAppRig) -> None:
    rig.inbox.outputs["7K3QHM"] = Attachment(name="7K3QHM.txt", text="all of it ümläut")
    receipt = await rig.channel.send(at(rig.here), RESULT, Nonce("n-1"))
    await until(lambda: len(rig.network.seen(rig.here)) == 2, what="two messages")
    await until(lambda: rig.network.seen(rig.here)[1].file is not None, what="the file")
    words_first, file = rig.network.seen(rig.here)
    assert words_first.id == receipt.message_id
    assert (file.text, file.file) == ("", "all of it ümläut")


async def test_where_the_file_is_refused_a_link_follows(rig: WhatsAppRig) -> None:
    await rig.channel.send(at(rig.here), RESULT, Nonce("n-1"))  # the output is gone: Twilio cannot fetch it
    await until(lambda: len(ours(rig)) == 3, what="the link")
    assert f"{rig.twilio.public_url}/whatsapp/default/file/7K3QHM." in rig.network.seen(rig.here)[-1].text


async def test_a_file_is_plain_text_for_whoever_has_the_link_and_nothing_else_is_there(rig: WhatsAppRig) -> None:
    rig.inbox.outputs["7K3QHM"] = Attachment(name="7K3QHM.txt", text="<script>alert(1)</script>")
    now = time.time()
    token = links.sign("7K3QHM", account="default", auth_token=rig.twilio.token, now=now)
    late = links.sign("7K3QHM", account="default", auth_token=rig.twilio.token, now=now - 3_601)
    gone = links.sign("AAAAAA", account="default", auth_token=rig.twilio.token, now=now)
    base = f"{rig.twilio.local_url}/whatsapp/default/file"
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{base}/{token}") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "no-store" in answer.headers["Cache-Control"]
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert await answer.text() == "<script>alert(1)</script>"
        for wrong in (
            late,
            gone,
            token[:-1],
            token.replace("7K3QHM", "AAAAAA"),
            "7K3QHM",
            "..%2f..%2fetc",
            "x" * 3_000,
        ):
            async with client.get(f"{base}/{wrong}") as answer:
                assert answer.status == 404


# --- for the operator --------------------------------------------------------------------------------------


async def test_doctor_finds_nothing_where_all_is_well_and_needs_no_start(network: WhatsAppNetwork) -> None:
    checks = await network.channel().check()
    assert [check.is_ok for check in checks] == [True, True, True]
    assert all(not check.remedy for check in checks)


async def test_doctor_names_each_fault_and_its_remedy(network: WhatsAppNetwork) -> None:
    account = network.server.account("default")
    account.public_url = "http://127.0.0.1:8080"
    channel = network.channel()
    account.number = "+15559999999"
    address, _, sender = await channel.check()
    assert (address.is_ok, sender.is_ok) == (False, False)
    assert "https" in address.remedy
    assert "63007" in sender.said
    account.token = "renewed"
    refused = (await channel.check())[1]
    assert not refused.is_ok
    assert "20003" in refused.said
    assert "auth_token" in refused.remedy


async def test_a_wrong_token_is_said_and_ends_nothing(
    network: WhatsAppNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    account, right = network.server.account("default"), network.server.account("default").token
    channel = network.channel()
    account.token = "renewed"
    await channel.start(RecordingInbox())
    try:
        await until(lambda: "whatsapp.rejected" in caplog.messages, what="it is said")
        with pytest.raises(ChannelUnavailable):
            await channel.send(at(network.rooms[0]), words("x"), Nonce("n-1"))
    finally:
        await channel.close()
    assert right not in caplog.text
    assert wire.OVERRIDES not in caplog.text
