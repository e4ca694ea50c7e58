"""Which agent answers where: the most specific binding wins, and nothing but the agent changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.binding import Binding, bound
from bot.domain.session import AccountName, AgentName, ChannelName, NativeId, Peer, PeerKind, ThreadId

ROOM = Peer(agent=AgentName("main"), channel=ChannelName("slack"), kind=PeerKind.CHANNEL, id=NativeId("C0OPS"))
THREAD = replace(ROOM, thread=ThreadId("17"))
SECOND = replace(ROOM, account=AccountName("second"))


def binding(agent: str, *, account: str | None = None, peer: Peer | None = None, channel: str = "slack") -> Binding:
    return Binding(
        agent=AgentName(agent),
        channel=ChannelName(channel),
        account=None if account is None else AccountName(account),
        peer=peer,
    )


BINDINGS = (
    binding("channel"),
    binding("account", account="second"),
    binding("room", account="default", peer=replace(ROOM, agent=AgentName("any"))),
    binding("thread", account="default", peer=replace(THREAD, agent=AgentName("any"))),
    binding("other", channel="discord"),
)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("peer", "agent"),
    [
        (THREAD, "thread"),
        (ROOM, "room"),
        (replace(THREAD, thread=ThreadId("18")), "room"),
        (SECOND, "account"),
        (replace(ROOM, id=NativeId("c0ops")), "channel"),
        (replace(ROOM, kind=PeerKind.DIRECT), "channel"),
        (replace(ROOM, channel=ChannelName("discord")), "other"),
        (replace(ROOM, channel=ChannelName("web")), "main"),
    ],
)
def test_the_most_specific_binding_names_the_agent(peer: Peer, agent: str, reverse: bool) -> None:
    found = bound(peer, BINDINGS[::-1] if reverse else BINDINGS)
    assert found == replace(peer, agent=AgentName(agent))


def test_of_two_equals_the_first_counts_and_none_changes_nothing() -> None:
    assert bound(ROOM, (binding("one"), binding("two"))).agent == "one"
    assert bound(ROOM, ()) == ROOM


def test_a_room_of_an_account_wins_over_that_account_in_whatever_order_they_stand() -> None:
    account, room = binding("account", account="second"), binding("room", account="second", peer=SECOND)
    thread = replace(SECOND, thread=ThreadId("17"))
    assert bound(thread, (account, room)).agent == bound(thread, (room, account)).agent == "room"
