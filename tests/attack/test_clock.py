"""The machine's clock is set back by an hour while something is owed."""

from __future__ import annotations

from bot.domain.event import ClaimToken
from bot.store import OpenStore
from tests.clock import ManualClock
from tests.store.conftest import clock, store, url
from tests.store.made import ALL_CHANNELS, ALL_CLAIMABLE, event, message

__all__ = ["clock", "store", "url"]
TOKEN = ClaimToken("t")


async def test_what_is_owed_does_not_wait_for_a_clock_that_was_set_back(store: OpenStore, clock: ManualClock) -> None:
    await store.write(lambda tx: tx.events.add(event()))
    await store.write(lambda tx: tx.inputs.add(message()))
    clock.advance(-3_600.0)

    told = await store.write(
        lambda tx: tx.events.claim(token=TOKEN, lease_s=60.0, limit=5, channels=ALL_CHANNELS, states=ALL_CLAIMABLE)
    )
    answered = await store.write(lambda tx: tx.inputs.claim(token=TOKEN, lease_s=60.0, limit=5))
    assert (len(told), len(answered)) == (1, 1)
