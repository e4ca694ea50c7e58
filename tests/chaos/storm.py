"""Random kills of gateways and nodes, frozen processes and faults of the networks, for as long as one asks.

A storm is a row of rounds: people ask and decide on all networks at once while blows fall; then it is calm, everything
must come to rest, and the records are compared. All that is drawn comes from one seed; what the machine makes of it
does not. Deliberately absent: the planned way through every point (see `cover`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bot.domain.message import Action
from tests.chaos.fuse import Order
from tests.chaos.people import OnNetwork
from tests.chaos.points import gateway_points, node_points
from tests.chaos.records import forget
from tests.chaos.stories import ENDS, by_a_tick, denied, plain, stopped, troubled
from tests.chaos.world import Stuck, World, a_world, all_places
from tests.platforms.driver import Order as Fault

ASKS = 20
"""Of one round, side by side over all places."""
ROUND_S = 30.0
"""In which blows fall; the asks of a round take some seconds longer with them."""
CALM_S = 300.0
"""Then everything is at rest: a hand-over that was cut off waits a minute for its node at most."""
FREEZE_S = (0.2, 1.0, 3.0)


@dataclass(slots=True, kw_only=True)
class Outcome:
    seed: int
    minutes: float
    rounds: int = 0
    asked: int = 0
    runs: int = 0
    blows: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    """Where processes killed themselves."""
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def form(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "seconds": round(self.seconds),
            "rounds": self.rounds,
            "requests": self.asked,
            "commands_run": self.runs,
            "kills": dict(self.kills),
            "blows": dict(self.blows.most_common()),
            "points": dict(self.points.most_common()),
            "violations": self.violations,
        }

    def line(self) -> str:
        return (
            f"round {self.rounds}: {sum(self.kills.values())} kills ({self.kills['gateway']} gateway, "
            f"{self.kills['node']} node), {len(self.points)} different points, {self.asked} requests, "
            f"{self.runs} commands run, {len(self.violations)} violations, {self.seconds:.0f} s"
        )


@dataclass(slots=True)
class Storm:
    world: World
    chance: random.Random
    outcome: Outcome

    async def round(self) -> None:
        blowing = asyncio.create_task(self._blow())
        try:
            async with asyncio.timeout(CALM_S + ROUND_S):
                await asyncio.gather(*(self._ask() for _ in range(ASKS)), self._calm(blowing))
                await self.world.settled(within_s=CALM_S)
        finally:
            blowing.cancel()
            await asyncio.gather(blowing, return_exceptions=True)

    async def _calm(self, blowing: asyncio.Task[None]) -> None:
        await asyncio.sleep(ROUND_S)
        blowing.cancel()
        await asyncio.gather(blowing, return_exceptions=True)
        for who in ("gateway", "node"):
            self.world.order(who)

    async def _ask(self) -> None:
        await asyncio.sleep(self.chance.uniform(0.0, ROUND_S * 0.7))
        world = self.world
        people, peer = self.chance.choice(all_places(world))
        place = list(people.places()).index(peer)
        drawn = self.chance.random()
        if drawn < 0.12:
            await stopped(world, people=people)
        elif drawn < 0.2:
            await denied(world)
        elif drawn < 0.3 and isinstance(people, OnNetwork) and people.name != "whatsapp":
            await by_a_tick(world, people=people)
        elif drawn < 0.5 and isinstance(people, OnNetwork):
            await troubled(world, people=people, fault=self.chance.choice(list(Fault)))
        elif drawn < 0.6:
            asked = await world.ask(world.web, world.web.room("free"), self.chance.choice((0.0, 0.5, 2.0)))
            await world.until_state(asked, *ENDS)
        elif drawn < 0.8:
            asked = await world.ask(people, peer, self.chance.choice((0.2, 1.0, 3.0)))
            await world.decide(asked)
            # Some press twice, and late: it counts once.
            with contextlib.suppress(Exception):
                card = await world.card(asked)
                if card is not None:
                    await people.press(peer, card, Action.APPROVE)
            await world.until_state(asked, *ENDS)
        else:
            await plain(world, people=people, place=place)

    async def _blow(self) -> None:
        while True:
            await asyncio.sleep(self.chance.uniform(0.2, 1.5))
            drawn, nth = self.chance.random(), self.chance.choice((1, 1, 1, 2, 3))
            blow, strike = self._drawn(drawn, nth)
            self.outcome.blows[blow] += 1
            await strike()

    def _drawn(self, drawn: float, nth: int) -> tuple[str, Callable[[], Awaitable[None]]]:
        world = self.world
        if drawn < 0.2:
            return "kill gateway", partial(world.kill, "gateway")
        if drawn < 0.32:
            return "kill node", partial(world.kill, "node")
        if drawn < 0.4:
            return "freeze gateway", partial(self._freeze, "gateway")
        if drawn < 0.46:
            return "freeze node", partial(self._freeze, "node")
        if drawn < 0.83:
            return "gateway at a point", partial(self._order, "gateway", sorted(gateway_points()), nth)
        return "node at a point", partial(self._order, "node", sorted(node_points()), nth)

    async def _order(self, who: str, points: list[str], nth: int) -> None:
        """One of the points that were passed before, mostly: the others come rarely."""
        passed = sorted({point for point, _ in self.world.ledger(who).passed()} & set(points))
        point = self.chance.choice(passed or points)
        self.world.order(who, Order(point=point, nth=nth))

    async def _freeze(self, who: str) -> None:
        process = self.world.running.get(who)
        if process is None or not process.is_alive():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(self.chance.choice(FREEZE_S))
            finally:
                os.kill(process.pid, signal.SIGCONT)


async def storm(
    home: Path,
    migrated: Path,
    *,
    seed: int,
    minutes: float,
    say: Callable[[str], None] = print,
    rounds: int | None = None,
) -> Outcome:
    """Until the time is over, or `rounds` are, or something is violated."""
    began, outcome = time.monotonic(), Outcome(seed=seed, minutes=minutes)
    chance = random.Random(seed)  # noqa: S311 -- to be repeated, not to be secret
    async with a_world(home, migrated) as world:
        blown = Storm(world, chance, outcome)
        while not outcome.violations:
            since = {who: world.ledger(who).size() for who in ("gateway", "node")}
            asked = len(world.tokens)
            try:
                await blown.round()
                outcome.violations += await forget(world)
            except (Stuck, TimeoutError) as fault:
                world.tell_what_they_do()
                await asyncio.sleep(1.0)
                outcome.violations.append(f"{type(fault).__name__}: {fault}; owed: {world.owed()}")
            outcome.rounds += 1
            outcome.asked += len(world.tokens) - asked
            outcome.kills = Counter(world.kills)
            outcome.runs = sum(len(mark.read_text().splitlines()) for mark in world.marks.iterdir())
            for who, start in since.items():
                killed = [what for what, _ in world.ledger(who).passed(since=start) if what.startswith("killed ")]
                outcome.points.update(what.removeprefix("killed ") for what in killed)
            outcome.seconds = time.monotonic() - began
            say(outcome.line())
            if outcome.seconds >= minutes * 60.0 or outcome.rounds == rounds:
                break
    return outcome
