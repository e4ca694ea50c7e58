"""Discord keeps the promises of every channel."""

from __future__ import annotations

from tests.channels.contract import ChannelContract


class TestDiscord(ChannelContract):
    """The suite of every channel, through discord.py over sockets."""
