"""What models remember and took, on both databases: by session and place, bounded, and pruned with the rest."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from bot.domain.execution import ExecutionId
from bot.domain.memory import Heard, Remembered
from bot.domain.session import AgentName, Peer, PersonId, SessionKey, ThreadId
from bot.domain.spending import Spending, Spent
from bot.ports import Tx
from bot.store import OpenStore, memories
from tests.clock import ManualClock
from tests.store.made import peer

HERE, THERE = SessionKey("agent:main:main"), SessionKey("agent:ops:main")
ONE, TWO = ExecutionId("7K3QXY"), ExecutionId("7K3QXZ")


def turn(text: str) -> Remembered:
    return Remembered(entries=(Heard(text=text),), read_untrusted=False)


def spending(agent: str, tokens: int, *, session: SessionKey = HERE, person: str | None = None) -> Spending:
    spent = Spent(requests=2, tokens_read=tokens, tokens_written=1, money_micros=3, took_s=0.5)
    known = None if person is None else PersonId(person)
    return Spending(agent=AgentName(agent), session=session, person=known, model="m", spent=spent)


def learn(remembered: Remembered, tx: Tx) -> None:
    tx.memories.learn(HERE, peer(), remembered)


def spend(one: Spending, tx: Tx) -> None:
    tx.memories.spend(one)


async def test_a_past_is_of_one_session_and_one_place(store: OpenStore) -> None:
    def fill(tx: Tx) -> None:
        tx.memories.learn(HERE, peer(), turn("a"))
        tx.memories.learn(HERE, None, turn("b"))
        tx.memories.learn(THERE, peer(), turn("c\x00 \ud800"))
        tx.memories.learn(HERE, peer(), turn("d"))

    await store.write(fill)
    found = await store.read(
        lambda tx: [tx.memories.recall(*where).turns for where in ((HERE, peer()), (HERE, None), (THERE, peer()))]
    )
    assert found == [[turn("a"), turn("d")], [turn("b")], [turn("c\x00 \ud800")]]


async def test_the_oldest_of_a_long_past_is_dropped(store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MAX_TURNS", 3)
    for number in range(5):
        await store.write(partial(learn, turn(str(number))))
    await store.write(lambda tx: tx.memories.learn(HERE, None, turn("elsewhere")))
    past = await store.read(lambda tx: tx.memories.recall(HERE, peer()))
    assert past.turns == [turn("2"), turn("3"), turn("4")]


async def test_what_was_asked_for_before_a_place_forgot_is_not_present(store: OpenStore) -> None:
    def ask_and_forget(tx: Tx) -> None:
        tx.memories.asked(ONE, HERE, peer())
        tx.memories.learn(HERE, peer(), turn("a"))
        tx.memories.forget(HERE, peer())
        tx.memories.asked(TWO, HERE, peer())

    await store.write(ask_and_forget)
    look = await store.read(lambda tx: [tx.memories.is_present(one, HERE, peer()) for one in (ONE, TWO)])
    assert look == [False, True]
    assert (await store.read(lambda tx: tx.memories.recall(HERE, peer()))).turns == []
    assert not await store.read(lambda tx: tx.memories.is_present(TWO, HERE, None))


async def test_what_nobody_prompted_is_counted_until_a_person_speaks(store: OpenStore) -> None:
    counts = [await store.write(lambda tx: tx.memories.count_unprompted(peer())) for _ in range(3)]
    assert counts == [1, 2, 3]
    assert (await store.read(lambda tx: tx.memories.recall(HERE, peer()))).unprompted == 3
    await store.write(lambda tx: tx.memories.spoken(peer()))
    assert await store.write(lambda tx: tx.memories.count_unprompted(peer())) == 1
    await store.write(lambda tx: tx.memories.forget(HERE, peer()))
    assert (await store.read(lambda tx: tx.memories.recall(HERE, peer()))).unprompted == 0


async def test_a_person_who_speaks_in_a_thread_has_spoken_in_it_and_where_it_hangs(store: OpenStore) -> None:
    room, thread, other = peer(), replace(peer(), thread=ThreadId("7")), replace(peer(), thread=ThreadId("8"))
    for place in (room, thread, other):
        await store.write(partial(_count, place))
    await store.write(lambda tx: tx.memories.spoken(thread))
    counts = [await store.write(partial(_count, place)) for place in (room, thread, other)]
    assert counts == [1, 1, 2]
    # And in a room: not in its threads.
    await store.write(lambda tx: tx.memories.spoken(room))
    assert [await store.write(partial(_count, place)) for place in (room, thread, other)] == [1, 2, 3]


def _count(place: Peer, tx: Tx) -> int:
    return tx.memories.count_unprompted(place)


async def test_sums_are_by_agent_person_session_and_time(store: OpenStore, clock: ManualClock) -> None:
    began = clock.now()
    for one in (spending("main", 10, person="ada"), spending("main", 20, session=THERE), spending("ops", 40)):
        await store.write(partial(spend, one))
    clock.advance(100.0)
    await store.write(lambda tx: tx.memories.spend(spending("main", 80, person="ada")))

    def look(tx: Tx) -> tuple[list[int], list[tuple[str, object, int]]]:
        memories_ = tx.memories
        sums = [
            memories_.spent(since=began),
            memories_.spent(since=began, agent=AgentName("main")),
            memories_.spent(since=began, person=PersonId("ada")),
            memories_.spent(since=began + 1.0),
            memories_.spent(since=began + 101.0),
        ]
        by = memories_.spendings(since=began, by_session=True, limit=2)
        return [one.tokens_read for one in sums], [(agent, session, spent.tokens_read) for agent, session, spent in by]

    sums, by_session = await store.read(look)
    assert sums == [150, 110, 90, 80, 0]
    assert by_session == [("main", HERE, 90), ("ops", HERE, 40)]
    by_agent = await store.read(lambda tx: tx.memories.spendings(since=began))
    assert [(agent, session, spent.turns) for agent, session, spent in by_agent] == [
        ("main", None, 3),
        ("ops", None, 1),
    ]


async def test_what_is_old_is_pruned(store: OpenStore, clock: ManualClock) -> None:
    def fill(tx: Tx) -> None:
        tx.memories.learn(HERE, peer(), turn("a"))
        tx.memories.spend(spending("main", 10))
        tx.memories.asked(ONE, HERE, peer())

    await store.write(fill)
    clock.advance(100.0)
    await store.write(lambda tx: tx.memories.learn(HERE, peer(), turn("b")))
    assert await store.write(lambda tx: tx.memories.prune(before=clock.now() - 50.0)) == 3
    assert (await store.read(lambda tx: tx.memories.recall(HERE, peer()))).turns == [turn("b")]
