"""Thousands of short lives of the whole flow in memory: whatever comes in between, both promises hold.

Hypothesis draws what happens; the number beside each happening says which gate is let pass next, and how. Faults that
are put in on purpose are found, or the lives would prove nothing.
"""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.event import ClaimToken, Event, EventTrigger
from bot.domain.execution import Execution
from bot.errors import StoreError
from bot.flow.completion import Completion
from bot.flow.dispatch import Dispatch
from bot.flow.heartbeat import Heartbeat
from bot.store.events import StoredEvents
from tests.attack.flow_judge import judge
from tests.attack.flow_life import Breach, Happening, Life, live, noting_bugs
from tests.attack.flow_world import Fate
from tests.chaos.planted import Planted, plant_in_gateway

H = Happening
WEIGHTS = {
    H.ASK: 5,
    H.REPEAT: 1,
    H.DECIDE: 2,
    H.WORK: 4,
    H.FAULT: 4,
    H.KILL: 2,
    H.CLOCK: 2,
    H.NODE: 2,
    H.REPORT: 4,
    H.NETWORK: 1,
    H.WORD: 1,
}
DRAWN = [happening for happening, weight in WEIGHTS.items() for _ in range(weight)]
SHARDS, LIVES, MANY_LIVES = 4, 75, 2_500
"""So that the shards run beside each other. The first is what a change can wait for; the second is for the long run."""
WENT_WRONG = tuple(f" {fate.value}" for fate in Fate if fate is not Fate.WELL)
HAPPENINGS = st.lists(st.tuples(st.sampled_from(DRAWN), st.integers(0, 2**24)), min_size=7, max_size=16)


class Seen:
    """What the lives of one test came by: a test that saw no kill proves nothing about kills."""

    def __init__(self) -> None:
        self.ways: set[tuple[str, ...]] = set()
        self.count: Counter[str] = Counter()

    def note(self, life: Life) -> None:
        self.ways.add(tuple(life.trace))
        self.count["lives"] += 1
        self.count["kills"] += life.trace.count(H.KILL)
        self.count["faults"] += sum(step.endswith(WENT_WRONG) for step in life.trace)
        self.count["passed"] += len(life.trace)
        self.count["started"] += sum(sum(machine.starts.values()) for machine in life.machines.values())
        self.count["shown"] += sum(len(network.shown) for network in life.networks)


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """What is in memory by now stays: to look through it again and again took a fifth of the time."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    with noting_bugs():
        yield
    gc.set_threshold(*before)
    gc.unfreeze()


def explore(shard: int, lives: int) -> Seen:
    seen = Seen()

    @settings(max_examples=lives, suppress_health_check=list(HealthCheck), database=None)
    @given(happenings=HAPPENINGS)
    def whatever_happens(happenings: Sequence[tuple[Happening, int]]) -> None:
        # A life of another shard is another one.
        first = (H.ASK, happenings[0][1] + shard)
        moved = [first, *((happening, number + shard) for happening, number in happenings)]
        seen.note(live(moved, judge, never_back=len(happenings) % 8 == shard))

    whatever_happens()
    # Hypothesis tries short and equal lives as well: most have to be long, and no two the same.
    assert len(seen.ways) >= 0.75 * lives, seen.count
    assert min(seen.count[what] for what in ("kills", "faults", "started", "shown")) >= lives // 5, seen.count
    return seen


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_f001_f034_f036_f037_f040_f047_f098_nothing_is_lost_doubled_or_misrouted_whatever_comes_in_between(
    shard: int,
) -> None:
    explore(shard, LIVES)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_f001_f034_f036_f037_f040_f047_f098_neither_in_ten_thousand_lives(shard: int) -> None:
    explore(shard, MANY_LIVES)


# --- the faults that must be found -------------------------------------------------------------------


def a_life(seed: int, mix: Sequence[Happening]) -> list[tuple[Happening, int]]:
    chance = Random(seed)  # noqa: S311 -- a story, not a secret
    drawn = chance.choices(mix, k=chance.randint(8, 20))
    return [(H.ASK, seed), *((happening, chance.randrange(2**24)) for happening in drawn)]


async def _told_anyway(
    self: Heartbeat, event: Event, token: ClaimToken, fault: Exception | None, **how: object
) -> None:
    """What could not be sent is marked as told."""
    del fault, how
    trigger = EventTrigger.TELL
    await self.store.write(lambda tx: tx.events.move(event, trigger, token=token))


_offer_and_go = Dispatch._offer_and_go


async def _gone_twice(self: Dispatch, execution: Execution) -> None:
    """A hand-over that did not end well is made again, under another name for the node."""
    await _offer_and_go(self, execution)
    assert execution.command is not None
    assert execution.command_hash is not None
    self.hub.machines[execution.node].journal.pop(execution.id, None)  # type: ignore[attr-defined]  # -- the world's
    accepted = await self.hub.offer(execution.node, execution.id, execution.command, execution.command_hash)
    await self.hub.go(execution.node, execution.id, accepted)  # type: ignore[arg-type]  # -- nothing refuses it


def _to_the_end(self: StoredEvents, event: Event, trigger: EventTrigger, **how: object) -> bool:
    """What is to be tried again goes to the end of its queue."""
    moved = _move(self, event, trigger, **how)
    if trigger is EventTrigger.RETRY and moved:
        self.connection.exec_driver_sql(f"UPDATE events SET sequence = sequence + 1000 WHERE id = {event.id:d}")  # noqa: S608 -- a number
    return moved


_move: Callable[..., bool] = StoredEvents.move
_finished: Callable[..., Awaitable[None]] = Completion.finished


async def _acknowledged_anyway(self: Completion, *report: object) -> None:
    """A report that the store could not take is acknowledged all the same, and so dropped."""
    with contextlib.suppress(StoreError):
        await _finished(self, *report)


@dataclass(frozen=True)
class Fault:
    plant: Callable[[], contextlib.AbstractContextManager[None]]
    says: str
    """What is found of it: the fault itself, and not that something else took too long."""
    mix: Sequence[Happening] = tuple(DRAWN)
    """What a life is made of where it shows soonest; all the other lives come by it as well."""


def of_the_chaos(planted: Planted) -> Callable[[], contextlib.AbstractContextManager[None]]:
    return lambda: plant_in_gateway(planted)


def patched(owner: type, name: str, made: Callable[..., Any]) -> Callable[[], contextlib.AbstractContextManager[None]]:
    @contextmanager
    def plant() -> Iterator[None]:
        with patch.object(owner, name, made):
            yield

    return plant


UNASKED, LOST = "and nobody has a receipt for it", "and its people were told that it is lost"
SENDING = (H.ASK, H.ASK, H.WORK, H.FAULT, H.KILL)
ENDING = (H.ASK, H.ASK, H.WORK, H.REPORT, H.REPORT, H.REPORT, H.FAULT, H.FAULT, H.KILL)
FAULTS = {
    "an event under the main key": Fault(of_the_chaos(Planted.WRONG_KEY), "agent:main:main"),
    "a key folded to lower case": Fault(of_the_chaos(Planted.FOLDED), "is owed to the session"),
    "the last route": Fault(of_the_chaos(Planted.LAST_ROUTE), "was asked at"),
    "dedupe by text": Fault(of_the_chaos(Planted.DEDUPE_BY_TEXT), "led to nothing"),
    "a send before its attempt is committed": Fault(of_the_chaos(Planted.SEND_BEFORE_ATTEMPT), UNASKED, SENDING),
    "a retry without reconciliation": Fault(of_the_chaos(Planted.NO_RECONCILE), UNASKED, SENDING),
    "a node acknowledged before the commit": Fault(of_the_chaos(Planted.ACK_BEFORE_COMMIT), LOST, ENDING),
    "a start before its commit": Fault(of_the_chaos(Planted.GO_BEFORE_COMMIT), "and it ran"),
    "a report dropped by a store that was away": Fault(
        patched(Completion, "finished", _acknowledged_anyway), LOST, ENDING
    ),
    "told without a receipt": Fault(patched(Heartbeat, "_retry", _told_anyway), "is told by nothing", SENDING),
    "a second hand-over": Fault(patched(Dispatch, "_offer_and_go", _gone_twice), "was started 2 times"),
    "a retry at the end of the queue": Fault(patched(StoredEvents, "move", _to_the_end), "which was owed later"),
}
WITHIN_LIVES = 60
"""The rarest of them needs three things to fall together."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_is_put_in_is_found(name: str) -> None:
    fault, said = FAULTS[name], ""
    with fault.plant():
        for seed in range(WITHIN_LIVES):
            try:
                live(a_life(seed, fault.mix), judge)
            except Breach as breach:
                said = str(breach)
                if fault.says in said:
                    return
    raise AssertionError(f"{name} was not found in {WITHIN_LIVES} lives; the last breach: {said}")
