"""What the store promises of break-glass, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.domain.execution import ExecutionId, ExecutionState
from bot.domain.glass import Finding, Glass, GlassId, GlassState, GlassTrigger
from bot.domain.session import Peer, PersonId
from bot.errors import IllegalTransition, StaleRow
from bot.store import OpenStore
from tests.clock import START, ManualClock
from tests.store.made import execution, peer, session

S, T = GlassState, GlassTrigger
GLASS = Glass(
    id=GlassId("B7K3QA2"),
    state=S.OPEN,
    person=PersonId("bob"),
    place=peer(),
    session=session(),
    reason="the disk is full",
    opened_at=START,
    expires_at=START + 100,
    announce_to=(peer("all"), peer("C1", channel="slack")),
    review_within_s=1_000.0,
)
OTHER = replace(GLASS, id=GlassId("B222222"), person=PersonId("cy"), opened_at=START + 1)


async def add(store: OpenStore, glass: Glass = GLASS) -> bool:
    return await store.write(lambda tx: tx.glasses.add(glass))


async def get(store: OpenStore, glass: Glass = GLASS) -> Glass | None:
    return await store.read(lambda tx: tx.glasses.get(glass.id))


async def open_of(store: OpenStore, person: str = "bob", place: Peer | None = None) -> Glass | None:
    return await store.read(lambda tx: tx.glasses.open_of(PersonId(person), place or peer()))


async def move(store: OpenStore, glass: Glass, trigger: GlassTrigger, by: str | None = "op") -> Glass:
    return await store.write(lambda tx: tx.glasses.move(glass, trigger, by=by))


async def due(store: OpenStore) -> Sequence[Glass]:
    return await store.read(lambda tx: tx.glasses.due())


def ended(glass: Glass = GLASS, at: float = START + 50) -> Glass:
    return replace(glass, ended_at=at, ended_by="cy", ended_why="enough", review_by=at + glass.review_within_s)


async def test_one_is_kept_as_it_was_opened_and_its_id_is_given_once(store: OpenStore) -> None:
    assert await add(store)
    assert not await add(store, replace(OTHER, id=GLASS.id))
    assert await get(store) == GLASS
    assert await store.write(lambda tx: tx.glasses.lock(GLASS.id)) == GLASS
    assert await get(store, OTHER) is None


async def test_of_one_person_in_one_place_one_is_open_whatever_two_replicas_do(
    store: OpenStore, another: OpenStore
) -> None:
    drawn = [replace(GLASS, id=GlassId(f"B22222{end}")) for end in "3456"]
    added = await asyncio.gather(
        *(add(one, glass) for one, glass in zip((store, another) * 2, drawn, strict=True)),
    )
    assert sorted(added) == [False, False, False, True]
    assert await open_of(store) == drawn[added.index(True)]
    assert await add(store, OTHER)
    assert await add(store, replace(GLASS, id=GlassId("B333333"), place=peer("dev")))
    assert await open_of(store, "cy") == OTHER
    assert await open_of(store, "Bob") is None
    assert await open_of(store, place=peer("ops", thread="1")) is None


async def test_it_moves_by_the_table_alone_and_guarded_by_its_state(store: OpenStore) -> None:
    await add(store)
    over = await move(store, ended(), T.END, by="cy")
    assert over == replace(ended(), state=S.ENDED) == await get(store)
    assert await open_of(store) is None
    assert await add(store, replace(GLASS, id=GlassId("B333333"))), "now another may be opened"
    with pytest.raises(StaleRow):
        await move(store, GLASS, T.LAPSE)
    with pytest.raises(IllegalTransition):
        await move(store, over, T.LAPSE)
    late = await move(store, over, T.MISS, by=None)
    found = replace(late, reviewed_at=START + 60, reviewed_by="ann", finding=Finding.MISUSE, note="no need")
    assert await move(store, found, T.REVIEW, by="ann") == replace(found, state=S.REVIEWED)
    assert await get(store) == replace(found, state=S.REVIEWED)


async def test_what_is_due_is_what_is_over_and_what_nobody_reviewed_in_time(
    store: OpenStore, clock: ManualClock
) -> None:
    await add(store)
    await add(store, OTHER)
    over = await move(store, ended(OTHER), T.END)
    clock.advance(99.9)
    assert await due(store) == []
    clock.advance(0.1)
    assert await due(store) == [GLASS]
    lapsed = await move(store, replace(ended(at=START + 100), ended_by=None), T.LAPSE, by=None)
    assert await due(store) == []
    clock.advance(950.0)
    assert await due(store) == [over]
    clock.advance(50.0)
    assert await due(store) == [lapsed, over]
    await move(store, over, T.MISS, by=None)
    assert await due(store) == [lapsed]


async def test_they_are_listed_newest_first_by_state(store: OpenStore) -> None:
    await add(store)
    await add(store, OTHER)
    listed = await store.read(lambda tx: tx.glasses.listing(frozenset(S)))
    assert listed == [OTHER, GLASS]
    over = await move(store, ended(), T.END)
    assert await store.read(lambda tx: tx.glasses.listing({S.ENDED, S.OVERDUE})) == [over]
    assert await store.read(lambda tx: tx.glasses.listing({S.OPEN}, limit=1)) == [OTHER]


async def test_what_was_approved_under_it_is_counted_and_found(store: OpenStore) -> None:
    await add(store)
    under = execution("7K3QAC", state=ExecutionState.APPROVED)
    await store.write(lambda tx: tx.executions.insert(replace(under, glass=GLASS.id, decided_at=START)))
    await store.write(lambda tx: tx.executions.insert(execution("7K3QAH")))
    await store.write(lambda tx: tx.glasses.used(GLASS, ExecutionId("7K3QAC")))
    found = await store.read(lambda tx: tx.executions.under(GLASS.id))
    assert [(one.id, one.glass) for one in found] == [("7K3QAC", GLASS.id)]
    assert await get(store) == replace(GLASS, uses=1)


async def test_only_what_was_reviewed_is_pruned(store: OpenStore) -> None:
    await add(store)
    await add(store, OTHER)
    over = await move(store, ended(), T.END)

    async def prune(before: float) -> int:
        return await store.write(lambda tx: tx.glasses.prune(reviewed_before=before))

    assert await prune(START + 10**9) == 0
    await move(store, replace(over, reviewed_at=START + 60, reviewed_by="ann", finding=Finding.OK), T.REVIEW)
    assert await prune(START + 60) == 0
    assert await prune(START + 61) == 1
    assert await get(store) is None
    assert await get(store, OTHER) == OTHER


async def test_f076_each_change_leaves_its_line_in_the_audit(store: OpenStore) -> None:
    await add(store)
    await store.write(lambda tx: tx.glasses.used(GLASS, ExecutionId("7K3QAC")))
    over = await move(store, ended(), T.END, by="cy")
    late = await move(store, over, T.MISS, by=None)
    found = replace(late, reviewed_at=START, reviewed_by="ann", finding=Finding.MISUSE, note="no need")
    await move(store, found, T.REVIEW, by="ann")
    lines = await store.read(lambda tx: tx.audit.lines())
    assert [(line.kind, line.execution, line.fields()["by"]) for line in lines] == [
        ("glass_opened", None, "bob"),
        ("glass_used", "7K3QAC", "bob"),
        ("glass_ended", None, "cy"),
        ("glass_overdue", None, None),
        ("glass_reviewed", None, "ann"),
    ]
    assert all((line.fields()["glass"], line.fields()["reason"]) == (GLASS.id, GLASS.reason) for line in lines)
    assert lines[0].fields()["announced_in"] == ["agent:main:web:channel:all", "agent:main:slack:channel:C1"]
    assert (lines[2].fields()["why"], lines[2].fields()["uses"]) == ("enough", 1)
    assert (lines[4].fields()["finding"], lines[4].fields()["note"]) == ("misuse", "no need")
