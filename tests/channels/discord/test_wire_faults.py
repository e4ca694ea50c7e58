"""What Discord says against a send names the remedy; and what can never be an address never reaches Discord."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import aiohttp
import discord
import pytest

from bot.domain.message import Nonce
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, NativeId, Peer, PeerKind, ThreadId
from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
    ConfigError,
)
from channels.discord import faults
from channels.discord.adapter import DiscordChannel
from tests.channels.contract import at, words

NOWHERE = "http://127.0.0.1:9/api/v10"
"""The discard port: nothing listens there."""


@dataclass(slots=True)
class Answered:
    """What the library's errors read of a response."""

    status: int
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def fault(status: int, code: int = 0, **headers: str) -> discord.HTTPException:
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(status, discord.HTTPException)
    kind = discord.DiscordServerError if status >= 500 else kind
    answer = Answered(status, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return kind(answer, {"code": code, "message": "words from outside"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raised", "remedy"),
    [
        (fault(503), ChannelUnavailable),
        (fault(502), ChannelUncertain),
        (fault(401), ChannelUnavailable),
        (fault(429), ChannelThrottled),
        (fault(400, 20016), ChannelThrottled),
        (discord.RateLimited(45.0), ChannelThrottled),
        (fault(400, 50083), ChannelHeld),
        (fault(403, 50013), ChannelRejected),
        (fault(403, 50007), ChannelRejected),
        (fault(404, 10003), ChannelRejected),
        (fault(400, 50035), ChannelRejected),
        (aiohttp.ServerDisconnectedError(), ChannelUncertain),
        (TimeoutError(), ChannelUncertain),
        (KeyError("id"), ChannelUncertain),
    ],
)
def test_every_fault_of_a_send_names_its_remedy(raised: Exception, remedy: type[ChannelError]) -> None:
    error = faults.of_send(raised, may_stand=True)
    assert type(error) is remedy
    assert "outside" not in str(error)


@pytest.mark.parametrize("raised", [fault(502), aiohttp.ServerDisconnectedError(), TimeoutError(), KeyError("id")])
def test_an_edit_is_never_in_doubt_because_it_may_be_repeated(raised: Exception) -> None:
    assert type(faults.of_send(raised, may_stand=False)) is ChannelUnavailable


@pytest.mark.parametrize(("said", "waited"), [("7", 7.0), ("0", 1.0), ("99999", 3_600.0), ("soon", 60.0)])
def test_f099_patience_is_what_discord_asks_for_within_reason(said: str, waited: float) -> None:
    error = faults.of_send(fault(429, Retry_After=said), may_stand=True)
    assert isinstance(error, ChannelThrottled)
    assert error.retry_after_s == waited


def channel(account: str = "default", api_base: str = NOWHERE) -> DiscordChannel:
    return DiscordChannel(
        agent=AgentName("main"),
        account=AccountName(account),
        reply_mode="channel",
        token="not-a-token",
        api_base=api_base,
        gateway_url=None,
        shards=None,
        slash_commands=True,
        now=time.time,
    )


OPS = Peer(
    agent=AgentName("main"),
    channel=ChannelName("discord"),
    account=AccountName("default"),
    kind=PeerKind.CHANNEL,
    id=NativeId("800000000000000001"),
)


@pytest.mark.parametrize(
    "peer",
    [
        replace(OPS, id=NativeId("general")),
        replace(OPS, id=NativeId("channel:800000000000000001")),
        replace(OPS, thread=ThreadId("../800000000000000001")),
        replace(OPS, account=AccountName("second")),
        replace(OPS, channel=ChannelName("slack")),
        replace(OPS, kind=PeerKind.GROUP),
        replace(OPS, kind=PeerKind.DIRECT, thread=ThreadId("810000000000000001")),
    ],
)
async def test_f006_what_is_no_conversation_of_this_account_is_refused_before_discord_is_asked(peer: Peer) -> None:
    discord_channel = channel()
    try:
        with pytest.raises(ChannelRejected):
            await discord_channel.send(at(peer), words("astray"), Nonce("n-1"))
        with pytest.raises(ChannelRejected):
            await discord_channel.edit(peer, MessageId("1574280000000000001"), words("astray"))
        with pytest.raises(ChannelRejected):
            await discord_channel.find(at(peer), Nonce("n-1"))
    finally:
        await discord_channel.close()


async def test_two_addresses_of_discord_in_one_process_are_a_fault_of_the_config() -> None:
    first = channel()
    try:
        await channel("second").close()
        with pytest.raises(ConfigError, match="api_base and gateway_url must be the same"):
            channel("third", "http://127.0.0.1:10/api/v10")
    finally:
        await first.close()
    await channel("third", "http://127.0.0.1:10/api/v10").close()


async def test_a_network_that_cannot_be_reached_is_a_finding_with_a_remedy() -> None:
    discord_channel = channel()
    try:
        (found,) = await discord_channel.check()
    finally:
        await discord_channel.close()
    assert not found.is_ok
    assert found.remedy
