"""(h) a day's results in a minute or two: memory, descriptors and the database must come to rest after retention."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.measuring import Bench, Part, a_side, a_world, median

RESULTS = 6_000
"""Of a day: one every fourteen seconds, around the clock."""
LASTS_S = 120.0
RETENTION_S = 15.0
SWEEP_S = 1.0
FLAT = 1.1
"""The last third against the middle one: what grows without end grows by half here."""


async def soak(bench: Bench) -> Part:
    """(h)"""
    part = Part(letter="h", title="A day's results in two minutes, with a retention of seconds")
    count, lasts_s = bench.count(RESULTS, 30), max(6.0, LASTS_S * bench.scale)
    retention_s = RETENTION_S * lasts_s / LASTS_S
    database = bench.path("soak") / "core.db"
    points: list[tuple[float, float, int, float]] = []
    async with (
        a_world() as world,
        a_side("core", world, database, retention_s=retention_s, sweep_s=SWEEP_S * max(0.2, lasts_s / LASTS_S)) as side,
    ):
        await side.warm_up()
        begun = asyncio.get_running_loop().time()

        async def look() -> None:
            while True:
                used, at = side.child.usage(), asyncio.get_running_loop().time() - begun
                points.append((at, used.rss_mib, used.descriptors, _size_mib(database)))
                await asyncio.sleep(lasts_s / 120)

        looking = asyncio.create_task(look())
        lost = doubled = 0
        steps = 6
        for step in range(steps):
            answer = await side.at_once(await side.prepare(count // steps), over_s=0.9 * lasts_s / steps)
            lost, doubled = lost + answer["lost"], doubled + answer["doubled"] + answer["astray"]
            _, mib, descriptors, database_mib = points[-1]
            bench.tell(
                f"h: {step + 1} of {steps}: {mib:.0f} MiB, {descriptors} open files, database {database_mib:.1f} MiB"
            )
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    part.add("results", count // steps * steps, "")
    part.add("lost, told twice or elsewhere", lost + doubled, "", most=0)
    for name, column, unit in (("memory", 1, "MiB"), ("descriptors", 2, ""), ("database, with its log", 3, "MiB")):
        values = [float(point[column]) for point in points]
        third = len(values) // 3
        middle, last = median(values[third : 2 * third]), median(values[2 * third :])
        part.add(f"{name} in the last third", last, unit, floor=middle, most_of_floor=FLAT)
        part.series[f"{name} ({unit})" if unit else name] = [
            (point[0], value) for point, value in zip(points, values, strict=True)
        ]
    part.axes = ("s", "MiB, or how many")
    part.notes.append(
        "The floor is the middle third of the same run: after retention nothing may grow. The audit is kept by intent."
    )
    return part


def _size_mib(database: Path) -> float:
    return sum(one.stat().st_size for one in database.parent.glob(f"{database.name}*")) / 1_048_576
