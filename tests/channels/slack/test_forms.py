"""Forms behind Slack's buttons: a reason, a code, both in one; by the real library against the Slack that we play."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from bot.domain.message import Answer, Button, ButtonPress, Nonce
from bot.domain.session import MessageId
from tests.channels.contract import APPROVE, DENY, WITH_BOTH, WITH_CODE, WITH_REASON, RecordingInbox, at, card, until
from tests.channels.slack.rig import SlackRig, running
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.network import sent_by


async def posted(rig: SlackRig, button: Button) -> MessageId:
    return (await rig.channel.send(at(rig.here), card("Approval needed", button), Nonce("n-1"))).message_id


@pytest.mark.parametrize(
    ("button", "reason", "code", "filled"),
    [
        (WITH_REASON, "disk full", "", ("disk full", None)),
        (WITH_CODE, "", "123 456", ("", "123 456")),
        (WITH_BOTH, "disk full", "2345-6723-4567", ("disk full", "2345-6723-4567")),
        (DENY, "not now", "", ("not now", None)),
    ],
)
async def test_one_form_asks_for_all_that_the_button_asks_and_all_of_it_comes_in_with_the_press(
    rig: SlackRig, button: Button, reason: str, code: str, filled: tuple[str, str | None]
) -> None:
    rig.inbox.note = "✅ You approved 7K3QHM."
    message_id = await posted(rig, button)
    told = await rig.pressed(rig.here, message_id, button, reason=reason, code=code)
    assert (told.words, told.is_acknowledged) == ("✅ You approved 7K3QHM.", True)
    (press,) = rig.inbox.presses
    assert (press.button, press.message_id, press.peer) == (button, message_id, rig.here)
    assert (press.reason, press.code) == filled
    assert {one.user for one in rig.network.server.world.ephemerals} == {rig.ana.id}


async def test_the_form_names_its_command_and_cannot_be_sent_in_empty(rig: SlackRig) -> None:
    message_id = await posted(rig, WITH_BOTH)
    for reason, code in (("", "123456"), ("disk full", "")):
        told = await rig.pressed(rig.here, message_id, WITH_BOTH, reason=reason, code=code)
        assert told.words == "Please complete this required field."
    assert (await rig.pressed(rig.here, message_id, WITH_BOTH, reason="x", code="123")).words.startswith("That is too")
    assert rig.inbox.presses == []
    _, view = rig.network.server.api.opened[-1]
    assert view["title"]["text"] == "Always allow"
    labels = [block["label"]["text"] for block in view["blocks"] if block["type"] == "input"]
    assert labels == ["Reason, kept with your yes", "Code of your own device"]


async def test_a_button_that_asks_for_nothing_opens_no_form(rig: SlackRig) -> None:
    await rig.pressed(rig.here, await posted(rig, APPROVE), APPROVE)
    assert rig.network.server.api.opened == []
    assert [(press.reason, press.code) for press in rig.inbox.presses] == [("", None)]


async def test_f066_app_home_asks_in_a_form_too(rig: SlackRig) -> None:
    rig.inbox.asks = [card("Approval needed", WITH_BOTH)]
    people = rig.network.people
    await people.open_home(rig.app, rig.ana)
    await until(lambda: people.home(rig.app, rig.ana) != "", what="App Home is shown")
    await people.press_home(
        rig.app, rig.ana, lambda shown: sent_by(shown) == WITH_BOTH.token(), reason="disk full", code="123456"
    )
    await until(lambda: len(rig.inbox.presses) == 1, what="the press is recorded")
    press = rig.inbox.presses[0]
    assert (press.button, press.message_id, press.reason, press.code) == (WITH_BOTH, None, "disk full", "123456")


async def test_f054_a_form_that_could_not_be_recorded_says_so_in_itself(rig: SlackRig) -> None:
    message_id = await posted(rig, WITH_CODE)
    rig.inbox.is_down = True
    told = await rig.pressed(rig.here, message_id, WITH_CODE, code="123456")
    assert told.words == "Not recorded: nothing was decided. Please press again."
    rig.inbox.is_down = False
    await rig.pressed(rig.here, message_id, WITH_CODE, code="123456")
    assert [press.code for press in rig.inbox.presses] == ["123456"]


@dataclass(slots=True)
class GatedInbox(RecordingInbox):
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def press(self, press: ButtonPress) -> Answer:
        await self.gate.wait()
        return await RecordingInbox.press(self, press)


async def test_f054_a_form_on_a_slow_store_is_acknowledged_in_time_and_told_when_it_is_recorded(
    network: SlackNetwork,
) -> None:
    inbox = GatedInbox(note="✅ You approved 7K3QHM.")
    async with running(network, inbox) as rig:
        message_id = await posted(rig, WITH_CODE)
        told = await rig.pressed(rig.here, message_id, WITH_CODE, code="123456", grace_s=0.1)
        assert told.is_acknowledged
        assert inbox.presses == []
        inbox.gate.set()
        await until(lambda: "You approved" in network.people.whispered(rig.ana.id), what="it is told afterwards")
        assert [press.code for press in inbox.presses] == ["123456"]


async def test_one_form_that_slack_hands_in_twice_is_one_delivery(rig: SlackRig) -> None:
    message_id = await posted(rig, WITH_CODE)
    await rig.pressed(rig.here, message_id, WITH_CODE, code="123456")
    _, view = rig.network.server.api.opened[-1]
    await rig.network.people.submit(rig.app, rig.ana, view, "", code="123456")
    assert len({press.delivery for press in rig.inbox.presses}) == 1
