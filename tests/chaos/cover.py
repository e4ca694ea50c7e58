"""Every named point once: a process dies there, is started again, the story ends, and the records are compared.

First each story is told without a kill, which shows what it passes. Then each point is met in the shortest story that
passes it. Several worlds side by side, because they mostly wait. Deliberately absent: chance (see `storm`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.fuse import Order
from tests.chaos.planted import Planted
from tests.chaos.points import Moment, gateway_points, node_points
from tests.chaos.records import compare, forget
from tests.chaos.stories import Story, birth, network_stories, stories_of_time, web_stories
from tests.chaos.world import WITHIN_S, Stuck, World, a_world

STORY_S = 400.0
"""Of one story with a kill in it; alone it takes one to five seconds."""
OUT_OF_REACH: dict[str, tuple[str, str]] = {
    "commit flow.completion.Completion.finished finish": (
        "a gateway always has a heartbeat, which commits a result already claimed",
        "test_a_finished_report_is_result_event_and_input_in_one",
    ),
    "commit flow.heartbeat.Heartbeat.commit write": (
        "only where no account has a place left; its place in the order is the next look's",
        "test_without_a_free_place_nothing_is_claimed_and_all_is_due",
    ),
    "commit flow.prepare.Preparation.step owe_cards": (
        "only an agent that asks for several commands at once makes a batch, and the one without a model asks for one",
        "test_one_that_leaves_while_it_is_prepared_strands_no_card",
    ),
    "commit flow.intake.Intake.message overheard": (
        "a code of an enrolled device that others read; it uses the code up, and nothing waits for that",
        "test_a_code_that_the_gate_keeps_out_or_that_comes_late_is_spent_all_the_same",
    ),
}
"""Points that no story reaches: why not, and the test that goes there."""
MOST_TOLD = 8
"""Violations of one story: what follows is mostly the same."""
NOT_UP = "a world did not come up"
BIRTH = ("app._embedded pair", "chatlog.StoredChatLog.invite chat.invite")
"""Commits of the very first start alone."""
Found = dict[str, list[tuple[float, str]]]
Make = Callable[[World], Sequence[Story]]


@dataclass(slots=True, kw_only=True)
class Report:
    met: dict[str, str] = field(default_factory=dict)
    """Point -> the story in which somebody died there."""
    missed: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    say: Callable[[str], None] = print
    """Where each violation is told as soon as it is found."""
    stories: int = 0
    kills: int = 0
    runs: int = 0
    """How many commands really ran."""
    seconds: float = 0.0

    def violates(self, fault: str) -> None:
        self.violations.append(fault)
        self.say(f"violation: {fault}")

    def lines(self) -> list[str]:
        return [
            f"{len(self.met)} points met, {len(self.missed)} missed, {len(self.violations)} violations",
            f"{self.kills} kills, {self.stories} stories, {self.runs} commands run, {self.seconds:.0f} s",
            *(f"missed: {point}" for point in self.missed),
            *(f"violation: {fault}" for fault in self.violations),
        ]


@dataclass(slots=True, kw_only=True)
class Teller:
    """One world after another: a world in which something went wrong is left, so that it is told once."""

    home: Path
    migrated: Path
    make: Make
    report: Report
    speaks: tuple[str, ...] = ("discord", "slack", "whatsapp")
    planted: Planted | None = None
    within_s: float = WITHIN_S
    number: int = 0
    world: World | None = None
    closing: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def _opened(self) -> World:
        if self.world is None:
            self.number += 1
            home = self.home / str(self.number)
            self.world = await self.closing.enter_async_context(
                a_world(home, self.migrated, planted=self.planted, speaks=self.speaks, within_s=self.within_s)
            )
        return self.world

    async def tell(self, name: str, target: str | None = None) -> tuple[bool, list[str]]:
        """Whether the target was met, and what was passed."""
        try:
            world = await self._opened()
        except Stuck as fault:
            self.report.violates(f"{NOT_UP} in {self.home}/{self.number}: {fault}")
            return False, []
        story = next(one for one in self.make(world) if one.name == name)
        who = "node" if target in node_points() else "gateway"
        orders = {
            each: [order for one, order in story.first if one == each]
            + ([Order(point=target)] if target is not None and each == who else [])
            for each in ("gateway", "node")
        }
        since = {each: world.ledger(each).size() for each in orders}
        before = sum(world.kills.values())
        for each, ordered in orders.items():
            world.order(each, *ordered)
        what = name if target is None else f"{name}, killed at '{target}'"
        found: list[str] = []
        try:
            async with asyncio.timeout(STORY_S):
                await story.tell(world)
                await world.settled()
                if target is not None and world.ledger(who).orders():
                    # Some points come a moment after everything is at rest.
                    await asyncio.sleep(1.2)
                    await world.settled()
            found = await forget(world)
        except (Stuck, TimeoutError) as fault:
            world.tell_what_they_do()
            found = [f"{type(fault).__name__}: {fault}; owed: {world.owed()}", *await _compared_anyhow(world)]
        met = target is None or not world.ledger(who).orders()
        passed = [point for each in orders for point, _ in world.ledger(each).passed(since=since[each])]
        for each in orders:
            world.order(each)
        self.report.stories += 1
        self.report.kills += sum(world.kills.values()) - before
        for each in found[:MOST_TOLD]:
            self.report.violates(f"{what} ({world.home}): {each}")
        if found:
            await self.close()
        return met, passed

    async def close(self) -> None:
        if self.world is not None:
            self.report.runs += sum(len(mark.read_text().splitlines()) for mark in self.world.marks.iterdir())
        self.world = None
        try:
            await self.closing.aclose()
        except Stuck as fault:
            self.report.violates(str(fault))
        self.closing = contextlib.AsyncExitStack()


async def _compared_anyhow(world: World) -> list[str]:
    try:
        async with asyncio.timeout(20.0):
            return await compare(world, looks=1)
    except (Stuck, TimeoutError):
        return ["the records could not be compared"]


@dataclass(slots=True, kw_only=True)
class _Kind:
    """Worlds of one kind, which share their stories and their points."""

    tellers: list[Teller]
    names: asyncio.Queue[str]
    passes: Found = field(default_factory=dict)

    async def look(self) -> None:
        await asyncio.gather(*(_look(one, self.names, self.passes) for one in self.tellers))


async def cover(
    home: Path,
    migrated: Path,
    *,
    wanted: Collection[str] | None = None,
    say: Callable[[str], None] = print,
) -> Report:
    """Every point of `wanted` (all, where it is left out)."""
    began = time.monotonic()
    report = Report(say=say)
    out = {f"{moment} {point}" for point in OUT_OF_REACH for moment in (Moment.BEFORE, Moment.AFTER)}
    left = set(gateway_points() | node_points() if wanted is None else wanted) - out
    births = {point for point in left if point.endswith(BIRTH)}

    def kind(name: str, make: Make, speaks: tuple[str, ...], count: int) -> _Kind:
        tellers = [
            Teller(home=home / f"{name}{n}", migrated=migrated, make=make, report=report, speaks=speaks)
            for n in range(count)
        ]
        return _Kind(tellers=tellers, names=_queue([one.name for one in make(World(home=home, speaks=speaks))]))

    # The cheapest first: a point is met where its gateway starts the fastest.
    kinds = (
        kind("web", web_stories, (), 2),
        kind("networks", network_stories, ("discord", "slack", "whatsapp"), 2),
        kind("time", stories_of_time, ("whatsapp",), 1),
    )
    try:
        await asyncio.gather(*(one.look() for one in kinds))
        say(f"{report.stories} stories told without a kill, after {time.monotonic() - began:.0f} s")
        meeting = []
        points = left - births
        for one in kinds:
            queue = _queue(sorted(points & one.passes.keys()))
            points -= one.passes.keys()
            meeting += [_meet(teller, queue, one.passes, report, say) for teller in one.tellers]
        await asyncio.gather(*meeting, _be_born(home / "births", sorted(births), report))
    finally:
        for one in kinds:
            for teller in one.tellers:
                await teller.close()
    report.missed = sorted(left - report.met.keys())
    report.seconds = time.monotonic() - began
    return report


def _queue(items: Sequence[str]) -> asyncio.Queue[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    for item in items:
        queue.put_nowait(item)
    return queue


async def _each(queue: asyncio.Queue[str]) -> AsyncIterator[str]:
    while not queue.empty():
        yield queue.get_nowait()


async def _look(teller: Teller, names: asyncio.Queue[str], passes: Found) -> None:
    async for name in _each(names):
        began = time.monotonic()
        _, passed = await teller.tell(name)
        for point in set(passed):
            passes.setdefault(point, []).append((time.monotonic() - began, name))


async def _meet(
    teller: Teller, points: asyncio.Queue[str], passes: Found, report: Report, say: Callable[[str], None]
) -> None:
    async for point in _each(points):
        # The shortest first, and each twice: what happens in a story beside it is not the same each time, and what
        # was seen in one may have been left over from the one before.
        for _, name in sorted(passes.get(point, [])) * 2:
            met, _ = await teller.tell(name, point)
            if met:
                report.met[point] = name
                say(f"{len(report.met)}: {point} ({name})")
                break


async def _be_born(home: Path, points: Sequence[str], report: Report) -> None:
    """The first start of all, each time in a home of its own."""
    for number, point in enumerate(points):
        report.stories += 1
        try:
            async with asyncio.timeout(STORY_S):
                for fault in await birth(home / str(number), point):
                    report.violates(f"birth, killed at '{point}': {fault}")
        except (Stuck, TimeoutError):
            report.violates(f"birth, killed at '{point}': {traceback.format_exc(limit=1)}")
        else:
            report.met[point] = "birth"
            report.kills += 1
