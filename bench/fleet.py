"""(f) a thousand nodes, connected and idle, a hundred of them streaming output, and three real ones beside them."""

from __future__ import annotations

import asyncio

from bench.measuring import Bench, Meter, Part, a_side, a_world, quantile, rest
from bench.programs import node_key, real_nodes

NODES = 1_000
STREAMING = 100
WATCHED_S = 10.0
SAMPLES = 200
PER_S = 1.0
"""A real node says what is new once a second at most."""


async def fleet(bench: Bench) -> Part:
    """(f)"""
    part = Part(letter="f", title="A thousand nodes, a hundred of them streaming")
    count, streaming = bench.count(NODES, 6), bench.count(STREAMING, 2)
    watched_s = max(2.0, WATCHED_S * min(1.0, bench.scale * 5))
    samples = bench.count(SAMPLES, 3)
    folder = bench.path("fleet")
    real = [folder / f"real-{number}" for number in range(3)]
    async with a_world() as world, a_side("bare", world, folder / "bare.db") as bare:
        await bare.warm_up()
        keys = [*(await world.order("keys", count=count + 1))["keys"], *(node_key(one) for one in real)]
        async with a_side("core", world, folder / "core.db", keys=keys) as side, real_nodes(side.url, real) as nodes:
            await side.warm_up()
            meter = Meter({"gateway": side.child, "world": world})

            async def watched(state: str) -> None:
                meter.start()
                await asyncio.sleep(watched_s)
                for name, share in meter.shares().items():
                    part.add(f"{state}: CPU of the {name}", share, "% of a core")
                part.add(f"{state}: memory of the gateway", side.child.usage().rss_mib, "MiB")
                ours, theirs = await side.prepare(samples), await bare.prepare(samples)
                taken: list[float] = []
                floor: list[float] = []
                for at in range(0, samples, 20):
                    floor += await bare.one_at_a_time(theirs[at : at + 20])
                    taken += await side.one_at_a_time(ours[at : at + 20])
                for percent in (50, 99):
                    part.add(
                        f"{state}: a result, p{percent}", quantile(taken, percent), "ms", floor=quantile(floor, percent)
                    )
                bench.tell(f"f: {state}: p50 {quantile(taken, 50):.2f} ms")

            await watched("4 nodes")
            alone_mib = side.child.usage().rss_mib
            took = (await world.order("connect", name="fleet", url=side.url, first=1, count=count))["took_s"]
            part.add(f"{count} nodes connect and prove their keys", took, "s")
            await rest(2.0)
            part.add("memory of the gateway a node", 1_024 * (side.child.usage().rss_mib - alone_mib) / count, "KiB")
            await watched(f"{count} nodes idle")
            running = []
            for key in keys[1 : 1 + streaming]:
                running += (await side.child.order("prepare", count=1, key=key))["executions"]
            await world.order("stream", name="fleet", executions=running, per_s=PER_S)
            await watched(f"{count} nodes, {streaming} streaming")
            await world.order("stream", name="fleet", per_s=0)
            part.add("memory of a real node", max(node.usage().rss_mib for node in nodes), "MiB")
            await world.order("disconnect", name="fleet")
    return part
