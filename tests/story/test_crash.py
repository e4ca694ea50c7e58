"""kill -9 of the gateway at every commit and every send of the path, from ask to told, and a restart.

The command runs at most once; its outcome is told at least once, where it was asked and nowhere else; nothing is
told twice without saying so.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest

from bot.domain.message import Action, PostKind
from bot.node.client import KEY_FILE
from bot.node.identity import load_or_create_key
from bot.node.settings import NodeSettings
from bot.store import open_store
from tests.platforms.loopback import LoopbackPlatform
from tests.platforms.posted import Posted
from tests.story.cast import a_peer
from tests.story.gateway_program import Moment, Plan, run
from tests.story.processes import Forked, free_port, run_the_node
from tests.story.real_world import runs
from tests.story.shifted import ShiftedClock

OPS = a_peer("ops", thread="17")
WITHIN_S = 40.0
COMMITS, SENDS = 24, 2
"""A walk takes some 20 commits, a few more or fewer by its timing; a kill that never comes is a walk as well."""
OFTEN = {
    (Moment.BEFORE_COMMIT, 3),
    (Moment.AFTER_COMMIT, 5),
    (Moment.BEFORE_COMMIT, 8),
    (Moment.AFTER_COMMIT, 10),
    (Moment.AFTER_COMMIT, 12),
    (Moment.BEFORE_COMMIT, 14),
    (Moment.AFTER_COMMIT, 16),
    (Moment.BEFORE_COMMIT, 18),
    (Moment.AFTER_SEND, 1),
    (Moment.AFTER_SEND, 2),
}
"""A spread over the path for every run; all of them are the long run."""
ALL = [(moment, number) for moment in (Moment.BEFORE_COMMIT, Moment.AFTER_COMMIT) for number in range(1, COMMITS + 1)]
ALL += [(Moment.AFTER_SEND, number) for number in range(1, SENDS + 1)]


@dataclass(slots=True, kw_only=True)
class Walk:
    """One walk of the whole path, with a gateway that is started again whenever it is dead."""

    platform: LoopbackPlatform
    plan: Plan
    home: Path
    node: Forked[NodeSettings]
    kills: int = 0
    gateways: list[Forked[Plan]] = field(default_factory=list)

    @property
    def mark(self) -> Path:
        return self.home / "mark"

    async def keep_alive(self) -> None:
        plan = self.plan
        while True:
            gateway = Forked(run, plan, self.home / "gateway.log")
            self.gateways.append(gateway)
            gateway.start()
            code = await gateway.ended(within_s=300.0)
            assert code == -9, f"the gateway ended with {code}; its words are in {gateway.log}"
            self.kills += 1
            # It dies once: what comes after is the recovery.
            plan = replace(plan, moment=None)

    async def insist(self, deliver: Callable[[], Awaitable[str | None]]) -> str | None:
        """As a network does: deliver again until it is acknowledged."""
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            with contextlib.suppress(aiohttp.ClientError):
                return await deliver()
            await asyncio.sleep(0.02)
        raise AssertionError(f"not acknowledged; the gateway's words are in {self.home}/gateway.log")

    async def walk(self) -> None:
        """Ask, approve, wait until it is told and nothing is owed any more."""
        words = f"run echo ran >> {self.mark}; echo the output"
        times = 0

        async def say() -> str | None:
            nonlocal times
            times += 1
            _, note = await self.platform.say(
                OPS, "ada", words, sent_at=time.time(), delivery="d-ask", message_id="asked", repeated=times > 1
            )
            return note

        await self.until(self.plan.connected.exists, "the node is connected")
        await self.insist(say)
        # A gateway that has just come back may find its node not yet connected: then it says so instead of asking.
        first = await self.platform.until(
            lambda: next(iter(self.platform.at(OPS)), None), "a card or a refusal", within_s=WITHIN_S
        )
        if first.kind is PostKind.CARD:
            if not self.platform.remembers:
                # A copy of the card that nobody can ask about is not known to us: the newest is the one that counts.
                await self.until(lambda: not self.owed(), "the card is recorded")
            card = self.platform.at(OPS)[-1]
            approve = card.first_shown(Action.APPROVE)
            await self.insist(lambda: self.platform.press_button(card, "owner", approve, delivery="d-press"))
        await self.platform.until(self.outcomes, "the outcome", within_s=WITHIN_S)
        await self.until(lambda: not self.owed(), "nothing is owed")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < until, f"not within {WITHIN_S} s: {what}"
            await asyncio.sleep(0.02)

    def outcomes(self) -> list[Posted]:
        kinds = {PostKind.RESULT, PostKind.NOTICE}
        return [one for one in self.platform.by_bot() if one.kind in kinds]

    def owed(self) -> bool:
        with closing(sqlite3.connect(f"file:{self.home}/homing.db?mode=ro", uri=True)) as database:
            (open_events,) = database.execute("SELECT count(*) FROM events WHERE state <> 'told'").fetchone()
            (open_inputs,) = database.execute("SELECT count(*) FROM inputs WHERE state <> 'answered'").fetchone()
        return bool(open_events or open_inputs)

    def check(self) -> None:
        ran = runs(self.mark)
        assert ran <= 1, f"the command ran {ran} times"
        assert {one.place for one in self.platform.by_bot()} == {("discord", "default", "channel", "ops", "17")}
        outcomes = self.outcomes()
        unmarked = [one for one in outcomes if "may be a repeat" not in one.text]
        assert len(unmarked) == 1, [one.text for one in outcomes]
        told = outcomes[-1]
        if ran:
            assert told.kind is PostKind.RESULT
            assert "the output" in told.text
        else:
            assert "nothing ran" in told.text


@contextlib.asynccontextmanager
async def a_path(
    home: Path, migrated: Path, *, moment: Moment | None, number: int, remembers: bool = True
) -> AsyncIterator[Walk]:
    database = home / "homing.db"
    database.write_bytes(migrated.read_bytes())
    database.chmod(0o600)
    url, port = f"sqlite:///{database}", free_port()
    (home / "counts").write_text(f"{0:6} {0:6}")
    load_or_create_key(home / "gateway.key")
    key = load_or_create_key(home / "node" / KEY_FILE)
    store = open_store(url, clock=ShiftedClock(), gateway=True)
    await store.write(lambda tx: tx.nodes.hello(key.fingerprint, key.public_key, "web-1"))
    await store.write(lambda tx: tx.nodes.pair(key.fingerprint, name="web-1"))
    await store.close()
    async with LoopbackPlatform(remembers=remembers) as platform:
        plan = Plan(
            url=url,
            platform_url=platform.url,
            port=port,
            key=home / "gateway.key",
            counts=home / "counts",
            connected=home / "connected",
            moment=moment,
            number=number,
        )
        settings = NodeSettings(
            gateway_url=f"ws://127.0.0.1:{port}/node", state_dir=home / "node", name="web-1", work_dir=home
        )
        node = Forked(run_the_node, settings, home / "node.log")
        node.start()
        path = Walk(platform=platform, plan=plan, home=home, node=node)
        keeping = asyncio.create_task(path.keep_alive())
        try:
            yield path
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            for gateway in path.gateways:
                await gateway.kill()
            await node.kill()


async def test_the_whole_path_without_a_kill_has_as_many_moments_as_we_think(tmp_path: Path, migrated: Path) -> None:
    async with a_path(tmp_path, migrated, moment=None, number=0) as walk:
        await walk.walk()
        walk.check()
        commits, sends = map(int, (tmp_path / "counts").read_text().split())
    assert walk.kills == 0
    assert runs(walk.mark) == 1
    assert COMMITS - 10 <= commits <= COMMITS, commits
    assert sends == SENDS


@pytest.mark.parametrize(
    ("moment", "number"),
    [pytest.param(*one, id=f"{one[1]} {one[0].value}", marks=() if one in OFTEN else pytest.mark.long) for one in ALL],
)
async def test_f034_f040_a_kill_at_this_moment_loses_nothing_and_repeats_nothing(
    tmp_path: Path, migrated: Path, moment: Moment, number: int
) -> None:
    async with a_path(tmp_path, migrated, moment=moment, number=number) as walk:
        await walk.walk()
        walk.check()
        commits, _ = map(int, (tmp_path / "counts").read_text().split())
    # The last moments may lie behind the end of the walk.
    assert walk.kills == 1 or commits <= number


@pytest.mark.parametrize("number", [1, 2])
async def test_f040_on_a_network_that_forgets_nonces_a_repeat_after_a_kill_says_so(
    tmp_path: Path, migrated: Path, number: int
) -> None:
    async with a_path(tmp_path, migrated, moment=Moment.AFTER_SEND, number=number, remembers=False) as walk:
        await walk.walk()
        walk.check()
        marked = [one for one in walk.platform.by_bot() if "may be a repeat" in one.first_text]
        assert walk.kills == len(marked) == 1
