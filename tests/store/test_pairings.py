"""What the store promises of people who are let in by a code, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.domain.gate import CODE_LASTS_S, MAX_PENDING, PersonPairing
from bot.domain.message import Sender
from bot.domain.session import AccountName, ChannelName, MessageId, ReturnAddress, key_for
from bot.store import OpenStore
from tests.clock import START, ManualClock
from tests.store.made import peer

EVE = Sender(native="U9:%3A/🎉", name="Eve\x00\ud800")
HOME = ReturnAddress(peer=replace(peer("D1"), channel=ChannelName("slack")), message_id=MessageId("m1"))
WAITING = PersonPairing(
    channel=ChannelName("slack"),
    account=AccountName("default"),
    native=EVE.native,
    name="Eve",
    address=HOME,
    session=key_for(HOME.peer),
    code="7K3Q9A2C",
    asked_at=START,
    expires_at=START + CODE_LASTS_S,
    paired_at=None,
    paired_by=None,
)


async def ask(store: OpenStore, who: Sender = EVE, code: str = "7K3Q9A2C", home: ReturnAddress = HOME) -> bool:
    return await store.write(
        lambda tx: tx.pairings.ask(address=home, session=key_for(home.peer), sender=who, code=code)
    )


async def approve(store: OpenStore, code: str = "7K3Q9A2C") -> PersonPairing | None:
    return await store.write(lambda tx: tx.pairings.approve(code, by="op"))


async def get(store: OpenStore, native: str = EVE.native, account: str = "default") -> PersonPairing | None:
    return await store.read(lambda tx: tx.pairings.get(ChannelName("slack"), AccountName(account), native))


async def test_a_code_waits_with_all_that_telling_the_person_needs(store: OpenStore) -> None:
    assert await ask(store)
    assert await get(store) == replace(WAITING, name=(await _name(store)))
    assert await get(store, account="second") is None
    assert await get(store, EVE.native.upper().lower()) is None


async def _name(store: OpenStore) -> str:
    """As the store shows what no database keeps."""
    (one,) = await store.read(lambda tx: tx.pairings.listing())
    assert one.name.startswith("Eve")
    return one.name


async def test_one_code_a_person_at_a_time(store: OpenStore) -> None:
    assert await ask(store)
    assert not await ask(store, code="ZZZZZZZZ")
    assert await approve(store, "ZZZZZZZZ") is None


async def test_a_code_is_good_once_and_the_pairing_stays(store: OpenStore, clock: ManualClock) -> None:
    await ask(store)
    clock.advance(5)
    paired = await approve(store)
    assert paired == replace(WAITING, name=await _name(store), code=None, paired_at=START + 5, paired_by="op")
    assert await approve(store) is None
    clock.advance(10 * CODE_LASTS_S)
    assert await get(store) == paired
    assert not await ask(store, code="ZZZZZZZZ")


async def test_a_code_is_over_to_the_second(store: OpenStore, clock: ManualClock) -> None:
    await ask(store)
    clock.advance(CODE_LASTS_S - 1)
    assert await get(store) is not None
    clock.advance(1)
    assert await get(store) is None
    assert await approve(store) is None
    assert await store.read(lambda tx: tx.pairings.listing()) == []
    assert await ask(store, code="ZZZZZZZZ")


async def test_a_code_that_another_person_has_is_given_to_nobody_else(store: OpenStore) -> None:
    assert await ask(store)
    assert not await ask(store, Sender(native="U10", name="Mallory"))
    paired = await approve(store)
    assert paired is not None
    assert paired.native == EVE.native


async def full(store: OpenStore, account: str = "default") -> bool:
    return await store.read(lambda tx: tx.pairings.is_full(ChannelName("slack"), AccountName(account)))


async def test_so_many_wait_an_account_and_neither_the_paired_nor_what_is_over_counts(
    store: OpenStore, clock: ManualClock
) -> None:
    for number in range(MAX_PENDING):
        assert await ask(store, Sender(native=f"U{number}", name="x"), f"CODE{number:04}")
    assert not await ask(store)
    other = replace(HOME, peer=replace(HOME.peer, account=AccountName("second")))
    assert await ask(store, home=other)
    assert (await full(store), await full(store, "second")) == (True, False)
    await approve(store, "CODE0000")
    assert not await full(store)
    assert await ask(store, code="ZZZZZZZZ")
    assert await full(store)
    clock.advance(CODE_LASTS_S)
    assert not await full(store)


async def test_a_revoked_person_is_unknown_again(store: OpenStore) -> None:
    await ask(store)
    await approve(store)

    async def revoke(native: str = EVE.native) -> PersonPairing | None:
        return await store.write(lambda tx: tx.pairings.revoke(ChannelName("slack"), AccountName("default"), native))

    assert await revoke("U9") is None
    gone = await revoke()
    assert gone is not None
    assert gone.paired_by == "op"
    assert await get(store) is None
    assert await revoke() is None
    assert await ask(store, code="ZZZZZZZZ")


async def test_who_waits_is_listed_before_who_is_paired_each_oldest_first(store: OpenStore, clock: ManualClock) -> None:
    for number in range(4):
        await ask(store, Sender(native=f"U{number}", name="x"), f"CODE{number:04}")
        clock.advance(1)
    await approve(store, "CODE0001")
    await approve(store, "CODE0000")
    listed = await store.read(lambda tx: tx.pairings.listing())
    assert [one.native for one in listed] == ["U2", "U3", "U0", "U1"]


async def test_of_two_who_approve_at_once_one_does(store: OpenStore, another: OpenStore) -> None:
    await ask(store)
    done = await asyncio.gather(*(approve(one) for one in (store, another) * 3))
    assert len([one for one in done if one is not None]) == 1
