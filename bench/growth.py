"""(e) the cost of one result as sessions ever seen grow, and as what is owed grows: it should not."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import fill
from bench.children import Child
from bench.measuring import WARM_UP, Bench, Meter, Part, Side, a_side, a_world, median, quantile, rest

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SAMPLES = 200
FLAT = 1.2
"""At most so many times the smallest."""


async def growth(bench: Bench) -> Part:
    """(e)"""
    part = Part(letter="e", title="One result, as what the store holds grows")
    folder = bench.path("growth")
    async with a_world() as world, a_side("bare", world, folder / "bare.db") as bare:
        await bare.warm_up()
        template = folder / "template.db"
        async with a_side("core", world, template) as side:
            await side.warm_up(2)
        ways: dict[str, Callable[[Path, int], None]] = {
            "sessions ever seen": fill.sessions,
            "events owed, each in a room of its own": partial(fill.pending, in_line=False),
            f"events owed, in {fill.ROOMS} rooms one behind the other": partial(fill.pending, in_line=True),
        }
        for what, filling in ways.items():
            database = folder / "grown.db"
            for leftover in folder.glob("grown.db*"):
                leftover.unlink()
            shutil.copy(template, database)
            first: dict[int, float] = {}
            for whole in SIZES:
                size = bench.count(whole, 10)
                await asyncio.to_thread(filling, database, size)
                taken, floor, idle = await _measured(bench, world, bare, database)
                for percent in (50, 99):
                    value = quantile(taken, percent)
                    name = f"{size:,} {what}, p{percent}"
                    if percent == 50:
                        start = first.setdefault(percent, value)
                        part.add(name, value, "ms", floor=quantile(floor, percent), most=FLAT * start)
                        part.series.setdefault(what, []).append((float(size), value))
                    else:
                        part.add(name, value, "ms", floor=quantile(floor, percent))
                part.add(f"{size:,} {what}, CPU of an idle gateway", idle, "% of a core")
                bench.tell(f"e: {size:,} {what}: p50 {median(taken):.2f} ms, {database.stat().st_size / 2**20:.0f} MiB")
    part.axes = ("rows", "ms, p50")
    part.notes.append(
        "Target: within 20 % of the smallest size. The store is filled by SQL between two starts of the gateway."
    )
    return part


async def _measured(bench: Bench, world: Child, bare: Side, database: Path) -> tuple[list[float], list[float], float]:
    count = bench.count(SAMPLES, 3)
    taken: list[float] = []
    floor: list[float] = []
    async with a_side("core", world, database) as side:
        await side.warm_up(WARM_UP)
        ours, theirs = await side.prepare(count), await bare.prepare(count)
        for at in range(0, count, 20):
            floor += await bare.one_at_a_time(theirs[at : at + 20])
            taken += await side.one_at_a_time(ours[at : at + 20])
        meter = Meter({"gateway": side.child})
        meter.start()
        await rest(3.0)
        idle = meter.shares()["gateway"]
    return taken, floor, idle
