"""What an operator may have set up wrongly at Discord, by REST alone. Posts nothing, listens to nothing."""

from __future__ import annotations

from collections.abc import Iterator

import discord

from bot.ports import Check
from channels.discord import faults
from channels.discord.client import Client

MAX_GUILDS = 5
"""Whose slash commands are looked at: an operator sees by a few how the bot was added."""


async def checks(token: str, *, slash_commands: bool) -> tuple[Check, ...]:
    """Never raises: a network that cannot be reached is a finding."""
    client = Client()
    try:
        await client.login(token)
        return await _look(client, slash_commands=slash_commands)
    except discord.LoginFailure:
        return (
            Check(
                is_ok=False,
                said="Discord refuses the token",
                remedy="in the Developer Portal, page Bot, press Reset Token, and put the new one into token, "
                "token_file or DISCORD_BOT_TOKEN",
            ),
        )
    except (*faults.SDK, *faults.MALFORMED) as fault:
        return (
            Check(
                is_ok=False,
                said=f"Discord cannot be asked ({type(fault).__name__})",
                remedy="look at the network, a proxy or firewall before it, and api_base",
            ),
        )
    finally:
        await client.close()


async def _look(client: discord.Client, *, slash_commands: bool) -> tuple[Check, ...]:
    found = [Check(is_ok=True, said="Discord takes the token")]
    found += _of_application(client)
    guilds = [guild async for guild in client.fetch_guilds(limit=MAX_GUILDS, with_counts=False)]
    if not guilds:
        found.append(
            Check(
                is_ok=False,
                said="the bot is in no guild",
                remedy="in the Developer Portal, page Installation or OAuth2, make a link with the scopes bot and "
                "applications.commands, open it and choose a guild",
            )
        )
    elif slash_commands and client.application_id is not None:
        found.append(await _scope(client, client.application_id, guilds))
    return tuple(found)


def _of_application(client: discord.Client) -> Iterator[Check]:
    flags = client.application_flags
    if flags.gateway_message_content or flags.gateway_message_content_limited:
        yield Check(is_ok=True, said="it may read what messages say")
    else:
        yield Check(
            is_ok=False,
            said="it may not read what messages say, and Discord refuses its connection (4014)",
            remedy="in the Developer Portal, page Bot, switch on Message Content Intent",
        )
    application = client.application
    if application is not None and application.interactions_endpoint_url:
        yield Check(
            is_ok=False,
            said="an Interactions Endpoint URL is set, so presses and slash commands do not come here",
            remedy="in the Developer Portal, page General Information, empty Interactions Endpoint URL",
        )


async def _scope(client: discord.Client, application: int, guilds: list[discord.Guild]) -> Check:
    """Discord lets an application ask for a guild's commands only where it was added with that scope."""
    without = 0
    for guild in guilds:
        try:
            await client.http.get_guild_commands(application, guild.id)
        except discord.Forbidden:
            without += 1
    if not without:
        return Check(is_ok=True, said="it may offer slash commands")
    return Check(
        is_ok=False,
        said=f"in {without} of the {len(guilds)} guilds looked at it may not offer slash commands",
        remedy="add it there again by a link with the scopes bot and applications.commands (nothing is lost by that), "
        "or set slash_commands = false",
    )
