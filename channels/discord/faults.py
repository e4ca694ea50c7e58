"""What Discord or the way to it said -> the class of our error, which is the remedy. Pure.

Deliberately absent: waiting and repeating. The library waits out a short 429 and repeats 500, 502, 504 and 524 by
itself, with the same nonce; everything else comes here.
"""

from __future__ import annotations

import asyncio

import aiohttp
import discord

from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)

SDK = (discord.DiscordException, aiohttp.ClientError, OSError, asyncio.TimeoutError)
"""All that a call of the library raises because of the network or of Discord."""
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What the library raises over a frame that is not as documented: it checks none of them."""
CALL = (*SDK, *MALFORMED, RuntimeError)
"""All that a call may end with: also an answer that is not as documented, and a client that was closed meanwhile."""

UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
THREAD_EXISTS = 160004
_SLOW_MODE = 20016
_HELD = {50083: "the thread is archived", 160005: "the thread is locked"}
_GONE = {
    10003: "the channel or thread is gone, or the bot cannot see it",
    10004: "the bot is not in that guild",
    10008: "the message is gone",
    50001: "the bot may not see that channel",
    50005: "the message is not the bot's own",
    50007: "that person takes no direct messages from the bot",
    50013: "the bot may not do that in this channel: Send Messages, Send Messages in Threads, Attach Files or "
    "Create Public Threads is missing",
    50024: "this kind of channel takes no such message",
    50035: "Discord refuses the form of the message",
}
_THROTTLED_S = 60.0
"""Where Discord says no time: a ban by its edge lasts minutes, and asking on prolongs it."""


def of_send(fault: Exception, *, may_stand: bool) -> ChannelError:
    """`may_stand`: whether a lost answer leaves a message that nobody knows of. Edits may be repeated, so not there."""
    lost = ChannelUncertain if may_stand else ChannelUnavailable
    match fault:
        case discord.RateLimited():
            return ChannelThrottled("Discord asks for patience", retry_after_s=_bounded(fault.retry_after))
        case discord.DiscordServerError() if fault.status == 503:
            return ChannelUnavailable("Discord is not available (503)")
        case discord.DiscordServerError():
            return lost(f"Discord failed ({fault.status}) and did not say whether it took the message")
        case discord.HTTPException():
            return _of_answer(fault)
        case aiohttp.ClientConnectorError():
            return ChannelUnavailable("Discord cannot be reached")
        case discord.DiscordException():
            return ChannelRejected(f"the library takes no such message ({type(fault).__name__})")
        case _:
            return lost("the connection to Discord ended before its answer")


def _of_answer(fault: discord.HTTPException) -> ChannelError:
    if fault.status == 429 or fault.code == _SLOW_MODE:
        return ChannelThrottled("Discord asks for patience", retry_after_s=_retry_after_s(fault))
    if fault.status == 401:
        return ChannelUnavailable("Discord refuses the token: renew it in the config and restart")
    if fault.code in _HELD:
        return ChannelHeld(f"Discord: {_HELD[fault.code]} ({fault.code})")
    return ChannelRejected(f"Discord: {_GONE.get(fault.code, 'it refuses the request')} ({fault.status}, {fault.code})")


def _retry_after_s(fault: discord.HTTPException) -> float:
    try:
        return _bounded(float(fault.response.headers.get("Retry-After", _THROTTLED_S)))
    except ValueError:
        return _THROTTLED_S


def _bounded(seconds: float) -> float:
    """Within the hour: an event that waits for years would block its address, and never be dead and visible."""
    return min(3_600.0, max(1.0, seconds))
