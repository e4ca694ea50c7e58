"""Our Slack adapter, started against the Slack that we play: what all of its tests stand on.

Deliberately absent: what is tested.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from bot.domain.message import Button
from bot.domain.session import MessageId, Peer
from bot.ports import Channel
from tests.channels.contract import RecordingInbox, Shown, until
from tests.platforms.slack import SlackNetwork
from tests.platforms.slack.network import sent_by
from tests.platforms.slack.people import GRACE_S, Told
from tests.platforms.slack.world import App, Conversation, Person


@dataclass(slots=True)
class SlackRig:
    """One life of the adapter on a network that outlives it."""

    network: SlackNetwork
    channel: Channel
    inbox: RecordingInbox
    account: str = "default"
    has_threads: bool = True
    peers: Sequence[Peer] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        self.peers = (*self.network.rooms, self.network.direct(self.ana.id))

    @property
    def app(self) -> App:
        return self.network.account(self.account)

    @property
    def ana(self) -> Person:
        return self.network.who(self.network.person("ana"))

    @property
    def here(self) -> Peer:
        return self.peers[0]

    @property
    def room(self) -> Conversation:
        return self.network.conversation(self.here)

    async def write(self, peer: Peer, text: str, *, repeats: int = 0) -> MessageId:
        return await self.network.say(peer, self._who(peer), text, repeats=repeats)

    async def press(self, peer: Peer, message_id: MessageId, button: Button, *, reason: str = "") -> None:
        # Who looks at no words waits for none; the form of a denial is open before the press is acknowledged.
        await self.pressed(peer, message_id, button, reason=reason, grace_s=0.02)

    async def pressed(
        self,
        peer: Peer,
        message_id: MessageId,
        button: Button,
        *,
        reason: str = "",
        code: str = "",
        grace_s: float = GRACE_S,
    ) -> Told:
        return await self.network.people.press(
            self.network.account(peer.account),
            self.network.who(self._who(peer)),
            self.network.message(peer, message_id),
            lambda shown: sent_by(shown) == button.token(),
            reason=reason,
            code=code,
            grace_s=grace_s,
        )

    async def shown(self, peer: Peer) -> Sequence[Shown]:
        return [
            Shown(message_id=seen.id, text=seen.text, buttons=tuple(sent for _, sent in seen.buttons))
            for seen in self.network.seen(peer)
        ]

    def _who(self, peer: Peer) -> str:
        return peer.id if peer.kind.value == "direct" else self.ana.id


BACK_S = 30.0
"""A lost connection is noticed and made again within so long; on a loaded machine too."""


@contextlib.asynccontextmanager
async def running(
    network: SlackNetwork, inbox: RecordingInbox | None = None, *, account: str = "default"
) -> AsyncIterator[SlackRig]:
    """The adapter of this account, connected; closed at the end."""
    rig = SlackRig(network, network.channel(account), inbox or RecordingInbox(), account)
    await rig.channel.start(rig.inbox)
    try:
        await until(lambda: network.is_connected(account), what="Slack can reach the adapter")
        yield rig
    finally:
        await rig.channel.close()


async def heard(rig: SlackRig, text: str) -> None:
    await until(lambda: text in [each.text for each in rig.inbox.messages], what=f"{text!r} is in the inbox")


async def behind_its_back(rig: SlackRig, peer: Peer, text: str) -> MessageId:
    """Written while nobody of us listened: Slack has given up to deliver it."""
    message = await rig.network.people.write(
        rig.app, rig.network.conversation(peer), rig.ana, text, thread_ts=peer.thread, deliver=False
    )
    return MessageId(message.ts)
