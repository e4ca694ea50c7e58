"""WhatsApp keeps the promises of every channel."""

from __future__ import annotations

from bot.domain.message import Nonce
from tests.channels.contract import APPROVE, DENY, ChannelContract, Rig, at, card, until


class TestWhatsApp(ChannelContract):
    has_member_buttons = False

    async def test_a_denial_carries_its_reason(self, rig: Rig) -> None:
        """There is no form behind a quick reply: the press has none, and the card names the word that takes one."""
        receipt = await rig.channel.send(at(rig.peers[0]), card("Approval needed", APPROVE, DENY), Nonce("n-1"))
        await rig.press(rig.peers[0], receipt.message_id, DENY)
        await until(lambda: len(rig.inbox.presses) == 1, what="the press is in the inbox")
        assert rig.inbox.presses[0].reason == ""
        assert "deny 7K3QHM <reason>" in (await rig.shown(rig.peers[0]))[0].text
