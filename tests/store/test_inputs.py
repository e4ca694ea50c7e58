"""What the store promises of inputs, sessions and early presses, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.domain.event import ClaimToken, EventTrigger, Input, InputId, InputKind, InputState, NewInput
from bot.domain.execution import ExecutionId
from bot.domain.message import ButtonPress, Nonce, Reaction, Receipt, Standing
from bot.domain.session import AccountName, ChannelName, DeliveryId, MessageId
from bot.ports import Tx
from bot.store import OpenStore
from bot.store.schema import digest
from tests.clock import START, ManualClock
from tests.store.made import (
    ALL_CHANNELS,
    ALL_CLAIMABLE,
    DEFAULT,
    WEB,
    address,
    event,
    message,
    peer,
    press,
    reaction,
    session,
)

ONE, TWO = ClaimToken("one"), ClaimToken("two")


def adding(new: NewInput) -> Callable[[Tx], InputId | None]:
    return lambda tx: tx.inputs.add(new)


async def add(store: OpenStore, *deliveries: str, room: str = "ops") -> None:
    for delivery in deliveries:
        assert await store.write(adding(message(delivery, room=room, text=delivery))) is not None


async def claim(store: OpenStore, token: ClaimToken = ONE, *, limit: int = 100) -> Sequence[Input]:
    return await store.write(lambda tx: tx.inputs.claim(token=token, lease_s=60, limit=limit))


def texts(found: Sequence[Input]) -> list[str]:
    return [one.text for one in found]


async def test_an_input_comes_back_as_it_was_added(store: OpenStore, clock: ManualClock) -> None:
    new = replace(message(text="run printf 'ünïcode 🎉'"), execution_id=ExecutionId("7K3Q9A"))
    added = await store.write(adding(new))
    clock.advance(1)
    (found,) = await claim(store)
    assert found == Input(
        id=InputId(added or 0),
        session=session(),
        address=address(),
        kind=InputKind.MESSAGE,
        person=new.person,
        person_native="U1",
        person_name="Ann",
        text=new.text,
        execution_id=ExecutionId("7K3Q9A"),
        created_at=START,
        attempt=1,
    )


async def test_an_input_without_people_comes_back_without_an_address(store: OpenStore) -> None:
    new = replace(message(), address=None, person=None, person_native=None, person_name=None, kind=InputKind.CADENCE)
    await store.write(adding(new))
    (found,) = await claim(store)
    assert (found.address, found.person, found.kind) == (None, None, InputKind.CADENCE)


async def test_f109_overlapping_deliveries_of_one_message_have_one_effect(store: OpenStore, another: OpenStore) -> None:
    taken = await asyncio.gather(*(one.write(adding(message())) for one in (store, another) * 5))
    assert len([one for one in taken if one is not None]) == 1
    assert len(await claim(store)) == 1


async def test_the_same_delivery_id_on_another_account_is_another_message(store: OpenStore) -> None:
    await add(store, "d1")
    assert await store.write(adding(replace(message("d1"), account=AccountName("second")))) is not None
    assert await store.write(adding(message("D1"))) is not None, "ids are compared byte for byte"


async def test_one_open_claim_a_session_and_all_of_its_due_inputs(store: OpenStore) -> None:
    await add(store, "a1", "a2", room="a")
    await add(store, "b1", room="b")
    first = await claim(store)
    assert texts(first) == ["a1", "a2"]
    await add(store, "a3", room="a")
    assert texts(await claim(store, TWO)) == ["b1"]
    assert await claim(store, TWO) == []
    assert await store.write(lambda tx: tx.inputs.answer(first, token=ONE))
    assert texts(await claim(store, TWO)) == ["a3"]


async def test_a_claim_is_bounded_and_the_rest_of_the_session_waits(store: OpenStore) -> None:
    await add(store, "1", "2", "3")
    first = await claim(store, limit=2)
    assert texts(first) == ["1", "2"]
    assert await claim(store, TWO) == []
    await store.write(lambda tx: tx.inputs.answer(first, token=ONE))
    assert texts(await claim(store)) == ["3"]


async def test_f026_two_replicas_never_run_one_session_twice_at_once(store: OpenStore, another: OpenStore) -> None:
    for room in range(20):
        await add(store, f"{room}:1", f"{room}:2", room=f"room-{room}")
    open_sessions: set[str] = set()
    answered: list[str] = []

    async def work(one: OpenStore, token: ClaimToken) -> None:
        while found := await claim(one, token, limit=1):
            assert found[0].session not in open_sessions
            open_sessions.add(found[0].session)
            await asyncio.sleep(0)
            open_sessions.remove(found[0].session)
            assert await one.write(answering(found, token))
            answered.extend(texts(found))

    await asyncio.gather(*(work(one, ClaimToken(name)) for name, one in zip("abcd", (store, another) * 2, strict=True)))
    await work(store, ClaimToken("last"))
    assert sorted(answered) == sorted(f"{room}:{number}" for room in range(20) for number in (1, 2))


async def test_a_session_that_was_claimed_between_the_look_and_the_lock_is_passed_over(store: OpenStore) -> None:
    await add(store, "1", "2")
    assert len(await claim(store, limit=1)) == 1
    # What the other replica does once it has the lock: its look was before our claim, its lock after our commit.
    late = await store.write(
        lambda tx: tx.inputs._claim_of(digest(session()), tx.now, token=TWO, lease_s=60, limit=9)  # type: ignore[attr-defined]
    )
    assert late == []


def answering(found: Sequence[Input], token: ClaimToken) -> Callable[[Tx], bool]:
    return lambda tx: tx.inputs.answer(found, token=token)


async def test_who_lost_the_claim_answers_and_releases_nothing(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1", "2")
    found = await claim(store)
    assert not await store.write(answering(found, TWO))
    assert not await store.write(lambda tx: tx.inputs.release(found, token=TWO, not_before=tx.now))
    clock.advance(60)
    assert await store.write(lambda tx: tx.inputs.release_lapsed()) == 2
    again = await claim(store, TWO)
    assert [one.attempt for one in again] == [2, 2]
    assert not await store.write(answering(found, ONE)), "the lease was over"
    assert await store.write(answering(again, TWO))
    assert not await store.write(answering(again, TWO)), "it is answered"


async def test_a_released_input_is_due_when_its_pause_is_over(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1")
    found = await claim(store)
    assert await store.write(lambda tx: tx.inputs.release(found, token=ONE, not_before=tx.now + 5))
    assert await claim(store) == []
    clock.advance(5)
    assert [(one.text, one.attempt) for one in await claim(store)] == [("1", 2)]


async def test_a_lease_that_holds_is_not_released(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1")
    await claim(store)
    clock.advance(59)
    assert await store.write(lambda tx: tx.inputs.release_lapsed()) == 0
    assert await store.write(lambda tx: tx.inputs.take_over()) == 1, "a new gateway does not wait for it"
    assert texts(await claim(store)) == ["1"]


async def test_an_input_that_is_answered_on_arrival_is_never_due_and_still_deduped(store: OpenStore) -> None:
    assert await store.write(adding(message(state=InputState.ANSWERED))) is not None
    assert await store.write(adding(message())) is None
    assert await claim(store) == []


async def test_a_session_remembers_where_its_newest_message_came_from(store: OpenStore) -> None:
    async def newest() -> object:
        return await store.read(lambda tx: tx.inputs.newest_address(session()))

    assert await newest() is None
    finished = replace(message("f1", anchor="old"), kind=InputKind.FINISHED)
    await store.write(adding(finished))
    assert await newest() == address(message="old"), "better than nothing"
    await store.write(adding(message("d1", anchor="m7")))
    await store.write(adding(replace(finished, delivery=DeliveryId("f2"))))
    await store.write(adding(replace(message("c1"), address=None, kind=InputKind.CADENCE)))
    assert await newest() == address(message="m7"), "a result comes home to where it was asked, and says nothing new"


async def test_answered_inputs_are_pruned_boundedly(store: OpenStore, clock: ManualClock) -> None:
    await add(store, "1", "2", "3", room="a")
    await add(store, "due", room="b")
    await store.write(answering(await claim(store), ONE))
    assert await store.write(lambda tx: tx.inputs.prune(answered_before=START)) == 0
    clock.advance(1)
    assert await store.write(lambda tx: tx.inputs.prune(answered_before=START + 1, limit=2)) == 2
    assert await store.write(lambda tx: tx.inputs.prune(answered_before=START + 1)) == 1
    assert texts(await claim(store)) == ["due"]


# --- where to read on after a gap ---


async def record(store: OpenStore, clock: ManualClock, *anchors: str, every_s: float, room: str = "ops") -> None:
    """Messages of one conversation, the next one `every_s` after the one before."""
    for anchor in anchors:
        await store.write(adding(message(f"{room}:{anchor}", room=room, anchor=anchor)))
        clock.advance(every_s)


async def read_from(
    store: OpenStore, *, since: float = START, overlap_s: float = 120, account: AccountName = DEFAULT
) -> dict[str, str]:
    """The message to read on from, by room."""
    found = await store.read(lambda tx: tx.inputs.read_from(WEB, account, since=since, overlap_s=overlap_s))
    assert len({one.peer for one in found}) == len(found), "one a conversation"
    return {str(one.peer.id): str(one.message_id) for one in found}


async def test_a_conversation_is_read_from_its_newest_message_that_is_older_than_the_overlap(
    store: OpenStore, clock: ManualClock
) -> None:
    await record(store, clock, "m1", "m2", "m3", "m4", "m5", every_s=50)
    assert await read_from(store) == {"ops": "m2"}, "m2 is 150 s older than m5, m3 only 100 s"


async def test_a_message_that_was_missed_beside_a_recorded_one_after_a_pause_is_not_skipped(
    store: OpenStore, clock: ManualClock
) -> None:
    await record(store, clock, "m1", "m3", every_s=1_000)
    assert await read_from(store) == {"ops": "m1"}, "m2 came a second before m3 and failed"


async def test_a_conversation_without_an_older_message_is_read_from_its_oldest(
    store: OpenStore, clock: ManualClock
) -> None:
    assert await read_from(store) == {}
    await record(store, clock, "m1", "m2", "m3", every_s=50)
    assert await read_from(store) == {"ops": "m1"}


async def test_an_earlier_message_that_was_recorded_after_a_later_one_is_not_read_past(
    store: OpenStore, clock: ManualClock
) -> None:
    await record(store, clock, "m2", "m1", "m3", every_s=1)
    assert await read_from(store) == {"ops": "m2"}, "the oldest as recorded: all that came beside it is read again"


async def test_each_conversation_and_each_thread_has_a_place_of_its_own_to_read_on_from(
    store: OpenStore, clock: ManualClock
) -> None:
    await record(store, clock, "a1", every_s=100, room="a")
    await record(store, clock, "b1", every_s=100, room="b")
    in_thread = replace(message("t1"), address=address("a", message="t1", thread="17"))
    await store.write(adding(in_thread))
    found = await store.read(lambda tx: tx.inputs.read_from(WEB, DEFAULT, since=START, overlap_s=120))
    assert {(one.peer, one.message_id) for one in found} == {
        (peer("a"), MessageId("a1")),
        (peer("b"), MessageId("b1")),
        (peer("a", thread="17"), MessageId("t1")),
    }
    assert all(isinstance(one, Standing) for one in found)


async def test_what_another_account_or_network_recorded_is_not_read_on_from(store: OpenStore) -> None:
    second, slack = AccountName("second"), ChannelName("slack")
    elsewhere = replace(address(message="theirs"), peer=peer(account="second"))
    await store.write(adding(replace(message("d1"), account=second, address=elsewhere)))
    other = replace(address(message="theirs"), peer=peer(channel="slack"))
    await store.write(adding(replace(message("d2"), channel=slack, address=other)))
    assert await read_from(store) == {}
    assert await read_from(store, account=second) == {"ops": "theirs"}


async def test_what_was_recorded_before_the_horizon_is_not_read_on_from(store: OpenStore, clock: ManualClock) -> None:
    await record(store, clock, "a1", every_s=10, room="a")
    await record(store, clock, "b1", "b2", every_s=10, room="b")
    assert await read_from(store, since=START + 10) == {"b": "b1"}
    assert await read_from(store, since=START + 11) == {"b": "b2"}
    assert await read_from(store, since=START + 21) == {}


async def test_a_command_without_a_message_and_an_input_that_nobody_wrote_are_no_place_to_read_on_from(
    store: OpenStore, clock: ManualClock
) -> None:
    await record(store, clock, "m1", every_s=1)
    await store.write(adding(replace(message("slash"), address=address(message=None))))
    await store.write(adding(replace(message("s1", room="d"), address=address("d", message=None))))
    await store.write(adding(replace(message("slash", room="b"), delivery=DeliveryId("s2"), address=None)))
    finished = replace(message("f1", room="c", anchor="old"), kind=InputKind.FINISHED)
    await store.write(adding(finished))
    assert await read_from(store, overlap_s=0) == {"ops": "m1"}


async def test_a_message_that_was_answered_on_arrival_is_read_on_from_as_well(store: OpenStore) -> None:
    await store.write(adding(message("d1", anchor="m7", state=InputState.ANSWERED)))
    assert await read_from(store) == {"ops": "m7"}


# --- presses that came too early ---


async def post(store: OpenStore, message_id: str, *, thread: str | None = None) -> None:
    """Keep the receipt of a message at the room `ops`."""
    new = replace(event(f"event:{message_id}:{thread}"), address=address(thread=thread))

    def send(tx: Tx) -> None:
        assert tx.events.add(new)
        (found,) = tx.events.claim(token=ONE, lease_s=60, limit=1, channels=ALL_CHANNELS, states=ALL_CLAIMABLE)
        sending = tx.events.begin_send(found, token=ONE, nonce=Nonce("n"), part=0, lease_s=60)
        assert sending is not None
        receipt = Receipt(message_id=MessageId(message_id))
        assert tx.events.receipt(sending, token=ONE, part=0, nonce=Nonce("n"), receipt=receipt)
        assert tx.events.move(sending, EventTrigger.TELL, token=ONE)

    await store.write(send)


async def keep(store: OpenStore, *early: ButtonPress | Reaction) -> None:
    def keep_all(tx: Tx) -> None:
        for one in early:
            tx.inputs.keep_early(one, until=tx.now + 60)

    await store.write(keep_all)


async def take(store: OpenStore) -> Sequence[ButtonPress | Reaction]:
    return await store.write(lambda tx: tx.inputs.take_early())


async def test_an_early_press_waits_for_the_receipt_and_is_handed_out_once(store: OpenStore) -> None:
    await keep(store, press(), reaction())
    assert await take(store) == []
    await post(store, "posted-1")
    assert await take(store) == [press(), reaction()]
    assert await take(store) == []
    await keep(store, press())
    assert await take(store) == [], "the same delivery, kept again, has had its turn"


async def test_an_early_press_of_another_message_or_room_goes_on_waiting(store: OpenStore) -> None:
    await keep(store, press("1", message_id="posted-2"), press("2", room="Ops"), press("3", thread="17"))
    await post(store, "posted-1")
    assert await take(store) == []


async def test_a_reaction_that_cannot_say_its_thread_finds_its_message_there(store: OpenStore) -> None:
    await keep(store, reaction())
    await post(store, "posted-1", thread="17")
    assert await take(store) == [reaction()]


async def test_an_early_press_is_dropped_after_its_time(store: OpenStore, clock: ManualClock) -> None:
    await keep(store, press())
    clock.advance(60)
    await post(store, "posted-1")
    assert await take(store) == []
