"""Every pair of the event's table of transitions, as the store holds it. On both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.domain.event import (
    EVENT_TRANSITIONS,
    Event,
    EventState,
    EventTrigger,
    next_event_state,
)
from bot.errors import IllegalTransition
from bot.ports import Tx
from bot.store import OpenStore
from tests.store.sending import ONE, S, T, add, claim_one, get, move, send


@pytest.mark.parametrize("state", EventState)
async def test_every_pair_of_the_table_is_held_by_the_store(store: OpenStore, state: EventState) -> None:
    for trigger in EventTrigger:
        # Claiming has its own way in.
        if trigger is T.CLAIM:
            continue
        await add(store, trigger, room=trigger)
        found = await bring_to(store, state)
        if trigger not in EVENT_TRANSITIONS[state]:
            with pytest.raises(IllegalTransition):
                await move(store, found, trigger, None)
            assert await get(store, found) == found
        else:
            assert await move(store, found, trigger, None)
            after = await get(store, found)
            assert after.state is next_event_state(state, trigger)
            # The claim is dropped, unless whoever claimed it goes on with it.
            free = after.state not in (S.CLAIMED, S.SENDING)
            assert not free or not await store.write(renewing(found))
        # Out of the way of the next one, which `bring_to` finds as the only due or claimable one.
        await set_aside(store, found)


def renewing(found: Event) -> Callable[[Tx], bool]:
    return lambda tx: tx.events.renew(found, token=ONE, lease_s=1)


async def set_aside(store: OpenStore, found: Event) -> None:
    """Bring it to `told` or `dead`, whatever it takes."""
    found = await get(store, found)
    match found.state:
        case S.HELD:
            assert await move(store, found, T.AGE, None)
        case S.DUE:
            assert await move(store, await claim_one(store), T.BURY, None)
        case S.CLAIMED | S.SENDING | S.RECONCILING | S.POSTED:
            assert await move(store, found, T.BURY, None)


async def bring_to(store: OpenStore, state: EventState) -> Event:
    ways: dict[EventState, tuple[EventTrigger, ...]] = {
        S.SENDING: (),
        S.RECONCILING: (T.UNCERTAIN,),
        S.POSTED: (T.ACCEPT,),
        S.HELD: (T.HOLD,),
        S.TOLD: (T.TELL,),
        S.DEAD: (T.BURY,),
    }
    if state is S.DUE:
        return (await store.read(lambda tx: tx.events.listing(states={S.DUE})))[0]
    found = await claim_one(store)
    if state is S.CLAIMED:
        return found
    found = await send(store, found)
    for trigger in ways[state]:
        assert await move(store, found, trigger)
        found = await get(store, found)
    return found
