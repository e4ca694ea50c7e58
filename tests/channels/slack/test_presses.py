"""Buttons, forms, App Home and reactions on Slack: each names its card, is told privately, and survives a restart."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from bot.domain.message import Answer, Button, ButtonPress, Nonce, Post, Reaction
from bot.domain.session import MessageId, Peer
from tests.channels.contract import APPROVE, DENY, RecordingInbox, at, card, until
from tests.channels.slack.rig import SlackRig, running
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.network import sent_by
from tests.platforms.slack.payloads import press_payload
from tests.platforms.slack.people import Told
from tests.platforms.slack.world import Form

ASKED = card("Approval needed", APPROVE, DENY)


@dataclass(slots=True)
class GatedInbox(RecordingInbox):
    """A store that is slow about presses: nothing is recorded until the gate opens."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def press(self, press: ButtonPress) -> Answer:
        await self.gate.wait()
        return await RecordingInbox.press(self, press)


async def posted(rig: SlackRig, peer: Peer, post: Post = ASKED, nonce: str = "n-1") -> MessageId:
    return (await rig.channel.send(at(peer), post, Nonce(nonce))).message_id


async def pressed(rig: SlackRig, count: int = 1) -> list[ButtonPress]:
    await until(lambda: len(rig.inbox.presses) >= count, what=f"{count} presses are in the inbox")
    return rig.inbox.presses


@pytest.fixture
def places(rig: SlackRig) -> list[Peer]:
    group = rig.network.peer(rig.network.room("mpdm-ana--bo--homing-1", "mpim", letter="G"))
    assert rig.network.thread is not None
    return [*rig.peers, rig.network.thread, group]


async def test_f048_a_press_knows_its_conversation_of_every_kind(rig: SlackRig, places: list[Peer]) -> None:
    for number, place in enumerate(places):
        message_id = await posted(rig, place, nonce=f"n-{number}")
        await rig.press(place, message_id, APPROVE)
        press = (await pressed(rig, number + 1))[-1]
        assert (press.peer, press.message_id, press.button) == (place, message_id, APPROVE)
        assert (press.sender.native, press.space) == (rig.ana.id, rig.app.team.id)


async def test_a_channel_that_is_named_like_a_conversation_of_several_is_a_channel(rig: SlackRig) -> None:
    room = rig.network.peer(rig.network.room("mpdm-look-alike"))
    receipt = await rig.channel.send(at(room), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
    await rig.pressed(room, receipt.message_id, APPROVE)
    assert [press.peer for press in rig.inbox.presses] == [room]


async def test_f071_a_reaction_knows_its_conversation_of_every_kind(rig: SlackRig, places: list[Peer]) -> None:
    for number, place in enumerate(places):
        message_id = await posted(rig, place, nonce=f"n-{number}")
        await rig.network.react(place, message_id, rig.ana.id, "👍🏾")
        await until(lambda: len(rig.inbox.reactions) > number, what="the reaction is in the inbox")  # noqa: B023
        reaction = rig.inbox.reactions[-1]
        assert (reaction.peer, reaction.message_id, reaction.sender.native) == (place, message_id, rig.ana.id)
        assert reaction.emoji.startswith("+1")


async def test_what_we_react_ourselves_and_what_is_no_message_is_not_heard(rig: SlackRig) -> None:
    message_id = await posted(rig, rig.here)
    people, message = rig.network.people, rig.network.message(rig.here, message_id)
    await people.react(rig.app, message, rig.network.who(rig.app.bot_user), "✅")
    assert rig.inbox.reactions == []
    await people.react(rig.app, message, rig.ana, "✅")
    await until(lambda: len(rig.inbox.reactions) == 1, what="the person's own is heard")
    assert rig.inbox.reactions[0].emoji in {"white_check_mark", "✅"}


async def test_a_reaction_that_could_not_be_recorded_comes_again(rig: SlackRig) -> None:
    message_id = await posted(rig, rig.here)
    rig.network.server.postman.ack_s = 1.0
    rig.inbox.is_down = True
    await rig.network.react(rig.here, message_id, rig.ana.id, "✅")
    rig.inbox.is_down = False
    await until(lambda: len(rig.inbox.reactions) == 1, what="the reaction was delivered again")


async def test_a_refusal_is_told_to_the_one_who_pressed_and_to_nobody_else(rig: SlackRig, places: list[Peer]) -> None:
    rig.inbox.note = "Only <ana> & bo may decide that: *you* may not."
    for number, place in enumerate(places):
        message_id = await posted(rig, place, nonce=f"n-{number}")
        told = await rig.pressed(place, message_id, APPROVE)
        assert told == Told(words=rig.inbox.note, is_acknowledged=True)
        assert [seen.id for seen in rig.network.seen(place)] == [message_id]
    assert {one.user for one in rig.network.server.world.ephemerals} == {rig.ana.id}


async def test_f054_a_press_that_could_not_be_recorded_says_so_and_counts_when_it_is_repeated(rig: SlackRig) -> None:
    message_id = await posted(rig, rig.here)
    rig.inbox.is_down = True
    for button in (APPROVE, DENY):
        told = await rig.pressed(rig.here, message_id, button, reason="no")
        assert "not recorded" in told.words.lower()
        assert "again" in told.words.lower()
    rig.inbox.is_down = False
    await rig.press(rig.here, message_id, APPROVE)
    assert (await pressed(rig))[0].button == APPROVE


async def test_f054_a_press_on_a_slow_store_is_acknowledged_in_time_and_told_when_it_is_recorded(
    network: SlackNetwork,
) -> None:
    inbox = GatedInbox(note="Approved.")
    async with running(network, inbox) as rig:
        message_id = await posted(rig, rig.here)
        told = await rig.pressed(rig.here, message_id, APPROVE)
        assert told == Told(words="", is_acknowledged=True)
        assert inbox.presses == []
        inbox.gate.set()
        await until(lambda: network.people.whispered(rig.ana.id) == "Approved.", what="it is told afterwards")
        assert [press.button for press in inbox.presses] == [APPROVE]


@pytest.mark.parametrize("button", [APPROVE, DENY])
async def test_f053_a_card_of_an_earlier_process_is_pressed_as_any(network: SlackNetwork, button: Button) -> None:
    async with running(network) as earlier:
        message_id = await posted(earlier, earlier.here)
    async with running(network) as later:
        await later.press(later.here, message_id, button, reason="no")
        press = (await pressed(later))[0]
        assert (press.button, press.message_id, press.peer) == (button, message_id, later.here)


async def test_a_form_that_an_earlier_process_opened_is_taken_by_a_later_one(network: SlackNetwork) -> None:
    async with running(network) as earlier:
        message_id = await posted(earlier, earlier.here)
        network.server.postman.in_background(earlier.pressed(earlier.here, message_id, DENY, reason="first"))
        await until(lambda: bool(network.server.api.opened), what="the form is open")
        view = network.server.api.opened[-1][1]
        await until(lambda: len(earlier.inbox.presses) == 1, what="the first submission is in the inbox")
    async with running(network) as later:
        await network.people.submit(later.app, later.ana, view, "not during the freeze")
        press = (await pressed(later))[0]
        assert (press.button, press.reason, press.peer) == (DENY, "not during the freeze", later.here)


@pytest.mark.parametrize("reason", ["", "no", "<!channel> & *why*: `rm` 🏠\nsecond line"])
async def test_a_denial_asks_for_a_reason_that_may_be_left_out(rig: SlackRig, places: list[Peer], reason: str) -> None:
    for number, place in enumerate(places):
        message_id = await posted(rig, place, nonce=f"n-{number}")
        await rig.press(place, message_id, DENY, reason=reason)
        press = (await pressed(rig, number + 1))[-1]
        assert (press.button, press.reason, press.peer, press.message_id) == (DENY, reason, place, message_id)


async def test_f054_a_form_that_opens_too_late_loses_nothing_but_the_form(rig: SlackRig) -> None:
    message_id = await posted(rig, rig.here)
    rig.network.server.trigger_s = -1.0
    told = await rig.pressed(rig.here, message_id, DENY)
    assert told.is_acknowledged
    assert rig.inbox.presses or told.words, "either it was denied without a reason, or the person is told"


async def test_f056_a_press_on_a_view_that_was_edited_since_still_names_what_was_pressed(rig: SlackRig) -> None:
    message_id = await posted(rig, rig.here)
    await rig.channel.edit(rig.here, message_id, card("Denied, nothing ran"))
    await rig.press(rig.here, message_id, APPROVE)
    assert (await pressed(rig))[0].button == APPROVE


@pytest.mark.parametrize(
    "forged",
    [
        {"value": "h1:approve:7K3QHM:zz"},
        {"value": None},
        {"value": {"h1": "approve"}},
        {"value": "", "action_id": "x" * 255},
    ],
)
async def test_f070_a_forged_button_is_no_press(rig: SlackRig, forged: Form) -> None:
    message_id = await posted(rig, rig.here)
    message = rig.network.message(rig.here, message_id)
    shown = next(each for each in message.blocks if each["type"] == "actions")["elements"][0]
    payload = press_payload(
        rig.app, rig.ana, message, shown | {"block_id": "b"}, rig.network.server.world, trigger="t", response_url=""
    )
    payload["actions"][0] |= {"action_id": "homing:x", **forged}
    await rig.network.server.postman.deliver(rig.app, payload, repeats=False)
    assert rig.inbox.presses == []
    await rig.press(rig.here, message_id, APPROVE)
    assert len(await pressed(rig)) == 1


async def test_f066_app_home_shows_what_waits_for_the_one_who_looks_and_its_buttons_work(rig: SlackRig) -> None:
    rig.inbox.asks = [ASKED, card("Approval needed", replace(APPROVE, execution_id="AAAAAA"))]
    people = rig.network.people
    await people.open_home(rig.app, rig.ana)
    await until(lambda: "df -h /srv" in people.home(rig.app, rig.ana), what="App Home shows the command")
    await people.press_home(rig.app, rig.ana, lambda shown: sent_by(shown) == APPROVE.token())
    press = (await pressed(rig))[0]
    assert (press.button, press.message_id, press.sender.native) == (APPROVE, None, rig.ana.id)
    await people.press_home(rig.app, rig.ana, lambda shown: sent_by(shown) == DENY.token(), reason="no")
    press = (await pressed(rig, 2))[1]
    assert (press.button, press.message_id, press.reason) == (DENY, None, "no")


async def test_app_home_says_when_nothing_waits_and_holds_twenty_long_cards(rig: SlackRig) -> None:
    people = rig.network.people
    await people.open_home(rig.app, rig.ana)
    await until(lambda: people.home(rig.app, rig.ana) != "", what="App Home says something")
    empty = people.home(rig.app, rig.ana)
    many = [replace(ASKED, buttons=(replace(APPROVE, execution_id=f"AAAA{number:02d}"), DENY)) for number in range(20)]
    rig.inbox.asks = many
    await people.open_home(rig.app, rig.ana)
    await until(lambda: people.home(rig.app, rig.ana) != empty, what="App Home shows cards")
    assert people.home(rig.app, rig.ana).count("df -h /srv") >= 10


async def test_app_home_of_a_store_that_is_down_ends_nothing(rig: SlackRig) -> None:
    rig.inbox.asks = [ASKED]
    await rig.network.people.open_home(rig.app, rig.ana)
    await until(lambda: "df -h" in rig.network.people.home(rig.app, rig.ana), what="App Home shows the command")
    rig.inbox.is_down = True
    told = await rig.network.people.press_home(rig.app, rig.ana, lambda shown: sent_by(shown) == APPROVE.token())
    assert told.is_acknowledged
    rig.inbox.is_down = False
    await rig.network.people.press_home(rig.app, rig.ana, lambda shown: sent_by(shown) == APPROVE.token())
    assert len(await pressed(rig)) == 1


async def test_two_reactions_and_their_repeats_are_two(rig: SlackRig) -> None:
    message_id = await posted(rig, rig.here)
    bo = rig.network.person("bo")
    for person in (rig.ana.id, bo):
        await rig.network.react(rig.here, message_id, person, "👎")
    again = [attempt.body for attempt in rig.network.server.postman.attempts if "reaction" in attempt.body["event"]]
    for body in again:
        await rig.network.server.postman.deliver(rig.app, body, repeats=False)
    kept: list[Reaction] = rig.inbox.reactions
    assert sorted(each.sender.native for each in kept) == sorted((rig.ana.id, bo))
