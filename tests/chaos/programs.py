"""The gateway and the node as processes of their own: the product's programs, with named points put around them.

Deliberately absent: how they are started and when they die.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from bot import app
from bot.config import Settings, load_settings
from bot.node import client
from bot.node.settings import NodeSettings
from tests.chaos.fuse import Fuse, Ledger
from tests.chaos.planted import Planted, plant_in_gateway, plant_in_node
from tests.chaos.wraps import gateway_wrapped, node_wrapped

PRELOAD = ["tests.chaos.programs", "channels.web.adapter", "channels.discord.adapter", "channels.slack.adapter"]
PRELOAD += ["channels.whatsapp.adapter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """It travels by pickle."""

    home: Path
    planted: Planted | None = None

    @property
    def config(self) -> Path:
        return self.home / "config.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    home: Path
    settings: NodeSettings
    planted: Planted | None = None


class AheadClock:
    """The machine's clock, and as much ahead of it (or behind) as a file says."""

    def __init__(self, ahead: Path) -> None:
        self._ahead = ahead

    def now(self) -> float:
        return time.time() + (float(self._ahead.read_text()) if self._ahead.exists() else 0.0)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_the_gateway(plan: GatewayPlan) -> None:
    """The program of `homing run`, until it is killed or told to end."""
    fuse, core = Fuse(Ledger(plan.home, "gateway")), app.core_settings

    def read() -> Settings:
        return load_settings(plan.config, {})

    with ExitStack() as stack:
        # The points are around what is planted, as they are around what is right.
        if plan.planted is not None:
            stack.enter_context(plant_in_gateway(plan.planted))
        stack.enter_context(gateway_wrapped(fuse))
        stack.enter_context(patch.object(app, "SystemClock", lambda: AheadClock(plan.home / "ahead")))
        # Of a person's patience in tests: expiry and leases are looked at as often as in the stories' own tests.
        stack.enter_context(patch.object(app, "core_settings", lambda read: replace(core(read), sweep_s=0.5)))
        asyncio.run(_telling(app.run_gateway(read(), announce=print, reread=read)))


def run_the_node(plan: NodePlan) -> None:
    """The program of `homing node`."""
    with ExitStack() as stack:
        if plan.planted is not None:
            stack.enter_context(plant_in_node(plan.planted))
        stack.enter_context(node_wrapped(Fuse(Ledger(plan.home, "node"))))
        # A gateway that dies every few seconds is none that is away for long: or the pauses double to a minute.
        stack.enter_context(patch.object(client, "_STEADY_S", 0.0))
        asyncio.run(_telling(client.run_node(plan.settings)))


async def _telling(program: Coroutine[object, object, None]) -> None:
    """On SIGUSR1 it writes into its log what every thread and every task is doing: for whoever finds it stuck."""

    def tell() -> None:
        faulthandler.dump_traceback(all_threads=True)
        for task in asyncio.all_tasks():
            task.print_stack(limit=8)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
    await program
