"""What holds on PostgreSQL alone: the hint between replicas, races that are tried again, migrations one at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from bot.domain.event import ClaimToken, EventState
from bot.domain.execution import ExecutionId
from bot.errors import StoreError
from bot.ports import Tx
from bot.store import OpenStore, migrate, open_store
from tests.clock import START, ManualClock
from tests.postgres import postgres_database
from tests.store.made import ALL_CHANNELS, event, execution


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_database() as made:
        yield made


@pytest.fixture
async def two(url: str) -> AsyncIterator[tuple[OpenStore, OpenStore]]:
    stores = [open_store(url, clock=ManualClock(), gateway=True, use_clock=True) for _ in range(2)]
    yield stores[0], stores[1]
    for one in stores:
        await one.close()


async def until(true: Callable[[], object], *, seconds: float = 10) -> None:
    """Wait for `true()`, bounded."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_replica_is_told_to_look_when_another_has_written(url: str) -> None:
    looks: list[str] = []
    listening = open_store(url, clock=ManualClock(), gateway=True, on_change=lambda: looks.append("listening"))
    writing = open_store(url, clock=ManualClock(), gateway=True)
    try:
        await until(lambda: looks)
        looks.clear()
        await writing.write(lambda tx: tx.events.add(event("1")))
        await until(lambda: looks)
        looks.clear()
        await listening.write(lambda tx: tx.events.add(event("2")))
        await until(lambda: looks)
        await writing.read(lambda tx: tx.now)
        await asyncio.sleep(0.1)
        assert looks == ["listening"], "its own bell does not wake it a second time"
    finally:
        await writing.close()
        await listening.close()


async def test_a_listener_whose_connection_broke_looks_again_and_listens_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[int] = []
    listening = open_store(url, clock=ManualClock(), gateway=True, on_change=lambda: looks.append(1))
    writing = open_store(url, clock=ManualClock(), gateway=True)
    try:
        await until(lambda: looks)
        looks.clear()
        with psycopg.connect(url, autocommit=True) as operator:
            ended = operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            ).fetchall()
        assert len(ended) == 1
        await until(lambda: looks)
        looks.clear()
        await writing.write(lambda tx: tx.events.add(event("1")))
        await until(lambda: looks)
        assert "store.bell_deaf" in caplog.text
    finally:
        await writing.close()
        await listening.close()


async def test_a_broken_connection_is_named_and_the_next_write_has_a_new_one(url: str) -> None:
    store = open_store(url, clock=ManualClock(), gateway=True)
    try:
        await store.write(lambda tx: tx.events.add(event("1")))
        with psycopg.connect(url, autocommit=True) as operator:
            operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'homing' AND pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreError, match="connection"):
            await store.write(lambda tx: tx.events.add(event("2")))
        assert await store.write(lambda tx: tx.events.add(event("3")))
    finally:
        await store.close()


async def test_two_writes_that_would_wait_for_each_other_for_ever_both_end(
    two: tuple[OpenStore, OpenStore],
) -> None:
    barrier = threading.Barrier(2)
    tries: list[str] = []

    def crosswise(first: str, second: str) -> Callable[[Tx], bool]:
        def write(tx: Tx) -> bool:
            tries.append(first)
            tx.events.add(event(f"{first}:{first}", room=first))
            if tries.count(first) == 1:
                barrier.wait(10)
            return tx.events.add(event(f"{first}:{second}", room=second))

        return write

    added = await asyncio.gather(
        two[0].write(crosswise("a", "b")),
        two[1].write(crosswise("b", "a")),
    )
    assert all(added)
    assert len(tries) == 3, "one of them was undone and tried again"
    found = await two[0].read(lambda tx: tx.events.listing(states={EventState.DUE}))
    assert sorted(one.identity for one in found) == ["a:a", "a:b", "b:a", "b:b"]


async def test_a_claim_passes_over_what_another_replica_has_locked(two: tuple[OpenStore, OpenStore]) -> None:
    await two[0].write(lambda tx: [tx.events.add(event(room, room=room)) for room in ("a", "b")])
    locked, go = threading.Event(), threading.Event()

    def claim(tx: Tx, token: str, limit: int) -> list[str]:
        found = tx.events.claim(
            token=ClaimToken(token), lease_s=60, limit=limit, channels=ALL_CHANNELS, states={EventState.DUE}
        )
        return [one.identity for one in found]

    def hold(tx: Tx) -> list[str]:
        found = claim(tx, "one", 1)
        locked.set()
        assert go.wait(10)
        return found

    holding = asyncio.create_task(two[0].write(hold))
    await until(locked.is_set)
    assert await two[1].write(lambda tx: claim(tx, "two", 5)) == ["b"]
    go.set()
    assert await holding == ["a"]


async def test_whoever_locks_an_execution_keeps_others_waiting(two: tuple[OpenStore, OpenStore]) -> None:
    await two[0].write(lambda tx: tx.executions.insert(execution()))
    locked, go = threading.Event(), threading.Event()
    order: list[str] = []

    def hold(tx: Tx) -> None:
        tx.executions.lock(ExecutionId("7K3Q9A"))
        locked.set()
        assert go.wait(10)
        order.append("first")

    def follow(tx: Tx) -> None:
        tx.executions.lock(ExecutionId("7K3Q9A"))
        order.append("second")

    holding = asyncio.create_task(two[0].write(hold))
    await until(locked.is_set)
    following = asyncio.create_task(two[1].write(follow))
    await asyncio.sleep(0.05)
    assert order == []
    go.set()
    await asyncio.gather(holding, following)
    assert order == ["first", "second"]


async def test_now_is_the_databases(url: str) -> None:
    store = open_store(url, clock=ManualClock(), gateway=True)
    try:
        with psycopg.connect(url) as operator:
            (theirs,) = operator.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone() or (0.0,)
        ours = await store.write(lambda tx: (tx.now, tx.now))
        assert ours[0] == ours[1], "one transaction, one moment"
        assert 0 <= ours[0] - theirs < 10
        assert abs(ours[0] - START) > 10
    finally:
        await store.close()


async def test_replicas_that_start_at_once_migrate_one_after_the_other() -> None:
    with postgres_database(migrated=False) as url:
        await asyncio.gather(*(asyncio.to_thread(migrate, url) for _ in range(4)))
        store = open_store(url, clock=ManualClock(), gateway=False)
        assert await store.write(lambda tx: tx.events.add(event()))
        await store.close()


def test_a_tool_changes_no_schema_and_a_newer_one_is_left_as_it_is(url: str) -> None:
    with postgres_database(migrated=False) as empty, pytest.raises(StoreError, match="homing run"):
        open_store(empty, clock=ManualClock(), gateway=False)
    with psycopg.connect(url) as operator:
        operator.execute("UPDATE alembic_version SET version_num = '9999'")
    for gateway in (True, False):
        with pytest.raises(StoreError, match="newer"):
            open_store(url, clock=ManualClock(), gateway=gateway)


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised:
        open_store(f"postgresql://ann:hunter2@/d?host={tmp_path}", clock=ManualClock(), gateway=True)
    said = str(raised.value)
    assert "hunter2" not in said
    assert "[store] url" in said
    assert "\n" not in said


async def test_a_backup_is_left_to_the_databases_own_tool(url: str, tmp_path: Path) -> None:
    store = open_store(url, clock=ManualClock(), gateway=True)
    with pytest.raises(StoreError, match="pg_dump"):
        await store.backup(tmp_path / "copy.db")
    await store.close()
    assert list(tmp_path.iterdir()) == []
