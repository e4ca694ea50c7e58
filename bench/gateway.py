"""One gateway's side of a measurement as a process of its own: the whole core, the store alone, or the bare floor."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

from bench import deciding, sides
from bench.children import Form, serve
from bot.app import Core
from bot.domain.session import DEFAULT_ACCOUNT
from bot.store import OpenStore


class Gateway:
    def __init__(self) -> None:
        self._running = AsyncExitStack()
        self._store: OpenStore | None = None
        self._core: Core | None = None

    async def open(self, order: Form) -> Form:
        database, network = Path(order["database"]), str(order["network"])
        keys = [bytes.fromhex(one) for one in order.get("keys", ())]
        match order["side"]:
            case "bare":
                return {"url": await self._running.enter_async_context(sides.bare(database, network))}
            case "store":
                alone = sides.store_alone(database, network, keys)
                url, self._store = await self._running.enter_async_context(alone)
                return {"url": url}
            case _:
                more = {name: float(order[name]) for name in ("retention_s", "sweep_s") if name in order}
                entered = sides.core(database, network, keys, **more)
                url, self._store, self._core = await self._running.enter_async_context(entered)
                return {"url": url}

    async def prepare(self, order: Form) -> Form:
        """Executions that run: each in a session of its own, or all in one room."""
        count = int(order["count"])
        if self._store is None:
            return {"executions": sides.named(count)}
        key, account = bytes.fromhex(order["key"]), order.get("account", DEFAULT_ACCOUNT)
        made = await sides.running(self._store, key, count, room=order.get("room"), account=account)
        return {"executions": made}

    async def decide(self, order: Form) -> Form:
        """From a press on Allow once to the first bytes that the command writes: it says the time when it runs."""
        assert self._core is not None
        return {
            "ms": [
                await deciding.pressed(self._core, f"{order['prefix']}-{number}")
                for number in range(int(order["count"]))
            ]
        }

    async def decide_bare(self, order: Form) -> Form:
        return {"ms": await deciding.bare(Path(order["database"]), str(order["network"]), int(order["count"]))}

    async def close(self, _order: Form) -> Form:
        await self._running.aclose()
        self._store = None
        return {}


async def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    gateway = Gateway()
    await serve(
        {},
        {
            "open": gateway.open,
            "prepare": gateway.prepare,
            "decide": gateway.decide,
            "decide_bare": gateway.decide_bare,
            "close": gateway.close,
        },
    )
    await gateway.close({})


if __name__ == "__main__":
    asyncio.run(main())
