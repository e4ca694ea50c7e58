"""Our WhatsApp adapter, started against the Twilio that we play: what all of its tests stand on.

Deliberately absent: what is tested.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from bot.domain.message import Button
from bot.domain.session import MessageId, Peer
from tests.channels.contract import RecordingInbox, Shown
from tests.platforms.whatsapp import WhatsAppNetwork
from tests.platforms.whatsapp.network import Mounted
from tests.platforms.whatsapp.world import Account


@dataclass(slots=True)
class WhatsAppRig:
    """One life of the adapter on a network that outlives it. The windows of both people are open."""

    network: WhatsAppNetwork
    channel: Mounted
    inbox: RecordingInbox
    account: str = "default"
    has_threads: bool = False
    peers: Sequence[Peer] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        self.peers = tuple(self.network.direct(self.network.person(name), self.account) for name in ("ada", "ben"))
        for peer in self.peers:
            self.twilio.hears(str(peer.id))

    @property
    def twilio(self) -> Account:
        return self.network.server.account(self.account)

    @property
    def here(self) -> Peer:
        return self.peers[0]

    async def write(self, peer: Peer, text: str, *, repeats: int = 0) -> MessageId:
        return await self.network.say(peer, str(peer.id), text, repeats=repeats)

    async def press(self, peer: Peer, message_id: MessageId, button: Button, *, reason: str = "") -> None:
        assert not reason, "the buttons of WhatsApp have no form"
        await self.network.tap(peer, message_id, button.token())

    async def shown(self, peer: Peer) -> Sequence[Shown]:
        return [
            Shown(message_id=seen.id, text=seen.text, buttons=tuple(sent for _, sent in seen.buttons))
            for seen in self.network.seen(peer)
        ]


@contextlib.asynccontextmanager
async def running(
    network: WhatsAppNetwork, inbox: RecordingInbox | None = None, *, account: str = "default"
) -> AsyncIterator[WhatsAppRig]:
    """The adapter of this account; closed at the end."""
    rig = WhatsAppRig(network, network.channel(account), inbox or RecordingInbox(), account)
    await rig.channel.start(rig.inbox)
    try:
        yield rig
    finally:
        await rig.channel.close()
