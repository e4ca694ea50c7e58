"""What the store promises of one event's life: owed once, sent under a claim, told. On both databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bot.domain.event import (
    Event,
    EventId,
    ShowCard,
    TellOutcome,
)
from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.message import Nonce, Receipt
from bot.domain.session import AccountName, ChannelName, MessageId, Peer, PeerKind, ReturnAddress
from bot.ports import Tx
from bot.store import OpenStore
from tests.clock import START, ManualClock
from tests.store.made import DEFAULT, WEB, address, event, peer, session
from tests.store.sending import ONE, TWO, S, T, add, claim, claim_one, get, move, send


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


async def test_what_nobody_was_told_is_found_by_how_its_identity_begins(store: OpenStore) -> None:
    await add(store, "a_b:dead", "a_b:told", "axb:dead", "later a_b:dead")
    for _ in range(4):
        found = await send(store, await claim_one(store))
        await move(store, found, T.BURY if found.identity.endswith("dead") else T.TELL)
    await add(store, "a_b:held", "a_b:due")
    await move(store, await send(store, await claim_one(store)), T.HOLD)
    found_so = await store.read(lambda tx: tx.events.unheard("a_b:"))
    assert [one.identity for one in found_so] == ["a_b:dead", "a_b:held"]


# --- the network's later word ---


async def taken(store: OpenStore, identity: str, *parts: str, where: Peer | None = None) -> Event:
    """An event whose parts the network took as these messages; a `?` behind one: it confirms later."""
    place = where or peer()
    new = replace(event(identity), address=ReturnAddress(peer=place, message_id=None))
    assert await store.write(lambda tx: tx.events.add(new))
    (found,) = await claim(store, channels=[(place.channel, place.account)])
    for part, message_id in enumerate(parts):
        found = await send(store, found, part=part)
        confirmed = not message_id.endswith("?")
        receipt = Receipt(message_id=MessageId(message_id.removesuffix("?")), confirmed=confirmed)
        assert await store.write(keeping(found, receipt))
    return found


async def whose(
    store: OpenStore, message_id: str, channel: ChannelName = WEB, account: AccountName = DEFAULT
) -> tuple[str, int] | None:
    found = await store.read(lambda tx: tx.events.of_message(channel, account, MessageId(message_id)))
    return None if found is None else (found[0].identity, found[1])


async def test_a_message_leads_to_its_event_and_part(store: OpenStore) -> None:
    sending = await taken(store, "1", "m1", "m2?")
    await taken(store, "2", "m3?", where=peer("elsewhere", thread="17"))
    assert [await whose(store, one) for one in ("m1", "m2", "m3")] == [("1", 0), ("1", 1), ("2", 0)]
    assert await whose(store, "M1") is None, "ids are compared byte for byte"
    assert await whose(store, "m4") is None
    found = await store.read(lambda tx: tx.events.of_message(WEB, DEFAULT, MessageId("m2")))
    assert found == (await get(store, sending), 1)


async def test_a_message_of_another_account_or_network_is_another_message(store: OpenStore) -> None:
    second, slack = AccountName("second"), ChannelName("slack")
    await taken(store, "ours", "m1", where=peer("a"))
    await taken(store, "second's", "m1", where=peer("b", account="second"))
    await taken(store, "slack's", "m1", where=peer("c", channel="slack"))
    assert await whose(store, "m1") == ("ours", 0)
    assert await whose(store, "m1", account=second) == ("second's", 0)
    assert await whose(store, "m1", slack) == ("slack's", 0)
    assert await whose(store, "m1", slack, second) is None


async def test_an_id_that_two_conversations_have_is_the_newest_events(store: OpenStore) -> None:
    await taken(store, "older", "m1", where=peer("a"))
    await taken(store, "newer", "m0", "m1", where=peer("b"))
    assert await whose(store, "m1") == ("newer", 1)


async def unconfirmed(store: OpenStore, found: Event) -> list[tuple[int, str]]:
    return [(part, str(at)) for part, at in await store.read(lambda tx: tx.events.unconfirmed(found.id))]


async def test_parts_are_unconfirmed_until_the_network_confirms_each(store: OpenStore) -> None:
    found = await taken(store, "1", "m1?", "m2", "m3?")
    other = await taken(store, "2", "n1?", where=peer("elsewhere"))
    assert await unconfirmed(store, found) == [(0, "m1"), (2, "m3")]
    await store.write(lambda tx: tx.events.confirm_part(found.id, 2))
    assert await unconfirmed(store, found) == [(0, "m1")]
    for _ in range(2):
        await store.write(lambda tx: tx.events.confirm_part(found.id, 0))
    assert await unconfirmed(store, found) == []
    assert await unconfirmed(store, other) == [(0, "n1")]
    await store.write(lambda tx: tx.events.confirm_part(found.id, 7))
    kept = await store.read(lambda tx: tx.events.receipts(found.id))
    assert kept == [(0, "n0", "m1"), (1, "n1", "m2"), (2, "n2", "m3")], "a word on a part that has none adds none"


async def test_the_receipt_of_the_part_that_was_not_delivered_is_dropped_and_no_other(store: OpenStore) -> None:
    found = await taken(store, "1", "m1", "m2?", "m3?")
    other = await taken(store, "2", "n1", "n2?", where=peer("elsewhere"))
    await store.write(lambda tx: tx.events.drop_receipt(found.id, 1))
    assert await store.read(lambda tx: tx.events.receipts(found.id)) == [(0, "n0", "m1"), (2, "n2", "m3")]
    assert await unconfirmed(store, found) == [(2, "m3")]
    assert (await whose(store, "m1"), await whose(store, "m2")) == (("1", 0), None)
    assert await store.read(lambda tx: tx.events.receipts(other.id)) == [(0, "n0", "n1"), (1, "n1", "n2")]
    again = await send(store, found, part=1)
    assert await store.write(keeping(again, Receipt(message_id=MessageId("m2-again"))))
    kept = await store.read(lambda tx: tx.events.receipts(found.id))
    assert kept == [(0, "n0", "m1"), (1, "n1", "m2-again"), (2, "n2", "m3")]


async def hold(store: OpenStore, identity: str, where: Peer) -> None:
    assert await move(store, await taken(store, identity, "m1", where=where), T.HOLD)


async def held_in(store: OpenStore, where: Peer, *, limit: int = 100) -> list[str]:
    return [one.identity for one in await store.read(lambda tx: tx.events.held_in(where, limit=limit))]


async def test_what_is_held_in_a_conversation_is_found_with_all_its_threads(store: OpenStore) -> None:
    for identity, thread in (("1", None), ("2", "17"), ("3", "18"), ("4", None)):
        await hold(store, identity, peer(thread=thread))
    assert await held_in(store, peer()) == ["1", "2", "3", "4"]
    assert await held_in(store, peer(thread="17")) == ["1", "2", "3", "4"], "a word in a thread opens the conversation"
    assert await held_in(store, peer(), limit=2) == ["1", "2"]


async def test_what_is_held_elsewhere_or_is_not_held_stays_out(store: OpenStore) -> None:
    direct = replace(peer(), kind=PeerKind.DIRECT)
    others = [peer("Ops"), peer("dev"), peer(account="second"), peer(channel="slack"), direct]
    for number, where in enumerate(others):
        await hold(store, f"other:{number}", where)
    assert await held_in(store, peer()) == []
    assert [await held_in(store, where) for where in others] == [[f"other:{number}"] for number in range(len(others))]
    assert await move(store, await taken(store, "told", "m1"), T.TELL)
    await hold(store, "held", peer())
    await add(store, "due")
    assert await held_in(store, peer()) == ["held"]
    (found,) = await store.read(lambda tx: tx.events.held_in(peer()))
    assert await move(store, found, T.OPEN, None)
    assert await held_in(store, peer()) == []
