"""What the store promises of people's devices, on both databases; real time-steps, real keys."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import text

from bot.domain.factor import LOCKED_FOR_S, MAX_FAILURES, Check, Checked, parse_code
from bot.domain.session import PersonId
from bot.errors import StoreError
from bot.ports import Tx
from bot.store import OpenStore, open_store
from bot.store.vault import Vault, steps_of
from tests.clock import ManualClock
from tests.device import KEY, STEP_S, Device
from tests.store import made

BOB, CY = PersonId("bob"), PersonId("cy")


@pytest.fixture
async def store(url: str, clock: ManualClock) -> AsyncIterator[OpenStore]:
    opened = open_store(url, clock=clock, gateway=True, use_clock=True, factor_key=KEY)
    yield opened
    await opened.close()


async def begin(store: OpenStore, person: PersonId = BOB) -> Device:
    secret = await store.write(lambda tx: tx.factors.begin(person, by="op"))
    assert secret is not None
    return Device(secret)


async def enrol(store: OpenStore, clock: ManualClock, person: PersonId = BOB) -> tuple[Device, Sequence[str]]:
    device = await begin(store, person)
    code = device.code(clock.now())
    codes = await store.write(lambda tx: tx.factors.enrol(person, code, by="op"))
    assert codes is not None
    clock.advance(STEP_S)
    return device, codes


async def check(store: OpenStore, code: str, person: PersonId = BOB) -> Checked:
    return await store.write(lambda tx: tx.factors.check(person, code))


async def said(store: OpenStore) -> list[tuple[str, str | None]]:
    """Kinds of the audit's lines, and what a refusal was for."""
    lines = await store.read(lambda tx: tx.audit.lines())
    return [(line.kind, str(why) if (why := line.fields().get("why")) else None) for line in lines]


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_gateway_and_the_device_of_these_tests_agree_with_the_rfcs_own_values(now: int, code: str) -> None:
    secret = b"12345678901234567890"
    assert Device(base64.b32encode(secret).decode()).code(now, digits=8) == code
    # Ours has six digits, which are the last six of eight.
    assert steps_of(secret, code[-6:], now) == [now // STEP_S]


async def test_a_device_counts_once_its_first_code_was_right(store: OpenStore, clock: ManualClock) -> None:
    device = await begin(store)
    assert await check(store, device.code(clock.now())) == Checked(check=Check.NOT_ENROLLED)
    assert await store.write(lambda tx: tx.factors.enrol(BOB, device.wrong(clock.now()), by="op")) is None
    codes = await store.write(lambda tx: tx.factors.enrol(BOB, device.code(clock.now()), by="op"))
    assert codes is not None
    assert len(set(codes)) == 10
    assert all(parse_code(code.lower()) == code for code in codes)
    found = await store.read(lambda tx: tx.factors.get(BOB))
    assert found is not None
    assert (found.enrolled_at, found.begun_by, found.recovery_left) == (clock.now(), "op", 10)
    # Nobody replaces the device of somebody who has one, without removing it first.
    assert await store.write(lambda tx: tx.factors.begin(BOB, by="op")) is None
    assert await store.write(lambda tx: tx.factors.enrol(BOB, device.code(clock.now()), by="op")) is None


async def test_a_secret_that_was_shown_waits_an_hour_and_the_newest_counts(
    store: OpenStore, clock: ManualClock
) -> None:
    old, device = await begin(store), await begin(store)
    assert await store.write(lambda tx: tx.factors.enrol(BOB, old.code(clock.now()), by="op")) is None
    clock.advance(3_600)
    assert await store.write(lambda tx: tx.factors.enrol(BOB, device.code(clock.now()), by="op")) is None
    assert await store.write(lambda tx: tx.factors.enrol(CY, device.code(clock.now()), by="op")) is None


async def test_a_code_counts_one_step_to_either_side_and_no_further(store: OpenStore, clock: ManualClock) -> None:
    device, _ = await enrol(store, clock)
    clock.advance(10 * STEP_S)
    now = clock.now()
    for away, expected in ((-2, Check.WRONG), (2, Check.WRONG), (-1, Check.RIGHT), (0, Check.RIGHT), (1, Check.RIGHT)):
        assert (await check(store, device.code(now + away * STEP_S))).check is expected, away


async def test_a_code_is_used_once_and_none_before_it_after_it(store: OpenStore, clock: ManualClock, url: str) -> None:
    device, _ = await enrol(store, clock)
    now = clock.now()
    assert (await check(store, device.code(now + STEP_S))).check is Check.RIGHT
    for code in (device.code(now + STEP_S), device.code(now)):
        assert (await check(store, code)).check is Check.REPEATED
    if url.startswith("postgres"):
        replica = open_store(url, clock=clock, gateway=True, use_clock=True, factor_key=KEY)
        assert (await check(replica, device.code(now + STEP_S))).check is Check.REPEATED
        await replica.close()
    found = await store.read(lambda tx: tx.factors.get(BOB))
    # Somebody who hurries is no guesser.
    assert found is not None
    assert found.failures == 0


async def test_a_code_that_was_used_is_used_after_a_restart_as_well(url: str, clock: ManualClock) -> None:
    first = open_store(url, clock=clock, gateway=True, use_clock=True, factor_key=KEY)
    device, _ = await enrol(first, clock)
    code = device.code(clock.now())
    assert (await check(first, code)).check is Check.RIGHT
    await first.close()
    second = open_store(url, clock=clock, gateway=True, use_clock=True, factor_key=KEY)
    assert (await check(second, code)).check is Check.REPEATED
    assert (await check(second, device.code(clock.now() + STEP_S))).check is Check.RIGHT
    await second.close()


async def test_one_code_at_the_same_moment_on_several_connections_counts_once(
    store: OpenStore, url: str, clock: ManualClock
) -> None:
    device, recovery = await enrol(store, clock)
    # On PostgreSQL each replica has its own pool, and the database the last word.
    replicas = 0 if url.startswith("sqlite") else 2
    others = [open_store(url, clock=clock, gateway=True, use_clock=True, factor_key=KEY) for _ in range(replicas)]
    for code in (device.code(clock.now()), recovery[0]):
        found = await asyncio.gather(*(check(one, code) for one in (store, store, *others, *others)))
        assert [one.check for one in found].count(Check.RIGHT) == 1
    for other in others:
        await other.close()


async def test_five_wrong_codes_lock_for_a_quarter_of_an_hour_and_a_right_one_starts_anew(
    store: OpenStore, clock: ManualClock
) -> None:
    device, recovery = await enrol(store, clock)
    for left in (4, 3):
        assert await check(store, device.wrong(clock.now())) == Checked(check=Check.WRONG, left=left)
    assert (await check(store, device.code(clock.now()))).check is Check.RIGHT
    clock.advance(STEP_S)
    for left in (4, 3, 2, 1):
        assert (await check(store, device.wrong(clock.now()))).left == left
    until = clock.now() + LOCKED_FOR_S
    assert await check(store, "234567234567") == Checked(check=Check.WRONG, left=0, locked_until=until)
    for code in (device.code(clock.now()), recovery[0]):
        assert await check(store, code) == Checked(check=Check.LOCKED, locked_until=until)
    clock.advance(LOCKED_FOR_S)
    assert (await check(store, device.code(clock.now()))).check is Check.RIGHT
    assert (await said(store)).count(("factor_refused", "wrong")) == 2 + MAX_FAILURES
    assert (await said(store)).count(("factor_refused", "locked")) == 2


async def test_an_operator_unlocks_and_removes(store: OpenStore, clock: ManualClock) -> None:
    device, _ = await enrol(store, clock)
    for _ in range(MAX_FAILURES):
        await check(store, device.wrong(clock.now()))
    assert await store.write(lambda tx: tx.factors.unlock(BOB, by="op"))
    assert (await check(store, device.code(clock.now()))).check is Check.RIGHT
    assert await store.write(lambda tx: tx.factors.remove(BOB, by="op"))
    assert await store.read(lambda tx: tx.factors.listing()) == []
    assert await check(store, device.code(clock.now() + STEP_S)) == Checked(check=Check.NOT_ENROLLED)
    for change in (
        lambda tx: tx.factors.unlock(BOB, by="op"),
        lambda tx: tx.factors.remove(BOB, by="op"),
        lambda tx: tx.factors.renew_codes(BOB, by="op"),
    ):
        assert not await store.write(change)
    kinds = [kind for kind, _ in await said(store)]
    assert kinds[0] == "factor_enrolled"
    assert kinds[-3:] == ["factor_unlocked", "factor_used", "factor_removed"]


async def test_a_recovery_code_works_once_and_new_ones_end_the_old(store: OpenStore, clock: ManualClock) -> None:
    _, recovery = await enrol(store, clock)
    assert await check(store, recovery[0]) == Checked(check=Check.RIGHT, recovery_left=9)
    assert (await check(store, recovery[0])).check is Check.WRONG
    fresh = await store.write(lambda tx: tx.factors.renew_codes(BOB, by="op"))
    assert fresh is not None
    assert (await check(store, recovery[1])).check is Check.WRONG
    assert await check(store, fresh[0]) == Checked(check=Check.RIGHT, recovery_left=9)


async def test_codes_of_one_person_are_worth_nothing_for_another(store: OpenStore, clock: ManualClock) -> None:
    device, recovery = await enrol(store, clock)
    await enrol(store, clock, CY)
    assert (await check(store, device.code(clock.now()), CY)).check is Check.WRONG
    assert (await check(store, recovery[0], CY)).check is Check.WRONG
    # Not even by whoever writes into the database, and moves the row.
    await store.write(lambda tx: _move_secret(tx))
    assert (await check(store, device.code(clock.now()), CY)).check is Check.UNREADABLE


def _move_secret(tx: Tx) -> None:
    connection = tx.factors.connection  # type: ignore[attr-defined]
    connection.execute(text("UPDATE factors SET sealed = (SELECT sealed FROM factors WHERE person = 'bob')"))


async def test_what_others_have_read_is_spent_though_it_is_locked_and_counts_no_failure(
    store: OpenStore, clock: ManualClock
) -> None:
    device, recovery = await enrol(store, clock)
    assert await store.write(lambda tx: tx.factors.spend(CY, {device.code(clock.now())})) == frozenset()
    for _ in range(MAX_FAILURES):
        await check(store, device.wrong(clock.now()))
    codes = {device.code(clock.now()), device.wrong(clock.now()), recovery[0], "234567234567"}
    assert await store.write(lambda tx: tx.factors.spend(BOB, codes)) == {device.code(clock.now()), recovery[0]}
    found = await store.read(lambda tx: tx.factors.get(BOB))
    assert found is not None
    assert found.is_locked(clock.now())
    assert await store.write(lambda tx: tx.factors.unlock(BOB, by="op"))
    assert (await check(store, device.code(clock.now()))).check is Check.REPEATED
    assert (await check(store, recovery[0])).check is Check.WRONG


async def test_a_copy_of_the_database_gives_nobody_a_code(store: OpenStore, url: str, clock: ManualClock) -> None:
    device, recovery = await enrol(store, clock)
    raw = base64.b32decode(device.secret)

    def everything(tx: Tx) -> bytes:
        connection = tx.factors.connection  # type: ignore[attr-defined]
        found = [
            value
            for table in ("factors", "recovery_codes", "audit_lines")
            for row in connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 -- names of ours
            for value in row
        ]
        return b"\0".join(bytes(one) if isinstance(one, bytes | memoryview) else str(one).encode() for one in found)

    dump = await store.read(everything)
    for secret in (raw, device.secret.encode(), raw.hex().encode(), *(code.encode() for code in recovery)):
        assert secret not in dump
    await store.close()
    # Whoever has the copy has another key, or none.
    for key, seen in ((bytes(32), Check.UNREADABLE), (None, Check.UNREADABLE)):
        thief = open_store(url, clock=clock, gateway=True, use_clock=True, factor_key=key)
        assert (await check(thief, device.code(clock.now()))).check is seen
        assert (await check(thief, recovery[0])).check is seen
        assert await thief.write(lambda tx: tx.factors.spend(BOB, {recovery[0]})) == frozenset()
        await thief.close()


async def test_without_the_key_nothing_is_sealed(url: str, clock: ManualClock) -> None:
    tool = open_store(url, clock=clock, gateway=True, use_clock=True)
    with pytest.raises(StoreError, match="no key of the gateway"):
        await tool.write(lambda tx: tx.factors.begin(BOB, by="op"))
    await tool.close()
    for call in (lambda: Vault(None).seal(BOB, b"s"), lambda: Vault(None).hashed(BOB, "x")):
        with pytest.raises(RuntimeError, match="a vault without a key"):
            call()


async def test_a_vote_remembers_its_factor_and_a_yes_without_one_can_get_one(store: OpenStore) -> None:
    execution = made.execution()
    await store.write(lambda tx: tx.executions.insert(execution))

    async def vote(person: PersonId, *, with_factor: bool) -> bool:
        return await store.write(
            lambda tx: tx.executions.vote(execution.id, person, approves=True, reason="", with_factor=with_factor)
        )

    assert await vote(BOB, with_factor=False)
    assert await vote(CY, with_factor=True)
    assert await store.read(lambda tx: tx.executions.approvers(execution.id, with_factor=True)) == [CY]
    assert not await vote(BOB, with_factor=False)
    assert await vote(BOB, with_factor=True)
    assert not await vote(BOB, with_factor=True)
    assert set(await store.read(lambda tx: tx.executions.approvers(execution.id, with_factor=True))) == {BOB, CY}
    lines = await store.read(lambda tx: tx.audit.lines())
    assert [(line.fields()["by"], line.fields().get("second_factor")) for line in lines if line.kind == "yes"] == [
        ("bob", None),
        ("cy", True),
        ("bob", True),
    ]
