"""Discord on loopback, as strict as Discord: `DiscordNetwork` for stories and the adapter's tests."""

from tests.platforms.discord.network import DiscordNetwork

__all__ = ["DiscordNetwork"]
