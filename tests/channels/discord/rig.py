"""Our Discord adapter, started against the Discord that we play: what its tests over sockets stand on.

Deliberately absent: what is tested.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from bot.domain.message import Button
from bot.domain.session import MessageId, Peer, PeerKind
from bot.ports import Channel
from tests.channels.contract import RecordingInbox, Shown, until
from tests.platforms.discord import DiscordNetwork
from tests.platforms.discord.world import App, Message, Person


@dataclass(slots=True)
class DiscordRig:
    """One life of the adapter on a network that outlives it."""

    network: DiscordNetwork
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
        return self.network.world.people[self.network.person("ana")]

    @property
    def here(self) -> Peer:
        return self.peers[0]

    async def write(self, peer: Peer, text: str, *, repeats: int = 0) -> MessageId:
        before = self.inbox.calls
        who = peer.id if peer.kind is PeerKind.DIRECT else self.ana.id
        message_id = await self.network.say(peer, who, text, repeats=repeats)
        # Discord is not answered; a rig returns when all is heard.
        await until(lambda: self.inbox.calls >= before + 1 + repeats, what="it is heard")
        return message_id

    async def press(self, peer: Peer, message_id: MessageId, button: Button, *, reason: str = "") -> None:
        await self.pressed(peer, message_id, button, reason=reason)

    async def pressed(
        self, peer: Peer, message_id: MessageId, button: Button, *, reason: str = "", code: str = ""
    ) -> str:
        who = peer.id if peer.kind is PeerKind.DIRECT else self.ana.id
        return await self.network.press(
            peer, message_id, who, button.action, reason=reason, code=code, execution=button.token()
        )

    def message(self, peer: Peer, message_id: MessageId) -> Message:
        return self.network.place(peer).messages[message_id]

    async def shown(self, peer: Peer) -> Sequence[Shown]:
        return [
            Shown(message_id=seen.id, text=seen.text, buttons=tuple(sent for _, sent in seen.buttons))
            for seen in self.network.seen(peer)
        ]


@contextlib.asynccontextmanager
async def running(
    network: DiscordNetwork,
    inbox: RecordingInbox | None = None,
    *,
    account: str = "default",
    token: str | None = None,
    slash_commands: bool = False,
    listens: bool = True,
    shards: int | None = None,
) -> AsyncIterator[DiscordRig]:
    """The adapter of this account, connected; closed at the end."""
    channel = network.channel(account, token=token, slash_commands=slash_commands, shards=shards)
    rig = DiscordRig(network, channel, inbox or RecordingInbox(), account)
    await rig.channel.start(rig.inbox)
    try:
        if listens:
            await network.listens(network.account(account))
        yield rig
    finally:
        await rig.channel.close()


async def heard(rig: DiscordRig, text: str) -> None:
    await until(lambda: text in [each.text for each in rig.inbox.messages], what=f"{text!r} is in the inbox")
