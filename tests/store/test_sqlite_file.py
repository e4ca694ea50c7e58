"""The file behind the SQLite store: one gateway, clear errors, nothing overwritten, copies that begin paused."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.domain.event import EventState
from bot.domain.execution import ExecutionId
from bot.errors import StoreError
from bot.ports import Tx
from bot.store import OpenStore, migrate, open_store
from tests.clock import ManualClock
from tests.store.made import event, execution

ROOT = Path(__file__).parents[2]
NOBODY = 65_534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "homing.db"


def opening(path: Path, *, gateway: bool = True) -> OpenStore:
    return open_store(f"sqlite:///{path}", clock=ManualClock(), gateway=gateway)


async def made(path: Path) -> None:
    """A file with something in it, closed."""
    store = opening(path)
    await store.write(lambda tx: tx.executions.insert(execution()))
    await store.close()


def refused(path: Path, *, gateway: bool = True) -> str:
    """The error's words. Whatever stood there stands there still, byte for byte."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError) as raised:
        opening(path, gateway=gateway)
    assert (path.read_bytes() if path.is_file() else None) == before
    said = str(raised.value)
    assert "\n" not in said
    return said


async def test_a_second_gateway_is_refused_and_told_who_has_the_file(path: Path) -> None:
    store = opening(path)
    said = refused(path)
    assert f"process {os.getpid()}" in said
    assert "stop" in said
    assert await store.write(lambda tx: tx.events.add(event()))
    await store.close()
    await opening(path).close()


async def test_a_gateway_that_was_killed_leaves_no_lock(path: Path) -> None:
    code = "import sys; from bot.store.sqlite_file import GatewayLock; from pathlib import Path\n"
    code += "lock = GatewayLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, path], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    with holder.stdout, holder.stdin:
        assert holder.stdout.readline() == b"held\n"
        assert f"process {holder.pid}" in refused(path)
        holder.kill()
        holder.wait(10)
    await opening(path).close()


async def test_tools_work_beside_a_running_gateway(path: Path) -> None:
    gateway = opening(path)
    tools = [opening(path, gateway=False) for _ in range(2)]
    writers = [gateway, *tools]
    added = await asyncio.gather(
        *(
            one.write(lambda tx, number=number: tx.executions.insert(execution(f"AAAA{number:02}")))  # type: ignore[misc]
            for number in range(30)
            for one in (writers[number % 3],)
        )
    )
    assert all(added)
    for one in writers:
        assert await one.read(lambda tx: tx.executions.get(ExecutionId("AAAA29"))) is not None
        await one.close()


async def test_a_missing_file_is_made_for_a_gateway_and_named_to_a_tool(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "homing.db"
    assert "homing run" in refused(path, gateway=False)
    assert not path.parent.exists()
    await opening(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_newer_schema_is_left_as_it_is(path: Path) -> None:
    await made(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for gateway in (True, False):
        said = refused(path, gateway=gateway)
        assert "9999" in said
        assert "newer" in said


async def test_an_older_schema_is_brought_up_to_date_by_a_gateway_only(path: Path) -> None:
    path.touch()
    assert "homing run" in refused(path, gateway=False)
    await opening(path).close()
    await opening(path, gateway=False).close()


async def test_a_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1_000)
    for gateway in (True, False):
        assert "no SQLite database" in refused(path, gateway=gateway)


async def test_the_database_of_another_program_is_left_as_it_is(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    assert "another program" in refused(path)


async def test_a_damaged_file_is_left_as_it_is(path: Path) -> None:
    await made(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + os.urandom(8_192) + whole[middle + 8_192 :])
    assert "damaged" in refused(path)
    path.write_bytes(whole[: len(whole) - 4_096 * 3])
    assert "damaged" in refused(path)


async def test_a_directory_and_a_path_through_a_file_are_refused(tmp_path: Path) -> None:
    assert "directory" in refused(tmp_path)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(tmp_path / "file" / "homing.db")


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Rights count for nothing for root: for the length of the test we are somebody else."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may look into, all the way down: pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="homing-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


async def test_an_unwritable_directory_or_file_is_refused(open_directory: Path, request: pytest.FixtureRequest) -> None:
    path = open_directory / "homing.db"
    await made(path)
    path.chmod(0o444)
    path.with_name("homing.db.lock").chmod(0o444)
    open_directory.chmod(0o555)
    try:
        request.getfixturevalue("unprivileged")
        for gateway in (True, False):
            said = refused(path, gateway=gateway)
            assert "cannot be written" in said
            assert "mode" in said
        assert "cannot be written" in refused(open_directory / "new" / "homing.db")
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        open_directory.chmod(0o755)


@pytest.mark.parametrize(
    "url", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "homing.db", "postgresql+asyncpg://h/d"]
)
def test_a_url_that_we_cannot_use_is_named(url: str) -> None:
    with pytest.raises(StoreError, match=r"\[store\] url"):
        open_store(url, clock=ManualClock(), gateway=True)


async def test_migrating_is_refused_while_a_gateway_runs(path: Path) -> None:
    migrate(f"sqlite:///{path}")
    store = opening(path)
    with pytest.raises(StoreError, match="another gateway"):
        migrate(f"sqlite:///{path}")
    await store.close()
    migrate(f"sqlite:///{path}")


async def test_a_backup_is_whole_and_begins_paused(path: Path, tmp_path: Path) -> None:
    store = opening(path)
    await store.write(lambda tx: tx.executions.insert(execution()))
    copy = tmp_path / "copy.db"
    writing = [asyncio.create_task(store.write(lambda tx, n=n: tx.events.add(event(str(n))))) for n in range(50)]  # type: ignore[misc]
    await store.backup(copy)
    await asyncio.gather(*writing)
    assert await store.read(lambda tx: tx.switches.paused()) is None, "the gateway itself goes on"
    await store.close()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    restored = opening(copy)
    paused = await restored.read(lambda tx: tx.switches.paused())
    assert paused is not None
    assert paused.reason == "restored from the backup of 2027-01-15 08:00:00 UTC"
    assert await restored.read(lambda tx: tx.executions.get(ExecutionId("7K3Q9A"))) == execution()
    await restored.close()


async def test_a_backup_of_a_paused_gateway_says_why_it_is_paused_now(path: Path, tmp_path: Path) -> None:
    store = opening(path)
    await store.write(lambda tx: tx.switches.pause(by="ann", reason="maintenance"))
    await store.backup(tmp_path / "copy.db")
    await store.close()
    restored = opening(tmp_path / "copy.db")
    paused = await restored.read(lambda tx: tx.switches.paused())
    assert paused is not None
    assert paused.reason.startswith("restored from the backup of")
    await restored.close()


async def test_a_backup_overwrites_nothing_and_leaves_no_crumbs(path: Path, tmp_path: Path) -> None:
    store = opening(path)
    there = tmp_path / "there.db"
    there.write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        await store.backup(there)
    assert there.read_text() == "mine"
    with pytest.raises(StoreError, match="no backup was made"):
        await store.backup(tmp_path / "missing" / "copy.db")
    await store.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["homing.db", "homing.db.lock", "there.db"]


async def test_a_group_that_sqlite_undid_by_itself_is_told_so_and_the_rest_is_written(path: Path) -> None:
    store = opening(path)
    running, go = threading.Event(), threading.Event()

    def hold(_tx: Tx) -> None:
        running.set()
        assert go.wait(10)

    def undo_all(tx: Tx) -> None:
        # As SQLite does by itself on a full disk or a failing one: the savepoint is gone with the transaction.
        connection = tx.switches.connection  # type: ignore[attr-defined]
        for _ in range(2):
            connection.exec_driver_sql("INSERT OR ROLLBACK INTO spent_identities VALUES ('same')")

    holding = asyncio.create_task(store.write(hold))
    while not running.is_set():
        await asyncio.sleep(0.001)
    writes: list[Callable[[Tx], object]] = [adding("before"), undo_all, adding("after")]
    group = [asyncio.create_task(store.write(one)) for one in writes]
    await asyncio.sleep(0)
    go.set()
    await holding
    before, undone, after = await asyncio.gather(*group, return_exceptions=True)
    assert isinstance(before, Exception)
    assert isinstance(undone, Exception)
    assert after is True
    found = await store.read(lambda tx: tx.events.listing(states={EventState.DUE}))
    assert [one.identity for one in found] == ["after"]
    await store.close()


def adding(identity: str) -> Callable[[Tx], bool]:
    return lambda tx: tx.events.add(event(identity))


async def test_a_full_disk_fails_the_write_and_keeps_what_was_there(path: Path) -> None:
    store = opening(path)
    await store.write(lambda tx: tx.events.add(event("before")))

    def fill(tx: object) -> None:
        connection = tx.switches.connection  # type: ignore[attr-defined]
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await store.write(fill)
    ended = await asyncio.gather(
        *(store.write(lambda tx, n=n: tx.events.add(event(f"{n}" + "x" * 20_000))) for n in range(20)),  # type: ignore[misc]
        return_exceptions=True,
    )
    faults = [one for one in ended if isinstance(one, StoreError)]
    assert faults
    assert all("disk is full" in str(one) for one in faults)
    found = {one.identity for one in await store.read(lambda tx: tx.events.listing(states={EventState.DUE}))}
    assert "before" in found
    assert len(found) == 1 + sum(one is True for one in ended), "who was told that it failed is not there"
    await store.close()
