"""Which event goes next: one claim an address, in the order of commits, whatever replicas do. On both databases."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from bot.domain.event import (
    ClaimToken,
    EventTrigger,
)
from bot.domain.session import AccountName, ChannelName
from bot.store import OpenStore
from tests.clock import START, ManualClock
from tests.store.made import DEFAULT, WEB, address, event
from tests.store.sending import ONE, TWO, S, T, add, adding, claim, claim_one, get, move, send


async def test_one_claim_an_address_lowest_sequence_first(store: OpenStore) -> None:
    await add(store, "a1", "a2", room="a")
    await add(store, "b1", room="b")
    first = await claim(store)
    assert {one.identity for one in first} == {"a1", "b1"}
    assert all(one.state is S.CLAIMED for one in first)
    assert await claim(store, TWO) == [], "both addresses have an open claim"
    a1 = next(one for one in first if one.identity == "a1")
    assert await move(store, await send(store, a1), T.TELL)
    assert [one.identity for one in await claim(store, TWO)] == ["a2"]


async def test_addresses_that_differ_only_in_case_or_thread_do_not_wait_for_each_other(store: OpenStore) -> None:
    await add(store, "1", room="Ops")
    await add(store, "2", room="ops")
    in_thread = replace(event("3"), address=address(thread="17"))
    await store.write(lambda tx: tx.events.add(in_thread))
    found = await claim(store)
    assert {one.identity for one in found} == {"1", "2", "3"}
    assert {one.address.peer.thread for one in found if one.identity == "3"} == {"17"}


async def test_a_later_event_waits_behind_one_that_waits_to_retry(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1", "2")
    sending = await send(store, await claim_one(store))
    assert await store.write(
        lambda tx: tx.events.move(sending, T.RETRY, token=ONE, not_before=tx.now + 30, trouble="no route")
    )
    assert await claim(store) == []
    clock.advance(30)
    again = await claim_one(store)
    assert (again.identity, again.attempt, again.trouble) == ("1", 1, "no route")


@pytest.mark.parametrize("trigger", [T.HOLD, T.BURY, T.ACCEPT, T.TELL])
async def test_what_does_not_block_lets_the_next_one_pass(store: OpenStore, trigger: EventTrigger) -> None:
    await add(store, "1", "2")
    assert await move(store, await send(store, await claim_one(store)), trigger)
    assert (await claim_one(store)).identity == "2"


async def test_a_retold_event_waits_while_a_later_one_is_on_its_way(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1", "2")
    first = await send(store, await claim_one(store))
    assert await move(store, first, T.BURY)
    second = await send(store, await claim_one(store))
    clock.advance(3)
    assert await move(store, await get(store, first), T.RETELL, None)
    assert await claim(store, TWO) == [], "at most one open claim an address"
    assert await move(store, second, T.TELL)
    retold = await claim_one(store, TWO)
    assert (retold.identity, retold.attempt, retold.not_before) == ("1", 0, START + 3)


async def test_a_held_event_is_opened_and_due_again(store: OpenStore) -> None:
    await add(store, "1")
    assert await move(store, await send(store, await claim_one(store)), T.HOLD)
    (held,) = await store.read(lambda tx: tx.events.listing(states={S.HELD}))
    assert await claim(store) == []
    assert await move(store, held, T.OPEN, None)
    assert (await claim_one(store)).identity == "1"


async def test_only_asked_for_channels_and_accounts_are_claimed(store: OpenStore) -> None:
    await add(store, "1")
    assert await claim(store, channels=[(WEB, AccountName("second")), (ChannelName("slack"), DEFAULT)]) == []
    assert await claim(store, channels=[]) == []
    assert await claim(store, states=[]) == []
    both = [(ChannelName("slack"), DEFAULT), (WEB, DEFAULT)]
    assert [one.identity for one in await claim(store, channels=both)] == ["1"]


async def test_a_claim_takes_no_more_than_its_limit_and_the_longest_waiting_first(
    store: OpenStore, clock: ManualClock
) -> None:
    for room in ("c", "a", "b"):
        await add(store, room, room=room)
        clock.advance(1)
    assert [one.identity for one in await claim(store, limit=2)] == ["c", "a"]


async def test_reconciling_events_are_claimed_as_such(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1", "2")
    assert await move(store, await send(store, await claim_one(store)), T.UNCERTAIN)
    assert await claim(store) == [], "the next one waits"
    (found,) = await claim(store, TWO, states={S.RECONCILING})
    assert (found.state, found.nonce, found.part) == (S.RECONCILING, "n0", 0)
    assert await claim(store, ONE, states={S.RECONCILING}) == []
    clock.advance(60)
    (found,) = await claim(store, ONE, states={S.RECONCILING})
    assert not await move(store, found, T.TELL, TWO), "the lapsed claim is worth nothing"
    assert await store.write(lambda tx: tx.events.move(found, T.RETRY, token=ONE, maybe_repeat=True))
    assert (await claim_one(store)).maybe_repeat


async def test_two_replicas_never_claim_the_same_event(store: OpenStore, another: OpenStore) -> None:
    rooms = [f"room-{number}" for number in range(40)]
    for room in rooms:
        await add(store, f"{room}:1", f"{room}:2", room=room)

    async def work(one: OpenStore, token: ClaimToken) -> list[str]:
        told: list[str] = []
        while found := await claim(one, token, limit=5):
            for claimed in found:
                assert await move(one, await send(one, claimed, token), T.TELL, token)
                told.append(claimed.identity)
        return told

    workers = [(store, "a"), (another, "b"), (store, "c"), (another, "d")]
    shares = await asyncio.gather(*(work(one, ClaimToken(name)) for one, name in workers))
    # A worker may find everything taken for a moment and go home; what is left is still due.
    shares.append(await work(store, ClaimToken("last")))
    everything = [identity for share in shares for identity in share]
    assert sorted(everything) == sorted(f"{room}:{number}" for room in rooms for number in (1, 2))


async def test_the_sequence_is_the_order_of_commits(store: OpenStore, another: OpenStore) -> None:
    seen: list[int] = []
    writing = True

    async def watch() -> None:
        """What a reader sees only ever grows at its end: no lower number appears after a higher one."""
        while writing:
            found = await another.read(lambda tx: tx.events.listing(states={S.DUE}, limit=1_000))
            numbers = sorted(one.sequence for one in found)
            assert numbers[: len(seen)] == seen
            seen[:] = numbers

    watching = asyncio.create_task(watch())
    await asyncio.gather(
        *(
            one.write(adding(event(str(number))))
            for number, one in zip(range(200), itertools.cycle((store, another)), strict=False)
        )
    )
    writing = False
    await watching
    found = await store.read(lambda tx: tx.events.listing(states={S.DUE}, limit=1_000))
    assert sorted(one.sequence for one in found) == list(range(1, 201))
