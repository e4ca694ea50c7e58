"""What a form of the web chat sends, and what the chat's own log keeps of a code."""

from __future__ import annotations

import pytest

from bot.domain.factor import HIDDEN
from bot.domain.message import Nonce
from bot.domain.session import Peer
from tests.channels.contract import DENY, WITH_BOTH, WITH_CODE, at, card
from tests.channels.web.site import Site, Visitor, direct, room


async def test_the_page_is_told_what_a_button_asks_and_what_was_filled_in_comes_with_the_press(
    site: Site, ana: Visitor
) -> None:
    receipt = await site.channel.send(at(room("ops")), card("Approval needed", WITH_BOTH, DENY), Nonce("n-1"))
    post = (await ana.read(room("ops")))[0]["post"]
    assert isinstance(post, dict)
    assert [button["asks"] for button in post["buttons"]] == [["reason", "code"], []]
    fields = await ana.press_fields(room("ops"), receipt.message_id, WITH_BOTH)
    assert (await ana.post("/web/presses", {**fields, "reason": "disk full", "code": " 123 456 "})).status == 200
    (press,) = site.inbox.presses
    assert (press.button, press.reason, press.code) == (WITH_BOTH, "disk full", "123 456")


@pytest.mark.parametrize("code", [5, "1" * 21, "12\u0000"])
async def test_what_no_code_can_be_is_refused(site: Site, ana: Visitor, code: object) -> None:
    receipt = await site.channel.send(at(room("ops")), card("Approval needed", WITH_CODE), Nonce("n-1"))
    fields = await ana.press_fields(room("ops"), receipt.message_id, WITH_CODE)
    assert (await ana.post("/web/presses", {**fields, "code": code})).status == 400
    assert site.inbox.presses == []


@pytest.mark.parametrize("where", [room("ops"), direct("ana")])
async def test_a_code_that_is_typed_reaches_the_core_and_not_the_chats_log(
    site: Site, ana: Visitor, where: Peer
) -> None:
    said = "approve 7K3QHM code 123456"
    nonce = ana.nonce()
    for _ in range(2):
        # A repeat, whose first answer was lost, says the same.
        assert (await ana.write(where, said, nonce=nonce)).status == 200
    assert [message.text for message in site.inbox.messages] == [said]
    assert [message["text"] for message in await ana.read(where)] == [f"approve 7K3QHM code {HIDDEN}"]
    assert b"123456" not in site.path.read_bytes()


async def test_a_message_that_was_lost_between_log_and_core_comes_without_its_code_after_a_restart(
    site: Site, ana: Visitor
) -> None:
    site.inbox.is_down = True
    await ana.write(direct("ana"), "approve 7K3QHM code 123456")
    site.inbox.is_down = False
    await site.restart()
    assert [message.text for message in site.inbox.messages] == [f"approve 7K3QHM code {HIDDEN}"]


async def test_a_command_stands_in_the_log_to_the_letter(ana: Visitor) -> None:
    await ana.write(room("ops"), "run echo code 123456")
    assert [message["text"] for message in await ana.read(room("ops"))] == ["run echo code 123456"]
