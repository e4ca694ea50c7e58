"""What every part has in common: its figures, its scratch folder, its progress, and the gateways that it measures."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.children import Child, Form, Usage

WARM_UP = 30
"""Results before the first that counts: connections are opened, statements are compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number beside its floor, and what it should be."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    """The same done bare, in the same run."""
    target: str = ""
    is_met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None


@dataclass(slots=True, kw_only=True)
class Part:
    """What one part measured."""

    letter: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Curves for the plots: points of x and y."""
    axes: tuple[str, str] = ("", "")
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        floor: float | None = None,
        most: float | None = None,
        least: float | None = None,
        most_of_floor: float | None = None,
    ) -> None:
        """With a target where there is one: at most, at least, or at most so many times the floor."""
        target, is_met = "", None
        if most is not None:
            target, is_met = f"≤ {most:g} {unit}", value <= most
        elif least is not None:
            target, is_met = f"≥ {least:g} {unit}", value >= least
        elif most_of_floor is not None and floor:
            target, is_met = f"≤ {most_of_floor:g} × floor", value <= most_of_floor * floor
        self.figures.append(Figure(name=name, value=value, unit=unit, floor=floor, target=target, is_met=is_met))

    def form(self) -> dict[str, Any]:
        return {
            "letter": self.letter,
            "title": self.title,
            "figures": [{**asdict(one), "ratio": one.ratio} for one in self.figures],
            "series": self.series,
            "axes": self.axes,
            "notes": self.notes,
        }


def quantile(values: Sequence[float], percent: float) -> float:
    if len(values) < 2:
        return values[0] if values else float("nan")
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else float("nan")


@dataclass(slots=True, kw_only=True)
class Bench:
    """One run: where it may write, how thorough it is, and whom it tells how far it is."""

    folder: Path
    scale: float = 1.0
    """1 is the whole measurement; a tenth is a look whether everything runs."""
    began: float = field(default_factory=time.monotonic)

    def count(self, whole: int, least: int = 2) -> int:
        return max(least, round(whole * self.scale))

    def tell(self, text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - self.began:6.1f} s] {text}\n")
        sys.stderr.flush()

    def path(self, name: str) -> Path:
        found = self.folder / name
        found.mkdir(parents=True, exist_ok=True)
        return found


@dataclass(slots=True)
class Side:
    """One gateway under measurement, and the line by which the world speaks to it."""

    name: str
    child: Child
    world: Child
    key: str
    url: str

    async def prepare(self, count: int, **more: object) -> list[str]:
        made: list[str] = (await self.child.order("prepare", count=count, key=self.key, **more))["executions"]
        return made

    async def one_at_a_time(self, executions: Sequence[str], *, rest_s: float = 0.0) -> list[float]:
        """Milliseconds of each. After a rest each begins from quiet; without, beside what the last one left."""
        answer = await self.world.order("one_at_a_time", name=self.name, executions=list(executions), rest_s=rest_s)
        taken: list[float] = answer["ms"]
        return taken

    async def at_once(self, executions: Sequence[str], **more: object) -> Form:
        return await self.world.order("at_once", name=self.name, executions=list(executions), **more)

    async def warm_up(self, count: int = WARM_UP) -> None:
        await self.one_at_a_time(await self.prepare(count))


@asynccontextmanager
async def a_side(
    side: str,
    world: Child,
    database: Path,
    *,
    name: str | None = None,
    keys: Sequence[str] | None = None,
    **more: object,
) -> AsyncIterator[Side]:
    """A gateway of this kind on this database, with the world's first node connected."""
    if keys is None:
        keys = (await world.order("keys", count=1))["keys"]
    known = name or side
    async with await Child.begin("bench.gateway") as child:
        opened = await child.order(
            "open", side=side, database=str(database), network=world.greeting["url"], keys=list(keys), **more
        )
        await world.order("connect", name=known, url=opened["url"], bare=side != "core")
        try:
            yield Side(known, child, world, keys[0], opened["url"])
        finally:
            await world.order("disconnect", name=known)
            await child.order("close")


@asynccontextmanager
async def a_world() -> AsyncIterator[Child]:
    async with await Child.begin("bench.world") as world:
        yield world


@dataclass(slots=True)
class Meter:
    """CPU of some processes between two moments, as a share of one core."""

    children: dict[str, Child]
    before: dict[str, Usage] = field(default_factory=dict)
    since: float = 0.0

    def start(self) -> None:
        self.before = {name: child.usage() for name, child in self.children.items()}
        self.since = time.monotonic()

    def cpu_s(self) -> dict[str, float]:
        return {name: child.usage().cpu_s - self.before[name].cpu_s for name, child in self.children.items()}

    def shares(self) -> dict[str, float]:
        wall_s = time.monotonic() - self.since
        return {name: 100 * taken / wall_s for name, taken in self.cpu_s().items()}


async def rest(seconds: float) -> None:
    """Until what was begun before has come to its end, and the next measurement begins from quiet."""
    await asyncio.sleep(seconds)
