"""What the store promises of events: order, claims, leases and receipts, on both databases."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pytest

from bot.domain.event import (
    EVENT_TRANSITIONS,
    ClaimToken,
    Event,
    EventId,
    EventState,
    EventTrigger,
    NewEvent,
    ShowCard,
    TellOutcome,
    next_event_state,
)
from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.message import Nonce, Receipt
from bot.domain.session import AccountName, ChannelName, MessageId
from bot.errors import IllegalTransition
from bot.ports import Tx
from bot.store import OpenStore
from tests.clock import START, ManualClock
from tests.store.made import ALL_CHANNELS, DEFAULT, WEB, address, event, session

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


async def test_an_event_comes_back_as_it_was_added(store: OpenStore) -> None:
    outcome = TellOutcome(execution_id=ExecutionId("7K3Q9A"), state=ExecutionState.FINISHED)
    new = replace(event("outcome:7K3Q9A:finished", payload=outcome), mention="U1")
    assert await store.write(lambda tx: tx.events.add(new))
    (found,) = await store.read(lambda tx: tx.events.of_execution(ExecutionId("7K3Q9A")))
    assert (found.identity, found.session, found.address) == (new.identity, session(), address())
    assert (found.payload, found.mention, found.state) == (outcome, "U1", S.DUE)
    assert (found.attempt, found.part, found.nonce, found.maybe_repeat) == (0, 0, None, False)
    assert (found.created_at, found.not_before, found.told_at, found.trouble) == (START, START, None, None)
    assert await get(store, found) == found
    assert await store.read(lambda tx: tx.events.get(EventId(99))) is None


async def test_an_identity_is_owed_once(store: OpenStore) -> None:
    await add(store, "same")
    assert not await store.write(lambda tx: tx.events.add(event("same", room="elsewhere")))
    assert len(await store.read(lambda tx: tx.events.listing(states=tuple(S)))) == 1


async def test_an_identity_is_owed_once_even_after_it_was_pruned(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "same", "later")
    assert await move(store, await send(store, await claim_one(store)), T.TELL)
    clock.advance(10)
    assert await store.write(lambda tx: tx.events.prune(told_before=START)) == 0, "told at that moment, not before it"
    assert await store.write(lambda tx: tx.events.prune(told_before=START + 1)) == 1
    assert not await store.write(lambda tx: tx.events.add(event("same")))
    assert [one.identity for one in await store.read(lambda tx: tx.events.listing(states=tuple(S)))] == ["later"]


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


async def test_the_nonce_is_stored_before_the_bytes_leave_and_attempts_are_counted(store: OpenStore) -> None:
    await add(store, "1")
    claimed = await claim_one(store)
    begun = await send(store, claimed)
    assert (begun.state, begun.attempt, begun.nonce, begun.part) == (S.SENDING, 1, "n0", 0)
    assert begun == await get(store, claimed)
    next_part = await send(store, begun, part=1)
    assert (next_part.attempt, next_part.nonce, next_part.part) == (1, "n1", 1)
    assert next_part == await get(store, claimed)


async def test_who_lost_the_claim_changes_nothing(store: OpenStore) -> None:
    await add(store, "1")
    claimed = await claim_one(store)
    receipt = Receipt(message_id=MessageId("m"))

    async def lost(found: Event) -> None:
        before = await get(store, found)
        begin = store.write(lambda tx: tx.events.begin_send(found, token=TWO, nonce=Nonce("x"), part=0, lease_s=60))
        assert await begin is None
        keep = store.write(lambda tx: tx.events.receipt(found, token=TWO, part=0, nonce=Nonce("x"), receipt=receipt))
        assert not await keep
        assert not await store.write(lambda tx: tx.events.renew(found, token=TWO, lease_s=60))
        assert await store.read(lambda tx: tx.events.receipts(found.id)) == []
        assert await get(store, found) == before

    await lost(claimed)
    assert not await move(store, claimed, T.RELEASE, TWO)
    sending = await send(store, claimed)
    await lost(sending)
    assert not await move(store, sending, T.TELL, TWO)
    assert await move(store, sending, T.TELL)
    assert not await move(store, sending, T.TELL), "it has moved on"
    assert (
        await store.write(lambda tx: tx.events.begin_send(sending, token=ONE, nonce=Nonce("x"), part=0, lease_s=60))
        is None
    )


def keeping(found: Event, receipt: Receipt) -> Callable[[Tx], bool]:
    nonce = Nonce(f"n{found.part}")
    return lambda tx: tx.events.receipt(found, token=ONE, part=found.part, nonce=nonce, receipt=receipt)


async def test_a_receipt_is_kept_once_a_part(store: OpenStore) -> None:
    await add(store, "1")
    sending = await send(store, await claim_one(store))
    for message_id in ("m1", "m1-again"):
        receipt = Receipt(message_id=MessageId(message_id))
        assert await store.write(keeping(sending, receipt))
    second = await send(store, sending, part=1)
    await store.write(keeping(second, Receipt(message_id=MessageId("m2"))))
    assert await store.read(lambda tx: tx.events.receipts(sending.id)) == [(0, "n0", "m1"), (1, "n1", "m2")]


async def test_told_events_say_when(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1")
    sending = await send(store, await claim_one(store))
    clock.advance(2)
    assert await move(store, sending, T.TELL)
    told = await get(store, sending)
    assert (told.state, told.told_at) == (S.TOLD, START + 2)


async def test_a_lease_lapses_unless_it_is_renewed(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1", room="a")
    await add(store, "2", room="b")
    first, second = await claim(store)
    await send(store, second)
    clock.advance(59)
    assert await store.read(lambda tx: tx.events.lapsed()) == []
    assert await store.write(lambda tx: tx.events.renew(first, token=ONE, lease_s=60))
    clock.advance(1)
    assert [one.id for one in await store.read(lambda tx: tx.events.lapsed())] == [second.id]
    clock.advance(59)
    lapsed = await store.read(lambda tx: tx.events.lapsed())
    assert [(one.id, one.state) for one in lapsed] == [(second.id, S.SENDING), (first.id, S.CLAIMED)]
    assert await claim(store, TWO) == [], "a lapsed claim is the sweep's to release"
    assert await move(store, lapsed[0], T.UNCERTAIN, None)
    assert await move(store, lapsed[1], T.RELEASE, None)
    assert not await move(store, first, T.RELEASE), "it was released already"
    assert [one.id for one in await claim(store, TWO)] == [first.id]


async def test_a_new_gateway_ends_every_lease_of_an_earlier_boot(store: OpenStore) -> None:
    await add(store, "1", room="a")
    await add(store, "2", room="b")
    await claim(store, limit=1)
    assert await store.write(lambda tx: tx.events.take_over()) == 1
    assert [one.identity for one in await store.read(lambda tx: tx.events.lapsed())] == ["1"]
    assert await store.write(lambda tx: tx.events.take_over()) == 0


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


async def test_events_are_listed_by_state_and_execution(store: OpenStore) -> None:
    await add(store, "1", "2")
    card = ShowCard(execution_id=ExecutionId("7K3Q9A"))
    await store.write(lambda tx: tx.events.add(event("card", payload=card)))
    await claim(store)
    states = {S.DUE}
    assert [one.identity for one in await store.read(lambda tx: tx.events.listing(states=states))] == ["2", "card"]
    assert len(await store.read(lambda tx: tx.events.listing(states=states, limit=1))) == 1
    about = await store.read(lambda tx: tx.events.of_execution(ExecutionId("7K3Q9A")))
    assert [one.identity for one in about] == ["card"]
