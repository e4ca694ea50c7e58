"""(c) from a decision to the command's first output, (d) from an inbound webhook to its recorded acknowledgement."""

from __future__ import annotations

from bench.children import Child
from bench.measuring import Bench, Part, a_side, a_world, quantile
from bench.platforms import a_gateway_on_networks
from bench.programs import node_key, real_nodes


async def decision(bench: Bench) -> Part:
    """(c)"""
    part = Part(letter="c", title="A press on Allow once to the command's first output, on a real node")
    count, folder = bench.count(60, 2), bench.path("decision")
    key = node_key(folder / "node")
    async with (
        a_world() as world,
        a_side("core", world, folder / "core.db", keys=[*(await world.order("keys", count=1))["keys"], key]) as side,
    ):
        # The first node of the world is only there to measure results: a room with one node asks for no name.
        await world.order("disconnect", name="core")
        async with real_nodes(side.url, [folder / "node"]), await Child.begin("bench.gateway") as floor:
            await side.child.order("decide", count=2, prefix="warm-up")
            taken = (await side.child.order("decide", count=count, prefix="press"))["ms"]
            bare = await floor.order(
                "decide_bare", database=str(folder / "bare.db"), network=world.greeting["url"], count=count
            )
    for percent in (50, 99):
        part.add(f"p{percent}", quantile(taken, percent), "ms", floor=quantile(bare["ms"], percent))
    part.notes.append(
        "Floor: two commits by raw sqlite3, two questions to another process, the command started by hand. The node "
        "looks at executable, directory and digests again, and has its journal on disk, before it starts anything."
    )
    return part


async def webhook(bench: Bench) -> Part:
    """(d)"""
    part = Part(letter="d", title="An inbound webhook to its acknowledgement, recorded before it is given")
    count, folder = bench.count(300, 3), bench.path("webhook")
    async with (
        a_world() as world,
        a_side("bare", world, folder / "bare.db") as bare,
        a_gateway_on_networks(folder) as gateway,
    ):
        taken: dict[str, list[float]] = {"slack": [], "whatsapp": [], "bare": []}
        floor_url = bare.url.replace("ws://", "http://")
        for _ in range(4):
            for name in ("slack", "whatsapp"):
                hooked = await gateway.networks.order(
                    "webhooks", network=name, url=gateway.url, count=max(1, count // 4)
                )
                taken[name] += hooked["ms"]
            taken["bare"] += (
                await gateway.networks.order(
                    "webhooks", network="slack", url=floor_url, bare=True, count=max(1, count // 4)
                )
            )["ms"]
    for name, what in (("slack", "Slack, HTTP Events"), ("whatsapp", "WhatsApp, Twilio's webhook")):
        for percent in (50, 99):
            part.add(
                f"{what}, p{percent}", quantile(taken[name], percent), "ms", floor=quantile(taken["bare"], percent)
            )
    part.notes.append(
        "Floor: the same body to a bare aiohttp server, one durable commit by raw sqlite3, then the answer."
    )
    return part
