"""The accounts of all networks: settings -> channels, and their life. The composition root's other half.

Each network's package is imported by the account that needs it. Deliberately absent: what an account does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Protocol, runtime_checkable

from aiohttp import web

from bot.config import Settings
from bot.domain.retry import delay_s
from bot.domain.session import DEFAULT_ACCOUNT, AccountName, AgentName, ChannelName
from bot.loop import attempt
from bot.ports import Channel, Clock, Inbox
from bot.store import OpenStore

Channels = dict[tuple[ChannelName, AccountName], Channel]

START_S = 10.0
"""So long a starting gateway waits for its accounts' first attempts. Adapters connect in tasks of their own."""
CLOSE_S = 5.0
"""What an account has to close in; whoever ends a service is asked for ten at most in all."""
_LONGEST_REST_S = 60.0
"""Between two attempts to start an account: one that is mended meanwhile is back within a minute."""


@runtime_checkable
class Mounted(Protocol):
    """A channel that is reached over our own HTTP server."""

    def mount(self, app: web.Application) -> None: ...


def build_channels(settings: Settings, store: OpenStore, clock: Clock) -> Channels:
    """Every channel of this gateway by its account, the web chat among them. None of them is started."""
    channels = build_networks(settings, clock)
    if settings.web.enabled:
        from channels.web.adapter import WebChannel

        chat = WebChannel(
            store.chat_log,
            agent=AgentName(settings.agent.name),
            account=DEFAULT_ACCOUNT,
            now=clock.now,
            public_url=settings.gateway.public_url,
            rooms=settings.web.rooms,
        )
        channels[chat.name, chat.account] = chat
    return channels


def build_networks(settings: Settings, clock: Clock) -> Channels:
    """Every account on a chat network of others."""
    made = itertools.chain(_discord(settings, clock), _slack(settings, clock), _whatsapp(settings, clock))
    return {(channel.name, channel.account): channel for channel in made}


def mount(channels: Mapping[tuple[ChannelName, AccountName], Channel], server: web.Application) -> None:
    """Add the routes of all channels that have some; before the server starts."""
    for channel in channels.values():
        if isinstance(channel, Mounted):
            channel.mount(server)


def _discord(settings: Settings, clock: Clock) -> Iterator[Channel]:
    for section in settings.discord:
        from channels.discord.adapter import DiscordChannel

        yield DiscordChannel(
            agent=AgentName(settings.agent.name),
            account=AccountName(section.account),
            reply_mode=section.reply_mode,
            token=section.token.get_secret_value(),
            api_base=section.api_base,
            gateway_url=section.gateway_url,
            shards=section.shards,
            slash_commands=section.slash_commands,
            now=clock.now,
        )


def _slack(settings: Settings, clock: Clock) -> Iterator[Channel]:
    for section in settings.slack:
        from channels.slack.adapter import SlackChannel

        app_token, signing = section.app_token, section.signing_secret
        yield SlackChannel(
            agent=AgentName(settings.agent.name),
            account=AccountName(section.account),
            reply_mode=section.reply_mode,
            bot_token=section.bot_token.get_secret_value(),
            app_token=None if app_token is None else app_token.get_secret_value(),
            signing_secret=None if signing is None else signing.get_secret_value(),
            api_base=section.api_base,
            now=clock.now,
        )


def _whatsapp(settings: Settings, clock: Clock) -> Iterator[Channel]:
    for section in settings.whatsapp:
        from channels.whatsapp.adapter import WhatsAppChannel

        yield WhatsAppChannel(
            agent=AgentName(settings.agent.name),
            account=AccountName(section.account),
            reply_mode="channel",
            account_sid=section.account_sid,
            auth_token=section.auth_token.get_secret_value(),
            sender=section.sender,
            messaging_service_sid=section.messaging_service_sid,
            template_sid=section.template_sid,
            api_base=section.api_base,
            content_base=section.content_base,
            public_url=settings.url,
            now=clock.now,
        )


class Accounts:
    """The life of all accounts: each starts, is tried again and closes by itself, whatever becomes of the others."""

    def __init__(self, channels: Mapping[tuple[ChannelName, AccountName], Channel], inbox: Inbox) -> None:
        self._channels = tuple(channels.values())
        self._inbox = inbox
        self._starting: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when each was tried once, or after START_S: what did not start is tried on."""
        tried = [asyncio.Event() for _ in self._channels]
        self._starting = [
            asyncio.create_task(self._start(channel, done), name="start")
            for channel, done in zip(self._channels, tried, strict=True)
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                for done in tried:
                    await done.wait()

    async def close(self) -> None:
        """Bounded by CLOSE_S."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(self._close(channel) for channel in self._channels))

    async def _start(self, channel: Channel, tried: asyncio.Event) -> None:
        named = {"channel": channel.name, "account": channel.account}
        for faults in itertools.count(1):
            is_started = await attempt(
                partial(channel.start, self._inbox), event="channel.start_failed", extra={**named, "faults": faults}
            )
            tried.set()
            if is_started:
                return
            await asyncio.sleep(min(_LONGEST_REST_S, delay_s(faults, jitter=0.5)))

    async def _close(self, channel: Channel) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(CLOSE_S):
                await channel.close()

        named = {"channel": channel.name, "account": channel.account}
        await attempt(bounded, event="channel.close_failed", extra=named)
