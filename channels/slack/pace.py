"""One message a second in each channel, with short bursts, as Slack grants: https://docs.slack.dev/apis/web-api/rate-limits

Deliberately absent: the calls. Limits are kept for a process; what several do together, Slack's 429 tells.
"""

from __future__ import annotations

import asyncio
import time

from bot.errors import ChannelThrottled

INTERVAL_S = 1.0
BURST = 3
MAX_WAIT_S = 3.0
"""Longer than that the outbox waits better: it has other addresses to tell."""
MAX_CHANNELS = 10_000


class Pace:
    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        """Channel -> when a message would be due if all came evenly."""

    async def turn(self, channel: str) -> None:
        """Wait for this channel's turn. Raises `ChannelThrottled` where that takes too long."""
        now = time.monotonic()
        if len(self._next) >= MAX_CHANNELS:
            self._next = {each: due for each, due in self._next.items() if due > now}
        due = max(self._next.get(channel, now), now)
        wait = due - now - (BURST - 1) * INTERVAL_S
        if wait > MAX_WAIT_S:
            raise ChannelThrottled("the channel takes one message a second", retry_after_s=wait)
        self._next[channel] = due + INTERVAL_S
        if wait > 0:
            await asyncio.sleep(wait)

    def hold(self, channel: str, seconds: float) -> None:
        """Slack asked for patience there."""
        self._next[channel] = time.monotonic() + seconds + (BURST - 1) * INTERVAL_S
