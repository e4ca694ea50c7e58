"""What the store promises of cards: which lag behind, never backwards, never after the end. On both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.domain.event import Card, ClaimToken, EventTrigger, ShowCard
from bot.domain.execution import Execution, ExecutionId, ExecutionState, Trigger
from bot.domain.message import Standing
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, ReturnAddress
from bot.ports import Tx
from bot.store import OpenStore
from tests.clock import ManualClock
from tests.store.made import ALL_CHANNELS, ALL_CLAIMABLE, DEFAULT, WEB, address, event, execution, peer

ID, POSTED = ExecutionId("7K3Q9A"), MessageId("posted-1")
TOKEN = ClaimToken("one")


async def posted(store: OpenStore, *, shown_revision: int = 0, thread: str | None = None) -> Execution:
    """An execution with a card at the room `ops`, and nothing owed there."""
    await store.write(lambda tx: tx.executions.insert(execution()))
    where = address(thread=thread)
    new = replace(event("card", payload=ShowCard(execution_id=ID)), address=where)
    await store.write(lambda tx: tx.events.add(new))
    await end_all(store)
    (shown,) = await store.read(lambda tx: tx.events.of_execution(ID))
    await store.write(lambda tx: tx.cards.add(ID, shown.address_id, where, POSTED, shown_revision=shown_revision))
    return execution()


async def end_all(store: OpenStore) -> None:
    def end(tx: Tx) -> None:
        claimed = tx.events.claim(token=TOKEN, lease_s=60, limit=9, channels=ALL_CHANNELS, states=ALL_CLAIMABLE)
        for one in claimed:
            assert tx.events.move(one, EventTrigger.BURY, token=TOKEN)

    await store.write(end)


async def lagging(store: OpenStore) -> Sequence[Card]:
    return await store.read(lambda tx: tx.cards.lagging(limit=10, channels=ALL_CHANNELS))


async def change(store: OpenStore, found: Execution) -> None:
    await store.write(lambda tx: tx.executions.amend(found))


async def test_a_card_lags_only_once_its_execution_moved_after_it_was_rendered(store: OpenStore) -> None:
    found = await posted(store)
    assert await lagging(store) == []
    moved = await store.write(lambda tx: tx.executions.move(found, Trigger.ASK))
    (card,) = await lagging(store)
    assert (card.execution_id, card.address, card.message_id) == (ID, address(), POSTED)
    assert (card.shown_revision, card.wanted_revision, card.attempt) == (0, 1, 0)
    await store.write(lambda tx: tx.cards.shown(card, revision=moved.revision, not_before=tx.now, final=False))
    assert await lagging(store) == []


async def test_a_card_that_was_rendered_late_is_not_edited_for_what_it_shows(store: OpenStore) -> None:
    await posted(store, shown_revision=1)
    await change(store, execution())
    assert await lagging(store) == []
    await change(store, execution())
    assert [card.wanted_revision for card in await lagging(store)] == [2]


async def test_a_card_never_goes_backwards_and_never_after_the_end(store: OpenStore) -> None:
    found = await posted(store)
    for _ in range(3):
        await change(store, found)
    (card,) = await lagging(store)
    await store.write(lambda tx: tx.cards.shown(card, revision=2, not_before=tx.now, final=False))
    await store.write(lambda tx: tx.cards.shown(card, revision=1, not_before=tx.now, final=True))
    (again,) = await lagging(store)
    assert (again.shown_revision, again.wanted_revision) == (2, 3)
    await store.write(lambda tx: tx.cards.shown(card, revision=3, not_before=tx.now, final=True))
    await change(store, found)
    assert await lagging(store) == []


async def test_a_card_waits_for_the_networks_pace(store: OpenStore, clock: ManualClock) -> None:
    found = await posted(store)
    await change(store, found)
    (card,) = await lagging(store)
    await store.write(lambda tx: tx.cards.shown(card, revision=1, not_before=tx.now + 5, final=False))
    await change(store, found)
    assert await lagging(store) == []
    clock.advance(5)
    assert len(await lagging(store)) == 1


async def test_a_postponed_card_counts_its_attempts_until_it_is_given_up(store: OpenStore, clock: ManualClock) -> None:
    await change(store, await posted(store))
    (card,) = await lagging(store)
    await store.write(lambda tx: tx.cards.postpone(card, not_before=tx.now + 5, give_up=False))
    assert await lagging(store) == []
    clock.advance(5)
    (card,) = await lagging(store)
    assert card.attempt == 1
    await store.write(lambda tx: tx.cards.postpone(card, not_before=tx.now, give_up=True))
    assert await lagging(store) == []


async def test_a_card_waits_behind_what_is_owed_at_its_address(store: OpenStore) -> None:
    await change(store, await posted(store))
    await store.write(lambda tx: tx.events.add(event("result")))
    assert await lagging(store) == []
    await store.write(lambda tx: tx.events.add(event("elsewhere", room="dev")))
    await end_all(store)
    assert len(await lagging(store)) == 1


async def test_only_the_channels_that_we_speak_are_brought_up_to_date(store: OpenStore) -> None:
    await change(store, await posted(store))
    slack = [(ChannelName("slack"), DEFAULT)]
    assert await store.read(lambda tx: tx.cards.lagging(limit=10, channels=slack)) == []
    assert await store.read(lambda tx: tx.cards.lagging(limit=10, channels=[])) == []


async def test_a_card_is_found_by_its_message_there_and_nowhere_else(store: OpenStore) -> None:
    await posted(store, thread="17")

    async def at(room: str, *, thread: str | None, message: str = "posted-1") -> bool:
        where = peer(room, thread=thread)
        return await store.read(lambda tx: tx.cards.at(where, MessageId(message))) is not None

    assert await at("ops", thread="17")
    assert await at("ops", thread=None), "not every network says the thread of a reaction"
    assert not await at("ops", thread="18")
    assert not await at("Ops", thread="17")
    assert not await at("ops", thread="17", message="Posted-1")


async def test_a_message_that_carries_two_cards_decides_nothing(store: OpenStore) -> None:
    await posted(store)
    (shown,) = await store.read(lambda tx: tx.events.of_execution(ID))
    await store.write(lambda tx: tx.executions.insert(execution("222222")))
    await store.write(
        lambda tx: tx.cards.add(ExecutionId("222222"), shown.address_id, address(), POSTED, shown_revision=0)
    )
    assert await store.read(lambda tx: tx.cards.at(peer(), POSTED)) is None


async def test_a_card_is_added_once(store: OpenStore) -> None:
    await posted(store)
    (shown,) = await store.read(lambda tx: tx.events.of_execution(ID))
    await store.write(lambda tx: tx.cards.add(ID, shown.address_id, address(), POSTED, shown_revision=7))
    found = await store.read(lambda tx: tx.cards.at(peer(), POSTED))
    assert found is not None
    assert found.shown_revision == 0


# --- the cards that wait for a decision ---


async def card_of(
    store: OpenStore,
    execution_id: str,
    *,
    state: ExecutionState = ExecutionState.AWAITING_APPROVAL,
    where: Peer | None = None,
) -> None:
    """An execution in this state whose card stands there, as the message `posted-<its id>`."""
    found = ReturnAddress(peer=where or peer(), message_id=None)
    new = replace(
        event(f"card:{execution_id}", payload=ShowCard(execution_id=ExecutionId(execution_id))), address=found
    )

    def add(tx: Tx) -> None:
        tx.executions.insert(execution(execution_id, state=state))
        tx.events.add(new)
        (shown,) = tx.events.of_execution(ExecutionId(execution_id))
        posted_as = MessageId(f"posted-{execution_id}")
        tx.cards.add(ExecutionId(execution_id), shown.address_id, found, posted_as, shown_revision=0)

    await store.write(add)


async def open_at(
    store: OpenStore, channel: ChannelName = WEB, account: AccountName = DEFAULT, *, limit: int = 500
) -> list[Standing]:
    return list(await store.read(lambda tx: tx.cards.open_at(channel, account, limit=limit)))


def standing(execution_id: str, where: Peer | None = None) -> Standing:
    return Standing(peer=where or peer(), message_id=MessageId(f"posted-{execution_id}"))


@pytest.mark.parametrize("state", ExecutionState)
async def test_a_card_is_open_only_while_its_execution_waits_for_a_decision(
    store: OpenStore, state: ExecutionState
) -> None:
    await card_of(store, "222222", state=state)
    expected = [standing("222222")] if state is ExecutionState.AWAITING_APPROVAL else []
    assert await open_at(store) == expected


async def test_a_card_is_open_from_the_ask_until_the_decision(store: OpenStore) -> None:
    found = await posted(store)
    assert await open_at(store) == []
    asked = await store.write(lambda tx: tx.executions.move(found, Trigger.ASK))
    assert await open_at(store) == [Standing(peer=peer(), message_id=POSTED)]
    await store.write(lambda tx: tx.executions.move(asked, Trigger.DENY))
    assert await open_at(store) == []


async def test_a_card_that_was_given_up_is_no_longer_open(store: OpenStore) -> None:
    await card_of(store, "222222")
    found = await store.read(lambda tx: tx.cards.at(peer(), MessageId("posted-222222")))
    assert found is not None
    await store.write(lambda tx: tx.cards.postpone(found, not_before=tx.now, give_up=True))
    assert await open_at(store) == []


async def test_the_newest_open_cards_come_first_and_are_bounded(store: OpenStore) -> None:
    for execution_id in ("444444", "222222", "333333"):
        await card_of(store, execution_id)
    assert await open_at(store) == [standing("333333"), standing("222222"), standing("444444")]
    assert await open_at(store, limit=2) == [standing("333333"), standing("222222")]


async def test_open_cards_are_those_of_one_account_with_their_threads(store: OpenStore) -> None:
    thread, second, slack = peer(thread="17"), peer(account="second"), peer(channel="slack")
    for execution_id, where in (("222222", peer()), ("333333", thread), ("444444", second), ("555555", slack)):
        await card_of(store, execution_id, where=where)
    assert await open_at(store) == [standing("333333", thread), standing("222222")]
    assert await open_at(store, account=AccountName("second")) == [standing("444444", second)]
    assert await open_at(store, ChannelName("slack")) == [standing("555555", slack)]
    assert await open_at(store, ChannelName("Web")) == [], "names are compared byte for byte"


async def test_a_clock_that_was_set_back_does_not_hold_up_a_card(store: OpenStore, clock: ManualClock) -> None:
    """Only what a network really asked for: a card that failed waits for as long as it was told to."""
    found = await posted(store)
    moved = await store.write(lambda tx: tx.executions.move(found, Trigger.ASK))
    (card,) = await lagging(store)
    await store.write(lambda tx: tx.cards.shown(card, revision=moved.revision, not_before=tx.now + 2.0, final=False))
    await change(store, moved)
    assert await lagging(store) == []
    clock.advance(-1_200.0)
    (card,) = await lagging(store)
    await store.write(lambda tx: tx.cards.postpone(card, not_before=tx.now + 1_200.0, give_up=False))
    assert await lagging(store) == []
