"""The audit in both databases: every step leaves its line, nothing takes one away, and no two lines follow the same."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from bot.domain.audit import GENESIS, REDACTED, Head, Line
from bot.domain.audit_check import Broken, Sound, check, redactions
from bot.domain.command import CommandHash, parse_request
from bot.domain.execution import Execution, ExecutionId, Trigger
from bot.domain.message import Sender
from bot.domain.session import AccountName, ChannelName, PersonId
from bot.errors import StoreError
from bot.ports import Tx
from bot.store import OpenStore, open_store
from bot.store.schema_audit import audit_lines
from tests.clock import START, ManualClock
from tests.store.made import NODE, address, event, execution, result, session

ONE = ExecutionId("7K3Q9A")


async def lines_of(store: OpenStore) -> list[Line]:
    return list(await store.read(lambda tx: tx.audit.lines()))


def verified(lines: list[Line], heads: tuple[Head, ...] = ()) -> Sound | Broken:
    return check(lines, redactions(lines), heads)


def a_life(tx: Tx, execution_id: str = "7K3Q9A") -> Execution:
    one = execution(execution_id)
    assert tx.executions.insert(one)
    tx.executions.step(one.id, "requested", by=one.asker)
    asked = tx.executions.move(one, Trigger.ASK, by=one.rule, detail="bob, web:cy")
    assert tx.executions.vote(one.id, PersonId("bob"), approves=True, reason="fine by me")
    decided = replace(asked, decided_by=PersonId("bob"), decided_at=tx.now, approved_by=(PersonId("bob"),))
    approved = tx.executions.move(decided, Trigger.APPROVE, by="bob")
    dispatched = tx.executions.move(approved, Trigger.DISPATCH, by="gateway")
    running = tx.executions.move(replace(dispatched, started_at=tx.now), Trigger.START, by="web-1")
    return tx.executions.move(replace(running, result=result(), ended_at=tx.now), Trigger.FINISH, by="web-1")


async def test_every_step_and_vote_leaves_a_line_without_being_asked(store: OpenStore) -> None:
    await store.write(a_life)
    lines = await lines_of(store)
    kinds = ["requested", "ask", "yes", "approve", "dispatch", "start", "finish"]
    assert [line.kind for line in lines] == kinds
    assert {line.execution for line in lines} == {ONE}
    assert [line.seq for line in lines] == list(range(1, 8))
    assert {line.at for line in lines} == {"2027-01-15T08:00:00.000Z"}
    sound = verified(lines)
    assert isinstance(sound, Sound)
    assert sound.head == await store.read(lambda tx: tx.audit.head()) == lines[-1].head()

    fields = lines[-1].fields()
    assert fields["by"] == "web-1"
    assert (fields["exit_code"], fields["ending"], fields["output_bytes"]) == (0, "exited", 12)
    assert fields["command_hash"] == execution().command_hash
    assert fields["asker"] == {"person": "ann", "native": "U1", "name": "Ann"}
    assert (fields["decided_by"], fields["approved_by"], fields["rule"]) == ("bob", ["bob"], "owners decide")
    assert lines[2].fields()["reason"] == "fine by me"
    assert "exit_code" not in lines[-2].fields()


async def test_a_step_alone_reads_what_it_is_about(store: OpenStore) -> None:
    await store.write(a_life)
    await store.write(lambda tx: tx.executions.step(ONE, "told", detail="outcome:1"))
    told = (await lines_of(store))[-1]
    assert (told.kind, told.fields()["detail"], told.fields()["rule"]) == ("told", "outcome:1", "owners decide")
    assert "output_sha256" not in told.fields()


async def test_a_second_vote_and_a_switch_that_stood_so_already_leave_no_line(store: OpenStore) -> None:
    def twice(tx: Tx) -> None:
        tx.executions.insert(execution())
        for _ in range(2):
            tx.executions.vote(ONE, PersonId("bob"), approves=True, reason="")
            tx.nodes.hello(NODE, b"key", "web-1")
            tx.nodes.pair(NODE, by="op")
        for _ in range(2):
            tx.nodes.revoke(NODE, by="op")
        tx.switches.resume(by="op")

    await store.write(twice)
    assert [line.kind for line in await lines_of(store)] == ["yes", "node_paired", "node_revoked"]


async def test_what_is_no_execution_leaves_its_line_as_well(store: OpenStore) -> None:
    channel, account = ChannelName("slack"), AccountName("default")

    def change(tx: Tx) -> None:
        tx.switches.pause(by="ann", reason="freeze")
        tx.switches.resume(by="bob")
        tx.nodes.hello(NODE, b"key", "web-1")
        tx.nodes.pair(NODE, name="db-1", by="op")
        sender = Sender(native="U9", name="Eve\x00")
        home = replace(address(), peer=replace(address().peer, channel=channel))
        assert tx.pairings.ask(address=home, session=session(), sender=sender, code="7K3Q9A2C")
        assert tx.pairings.approve("7K3Q9A2C", by="op")
        assert tx.pairings.revoke(channel, account, "U9", by="op")
        tx.audit.note("policy_loaded", None, {"rules": 3, "files": ["config.toml"]})

    await store.write(change)
    lines = await lines_of(store)
    told = [(line.kind, line.fields()["by"]) for line in lines]
    assert told == [
        ("paused", "ann"),
        ("resumed", "bob"),
        ("node_paired", "op"),
        ("person_paired", "op"),
        ("person_revoked", "op"),
        ("policy_loaded", None),
    ]
    assert lines[0].fields()["reason"] == "freeze"
    assert lines[2].fields()["node"] == {"name": "db-1", "fingerprint": NODE}
    assert lines[3].fields()["name"] == "Eve\u2400"
    assert lines[5].fields()["files"] == ["config.toml"]
    assert isinstance(verified(lines), Sound)


async def test_a_transaction_that_fails_leaves_neither_a_line_nor_a_gap(store: OpenStore) -> None:
    await store.write(lambda tx: tx.switches.pause(by="ann", reason=""))

    def fail(tx: Tx) -> None:
        a_life(tx)
        raise KeyError("what nobody foresaw")

    with pytest.raises(KeyError):
        await store.write(fail)
    await store.write(lambda tx: tx.switches.resume(by="ann"))
    lines = await lines_of(store)
    assert [(line.seq, line.kind) for line in lines] == [(1, "paused"), (2, "resumed")]
    assert isinstance(verified(lines), Sound)


async def test_a_read_leaves_no_line(store: OpenStore) -> None:
    with pytest.raises(StoreError):
        await store.read(lambda tx: tx.audit.note("paused", "ann", {}))
    assert await lines_of(store) == []


async def test_many_writers_at_once_make_one_chain(store: OpenStore, another: OpenStore) -> None:
    """Two replicas on PostgreSQL, a gateway and a tool on SQLite; each also takes the lock of an address."""

    def work(number: int) -> Callable[[Tx], None]:
        def write(tx: Tx) -> None:
            tx.audit.note("first", str(number), {})
            tx.events.add(event(f"{number}:0", room=f"room-{number % 4}"))
            tx.audit.note("second", str(number), {})

        return write

    stores = (store, another)
    await asyncio.gather(*(stores[number % 2].write(work(number)) for number in range(120)))
    lines = await lines_of(store)
    sound = verified(lines)
    assert isinstance(sound, Sound), sound
    assert sound.lines == 240
    pairs = [(lines[at].fields()["by"], lines[at + 1].fields()["by"]) for at in range(0, 240, 2)]
    assert {first for first, _ in pairs} == {str(number) for number in range(120)}
    assert all(first == second for first, second in pairs), "the lines of one transaction stand together"


async def test_whoever_has_left_a_line_keeps_nobody_from_an_address(
    store: OpenStore, another: OpenStore, url: str
) -> None:
    """The interleaving of `StoredAudit.flush`: neither loses against the other, so neither has to begin again."""
    if url.startswith("sqlite"):
        return  # there is one writer at a time
    has_line, has_address = threading.Event(), threading.Event()
    calls: list[str] = []

    def line_first(tx: Tx) -> None:
        calls.append("line first")
        tx.switches.pause(by="ann", reason="")
        has_line.set()
        assert has_address.wait(20)
        tx.events.add(event("1"))

    def address_first(tx: Tx) -> None:
        calls.append("address first")
        assert has_line.wait(20)
        tx.events.add(event("2"))
        has_address.set()
        tx.audit.note("policy_loaded", None, {})

    await asyncio.gather(store.write(line_first), another.write(address_first))
    assert sorted(calls) == ["address first", "line first"]
    assert [line.kind for line in await lines_of(store)] == ["policy_loaded", "paused"]


@pytest.mark.parametrize(
    "change",
    [
        delete(audit_lines).where(audit_lines.c.seq == 2),
        update(audit_lines).where(audit_lines.c.seq == 2).values(body="{}"),
        update(audit_lines).where(audit_lines.c.seq == 2).values(hash="0" * 64),
        update(audit_lines).where(audit_lines.c.seq == 2).values(execution_id=None),
        update(audit_lines).where(audit_lines.c.seq == 2).values(kind="denied", body=None),
        update(audit_lines).where(audit_lines.c.seq == 2).values(at="2020-01-01T00:00:00.000Z", body=None),
        insert(audit_lines).values(seq=2, at="x", kind="x", body="{}", body_hash="x", hash="x"),
    ],
    ids=["delete", "body", "hash", "execution", "kind", "at", "again"],
)
async def test_the_database_itself_refuses_to_change_a_line(store: OpenStore, change: object) -> None:
    await store.write(a_life)
    before = await lines_of(store)
    with pytest.raises((DBAPIError, StoreError)):
        await store.write(lambda tx: tx.audit.connection.execute(change))  # type: ignore[attr-defined]
    assert await lines_of(store) == before


async def test_the_database_refuses_to_empty_or_replace(store: OpenStore, url: str) -> None:
    await store.write(a_life)
    before = await lines_of(store)
    statement = (
        "INSERT OR REPLACE INTO audit_lines (seq, at, kind, body_hash, hash) VALUES (3, 'x', 'x', 'x', 'x')"
        if url.startswith("sqlite")
        else "TRUNCATE audit_lines"
    )
    with pytest.raises((DBAPIError, StoreError)):
        await store.write(lambda tx: tx.audit.connection.execute(text(statement)))  # type: ignore[attr-defined]
    assert await lines_of(store) == before


async def test_bodies_of_one_execution_are_redacted_and_the_chain_holds(store: OpenStore) -> None:
    await store.write(a_life)
    await store.write(lambda tx: a_life(tx, "7K3QXY"))
    await store.write(lambda tx: tx.switches.pause(by="ann", reason=""))
    last = await store.read(lambda tx: tx.audit.head())
    assert last is not None
    gone = await store.write(lambda tx: tx.audit.redact(first=1, last=last.seq, by="op", reason="a key", execution=ONE))
    assert gone == 7
    lines = await lines_of(store)
    assert {line.execution for line in lines if line.body is None} == {ONE}
    assert (lines[-1].kind, lines[-1].execution, lines[-1].fields()["reason"]) == (REDACTED, ONE, "a key")
    sound = verified(lines)
    assert isinstance(sound, Sound)
    assert (sound.redacted, sound.lines) == (7, 16)
    again = await store.write(lambda tx: tx.audit.redact(first=1, last=99, by="op", reason="again", execution=ONE))
    assert again == 0, "what says what is gone stays"
    assert len(await lines_of(store)) == 16


async def test_a_body_that_is_gone_without_a_word_is_found(store: OpenStore) -> None:
    await store.write(a_life)
    await store.write(
        lambda tx: tx.audit.connection.execute(  # type: ignore[attr-defined]
            update(audit_lines).where(audit_lines.c.seq == 3).values(body=None)
        )
    )
    assert verified(await lines_of(store)) == Broken(
        number=3, seq=3, what="its body is gone, and no later line says that it was redacted"
    )


async def test_lines_are_found_by_place_time_and_execution(store: OpenStore, clock: ManualClock) -> None:
    assert await store.read(lambda tx: (tx.audit.head(), tx.audit.before(START), tx.audit.first_body())) == (
        None,
        0,
        None,
    )
    await store.write(a_life)
    clock.advance(3_600)
    await store.write(lambda tx: tx.switches.pause(by="ann", reason=""))
    await store.write(lambda tx: tx.executions.step(ONE, "told"))
    everything = await lines_of(store)
    assert await store.read(lambda tx: tx.audit.lines(after=3, limit=2)) == everything[3:5]
    assert everything[0].previous == GENESIS
    assert await store.read(lambda tx: tx.audit.of_execution(ONE)) == [*everything[:7], everything[8]]
    assert await store.read(lambda tx: tx.audit.of_execution(ONE, limit=2)) == everything[:2]
    for moment, seq in ((START - 1, 0), (START, 0), (START + 1, 7), (START + 3_600, 7), (START + 3_601, 9)):
        assert await store.read(lambda tx, at=moment: tx.audit.before(at)) == seq  # type: ignore[misc]
    assert await store.read(lambda tx: tx.audit.first_body()) == 1
    await store.write(lambda tx: tx.audit.redact(first=1, last=4, by=None, reason="old"))
    assert await store.read(lambda tx: tx.audit.first_body()) == 5


async def test_it_is_remembered_what_each_witness_was_told(store: OpenStore, clock: ManualClock) -> None:
    await store.write(a_life)
    head = await store.read(lambda tx: tx.audit.head())
    assert head is not None
    await store.write(lambda tx: tx.audit.not_told("url", "no route"))
    clock.advance(60)
    await store.write(lambda tx: tx.audit.not_told("url", "answered 500"))
    await store.write(lambda tx: tx.audit.told("file", head))
    of_file, of_url = await store.read(lambda tx: tx.audit.witnesses())
    assert (of_file.name, of_file.head, of_file.told_at, of_file.trouble) == ("file", head, START + 60, None)
    assert (of_url.head, of_url.told_at, of_url.trouble, of_url.failing_since) == (None, None, "answered 500", START)
    await store.write(lambda tx: tx.audit.told("url", head))
    _, of_url = await store.read(lambda tx: tx.audit.witnesses())
    assert (of_url.head, of_url.trouble, of_url.failing_since) == (head, None, None)


def masked(tx: Tx) -> None:
    one = execution()
    shown = parse_request("df '•••'")
    tx.executions.insert(replace(one, request=parse_request("df s3cret"), masked=shown))
    tx.executions.step(one.id, "requested", by="ann")


async def test_the_hash_of_a_masked_command_is_keyed_and_the_key_is_the_gateways(
    url: str, clock: ManualClock, tmp_path: Path
) -> None:
    key = tmp_path / "keys" / "audit.key"
    key.parent.mkdir()
    hashes = []
    for _ in range(2):
        store = open_store(url, clock=clock, gateway=True, use_clock=True, audit_key=key)
        try:
            await store.write(lambda tx: tx.executions.step(ONE, "seen") if tx.executions.get(ONE) else masked(tx))
            hashes += [line.fields()["command_hash"] for line in await lines_of(store)]
        finally:
            await store.close()
    plain = execution().command_hash
    assert set(hashes) == {hashes[0]}, "the same command has the same hash, after a restart too"
    assert isinstance(hashes[0], str)
    assert hashes[0].startswith("hmac-sha256:")
    assert plain is not None
    assert plain not in hashes[0]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["audit.key"]


async def test_a_key_that_cannot_be_used_is_said_with_its_remedy(tmp_path: Path, clock: ManualClock) -> None:
    key = tmp_path / "audit.key"
    for content, said in (("not hex", "cannot be read or made"), ("abcd", "holds no key of 32 bytes")):
        key.write_text(content)
        store = open_store(f"sqlite:///{tmp_path / 'a.db'}", clock=clock, gateway=True, audit_key=key)
        try:
            with pytest.raises(StoreError, match=said):
                await store.write(masked)
            assert await lines_of(store) == [], "nothing was written without its line"
            assert await store.read(lambda tx: tx.executions.get(ONE)) is None
        finally:
            await store.close()
    assert key.read_text() == "abcd", "nothing was overwritten"


async def test_the_environment_stands_with_its_names_alone(store: OpenStore) -> None:
    await store.write(a_life)
    for line in await lines_of(store):
        command = line.fields().get("command")
        if isinstance(command, dict):
            assert command["env"] == ["LANG", "PATH"]
        assert "C.UTF-8" not in json.dumps(line.fields())


def test_a_keyed_hash_differs_from_key_to_key(tmp_path: Path) -> None:
    from bot.store.audit_key import AuditKey

    one, other = AuditKey(tmp_path / "one"), AuditKey(None)
    assert one.keyed(CommandHash("a")) == AuditKey(tmp_path / "one").keyed(CommandHash("a"))
    assert one.keyed(CommandHash("a")) != one.keyed(CommandHash("b"))
    assert one.keyed(CommandHash("a")) != other.keyed(CommandHash("a"))
