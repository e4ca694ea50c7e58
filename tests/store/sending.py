"""Short words for what a heartbeat does to events, for tests of the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from bot.domain.event import (
    ClaimToken,
    Event,
    EventState,
    EventTrigger,
    NewEvent,
)
from bot.domain.message import Nonce
from bot.domain.session import AccountName, ChannelName
from bot.ports import Tx
from bot.store import OpenStore
from tests.store.made import ALL_CHANNELS, event

S, T = EventState, EventTrigger
ONE, TWO = ClaimToken("one"), ClaimToken("two")


async def add(store: OpenStore, *identities: str, room: str = "ops") -> None:
    for identity in identities:
        assert await store.write(adding(event(identity, room=room)))


def adding(new: NewEvent) -> Callable[[Tx], bool]:
    return lambda tx: tx.events.add(new)


async def claim(
    store: OpenStore,
    token: ClaimToken = ONE,
    *,
    states: Collection[EventState] = (S.DUE,),
    limit: int = 100,
    channels: Collection[tuple[ChannelName, AccountName]] = ALL_CHANNELS,
) -> Sequence[Event]:
    return await store.write(
        lambda tx: tx.events.claim(token=token, lease_s=60, limit=limit, channels=channels, states=states)
    )


async def claim_one(store: OpenStore, token: ClaimToken = ONE) -> Event:
    (found,) = await claim(store, token)
    return found


async def send(store: OpenStore, found: Event, token: ClaimToken = ONE, *, part: int = 0) -> Event:
    begun = await store.write(
        lambda tx: tx.events.begin_send(found, token=token, nonce=Nonce(f"n{part}"), part=part, lease_s=60)
    )
    assert begun is not None
    return begun


async def move(store: OpenStore, found: Event, trigger: EventTrigger, token: ClaimToken | None = ONE) -> bool:
    return await store.write(lambda tx: tx.events.move(found, trigger, token=token))


async def get(store: OpenStore, found: Event) -> Event:
    again = await store.read(lambda tx: tx.events.get(found.id))
    assert again is not None
    return again
