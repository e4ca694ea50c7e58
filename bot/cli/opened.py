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

from bot.errors import HomingError

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
async def opened(config: Path, *, with_key: bool = False) -> AsyncIterator[tuple[Settings, OpenStore]]:
    """The settings and the store, which is closed at the end. Raises `ConfigError` or `StoreError`.

    `with_key`: with the gateway's key as well, which seals what is kept of people's devices.
    """
    from bot.store.open import open_store

    settings = settings_of(config)
    store = await asyncio.to_thread(
        open_store,
        settings.store_url,
        clock=WallClock(),
        gateway=False,
        audit_key=settings.gateway.data_dir / "audit.key",
        factor_key=_factor_key(settings) if with_key else None,
    )
    try:
        yield settings, store
    finally:
        await store.close()


def _factor_key(settings: Settings) -> bytes:
    """Never of a key that is made here: what it seals, no gateway could open."""
    from bot.node.identity import load_or_create_key

    path = settings.gateway.data_dir / "gateway.key"
    if not path.exists():
        raise HomingError(f"there is no {path}; do this on the gateway's machine, after its first `homing run`")
    return load_or_create_key(path).factor_key


def with_store(config: Path, ask: Callable[[Settings, OpenStore], Awaitable[R]], *, with_key: bool = False) -> R:
    """Run one command's question or change. To be called outside any event loop."""

    async def once() -> R:
        async with opened(config, with_key=with_key) as (settings, store):
            return await ask(settings, store)

    return asyncio.run(once())
