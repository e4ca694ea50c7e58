"""What the store promises of standing permissions, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from bot.domain.command import NodeFingerprint
from bot.domain.execution import ExecutionId
from bot.domain.grant import Grant, GrantId, bound
from bot.domain.session import Peer, PersonId
from bot.store import OpenStore
from tests.clock import START, ManualClock
from tests.store.made import NODE, command, peer

GRANT = Grant(
    id=GrantId("G7K3QA2"),
    command=bound(command()),
    pattern="df *",
    node_name="web-1",
    place=peer(),
    asker=PersonId("ann"),
    execution=ExecutionId("7K3Q9A"),
    granted_by=PersonId("bob"),
    granted_at=START,
    expires_at=START + 100,
    reason="it only looks",
)
OTHER = replace(GRANT, id=GrantId("G222222"), pattern=None, granted_at=START + 1)


async def add(store: OpenStore, grant: Grant = GRANT) -> bool:
    return await store.write(lambda tx: tx.grants.add(grant))


async def get(store: OpenStore, grant: Grant = GRANT) -> Grant | None:
    return await store.read(lambda tx: tx.grants.get(grant.id))


async def revoke(store: OpenStore, grant: Grant = GRANT) -> Grant | None:
    return await store.write(lambda tx: tx.grants.revoke(grant.id, by="op", why="freeze"))


async def live(
    store: OpenStore, place: Peer | None = None, *, node: NodeFingerprint | None = None, asker: PersonId | None = None
) -> Sequence[Grant]:
    return await store.read(lambda tx: tx.grants.live(place or peer(), node=node, asker=asker))


async def test_a_grant_is_kept_as_it_was_given_and_its_id_is_given_once(store: OpenStore) -> None:
    assert await add(store)
    assert not await add(store, replace(OTHER, id=GRANT.id))
    assert await get(store) == GRANT
    assert await store.write(lambda tx: tx.grants.lock(GRANT.id)) == GRANT
    assert await get(store, OTHER) is None


async def test_the_live_ones_of_a_conversation_are_found_newest_first(store: OpenStore, clock: ManualClock) -> None:
    await add(store)
    await add(store, OTHER)
    assert await live(store) == [OTHER, GRANT]
    assert await live(store, node=NODE, asker=PersonId("ann")) == [OTHER, GRANT]
    assert await live(store, asker=PersonId("Ann")) == []
    assert await live(store, node=NodeFingerprint("node-2")) == []
    assert await live(store, peer("dev")) == []
    clock.advance(100)
    assert await live(store) == []
    assert await store.read(lambda tx: tx.grants.listing()) == []
    assert await store.read(lambda tx: tx.grants.listing(with_past=True)) == [OTHER, GRANT]


async def test_a_use_is_counted(store: OpenStore, clock: ManualClock) -> None:
    await add(store)
    for _ in range(2):
        clock.advance(5)
        await store.write(lambda tx: tx.grants.used(GRANT, ExecutionId("7K3Q9C")))
    assert await get(store) == replace(GRANT, uses=2, last_used_at=START + 10)


async def test_f081_it_is_taken_back_once_and_for_good(store: OpenStore, another: OpenStore) -> None:
    await add(store)
    gone = [one for one in await asyncio.gather(*(revoke(one) for one in (store, another) * 2)) if one is not None]
    assert gone == [replace(GRANT, revoked_at=START, revoked_by="op", revoked_why="freeze")]
    assert await live(store) == []
    assert await store.read(lambda tx: tx.grants.listing()) == []
    assert await revoke(store, OTHER) is None


async def test_what_is_over_is_not_taken_back(store: OpenStore, clock: ManualClock) -> None:
    await add(store)
    clock.advance(100)
    assert await revoke(store) is None


async def test_what_was_over_before_a_moment_is_pruned(store: OpenStore, clock: ManualClock) -> None:
    await add(store)
    await add(store, OTHER)
    clock.advance(10)
    await revoke(store)

    async def prune(before: float) -> int:
        return await store.write(lambda tx: tx.grants.prune(over_before=before))

    assert await prune(START + 10) == 0
    assert await prune(START + 11) == 1
    assert await get(store) is None
    assert await prune(START + 101) == 1


async def test_f076_each_change_leaves_its_line_in_the_audit(store: OpenStore) -> None:
    await add(store)
    await store.write(lambda tx: tx.grants.used(GRANT, ExecutionId("7K3Q9C")))
    await revoke(store)
    lines = await store.read(lambda tx: tx.audit.lines())
    assert [(line.kind, line.execution, line.fields()["by"]) for line in lines] == [
        ("granted", "7K3Q9A", "bob"),
        ("grant_used", "7K3Q9C", "bob"),
        ("grant_revoked", None, "op"),
    ]
    assert all(line.fields()["grant"] == GRANT.id for line in lines)
    assert lines[0].fields()["argv"] == ["df", "-h"]
    assert lines[0].fields()["pattern"] == "df *"
    assert lines[2].fields()["reason"] == "freeze"
