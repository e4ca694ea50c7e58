"""WhatsApp has no forms: what a button asks for is typed, in a conversation that nobody else reads."""

from __future__ import annotations

import pytest

from bot.domain.message import Button, Nonce
from bot.domain.words import Approve, parse_words
from channels.whatsapp import form
from tests.channels.contract import WITH_BOTH, WITH_CODE, WITH_REASON, at, card
from tests.channels.whatsapp.rig import WhatsAppRig


@pytest.mark.parametrize(
    ("button", "words"),
    [
        (WITH_REASON, "approve 7K3QHM because <reason>"),
        (WITH_CODE, "approve 7K3QHM code <code>"),
        (WITH_BOTH, "approve 7K3QHM always because <reason> code <code>"),
    ],
)
def test_the_words_to_type_stand_below_the_card_and_are_taken_as_they_stand(button: Button, words: str) -> None:
    (shown,) = form.shown(card("Approval needed", button))
    assert f"Or type: {words}" in shown.body
    typed = parse_words(words.replace("<reason>", "the disk is full").replace("<code>", "123456"))
    assert isinstance(typed, Approve)
    assert bool(typed.reason) == ("reason" in words)
    assert typed.code == ("123456" if "code" in words else None)


async def test_a_press_that_lacks_its_code_goes_to_the_core_whose_words_come_back(rig: WhatsAppRig) -> None:
    rig.inbox.note = "7K3QHM needs a code. Write: approve 7K3QHM code <code>"
    receipt = await rig.channel.send(at(rig.here), card("Approval needed", WITH_CODE), Nonce("n-1"))
    await rig.press(rig.here, receipt.message_id, WITH_CODE)
    (press,) = rig.inbox.presses
    assert (press.button, press.code) == (WITH_CODE, None)
    shown = await rig.shown(rig.here)
    assert any("approve 7K3QHM code" in one.text for one in shown[1:])
