"""The loopback network keeps the channel contract under every name, and goes wrong exactly as ordered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from bot.domain.message import Button, ButtonPress, Nonce, NotPosted, Sender
from bot.domain.session import AccountName, AgentName, ChannelName, DeliveryId, MessageId, NativeId, Peer, PeerKind
from bot.errors import (
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)
from tests.channels.contract import ChannelContract, RecordingInbox, Shown, at, words
from tests.platforms.faults import Fault
from tests.platforms.forms import buttons_of
from tests.platforms.loopback import LoopbackChannel, LoopbackPlatform

NOW = 1_800_000_000.0


@dataclass(slots=True, kw_only=True)
class LoopbackRig:
    channel: LoopbackChannel
    inbox: RecordingInbox
    platform: LoopbackPlatform
    peers: Sequence[Peer]
    has_threads: bool = True

    async def write(self, peer: Peer, text: str, *, repeats: int = 0) -> MessageId:
        delivery = f"delivery-{len(self.platform.messages)}"
        message_id, _ = await self.platform.say(peer, "ada", text, sent_at=NOW, delivery=delivery)
        for _ in range(repeats):
            await self.platform.say(
                peer, "ada", text, sent_at=NOW, delivery=delivery, message_id=message_id, repeated=True
            )
        return message_id

    async def press(self, peer: Peer, message_id: MessageId, button: Button, *, reason: str = "") -> None:
        await self.platform.deliver(
            ButtonPress(
                peer=peer,
                sender=Sender(native="ben", name="Ben"),
                delivery=DeliveryId(f"press-{len(self.inbox.presses)}"),
                message_id=message_id,
                button=button,
                reason=reason,
            )
        )

    async def shown(self, peer: Peer) -> Sequence[Shown]:
        return [
            Shown(
                message_id=posted.id,
                text=posted.text,
                buttons=tuple(button.token() for button in buttons_of(posted.post)) if posted.forms else (),
            )
            for posted in self.platform.standing(peer)
        ]


def a_peer(channel: str, native: str, *, account: str = "default", kind: PeerKind = PeerKind.CHANNEL) -> Peer:
    return Peer(
        agent=AgentName("main"),
        channel=ChannelName(channel),
        account=AccountName(account),
        kind=kind,
        id=NativeId(native),
    )


@pytest.fixture(
    params=[
        ("discord", "default", {"dedupes": True}),
        ("slack", "second", {"dedupes": True}),
        ("whatsapp", "default", {"remembers": False}),
    ],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[LoopbackRig]:
    name, account, ways = request.param
    async with LoopbackPlatform(**ways) as platform:
        channel = LoopbackChannel(platform.url, ChannelName(name), AccountName(account))
        inbox = RecordingInbox()
        await channel.start(inbox)
        # Ids that differ only in case, and one that is a direct conversation.
        peers = [
            a_peer(name, "C0AB:%/🏠", account=account),
            a_peer(name, "c0ab:%/🏠", account=account),
            a_peer(name, "C0AB:%/🏠", account=account, kind=PeerKind.DIRECT),
        ]
        yield LoopbackRig(channel=channel, inbox=inbox, platform=platform, peers=peers)
        await channel.close()


class TestLoopback(ChannelContract):
    """The suite of every channel."""


@pytest.fixture
async def platform() -> AsyncIterator[LoopbackPlatform]:
    async with LoopbackPlatform() as platform:
        yield platform


@pytest.fixture
async def channel(platform: LoopbackPlatform) -> AsyncIterator[LoopbackChannel]:
    channel = LoopbackChannel(platform.url, ChannelName("slack"), AccountName("default"), answer_s=0.3)
    await channel.start(RecordingInbox())
    yield channel
    await channel.close()


HERE, THERE = a_peer("slack", "C1"), a_peer("slack", "C2")


@pytest.mark.parametrize(
    ("fault", "remedy", "stands"),
    [
        (Fault.LOST_ANSWER, ChannelUncertain, 1),
        (Fault.DROPPED, ChannelUncertain, 0),
        (Fault.UNAVAILABLE, ChannelUnavailable, 0),
        (Fault.THROTTLED, ChannelThrottled, 0),
        (Fault.REJECTED, ChannelRejected, 0),
        (Fault.HELD, ChannelHeld, 0),
        (Fault.SLOW, ChannelUncertain, 1),
    ],
)
async def test_a_fault_strikes_the_place_it_was_ordered_for_once_and_its_class_says_the_remedy(
    platform: LoopbackPlatform, channel: LoopbackChannel, fault: Fault, remedy: type[Exception], stands: int
) -> None:
    platform.order(fault, at=HERE, seconds=0.6)
    await channel.send(at(THERE), words("elsewhere all is well"), Nonce("n0"))
    with pytest.raises(remedy):
        await channel.send(at(HERE), words("this one goes wrong"), Nonce("n1"))
    assert len(platform.at(HERE)) == stands
    found = await channel.find(at(HERE), Nonce("n1"))
    assert (found is NotPosted.SURELY) == (stands == 0)
    await channel.send(at(HERE), words("the next is well"), Nonce("n2"))
    assert len(platform.at(HERE)) == stands + 1


async def test_a_gate_holds_a_send_back_until_the_test_opens_it(
    platform: LoopbackPlatform, channel: LoopbackChannel
) -> None:
    gate = platform.order(Fault.GATED)
    with pytest.raises(ChannelUncertain):
        await channel.send(at(HERE), words("too slow"), Nonce("n1"))
    assert platform.by_bot() == []
    gate.lift()
    await platform.until(lambda: platform.at(HERE), "the held post stands", within_s=5)


async def test_a_network_that_is_away_surely_took_nothing() -> None:
    channel = LoopbackChannel("http://127.0.0.1:9", ChannelName("slack"), AccountName("default"))
    with pytest.raises(ChannelUnavailable):
        await channel.send(at(HERE), words("nobody is there"), Nonce("n1"))
    await channel.close()
