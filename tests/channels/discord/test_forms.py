"""Forms behind Discord's buttons: a reason, a code, both in one; by the real library, against a Discord of ours."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.message import Answer, Button, ButtonPress, Nonce
from tests.channels.contract import APPROVE, DENY, WITH_BOTH, WITH_CODE, WITH_REASON, RecordingInbox, at, card, until
from tests.channels.discord.rig import DiscordRig, running
from tests.platforms.discord import DiscordNetwork
from tests.platforms.discord.world import all_of

N = Nonce("n-1")


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
    rig: DiscordRig, button: Button, reason: str, code: str, filled: tuple[str, str | None]
) -> None:
    rig.inbox.note = "✅ You approved 7K3QHM."
    receipt = await rig.channel.send(at(rig.here), card("Ask", button), N)
    told = await rig.pressed(rig.here, receipt.message_id, button, reason=reason, code=code)
    assert told == "✅ You approved 7K3QHM."
    (press,) = rig.inbox.presses
    assert (press.button, press.message_id) == (button, receipt.message_id)
    assert (press.reason, press.code) == filled


async def test_the_form_names_its_command_and_cannot_be_sent_in_empty(rig: DiscordRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Ask", WITH_BOTH), N)
    for reason, code in (("", "123456"), ("disk full", ""), ("disk full", "123")):
        told = await rig.pressed(rig.here, receipt.message_id, WITH_BOTH, reason=reason, code=code)
        assert told == "This field is required."
    assert rig.inbox.presses == []
    shown = [one.callback for one in rig.network.rest.interactions.values() if one.callback is not None]
    form = shown[-1]["data"]
    assert form["title"] == "Always allow 7K3QHM"
    assert [one["label"] for one in form["components"]] == ["Reason", "Code of your own device"]
    assert [one["custom_id"] for one in all_of(form["components"]) if one["type"] == 4] == ["reason", "code"]


async def test_a_button_that_asks_for_nothing_opens_no_form(rig: DiscordRig) -> None:
    receipt = await rig.channel.send(at(rig.here), card("Ask", APPROVE), N)
    await rig.pressed(rig.here, receipt.message_id, APPROVE)
    assert [(press.reason, press.code) for press in rig.inbox.presses] == [("", None)]


class SlowInbox(RecordingInbox):
    async def press(self, press: ButtonPress) -> Answer:
        await asyncio.sleep(2.5)
        return await RecordingInbox.press(self, press)


async def test_f054_a_form_is_answered_inside_three_seconds_though_the_store_is_slow(network: DiscordNetwork) -> None:
    inbox = SlowInbox(note="✅ You approved 7K3QHM.")
    async with running(network, inbox) as rig:
        receipt = await rig.channel.send(at(rig.here), card("Ask", WITH_CODE), N)
        await rig.pressed(rig.here, receipt.message_id, WITH_CODE, code="123456")
        await until(lambda: len(inbox.presses) == 1, what="the press is recorded")
        made = list(network.rest.interactions.values())[-1]
        await until(lambda: bool(made.followups), what="the note followed")
        assert made.followups[0]["content"] == "✅ You approved 7K3QHM."
        assert made.followups[0]["flags"] & 64


async def test_f056_a_form_that_was_opened_before_a_restart_still_works(network: DiscordNetwork) -> None:
    async with running(network) as rig:
        receipt = await rig.channel.send(at(rig.here), card("Ask", WITH_CODE), N)
    async with running(network) as rig:
        await rig.pressed(rig.here, receipt.message_id, WITH_CODE, code="123456")
        assert [(press.button, press.code) for press in rig.inbox.presses] == [(WITH_CODE, "123456")]
