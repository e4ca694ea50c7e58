"""kill -9 of a gateway around the end of a model's turn: between its answer and the commit, and right behind it.

What the model said is nothing until then, and all of it afterwards: no second command, no input lost. The kills at all
other points are in `tests/chaos`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from bot.app import Core, SystemClock
from bot.domain.execution import ExecutionState
from bot.domain.message import PostKind
from bot.ports import Store, Tx
from bot.store import open_store
from tests.platforms.forms import code_of
from tests.platforms.loopback import LoopbackPlatform, channels_of
from tests.platforms.model.script import Act, Acting, Asked, Say, use
from tests.platforms.model.server import ModelServer
from tests.story.cast import ACCOUNTS, a_peer, a_settings
from tests.story.models import with_model_at
from tests.story.processes import Forked
from tests.story.puppet import Puppets, fingerprint_of

R = TypeVar("R")
OPS = a_peer("ops", thread="17")
WITHIN_S = 100.0
"""A gateway with a model loads its packages first, twice here: seconds on a machine of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a gateway process is started with; it travels by pickle."""

    url: str
    platform_url: str
    model_url: str
    up: Path
    """Made when it listens."""
    dies: str = ""
    """`before` or `after` the first commit that holds an execution: that is the one of the turn."""


@dataclass(frozen=True, slots=True)
class FusedStore:
    """The store, which kills its own process."""

    inner: Store
    dies: str

    async def write(self, fn: Callable[[Tx], R]) -> R:
        held = False

        def watched(tx: Tx) -> R:
            nonlocal held
            value = fn(tx)
            held = bool(tx.executions.in_states(frozenset(ExecutionState), limit=1))
            if held and self.dies == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return value

        value = await self.inner.write(watched)
        if held and self.dies == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    async def read(self, fn: Callable[[Tx], R]) -> R:
        return await self.inner.read(fn)


def run(plan: Plan) -> None:
    asyncio.run(_run(plan))


async def _run(plan: Plan) -> None:
    clock, puppets = SystemClock(), Puppets()
    opened = open_store(plan.url, clock=clock, gateway=True)
    await opened.write(lambda tx: (tx.events.take_over(), tx.inputs.take_over()))
    for name in puppets.names:
        await opened.write(partial(_pair, name))
    settings = a_settings()
    settings = with_model_at(settings, plan.model_url, "openai", settings.masker, {"timeout": 60})
    core = Core(settings, FusedStore(opened, plan.dies), channels_of(plan.platform_url, ACCOUNTS), clock)
    async with core.running(puppets):
        plan.up.touch()
        await asyncio.Event().wait()


def _pair(name: str, tx: Tx) -> None:
    tx.nodes.hello(fingerprint_of(name), name.encode(), name)
    tx.nodes.pair(fingerprint_of(name), name=name)


def answers(asked: Asked) -> Act:
    """Asks for what it is asked to, and says nothing else."""
    wanted = re.findall(r"^\| please run (.+)$", asked.prompt, re.MULTILINE)
    return use("run", command=wanted[0]) if wanted and not asked.since_prompt else Say("HEARTBEAT_OK")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("dies", ["before", "after"])
async def test_f034_f036_a_kill_around_a_models_turn_loses_no_input_and_asks_once(
    tmp_path: Path, sqlite_url: str, dies: str
) -> None:
    async with ModelServer(Acting(then=answers)) as service, LoopbackPlatform() as platform:
        model_url = service.base_url("openai")
        up = tmp_path / "up"
        plan = Plan(url=sqlite_url, platform_url=platform.url, model_url=model_url, up=up, dies=dies)
        killed = Forked(run, plan, tmp_path / "gateway.log")
        killed.start()
        async with asyncio.timeout(WITHIN_S):
            while not up.exists():
                await asyncio.sleep(0.02)
        await platform.say(OPS, "ada", "please run uptime", sent_at=time.time())
        assert await killed.ended(within_s=WITHIN_S) == -signal.SIGKILL
        assert platform.by_bot() == []

        again = Forked(run, replace(plan, dies=""), tmp_path / "gateway.log")
        again.start()
        try:
            await platform.until(lambda: bool(platform.by_bot()), "the card stands", within_s=WITHIN_S)
            await asyncio.sleep(1.0)
        finally:
            await again.kill()
        (card,) = platform.by_bot()
        assert (card.kind, card.peer.id, code_of(card.post, "Command")) == (PostKind.CARD, OPS.id, "uptime")
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as database:
            assert database.execute("SELECT count(*), min(state) FROM executions").fetchone() == (
                1,
                "awaiting_approval",
            )
            assert database.execute("SELECT state FROM inputs").fetchall() == [("answered",)]
        # Killed before the commit it is asked anew, and what it said first is nothing.
        asked = [one for one in service.about("please run") if not one.since_prompt]
        assert len(asked) == (2 if dies == "before" else 1)
        assert service.refused == []
