"""What the store promises of batches: their order, which are to be shown, locks in one order, one card for several."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.domain.batch import OWN_CARD, BatchId, InBatch
from bot.domain.event import Card, ClaimToken, EventTrigger, ShowBatch
from bot.domain.execution import FINAL, WAITING, Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.message import Standing
from bot.domain.session import MessageId
from bot.ports import Tx
from bot.store import OpenStore
from bot.store.transaction import Connected
from tests.clock import START
from tests.store.made import ALL_CHANNELS, ALL_CLAIMABLE, DEFAULT, WEB, address, event, execution, peer, session

S = ExecutionState
BATCH, OTHER = BatchId("T234567"), BatchId("T777777")
POSTED = MessageId("posted-1")


def member(
    execution_id: str,
    at: int,
    *,
    card: int | None = None,
    state: ExecutionState = S.AWAITING_APPROVAL,
    batch: BatchId = BATCH,
) -> Execution:
    return replace(execution(execution_id, state=state), batch=InBatch(id=batch, at=at, card=card))


async def insert(store: OpenStore, *executions: Execution) -> None:
    def add(tx: Tx) -> None:
        for one in executions:
            assert tx.executions.insert(one)

    await store.write(add)


async def ids_of(store: OpenStore, *, card: int | None = None) -> list[str]:
    return [one.id for one in await store.read(lambda tx: tx.executions.of_batch(BATCH, card=card))]


async def unshown(store: OpenStore) -> Sequence[BatchId]:
    return await store.read(lambda tx: tx.executions.unshown_batches())


async def test_a_batch_comes_back_in_the_order_of_asking_and_by_its_cards(store: OpenStore) -> None:
    await insert(
        store,
        member("333333", 0, card=1),
        member("222222", 1, card=2),
        member("999999", 2, card=1),
        member("444444", 3, card=OWN_CARD),
        member("555555", 4),
        member("666666", 0, batch=OTHER, card=1),
        execution("777777"),
    )
    assert await ids_of(store) == ["333333", "222222", "999999", "444444", "555555"]
    assert await ids_of(store, card=1) == ["333333", "999999"]
    assert await ids_of(store, card=3) == []
    found = await store.read(lambda tx: tx.executions.get(ExecutionId("222222")))
    assert found is not None
    assert found.batch == InBatch(id=BATCH, at=1, card=2)


async def test_what_waits_comes_in_the_order_of_asking_too(store: OpenStore) -> None:
    await insert(store, member("999999", 0), member("222222", 1), member("555555", 2))
    found = await store.read(lambda tx: tx.executions.in_states(WAITING))
    assert [one.id for one in found] == ["999999", "222222", "555555"]


@pytest.mark.parametrize("state", ExecutionState)
async def test_a_batch_is_to_be_shown_while_something_of_it_is_open_and_on_no_card(
    store: OpenStore, state: ExecutionState
) -> None:
    await insert(store, member("222222", 0, state=state), member("333333", 1, card=1))
    assert await unshown(store) == ([] if state in FINAL | {S.PREPARING} else [BATCH])


async def test_a_batch_is_shown_once_none_of_it_is_being_prepared(store: OpenStore) -> None:
    preparing = member("333333", 1, state=S.PREPARING)
    await insert(
        store, member("222222", 0), preparing, member("444444", 0, batch=OTHER), member("555555", 1, batch=OTHER)
    )
    assert await unshown(store) == [OTHER]
    await store.write(lambda tx: tx.executions.move(preparing, Trigger.EXPIRE))
    assert sorted(await unshown(store)) == [BATCH, OTHER]

    def show(tx: Tx) -> None:
        for one in (*tx.executions.of_batch(BATCH), *tx.executions.of_batch(OTHER)):
            if one.batch is not None and one.state is S.AWAITING_APPROVAL:
                tx.executions.amend(replace(one, batch=replace(one.batch, card=1)))

    await store.write(show)
    assert await unshown(store) == []


async def test_so_many_wait_in_a_conversation(store: OpenStore) -> None:
    await insert(
        store,
        *(
            execution(f"22222{letter}", state=state)
            for letter, state in zip("2345679ACFH", ExecutionState, strict=True)
        ),
    )
    assert await store.read(lambda tx: tx.executions.count_waiting(session())) == len(WAITING)
    assert await store.read(lambda tx: tx.executions.count_waiting(session("dev"))) == 0


async def test_several_are_locked_in_the_order_of_their_ids_and_what_is_not_there_is_left_out(store: OpenStore) -> None:
    await insert(store, member("999999", 0), member("222222", 1))
    wanted = [ExecutionId(one) for one in ("999999", "QQQQQQ", "222222")]
    found = await store.write(lambda tx: tx.executions.lock_all(wanted))
    assert [one.id for one in found] == ["222222", "999999"]
    assert await store.write(lambda tx: tx.executions.lock_all([])) == []


async def test_two_that_want_the_same_several_never_wait_in_a_circle(store: OpenStore, another: OpenStore) -> None:
    ids = [f"2222{first}{second}" for first in "2345679A" for second in "2345679A"]
    await insert(store, *(member(one, at) for at, one in enumerate(ids)))

    async def change(whose: OpenStore, order: Sequence[str]) -> None:
        def all_of_them(tx: Tx) -> None:
            for one in tx.executions.lock_all([ExecutionId(each) for each in order]):
                tx.executions.amend(one)

        await whose.write(all_of_them)

    for _ in range(4):
        await asyncio.gather(*(change(whose, order) for whose in (store, another) for order in (ids, ids[::-1])))
    found = await store.read(lambda tx: tx.executions.of_batch(BATCH))
    assert {one.revision for one in found} == {16}


# --- the card of several -------------------------------------------------------------------------------------


async def posted(store: OpenStore, *, shown_revision: int = 0) -> list[Execution]:
    members = [member("222222", 0, card=1), member("333333", 1, card=1)]
    await insert(store, *members, member("444444", 2, card=2))
    shown = ShowBatch(execution_id=members[0].id, batch=BATCH, card=1)

    def add(tx: Tx) -> None:
        tx.events.add(event("card", payload=shown))
        (owed,) = tx.events.of_execution(members[0].id)
        tx.cards.add(
            members[0].id,
            owed.address_id,
            address(),
            POSTED,
            shown_revision=shown_revision,
            batch=BATCH,
            batch_card=1,
        )

    await store.write(add)
    await store.write(_bury_all)
    return members


def _bury_all(tx: Tx) -> None:
    token = ClaimToken("one")
    for one in tx.events.claim(token=token, lease_s=60, limit=9, channels=ALL_CHANNELS, states=ALL_CLAIMABLE):
        assert tx.events.move(one, EventTrigger.BURY, token=token)


async def change(store: OpenStore, one: Execution) -> None:
    await store.write(lambda tx: tx.executions.amend(one))


async def lagging(store: OpenStore) -> Sequence[Card]:
    return await store.read(lambda tx: tx.cards.lagging(limit=10, channels=ALL_CHANNELS))


async def test_f056_a_shared_card_lags_when_any_of_it_has_moved(store: OpenStore) -> None:
    first, second = await posted(store)
    assert await lagging(store) == []
    await store.write(lambda tx: tx.executions.amend(second))
    (card,) = await lagging(store)
    assert (card.batch, card.batch_card, card.execution_id) == (BATCH, 1, first.id)
    assert (card.wanted_revision, card.shown_revision) == (1, 0)
    await store.write(lambda tx: tx.executions.amend(first))
    await store.write(lambda tx: tx.executions.amend(first))
    (card,) = await lagging(store)
    assert card.wanted_revision == 3
    await store.write(lambda tx: tx.cards.shown(card, revision=3, not_before=tx.now, final=False))
    assert await lagging(store) == []


async def test_what_stands_on_another_card_of_the_batch_moves_this_one_not(store: OpenStore) -> None:
    await posted(store)
    other = await store.read(lambda tx: tx.executions.get(ExecutionId("444444")))
    assert other is not None
    await store.write(lambda tx: tx.executions.amend(other))
    assert await lagging(store) == []


async def test_f056_a_shared_card_never_goes_backwards_and_never_after_its_end(store: OpenStore) -> None:
    first, second = await posted(store)
    for one in (first, second, first):
        await change(store, one)
    (card,) = await lagging(store)
    await store.write(lambda tx: tx.cards.shown(card, revision=2, not_before=tx.now, final=False))
    await store.write(lambda tx: tx.cards.shown(card, revision=1, not_before=tx.now, final=True))
    (again,) = await lagging(store)
    assert again.shown_revision == 2
    await store.write(lambda tx: tx.cards.shown(card, revision=3, not_before=tx.now, final=True))
    await store.write(lambda tx: tx.executions.amend(first))
    assert await lagging(store) == []


async def test_a_shared_card_is_found_by_its_message_and_its_reactions_are_not_read_again(store: OpenStore) -> None:
    await posted(store)
    found = await store.read(lambda tx: tx.cards.at(peer(), POSTED))
    assert found is not None
    assert (found.batch, found.batch_card) == (BATCH, 1)
    assert await store.read(lambda tx: tx.cards.open_at(WEB, DEFAULT)) == []


async def test_a_card_of_one_is_of_no_batch(store: OpenStore) -> None:
    await insert(store, execution("222222", state=S.AWAITING_APPROVAL))

    def add(tx: Tx) -> None:
        tx.events.add(event("card", payload=ShowBatch(execution_id=ExecutionId("222222"), batch=BATCH, card=1)))
        (owed,) = tx.events.of_execution(ExecutionId("222222"))
        tx.cards.add(ExecutionId("222222"), owed.address_id, address(), POSTED, shown_revision=0)

    await store.write(add)
    found = await store.read(lambda tx: tx.cards.at(peer(), POSTED))
    assert found is not None
    assert (found.batch, found.batch_card) == (None, None)
    assert await store.read(lambda tx: tx.cards.open_at(WEB, DEFAULT)) == [Standing(peer=peer(), message_id=POSTED)]


async def test_a_shared_card_goes_with_the_first_of_its_executions(store: OpenStore) -> None:
    """Pruned after the retention time, when it has long been closed; the others of it come with their own turn."""
    first, second = await posted(store)

    def end(tx: Tx) -> None:
        for one in (first, second):
            tx.executions.move(replace(one, ended_at=START), Trigger.DENY)
        assert isinstance(tx.events, Connected)
        tx.events.connection.execute(text("UPDATE events SET state = 'told', blocks = 0"))

    await store.write(end)
    assert await store.write(lambda tx: tx.executions.prune(ended_before=START + 10_000)) == 2
    assert await store.read(lambda tx: tx.cards.at(peer(), POSTED)) is None
