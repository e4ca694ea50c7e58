"""Config and store for the length of one command, beside a gateway that may be running.

Deliberately absent: any import of the gateway's packages before a command needs them: `homing node` runs without.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.store.open import OpenStore

R = TypeVar("R")


class WallClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def settings_of(config: Path) -> Settings:
    """Raises `ConfigError` with every fault."""
    from bot.config import load_settings

    return load_settings(config, os.environ)


@asynccontextmanager
async def opened(config: Path) -> AsyncIterator[tuple[Settings, OpenStore]]:
    """The settings and the store, which is closed at the end. Raises `ConfigError` or `StoreError`."""
    from bot.store.open import open_store

    settings = settings_of(config)
    store = await asyncio.to_thread(
        open_store,
        settings.store_url,
        clock=WallClock(),
        gateway=False,
        audit_key=settings.gateway.data_dir / "audit.key",
    )
    try:
        yield settings, store
    finally:
        await store.close()


def with_store(config: Path, ask: Callable[[Settings, OpenStore], Awaitable[R]]) -> R:
    """Run one command's question or change. To be called outside any event loop."""

    async def once() -> R:
        async with opened(config) as (settings, store):
            return await ask(settings, store)

    return asyncio.run(once())
