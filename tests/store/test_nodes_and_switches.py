"""What the store promises of nodes and switches, on both databases."""

from __future__ import annotations

import pytest

from bot.domain.command import NodeFingerprint
from bot.domain.node import Node, Pairing
from bot.errors import Malformed
from bot.ports import Paused
from bot.store import OpenStore
from tests.clock import START, ManualClock

ONE, TWO, THREE = NodeFingerprint("f-1"), NodeFingerprint("f-2"), NodeFingerprint("f-3")


async def hello(store: OpenStore, fingerprint: NodeFingerprint = ONE, name: str = "web-1") -> Node:
    return await store.write(lambda tx: tx.nodes.hello(fingerprint, b"\x00key\xff", name))


async def pair(store: OpenStore, fingerprint: NodeFingerprint = ONE, name: str | None = None) -> Node | None:
    return await store.write(lambda tx: tx.nodes.pair(fingerprint, name=name))


async def test_a_new_node_is_pending_and_a_known_one_keeps_its_pairing(store: OpenStore, clock: ManualClock) -> None:
    new = await hello(store)
    assert new == Node(
        fingerprint=ONE,
        public_key=b"\x00key\xff",
        name="web-1",
        pairing=Pairing.PENDING,
        first_seen_at=START,
        last_seen_at=START,
    )
    clock.advance(5)
    paired = await pair(store)
    assert paired is not None
    assert (paired.pairing, paired.paired_at) == (Pairing.PAIRED, START + 5)
    clock.advance(5)
    again = await hello(store, name="renamed")
    assert (again.name, again.pairing, again.last_seen_at) == ("web-1", Pairing.PAIRED, START + 10)
    assert await store.read(lambda tx: tx.nodes.get(ONE)) == again
    assert await store.read(lambda tx: tx.nodes.get(TWO)) is None


async def test_a_taken_name_gets_a_suffix(store: OpenStore) -> None:
    names = [(await hello(store, fingerprint)).name for fingerprint in (ONE, TWO, THREE)]
    assert names == ["web-1", "web-1-2", "web-1-3"]


async def test_a_name_finds_the_paired_node_only(store: OpenStore) -> None:
    async def by_name() -> Node | None:
        return await store.read(lambda tx: tx.nodes.by_name("web-1"))

    await hello(store)
    assert await by_name() is None
    await pair(store)
    found = await by_name()
    assert found is not None
    assert found.fingerprint == ONE
    await store.write(lambda tx: tx.nodes.revoke(ONE))
    assert await by_name() is None


async def test_a_revoked_node_stays_revoked_and_frees_its_name(store: OpenStore, clock: ManualClock) -> None:
    await hello(store)
    await pair(store)
    clock.advance(1)
    revoked = await store.write(lambda tx: tx.nodes.revoke(ONE))
    assert revoked is not None
    assert (revoked.pairing, revoked.revoked_at) == (Pairing.REVOKED, START + 1)
    again = await pair(store, name="other")
    assert again == revoked
    assert (await hello(store)).pairing is Pairing.REVOKED
    assert (await hello(store, TWO)).name == "web-1"
    assert await store.write(lambda tx: tx.nodes.revoke(THREE)) is None
    assert await pair(store, THREE) is None


async def test_an_operator_may_rename_a_node_but_not_to_a_taken_name(store: OpenStore) -> None:
    await hello(store)
    await hello(store, TWO)
    paired = await pair(store, name="db-1")
    assert paired is not None
    assert paired.name == "db-1"
    with pytest.raises(Malformed, match="db-1"):
        await pair(store, TWO, name="db-1")
    untouched = await store.read(lambda tx: tx.nodes.get(TWO))
    assert untouched is not None
    assert (untouched.name, untouched.pairing) == ("web-1-2", Pairing.PENDING)


async def test_nodes_are_listed_in_the_order_they_came(store: OpenStore, clock: ManualClock) -> None:
    await hello(store, TWO)
    clock.advance(1)
    await hello(store, ONE)
    clock.advance(1)
    await store.write(lambda tx: tx.nodes.seen(TWO))
    found = await store.read(lambda tx: tx.nodes.listing())
    assert [(one.fingerprint, one.last_seen_at) for one in found] == [(TWO, START + 2), (ONE, START + 1)]


async def test_a_pause_stands_until_it_is_lifted(store: OpenStore, another: OpenStore, clock: ManualClock) -> None:
    assert await store.read(lambda tx: tx.switches.paused()) is None
    await another.write(lambda tx: tx.switches.pause(by="ann", reason="maintenance"))
    clock.advance(1)
    await store.write(lambda tx: tx.switches.pause(by="bob", reason="longer"))
    assert await store.read(lambda tx: tx.switches.paused()) == Paused(by="bob", reason="longer", since=START)
    await another.write(lambda tx: tx.switches.resume())
    await another.write(lambda tx: tx.switches.resume())
    assert await store.read(lambda tx: tx.switches.paused()) is None


async def test_the_clock_knows_the_next_time_of_each_and_what_became_of_the_last(
    store: OpenStore, clock: ManualClock
) -> None:
    assert await store.read(lambda tx: tx.ticks.get("heartbeat:main")) is None
    made = await store.write(lambda tx: tx.ticks.lock("heartbeat:main", spec="600"))
    assert (made.spec, made.due_at, made.ran_at, made.said) == ("600", None, None, "planned")
    now = clock.now()
    await store.write(lambda tx: tx.ticks.set("heartbeat:main", due_at=now + 600.0, said="done", has_run=True))
    clock.advance(1.0)
    await store.write(lambda tx: tx.ticks.set("heartbeat:main", due_at=now + 60.0, said="skipped: busy", has_run=False))
    found = await store.write(lambda tx: tx.ticks.lock("heartbeat:main", spec="600"))
    assert (found.due_at, found.ran_at, found.said, found.said_at) == (now + 60.0, now, "skipped: busy", now + 1.0)
    # Another cadence has another next time.
    changed = await store.write(lambda tx: tx.ticks.lock("heartbeat:main", spec="60"))
    assert (changed.spec, changed.due_at, changed.ran_at) == ("60", None, now)
    assert [one.name for one in await store.read(lambda tx: tx.ticks.listing())] == ["heartbeat:main"]
