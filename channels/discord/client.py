"""The library's clients, as we use them: they ping nobody unless told and keep nothing of what is said.

Deliberately absent: what is done with them.
"""

from __future__ import annotations

import discord

INTENTS = discord.Intents(
    guilds=True,
    guild_messages=True,
    dm_messages=True,
    message_content=True,
    guild_reactions=True,
    dm_reactions=True,
)
"""All that is read: who is in a guild, who is online and who types are not."""
LONGEST_WAIT_S = 30.0
"""A 429 that asks for less is waited out by the library, which takes no less than 30."""


class Client(discord.Client):
    def __init__(self) -> None:
        super().__init__(
            intents=INTENTS,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            max_ratelimit_timeout=LONGEST_WAIT_S,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
        )

    def dispatch(self, event: str, /, *args: object, **kwargs: object) -> None:
        """Nothing after the end: the library goes on to say `ready`, and fails over the loop that it has let go."""
        if not self.is_closed():
            super().dispatch(event, *args, **kwargs)


class ShardedClient(discord.AutoShardedClient):
    def __init__(self, shards: int) -> None:
        super().__init__(
            shard_count=shards,
            intents=INTENTS,
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            max_ratelimit_timeout=LONGEST_WAIT_S,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
        )

    def dispatch(self, event: str, /, *args: object, **kwargs: object) -> None:
        """As above."""
        if not self.is_closed():
            super().dispatch(event, *args, **kwargs)
