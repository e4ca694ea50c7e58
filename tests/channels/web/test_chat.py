"""The chat over HTTP and its stream, on a real server and a real SQLite file, with people who write at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.domain.message import Nonce, NotPosted
from bot.domain.session import MessageId, ReturnAddress, ThreadId
from bot.errors import ChannelRejected, ConfigError
from channels.web import wire
from channels.web.adapter import WebChannel
from channels.web.feed import changes_after, newest_change
from tests.channels.contract import APPROVE, DENY, at, card, words
from tests.channels.web.site import ACCOUNT, AGENT, Site, Visitor, direct, room, visitor_of


def id_of(message: object) -> MessageId:
    assert isinstance(message, dict)
    return MessageId(str(message["id"]))


async def test_a_message_is_in_the_log_and_in_the_inbox_when_its_request_is_answered(site: Site, ana: Visitor) -> None:
    site.inbox.note = "Waiting for one of: ben."
    reply = await ana.write(room("ops"), "run uptime")
    assert reply.status == 200
    assert [message.text for message in site.inbox.messages] == ["run uptime"]
    assert reply.json["note"] == "Waiting for one of: ben."
    assert [message["text"] for message in await ana.read(room("ops"))] == ["run uptime"]


async def test_f109_a_retry_after_a_lost_answer_is_one_message_and_one_delivery(site: Site, ana: Visitor) -> None:
    nonce = ana.nonce()
    replies = await asyncio.gather(*(ana.write(room("ops"), "run uptime", nonce=nonce) for _ in range(5)))
    assert {reply.status for reply in replies} == {200}
    assert len(await ana.read(room("ops"))) == 1
    assert len(site.inbox.messages) == 1


async def test_what_the_core_could_not_record_is_said_and_its_retry_is_one_message(site: Site, ana: Visitor) -> None:
    site.inbox.is_down = True
    nonce = ana.nonce()
    refused = await ana.write(room("ops"), "run uptime", nonce=nonce)
    assert refused.status == 503
    assert "try again" in str(refused.json["words"])
    site.inbox.is_down = False
    assert (await ana.write(room("ops"), "run uptime", nonce=nonce)).status == 200
    assert len(await ana.read(room("ops"))) == 1
    assert len(site.inbox.messages) == 1


async def test_a_start_hands_in_what_a_crash_left_between_log_and_core(site: Site, ana: Visitor, ben: Visitor) -> None:
    site.inbox.is_down = True
    await ana.write(room("ops"), "run uptime")
    await ben.write(direct("ben"), "run who")
    await site.channel.send(at(room("ops")), words("ours is not handed in"), Nonce("n-1"))
    site.inbox.is_down = False
    await site.restart()
    assert [(each.text, each.peer) for each in site.inbox.messages] == [
        ("run uptime", room("ops")),
        ("run who", direct("ben")),
    ]
    before = list(site.inbox.messages)
    await site.restart()
    assert site.inbox.messages == before


async def test_a_start_leaves_alone_what_is_older_than_the_core_acts_on(site: Site, ana: Visitor) -> None:
    site.inbox.is_down = True
    await ana.write(room("ops"), "run late")
    site.clock.ahead_s = 3_700.0
    await ana.write(room("ops"), "run soon")
    site.inbox.is_down = False
    await site.restart()
    assert [message.text for message in site.inbox.messages] == ["run soon"]


async def test_two_rooms_a_thread_and_a_direct_conversation_stay_apart(site: Site, ana: Visitor, ben: Visitor) -> None:
    first, second = await asyncio.gather(ana.write(room("ops"), "run a"), ben.write(room("general"), "run b"))
    root = id_of(first.json["message"])
    thread = replace(room("ops"), thread=ThreadId(root))
    await ben.write(thread, "run c")
    await ana.write(direct("ana"), "run d")
    assert second.status == 200
    for peer, text in (
        (room("ops"), "run a"),
        (room("general"), "run b"),
        (direct("ana"), "run d"),
    ):
        assert [message["text"] for message in await ana.read(peer)] == [text]
    # A thread is shown below the message that it hangs on.
    assert [message["text"] for message in await ana.read(thread)] == ["run a", "run c"]
    assert {message.text: message.peer for message in site.inbox.messages} == {
        "run a": room("ops"),
        "run b": room("general"),
        "run c": thread,
        "run d": direct("ana"),
    }


async def test_a_thread_hangs_on_a_message_of_its_own_room_only(site: Site, ana: Visitor) -> None:
    root = id_of((await ana.write(room("ops"), "run a")).json["message"])
    for peer in (room("general", root), room("ops", "999"), direct("ana", root), room("nowhere")):
        assert (await ana.write(peer, "run b")).status == 404
    assert [message.text for message in site.inbox.messages] == ["run a"]


async def test_an_answer_names_the_message_that_asked_and_an_edit_keeps_that(site: Site, ana: Visitor) -> None:
    asked = id_of((await ana.write(room("ops"), "run uptime")).json["message"])
    address = ReturnAddress(peer=room("ops"), message_id=asked)
    receipt = await site.channel.send(address, card("Approval needed", APPROVE), Nonce("n-1"))
    await site.channel.edit(room("ops"), receipt.message_id, card("Running"))
    shown = (await ana.read(room("ops")))[-1]
    assert shown["answers"] == {"id": asked, "author": "ana", "excerpt": "run uptime", "name": "Ana Sol"}


async def test_an_answer_into_a_thread_may_name_its_root(site: Site, ana: Visitor) -> None:
    root = id_of((await ana.write(room("ops"), "run uptime")).json["message"])
    await site.channel.send(ReturnAddress(peer=room("ops", root), message_id=root), words("up"), Nonce("n-1"))
    shown = (await ana.read(room("ops", root)))[-1]
    assert isinstance(shown["answers"], dict)
    assert shown["answers"]["id"] == root


async def test_a_reload_reads_a_long_room_page_by_page_without_loss_or_doubling(site: Site, ana: Visitor) -> None:
    for number in range(120):
        await site.channel.send(at(room("ops")), words(f"{number}"), Nonce(f"n-{number}"))
    read: list[MessageId] = []
    before: dict[str, str] = {}
    while True:
        reply = await ana.get("/web/messages", {"kind": "channel", "room": "ops", **before})
        read = [*(id_of(message) for message in reply.messages), *read]
        if not reply.json["has_more"]:
            break
        before = {"before": read[0]}
    assert len(read) == len(set(read)) == 120
    assert read == sorted(read, key=int)


async def test_a_room_is_opened_once_under_a_proper_name(ana: Visitor, ben: Visitor) -> None:
    for _ in range(2):
        assert (await ana.post("/web/rooms", {"name": "deploys"})).status == 200
    for name in ("Deploys", "", "a b", "x" * 41, "../x", None):
        assert (await ana.post("/web/rooms", {"name": name})).status == 400
    me = (await ben.get("/web/me")).json
    assert isinstance(me["rooms"], list)
    assert [each["name"] for each in me["rooms"]] == ["deploys", "general", "ops"]


async def test_the_rooms_of_the_configuration_are_open_from_the_start(site: Site) -> None:
    channel = WebChannel(site.log, agent=AGENT, account=ACCOUNT, now=site.clock.now, rooms=("deploys", "night-shift"))
    await channel.start(site.inbox)
    await channel.close()
    assert {"deploys", "night-shift"} <= set(await site.log.rooms())


def test_a_room_that_cannot_be_named_so_is_a_fault_of_the_configuration(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"web\.rooms holds 'Night Shift'"):
        WebChannel(site.log, agent=AGENT, account=ACCOUNT, now=site.clock.now, rooms=("Night Shift",))


# --- presses ---------------------------------------------------------------------------------------


async def test_f053_a_card_from_before_a_restart_can_still_be_decided(site: Site, ana: Visitor) -> None:
    receipt = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    fields = await ana.press_fields(room("ops"), receipt.message_id, APPROVE)
    await site.restart()
    assert (await ana.post("/web/presses", fields)).status == 200
    assert [press.button for press in site.inbox.presses] == [APPROVE]


async def test_f056_a_late_press_goes_to_the_core_and_its_answer_is_private(
    site: Site, ana: Visitor, ben: Visitor
) -> None:
    receipt = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    fields = await ana.press_fields(room("ops"), receipt.message_id, APPROVE)
    await site.channel.edit(room("ops"), receipt.message_id, card("Denied, nothing ran"))
    site.inbox.note = "Ben Ito denied it before."
    reply = await ana.post("/web/presses", fields)
    assert reply.json["note"] == "Ben Ito denied it before."
    assert len(await ben.read(room("ops"))) == 1


async def test_f113_a_repeated_press_is_one_delivery(site: Site, ana: Visitor) -> None:
    receipt = await site.channel.send(at(room("ops")), card("Approval needed", APPROVE), Nonce("n-1"))
    fields = await ana.press_fields(room("ops"), receipt.message_id, APPROVE)
    for _ in range(3):
        assert (await ana.post("/web/presses", fields)).status == 200
    assert len(site.inbox.presses) == 1


async def test_f066_somebody_who_comes_late_sees_the_open_card_with_its_buttons(site: Site, ana: Visitor) -> None:
    await site.channel.send(at(room("ops")), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    async with visitor_of(site) as late:
        await late.sign_in("cleo", "Cleo")
        post = (await late.read(room("ops")))[0]["post"]
        assert isinstance(post, dict)
        assert [button["action"] for button in post["buttons"]] == ["approve", "deny"]
    assert ana.cookie != late.cookie


# --- the port --------------------------------------------------------------------------------------


async def test_the_log_is_the_network_so_a_lost_send_is_always_settled(site: Site) -> None:
    receipt = await site.channel.send(at(room("ops")), words("once"), Nonce("n-1"))
    await site.restart()
    assert await site.channel.find(at(room("ops")), Nonce("n-1")) == receipt
    assert await site.channel.find(at(room("ops")), Nonce("n-2")) is NotPosted.SURELY


async def test_a_persons_message_cannot_be_edited_by_us(site: Site, ana: Visitor) -> None:
    asked = id_of((await ana.write(room("ops"), "run uptime")).json["message"])
    with pytest.raises(ChannelRejected):
        await site.channel.edit(room("ops"), asked, words("never"))
    with pytest.raises(ChannelRejected):
        await site.channel.edit(room("ops"), MessageId("not-a-number"), words("never"))


async def test_a_persons_nonce_cannot_take_the_place_of_ours(site: Site, ana: Visitor) -> None:
    await ana.write(room("ops"), "run uptime", nonce="result-1")
    assert await site.channel.find(at(room("ops")), Nonce("result-1")) is NotPosted.SURELY
    await site.channel.send(at(room("ops")), words("the result"), Nonce("result-1"))
    assert len(await ana.read(room("ops"))) == 2


async def test_the_newest_change_and_the_last_hour_are_found_in_any_log(site: Site) -> None:
    assert await newest_change(site.log) == 0
    assert list(await changes_after(site.log, 0.0, limit=10)) == []
    for number in range(37):
        site.clock.ahead_s = number * 100.0
        entry, _ = await site.log.post(
            kind="channel", room="ops", thread=None, author="ana", body=wire.message_body("x"), nonce=f"nonce-{number}"
        )
        assert await newest_change(site.log) == entry.change
    late = await changes_after(site.log, site.clock.now() - 950.0, limit=100)
    assert [entry.nonce for entry in late] == [f"nonce-{number}" for number in range(27, 37)]
    assert [entry.nonce for entry in await changes_after(site.log, 0.0, limit=3)] == [
        "nonce-34",
        "nonce-35",
        "nonce-36",
    ]
