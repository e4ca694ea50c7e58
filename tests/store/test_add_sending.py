"""An event that is added with its claim and its begun send: the same row as step by step, or one that is due."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.domain.event import ClaimToken, Event, NewEvent
from bot.domain.message import Nonce
from bot.store import OpenStore
from tests.clock import START, ManualClock
from tests.store.made import event
from tests.store.sending import ONE, TWO, S, T, add, claim, claim_one, get, move, send


async def added(store: OpenStore, new: NewEvent, token: ClaimToken = ONE) -> Event | None:
    return await store.write(lambda tx: tx.events.add_sending(new, token=token, nonce=Nonce("n0"), lease_s=60))


async def test_it_is_the_row_that_claim_and_send_would_have_made(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "step by step", room="a")
    by_steps = await send(store, await claim_one(store))
    at_once = await added(store, event("at once", room="b"))
    assert at_once is not None
    assert at_once == await get(store, at_once)
    own = {"id": by_steps.id, "identity": by_steps.identity, "address_id": by_steps.address_id}
    assert replace(at_once, **own, session=by_steps.session, address=by_steps.address) == by_steps  # type: ignore[arg-type]

    clock.advance(61)
    lapsed = await store.read(lambda tx: tx.events.lapsed())
    assert {one.identity for one in lapsed} == {"step by step", "at once"}, "its lease ends like any other"


async def test_the_claim_is_worth_as_much_as_any(store: OpenStore) -> None:
    sending = await added(store, event("1"))
    assert sending is not None
    assert await claim(store, TWO) == []
    assert not await move(store, sending, T.TELL, TWO)
    assert await move(store, sending, T.TELL, ONE)


async def test_behind_another_of_its_address_it_is_due_and_waits(store: OpenStore) -> None:
    await add(store, "1")
    assert await added(store, event("2")) is None
    first = await claim_one(store)
    assert first.identity == "1"
    assert await added(store, event("3"), TWO) is None, "one is on its way"
    assert await move(store, await send(store, first), T.TELL)
    assert [one.identity for one in await claim(store)] == ["2"]


async def test_what_no_longer_blocks_is_not_in_its_way(store: OpenStore) -> None:
    for identity, trigger in (("1", T.HOLD), ("2", T.BURY), ("3", T.TELL)):
        sending = await added(store, event(identity))
        assert sending is not None
        assert await move(store, sending, trigger)
    assert await added(store, event("4")) is not None


async def test_an_identity_that_was_ever_added_is_not_added_again(store: OpenStore, clock: ManualClock) -> None:
    assert await added(store, event("same")) is not None
    assert await added(store, event("same", room="elsewhere")) is None
    (only,) = await store.read(lambda tx: tx.events.listing(states=tuple(S)))
    assert await move(store, only, T.TELL)
    clock.advance(10)
    assert await store.write(lambda tx: tx.events.prune(told_before=START + 1)) == 1
    assert await added(store, event("same")) is None
    assert await store.read(lambda tx: tx.events.listing(states=tuple(S))) == []


async def test_two_replicas_that_owe_to_one_address_claim_one_of_them(store: OpenStore, another: OpenStore) -> None:
    for number in range(10):
        room = f"room-{number}"
        both = await asyncio.gather(
            added(store, event(f"{room}:a", room=room), ONE), added(another, event(f"{room}:b", room=room), TWO)
        )
        (claimed,) = [one for one in both if one is not None]
        assert claimed.sequence == 1
    waiting = await store.read(lambda tx: tx.events.listing(states={S.DUE}))
    assert [one.sequence for one in waiting] == [2] * 10
