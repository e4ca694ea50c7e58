"""The schema: the versions make exactly the tables of the code, and the invariants stand in the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, insert, make_url, select, text, update
from sqlalchemy.exc import IntegrityError

import bot.store.migrations
from bot.domain.event import BLOCKING, ClaimToken, EventState
from bot.domain.execution import ExecutionId, result_from_json, result_to_json
from bot.domain.glass import GlassState
from bot.domain.session import AccountName, AgentName, ChannelName, NativeId, Peer, PeerKind, ReturnAddress, ThreadId
from bot.domain.terms import ONE_YES
from bot.errors import StoreError
from bot.ports import Tx
from bot.store import OpenStore, migrate, open_store
from bot.store.rows import address_of, address_text, early_of, early_text, execution_values
from bot.store.schema import REVISIONS, digest, events, inputs, metadata
from bot.store.schema_known import grants
from tests.clock import ManualClock
from tests.postgres import postgres_database
from tests.store.made import ALL_CHANNELS, command, event, execution, message, peer, press, reaction, result


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'homing.db'}"
        return
    with postgres_database(migrated=False) as made:
        yield made


def test_the_versions_make_the_tables_of_the_code(url: str) -> None:
    migrate(url)
    parsed = make_url(url)
    engine = create_engine(parsed if parsed.drivername == "sqlite" else parsed.set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_code_knows_every_version_and_uses_the_last() -> None:
    scripts = ScriptDirectory(str(Path(bot.store.migrations.__file__).parent))
    assert tuple(reversed([one.revision for one in scripts.walk_revisions()])) == REVISIONS
    assert scripts.get_current_head() == REVISIONS[-1]


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_a_database_of_an_earlier_version_is_brought_up_to_date_with_what_it_holds(
    empty_url: str, clock: ManualClock, revision: str
) -> None:
    url = empty_url
    _made_by_version(url, revision)
    with pytest.raises(StoreError):
        open_store(url, clock=clock, gateway=False, use_clock=True)
    store = open_store(url, clock=clock, gateway=True, use_clock=True)
    try:
        kept = await store.read(lambda tx: tx.executions.get(ExecutionId("7K3QXY")))
        assert kept is not None
        assert (kept.request.text, kept.command, kept.terms) == ("df -h", command(), ONE_YES)
        assert await store.write(lambda tx: tx.events.add(event("1")))
        assert await store.read(lambda tx: tx.pairings.listing()) == []
    finally:
        await store.close()


@pytest.mark.parametrize("revision", ["0005", "0007"])
async def test_votes_and_grants_of_before_there_were_codes_carried_none(
    empty_url: str, clock: ManualClock, revision: str
) -> None:
    _made_by_version(empty_url, revision)
    columns = {"execution_id": "7K3QXY", "person_digest": digest("bob"), "person": "bob", "approves": 1, "reason": ""}
    _inserted(empty_url, "votes", {**columns, "at": 1.0})
    given: dict[str, object] = {
        "id": "G7K3QXY",
        "command": "{}",
        "node": "n",
        "node_name": "web-1",
        "place": "{}",
        "place_digest": "d",
    }
    given |= {"asker": "ann", "execution_id": "7K3QXY", "granted_by": "bob", "granted_at": 1.0, "expires_at": 2.0}
    _inserted(empty_url, "grants", {**given, "reason": "", "revoked_why": "", "uses": 0})
    store = open_store(empty_url, clock=clock, gateway=True, use_clock=True)
    try:
        one = ExecutionId("7K3QXY")
        voted = await store.read(
            lambda tx: (tx.executions.approvers(one), tx.executions.approvers(one, with_factor=True))
        )
        assert voted == (["bob"], [])
        carried = select(grants.c.with_factor)
        found = await store.read(lambda tx: tx.grants.connection.execute(carried).scalars().all())  # type: ignore[attr-defined]
        assert found == [0]
        assert await store.read(lambda tx: tx.factors.listing()) == []
        assert await store.read(lambda tx: tx.glasses.listing(frozenset(GlassState))) == []
    finally:
        await store.close()


def _inserted(url: str, table: str, values: dict[str, object]) -> None:
    parsed = make_url(url)
    engine = create_engine(parsed if parsed.drivername == "sqlite" else parsed.set(drivername="postgresql+psycopg"))
    places = ", ".join(f":{name}" for name in values)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"), values)  # noqa: S608
    engine.dispose()


def _made_by_version(url: str, revision: str) -> None:
    """A database as that version left it, with an execution: written by the columns that every version has."""
    parsed = make_url(url)
    engine = create_engine(parsed if parsed.drivername == "sqlite" else parsed.set(drivername="postgresql+psycopg"))
    config = Config()
    config.set_main_option("script_location", "bot.store:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        upgrade(config, revision)
        values = execution_values(execution())
        written = {name: values[name] for name in sorted(_FIRST_COLUMNS)} | {
            "id": "7K3QXY",
            "state": "finished",
            "revision": 1,
        }
        names, places = ", ".join(written), ", ".join(f":{name}" for name in written)
        connection.execute(text(f"INSERT INTO executions ({names}) VALUES ({places})"), written)  # noqa: S608
    engine.dispose()


_FIRST_COLUMNS = frozenset(
    {"session", "session_digest", "origin", "asker", "asker_native", "asker_name", "request", "node", "node_name"}
    | {"created_at", "expires_at", "rule", "deciders", "command", "live_tail"}
)


def test_the_states_that_block_are_the_domains() -> None:
    check = next(one for one in events.constraints if one.name == "ck_events_blocks_follows_state")
    written = str(getattr(check, "sqltext", ""))
    assert {state for state in EventState if f"'{state.value}'" in written} == BLOCKING


@pytest.mark.parametrize(
    "broken",
    [
        update(events).values(state="told"),
        update(events).values(claim_token="x"),
        update(events).values(claim_token="x", lease_until=1.0),
        update(events).values(sequence=1),
        update(inputs).values(claim_token="x"),
        update(inputs).values(state="claimed"),
        insert(events).from_select([one.name for one in events.c], events.select()),
    ],
    ids=["blocks", "lease", "one-claim", "sequence", "input-token", "input-claim", "identity"],
)
async def test_the_database_itself_refuses_what_must_not_be(store: OpenStore, broken: object) -> None:
    def prepare(tx: Tx) -> None:
        for identity in ("1", "2"):
            tx.events.add(event(identity))
        tx.inputs.add(message())

    await store.write(prepare)
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: tx.events.connection.execute(broken))  # type: ignore[attr-defined]
    found = await store.read(lambda tx: tx.events.listing(states={EventState.DUE}))
    assert [one.identity for one in found] == ["1", "2"]


async def test_the_longest_ids_of_the_widest_characters_are_stored_and_found(store: OpenStore) -> None:
    def wide(letter: str) -> str:
        return letter + "".join(chr(0x1F300 + number % 500) for number in range(511))

    widest = Peer(
        agent=AgentName(wide("a")),
        channel=ChannelName(wide("b")),
        account=AccountName(wide("c")),
        kind=PeerKind.CHANNEL,
        id=NativeId(wide("d")),
        thread=ThreadId(wide("e")),
    )
    new = event(wide("identity"))
    widened = type(new)(
        identity=new.identity,
        session=new.session,
        address=ReturnAddress(peer=widest, message_id=None),
        payload=new.payload,
    )
    assert await store.write(lambda tx: tx.events.add(widened))
    found = await store.write(
        lambda tx: tx.events.claim(
            token=ClaimToken("one"),
            lease_s=60,
            limit=1,
            channels=[(widest.channel, widest.account)],
            states={EventState.DUE},
        )
    )
    assert [one.address.peer for one in found] == [widest]


async def test_the_claim_of_the_next_event_uses_the_index(store: OpenStore, url: str) -> None:
    if not url.startswith("sqlite"):
        # PostgreSQL plans by the size of its tables; three rows say nothing.
        return
    seen: list[str] = []

    def look(tx: Tx) -> None:
        tx.events.add(event("1"))
        raw = tx.events.connection.connection.driver_connection  # type: ignore[attr-defined]
        raw.set_trace_callback(seen.append)
        tx.events.claim(token=ClaimToken("one"), lease_s=60, limit=1, channels=ALL_CHANNELS, states={EventState.DUE})
        raw.set_trace_callback(None)

    await store.write(look)
    ready, claim = [await _plan(store, one) for one in seen if one.startswith("SELECT")]
    assert "leading_and_never_tried" in ready
    assert "leading_and_tried" in ready
    assert "events_in_the_way" in claim
    assert "one_open_claim_an_address" in claim


async def _plan(store: OpenStore, statement: str) -> str:
    asked = text(f"EXPLAIN QUERY PLAN {statement.replace(':', chr(92) + ':')}")
    rows = await store.read(lambda tx: tx.events.connection.execute(asked).all())  # type: ignore[attr-defined]
    return " ".join(row[-1] for row in rows)


def test_addresses_presses_and_results_come_back_from_their_rows() -> None:
    for where in (peer(), peer("Ops:%3A/🎉", thread="17.2", channel="slack", account="b")):
        for anchor in (None, "m1"):
            home = ReturnAddress(peer=where, message_id=anchor)  # type: ignore[arg-type]
            assert address_of(address_text(home) or "") == home
    assert address_text(None) is None
    for early in (press(thread="17"), reaction()):
        assert early_of(early_text(early)) == early
    assert result_from_json(result_to_json(result())) == result()
