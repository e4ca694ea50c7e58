"""(a) one result at a time, (b) many at once, (o) overload: from a node's finished report to the told message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.measuring import Bench, Meter, Part, Side, a_side, a_world, quantile, rest

REST_S = 0.02
"""Before each of (a): what the one before left to do (its receipt, its card) is done then."""
BLOCK = 20
"""Samples of one side before it is the other's turn: what else the machine does falls on both."""


@asynccontextmanager
async def _three(bench: Bench, name: str) -> AsyncIterator[tuple[Side, Side, Side]]:
    folder = bench.path(name)
    async with (
        a_world() as world,
        a_side("bare", world, folder / "bare.db") as bare,
        a_side("store", world, folder / "store.db") as store,
        a_side("core", world, folder / "core.db") as core,
    ):
        for side in (bare, store, core):
            await side.warm_up()
        yield bare, store, core


async def alone(bench: Bench) -> Part:
    """(a)"""
    part = Part(letter="a", title="One finished report to its told message, one at a time")
    count = bench.count(600, 3)
    taken: dict[str, list[float]] = {"bare": [], "store": [], "core": []}
    packed: dict[str, list[float]] = {"bare": [], "store": [], "core": []}
    async with _three(bench, "alone") as sides:
        names = {side.name: await side.prepare(2 * count) for side in sides}
        meter = Meter({"gateway": sides[2].child, "world": sides[2].world})
        cpu: dict[str, float] = {"gateway": 0.0, "world": 0.0}
        for at in range(0, count, BLOCK):
            for side in sides:
                meter.start()
                taken[side.name] += await side.one_at_a_time(names[side.name][at : at + BLOCK], rest_s=REST_S)
                if side.name == "core":
                    await rest(0.05)
                    cpu = {name: cpu[name] + more for name, more in meter.cpu_s().items()}
                packed[side.name] += await side.one_at_a_time(names[side.name][count + at : count + at + BLOCK])
            bench.tell(f"a: {min(count, at + BLOCK)} of {count}")
    for percent, times in ((50, 2.0), (95, None), (99, 5.0)):
        value, floor = quantile(taken["core"], percent), quantile(taken["bare"], percent)
        part.add(f"p{percent}", value, "ms", floor=floor, most_of_floor=times)
    for percent in (50, 99):
        value, floor = quantile(packed["core"], percent), quantile(packed["bare"], percent)
        part.add(f"p{percent}, each as soon as the one before is told", value, "ms", floor=floor)
    for percent in (50, 99):
        part.add(
            f"p{percent} of the store floor",
            quantile(taken["store"], percent),
            "ms",
            floor=quantile(taken["bare"], percent),
        )
    for name, seconds in cpu.items():
        part.add(f"CPU of the {name} a result", 1_000 * seconds / count, "ms")
    part.notes.append(
        "Floor: one WebSocket frame in, one durable commit by raw sqlite3 (synchronous=FULL), one HTTP POST out. "
        "Store floor: the same with the completion's own transaction, through the store."
    )
    points = [5 * number for number in range(1, 20)] + [98, 99]
    for name, values in taken.items():
        part.series[name] = [(quantile(values, percent), float(percent)) for percent in points]
    part.axes = ("ms", "% of results told within")
    return part


async def at_once(bench: Bench) -> Part:
    """(b)"""
    part = Part(letter="b", title="Many sessions that finish inside one second")
    async with _three(bench, "at-once") as sides:
        for whole in (200, 2_000):
            count = bench.count(whole, 4)
            found = {}
            for side in sides:
                names = await side.prepare(count)
                meter = Meter({"gateway": side.child, "world": side.world})
                meter.start()
                found[side.name] = await side.at_once(names, over_s=0.95)
                found[side.name]["cpu"] = meter.cpu_s()
                bench.tell(f"b: {count} sessions, {side.name}: {count / found[side.name]['total_s']:.0f} a second")
                await rest(1.0)
            core, bare = found["core"], found["bare"]
            told = count - core["lost"]
            part.add(f"{count} sessions, told", told, "", least=count)
            part.add(f"{count} sessions, told twice or in another room", core["doubled"] + core["astray"], "", most=0)
            part.add(f"{count} sessions, until the last is told", core["total_s"], "s", floor=bare["total_s"])
            rate = told / core["total_s"]
            part.add(
                f"{count} sessions, results a second",
                rate,
                "/s",
                floor=count / bare["total_s"],
                **({"least": 500.0} if whole == 2_000 else {}),
            )
            for percent in (50, 99):
                part.add(
                    f"{count} sessions, p{percent}",
                    quantile(core["ms"], percent),
                    "ms",
                    floor=quantile(bare["ms"], percent),
                )
            part.add(
                f"{count} sessions, CPU of the gateway a result",
                1_000 * core["cpu"]["gateway"] / count,
                "ms",
                floor=1_000 * bare["cpu"]["gateway"] / count,
            )
            part.series[f"{count} sessions"] = [(float(number), took) for number, took in enumerate(core["ms"], 1)][
                :: max(1, count // 200)
            ]
    part.axes = ("the n-th report", "ms until it is told")
    part.notes.append("Reports come evenly over 0.95 s, all by one node's connection, each of a session of its own.")
    return part


async def overload(bench: Bench) -> Part:
    """(o)"""
    part = Part(letter="o", title="Overload: what a noisy room, account or node costs all others")
    others, noise = bench.count(100, 4), bench.count(1_000, 8)
    folder = bench.path("overload")
    async with a_world() as world:
        keys = (await world.order("keys", count=2))["keys"]
        async with a_side("core", world, folder / "core.db", keys=keys) as side:
            await side.warm_up()
            await world.order("connect", name="noisy", url=side.url, first=1)

            async def measured(
                name: str, made: list[str], rooms: dict[str, str] | None = None, of: set[str] | None = None
            ) -> None:
                answer = await side.at_once(made, over_s=0.95, rooms=rooms)
                wanted = [took for one, took in zip(made, answer["ms"], strict=False) if of is None or one in of]
                for percent in (50, 99):
                    part.add(
                        f"{name}, p{percent}",
                        quantile(wanted, percent),
                        "ms",
                        floor=quantile(quiet, percent) if quiet else None,
                    )
                part.add(f"{name}, lost", answer["lost"], "", most=0)
                if not quiet:
                    quiet.extend(wanted)
                bench.tell(f"o: {name}: p99 {quantile(wanted, 99):.0f} ms")
                await rest(1.0)

            quiet: list[float] = []
            await measured(f"{others} rooms alone", await side.prepare(others))

            loud = await side.prepare(noise, room="noisy")
            calm = await side.prepare(others)
            mixed = _mixed(loud, calm)
            await measured(
                f"{others} rooms, beside one room with {noise} results", mixed, dict.fromkeys(loud, "noisy"), set(calm)
            )

            await world.order("slow", accounts={"second": 3.0})
            loud = await side.prepare(noise // 4, account="second")
            calm = await side.prepare(others)
            await measured(
                f"{others} rooms, beside an account that answers after 3 s ({len(loud)} results)",
                _mixed(loud, calm),
                None,
                set(calm),
            )
            await world.order("slow", accounts={})

            streams = await side.child.order("prepare", count=bench.count(200, 2), key=keys[1], room="streams")
            lines = [*streams["executions"]]
            await world.order("stream", name="noisy", executions=lines[:1], per_s=200)
            await measured(
                f"{others} rooms, beside a node that says 200 times a second what is new", await side.prepare(others)
            )
            await world.order("stream", name="noisy", per_s=0)
            await world.order("disconnect", name="noisy")
    part.notes.append("The ratio is to the same rooms alone, in the same run.")
    return part


def _mixed(loud: list[str], calm: list[str]) -> list[str]:
    """The calm ones evenly among the loud ones."""
    mixed, each = [], max(1, len(loud) // len(calm))
    for number, one in enumerate(calm):
        mixed += [*loud[number * each : (number + 1) * each], one]
    return mixed + loud[len(calm) * each :]
