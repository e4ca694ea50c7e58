"""Where something of the config holds: everywhere, on one channel, or in one conversation with its threads.

Deliberately absent: what holds there.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.session import ChannelName, Peer, parse_key
from bot.errors import MalformedKey

ANYONE = "*"
"""Everybody, in lists of people; everywhere, in lists of places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a rule holds: a channel, or one conversation of it with all its threads."""

    channel: ChannelName | None = None
    peer: Peer | None = None

    def holds(self, peer: Peer) -> bool:
        if self.peer is not None:
            here = peer if self.peer.thread is not None else peer.parent()
            mine = (self.peer.channel, self.peer.account, self.peer.kind, self.peer.id, self.peer.thread)
            return mine == (here.channel, here.account, here.kind, here.id, here.thread)
        return self.channel is None or self.channel == peer.channel


def parse_place(text: str) -> Place:
    """`*`, `web`, or the peer's part of a session key: `web:channel:ops`. Raises `MalformedKey`."""
    if text == ANYONE:
        return Place()
    # A channel alone is read as the beginning of a key: one parser knows what may name a channel.
    is_channel = ":" not in text
    named = parse_key(f"agent:any:{text}:channel:any" if is_channel else f"agent:any:{text}")
    if not isinstance(named, Peer):
        raise MalformedKey(f"{text!r} names no conversation of a channel")
    return Place(channel=named.channel) if is_channel else Place(peer=named)
