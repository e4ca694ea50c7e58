"""What comes from Slack reaches the core once, as what it is, and is acknowledged only when it is recorded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bot.domain.message import Answer, InboundMessage, Nonce
from bot.domain.session import PeerKind, ThreadId
from tests.channels.contract import RecordingInbox, at, card, until, words
from tests.channels.slack.rig import SlackRig, running
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.payloads import changed_event, event_callback, mention_event, message_event
from tests.platforms.slack.world import Form, Message


@dataclass(slots=True)
class GatedInbox(RecordingInbox):
    """A store that is slow: nothing is recorded until the gate opens."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def message(self, message: InboundMessage) -> Answer:
        self.waiting += 1
        await self.gate.wait()
        return await RecordingInbox.message(self, message)


async def arrived(rig: SlackRig, count: int = 1) -> list[InboundMessage]:
    await until(lambda: len(rig.inbox.messages) >= count, what=f"{count} messages are in the inbox")
    return rig.inbox.messages


async def settled(rig: SlackRig) -> None:
    """Everything that Slack had to say was said and acknowledged."""
    attempts = rig.network.server.postman.attempts
    await until(lambda: all(each.is_acknowledged for each in attempts), what="all is acknowledged")


@pytest.mark.parametrize(
    ("name", "kind", "letter", "expected"),
    [
        ("ops", "channel", "C", PeerKind.CHANNEL),
        ("vault", "group", "C", PeerKind.CHANNEL),
        ("oldvault", "group", "G", PeerKind.CHANNEL),
        ("mpdm-ana--bo--homing-1", "mpim", "G", PeerKind.GROUP),
        ("mpdm-ana--cy--homing-1", "mpim", "C", PeerKind.GROUP),
    ],
)
async def test_every_kind_of_conversation_is_known_as_what_it_is(
    rig: SlackRig, name: str, kind: str, letter: str, expected: PeerKind
) -> None:
    room = rig.network.room(name, kind, letter=letter)
    await rig.network.people.write(rig.app, room, rig.ana, "run uptime")
    message = (await arrived(rig))[0]
    assert (message.peer.kind, message.peer.id, message.peer.thread) == (expected, room.id, None)
    assert (message.space, message.sender.native, message.is_addressed) == (rig.app.team.id, rig.ana.id, True)


async def test_a_direct_message_has_the_person_as_its_peer(rig: SlackRig) -> None:
    await rig.write(rig.network.direct(rig.ana.id), "run uptime")
    message = (await arrived(rig))[0]
    assert (message.peer.kind, message.peer.id, message.text) == (PeerKind.DIRECT, rig.ana.id, "run uptime")
    assert message.is_addressed


async def test_f005_a_message_in_a_thread_carries_the_thread(rig: SlackRig) -> None:
    thread = rig.network.thread
    assert thread is not None
    await rig.write(thread, "run uptime")
    assert (await arrived(rig))[0].peer == thread


async def test_f108_a_mention_is_one_message_in_whatever_order_its_two_events_come(rig: SlackRig) -> None:
    await rig.write(rig.here, "run uptime", repeats=2)
    message = (await arrived(rig))[0]
    await settled(rig)
    assert len(rig.inbox.messages) == 1
    assert (message.is_addressed, message.text) == (True, "run uptime")


async def test_words_among_people_are_not_addressed_to_us(rig: SlackRig) -> None:
    await rig.network.people.write(rig.app, rig.room, rig.ana, "lunch?", mention=False)
    assert not (await arrived(rig))[0].is_addressed


async def test_words_come_to_the_letter_however_slack_writes_them(rig: SlackRig) -> None:
    said = "run curl 'https://example.org/x?a=1&b=2' -H 'a: <b>' && echo 👍 ✔️ &amp; :-) *.py `x` _a_ ~b~"
    await rig.write(rig.here, said)
    await rig.write(rig.network.direct(rig.ana.id), said)
    assert [message.text for message in await arrived(rig, 2)] == [said, said]


async def test_our_own_messages_and_edits_and_those_of_other_bots_do_not_loop(rig: SlackRig) -> None:
    receipt = await rig.channel.send(at(rig.here), words("run uptime"), Nonce("n-1"))
    await rig.channel.edit(rig.here, receipt.message_id, card("run uptime"))
    world = rig.network.server.world
    other = Message(channel=rig.room.id, ts=world.ts(), user="U0OTHERBOT", text=f"<@{rig.app.bot_user}> run uptime")
    other.bot_id, other.app_id = "B0OTHER", "A0OTHER"
    world.keep(other)
    event = message_event(other, rig.room, world)
    await rig.network.server.postman.deliver(rig.app, event_callback(rig.app, event, world), repeats=False)
    classic = {"type": "message", "subtype": "bot_message", "bot_id": "B0OTHER", "text": "run uptime"}
    classic |= {"channel": rig.room.id, "channel_type": "channel", "ts": world.ts(), "event_ts": world.ts()}
    await rig.network.server.postman.deliver(rig.app, event_callback(rig.app, classic, world), repeats=False)
    await settled(rig)
    assert rig.inbox.calls == 0


@pytest.mark.parametrize("subtype", ["file_share", "thread_broadcast"])
async def test_words_beside_a_file_or_shown_to_the_whole_room_are_words(rig: SlackRig, subtype: str) -> None:
    world = rig.network.server.world
    message = await rig.network.people.write(rig.app, rig.room, rig.ana, "run uptime", deliver=False)
    event = message_event(message, rig.room, world) | {"subtype": subtype}
    await rig.network.server.postman.deliver(rig.app, event_callback(rig.app, event, world), repeats=False)
    assert (await arrived(rig))[0].text == "run uptime"


async def test_what_a_person_edits_or_takes_back_is_not_said_again(rig: SlackRig) -> None:
    world = rig.network.server.world
    message = await rig.network.people.write(rig.app, rig.room, rig.ana, "run uptime", deliver=False)
    deleted: Form = {"type": "message", "subtype": "message_deleted", "channel": rig.room.id, "channel_type": "channel"}
    deleted |= {"deleted_ts": message.ts, "ts": world.ts(), "event_ts": world.ts(), "hidden": True}
    joined = message_event(message, rig.room, world) | {"subtype": "channel_join"}
    edited = {"edited": {"user": rig.ana.id, "ts": world.ts()}}
    mentioned = mention_event(message, rig.room, world) | edited
    for event in (changed_event(message, rig.room, world), deleted, joined, mentioned):
        body = event_callback(rig.app, event, world)
        assert await rig.network.server.postman.deliver(rig.app, body, repeats=False) is not None
    assert rig.inbox.calls == 0


async def test_an_answer_to_our_own_message_is_addressed_without_a_mention(rig: SlackRig) -> None:
    ours = await rig.channel.send(at(rig.here), words("which node?"), Nonce("n-1"))
    for root in (ours.message_id, (await rig.network.people.write(rig.app, rig.room, rig.ana, "x", deliver=False)).ts):
        await rig.network.people.write(rig.app, rig.room, rig.ana, "web-1", thread_ts=root, mention=False)
    assert [message.is_addressed for message in await arrived(rig, 2)] == [True, False]


async def test_f109_what_could_not_be_recorded_is_delivered_again_and_has_one_effect(rig: SlackRig) -> None:
    rig.network.server.postman.ack_s = 1.0
    rig.inbox.is_down = True
    await rig.write(rig.here, "run uptime")
    postman = rig.network.server.postman
    assert not any(attempt.is_acknowledged for attempt in postman.attempts)
    rig.inbox.is_down = False
    await arrived(rig)
    await until(
        lambda: sum(attempt.is_acknowledged for attempt in postman.attempts) == 2, what="both events are acknowledged"
    )
    assert len(rig.inbox.messages) == 1


async def test_f054_a_slow_store_is_waited_for_and_slacks_retry_is_no_second_message(network: SlackNetwork) -> None:
    network.server.postman.ack_s = 0.3
    inbox = GatedInbox()
    async with running(network, inbox) as rig:
        await rig.write(rig.here, "run uptime")
        attempts = network.server.postman.attempts
        assert inbox.waiting
        assert not any(attempt.is_acknowledged for attempt in attempts)
        inbox.gate.set()
        await until(lambda: sum(attempt.is_acknowledged for attempt in attempts) == 2, what="retries are acknowledged")
        assert [message.text for message in inbox.messages] == ["run uptime"]


async def test_a_question_at_the_top_begins_a_thread_where_that_is_the_setting() -> None:
    async with SlackNetwork(reply_mode="thread") as network, running(network) as rig:
        asked = await rig.write(rig.here, "run uptime")
        await rig.write(rig.network.direct(rig.ana.id), "run uptime")
        messages = await arrived(rig, 2)
        assert [message.peer.thread for message in messages] == [ThreadId(asked), None]


async def test_f012_each_account_hears_with_its_own_ears(network: SlackNetwork) -> None:
    network.account("second")
    async with running(network) as first, running(network, account="second") as second:
        room = network.room("general", account="second")
        bo = network.server.world.person("bo", second.app.team)
        await network.people.write(second.app, room, bo, "run uptime")
        message = (await arrived(second))[0]
        assert (message.peer.account, message.peer.id, message.space) == ("second", room.id, second.app.team.id)
        assert first.inbox.calls == 0


async def test_ids_of_an_enterprise_grid_are_kept() -> None:
    async with SlackNetwork(enterprise="E0FAKE") as network, running(network) as rig:
        assert rig.ana.id.startswith("W")
        await rig.write(rig.here, "run uptime")
        await rig.write(rig.network.direct(rig.ana.id), "run uptime")
        assert {message.sender.native for message in await arrived(rig, 2)} == {rig.ana.id}


async def test_f080_the_slash_command_is_an_addressed_message_without_an_id(rig: SlackRig) -> None:
    rig.inbox.note = "7K3QHM waits for an approval."
    told = await rig.network.people.command(rig.app, rig.room, rig.ana, "run df -h")
    message = (await arrived(rig))[0]
    assert (message.text, message.message_id, message.is_addressed) == ("run df -h", None, True)
    assert (message.peer, message.sender.native) == (rig.here, rig.ana.id)
    assert told.is_acknowledged
    assert "7K3QHM waits" in told.words
    direct = rig.network.conversation(rig.network.direct(rig.ana.id))
    await rig.network.people.command(rig.app, direct, rig.ana, "status")
    assert (await arrived(rig, 2))[1].peer == rig.network.direct(rig.ana.id)


async def test_a_command_that_could_not_be_recorded_says_so_to_its_person(rig: SlackRig) -> None:
    rig.inbox.is_down = True
    told = await rig.network.people.command(rig.app, rig.room, rig.ana, "run df -h")
    assert "not recorded" in told.words.lower()


_WHOLE: Form = {
    "type": "message",
    "channel": "C0HOMING1",
    "channel_type": "channel",
    "user": "U0ANA",
    "text": "run uptime",
    "ts": "1700000000.000100",
    "event_ts": "1700000000.000100",
}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message"},
        {"type": "app_mention"},
        {"type": "reaction_added", "user": "U0ANA", "reaction": 7, "item": []},
        {"type": "app_home_opened", "user": None},
        {"type": "from_the_future", "channel": {"id": "C1"}},
        _WHOLE | {"channel": "../general"},
        _WHOLE | {"channel": "slack:C0HOMING1"},
        _WHOLE | {"channel": {"id": "C0HOMING1"}},
        _WHOLE | {"user": "ana"},
        _WHOLE | {"user": None},
        _WHOLE | {"ts": "yesterday"},
        _WHOLE | {"thread_ts": "C0HOMING1"},
        _WHOLE | {"text": ["run", "uptime"]},
        _WHOLE | {"blocks": "none", "text": None},
    ],
)
async def test_an_event_that_makes_no_sense_is_dropped_and_ends_nothing(rig: SlackRig, event: Form) -> None:
    world = rig.network.server.world
    body = event_callback(rig.app, {"event_ts": "1700000000.000100", **event}, world)
    await rig.network.server.postman.deliver(rig.app, body, repeats=False)
    assert rig.inbox.calls == 0
    await rig.write(rig.here, "run uptime")
    assert (await arrived(rig))[0].text == "run uptime"


@pytest.mark.parametrize(
    "frame",
    [
        "no JSON",
        "[]",
        "null",
        "7",
        "{}",
        '{"type": "events_api"}',
        '{"type": "events_api", "envelope_id": "e1", "payload": null}',
        '{"type": "events_api", "envelope_id": "e1", "payload": {"type": "event_callback", "event": []}}',
        '{"type": "interactive", "envelope_id": "e2", "payload": {"type": "block_actions", "actions": "none"}}',
        '{"type": "slash_commands", "envelope_id": "e3", "payload": {"command": 7}}',
        '{"type": "disconnect"}',
    ],
)
async def test_a_malformed_frame_ends_nothing(socket_network: SlackNetwork, frame: str) -> None:
    async with running(socket_network) as rig:
        await socket_network.server.send_raw(frame)
        await rig.write(rig.here, "run uptime")
        assert (await arrived(rig))[0].text == "run uptime"
