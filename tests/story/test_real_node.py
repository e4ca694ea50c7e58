"""The stories again with a real node: its own process, its own disk, the real protocol on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.execution import ExecutionState
from bot.domain.message import Action
from tests.platforms.forms import code_of
from tests.platforms.loopback import LoopbackPlatform
from tests.story.cast import ACCOUNTS, a_peer, a_settings
from tests.story.puppet import Puppets
from tests.story.real_world import RealWorld, runs
from tests.story.shifted import ShiftedClock

OPS, DEPLOYS = a_peer("ops", thread="17"), a_peer("deploys", channel="slack")


@pytest.fixture
async def real(either_url: str, tmp_path: Path) -> AsyncIterator[RealWorld]:
    async with LoopbackPlatform() as platform:
        world = RealWorld(
            platform=platform,
            url=either_url,
            clock=ShiftedClock(),
            settings=a_settings(),
            accounts=ACCOUNTS,
            puppets=Puppets(names=()),
            home=tmp_path,
        )
        await world.open()
        world.start_node()
        try:
            await world.until_connected()
            yield world
        finally:
            if world.node is not None:
                # In order, so that it ends what still runs.
                await world.node.stop()
            await world.close()


async def test_two_rooms_finish_at_once_and_each_gets_its_own_output(real: RealWorld) -> None:
    words, mark = real.command("for ops <&>", "echo to stderr >&2; exit 3")
    others, other_mark = real.command("for deploys")
    ours, theirs = await asyncio.gather(real.ask(OPS, "ada", words), real.ask(DEPLOYS, "ben", others))
    await asyncio.gather(real.approve(ours), real.approve(theirs))
    told = await real.told_once(ours, containing="exit 3")
    assert code_of(told.post, "Output") == "for ops <&>\n"
    assert code_of(told.post, "Errors (stderr)") == "to stderr\n"
    other = await real.told_once(theirs, containing="for deploys")
    assert "for ops" not in other.text
    assert runs(mark) == runs(other_mark) == 1


async def test_what_is_asked_without_a_shell_runs_without_one(real: RealWorld) -> None:
    asked = await real.ask(OPS, "ada", "printf '%s|' 'a b' '$HOME' ''")
    assert "without a shell: " in asked.card.text
    await real.approve(asked)
    told = await real.told_once(asked)
    assert code_of(told.post, "Output") == "a b|$HOME||"


async def test_a_denied_request_leaves_no_trace_on_the_node(real: RealWorld) -> None:
    words, mark = real.command("never")
    asked = await real.ask(OPS, "ada", words)
    await real.platform.press(asked.card, "owner", Action.DENY)
    await real.told_once(asked)
    # The next one runs, so the node has had its time for the denied one.
    after, after_mark = real.command("after")
    await real.start_one(await real.ask(OPS, "ada", after), after_mark)
    assert runs(mark) == 0


async def test_f088_a_gateway_that_restarts_while_it_runs_gets_the_report_and_runs_nothing_twice(
    real: RealWorld,
) -> None:
    words, mark = real.command("survived", f"while [ ! -e {real.home}/go-on ]; do sleep 0.05; done")
    asked = await real.ask(OPS, "ada", words)
    await real.start_one(asked, mark)
    await real.close()
    (real.home / "go-on").touch()
    await real.open()
    await real.told_once(asked, containing="survived")
    assert runs(mark) == 1


async def test_f088_a_node_that_is_killed_while_it_runs_reports_not_known_and_runs_nothing_twice(
    real: RealWorld,
) -> None:
    words, mark = real.command("half", "sleep 3")
    asked = await real.ask(OPS, "ada", words)
    await real.start_one(asked, mark)
    assert real.node is not None
    await real.node.kill()
    real.start_node()
    told = await real.told_once(asked, containing="Not known whether it ran")
    assert "Look on the node" in told.text
    fresh, fresh_mark = real.command("fresh")
    again = await real.ask(OPS, "ada", fresh)
    await real.start_one(again, fresh_mark)
    await real.told_once(again, containing="fresh")
    assert runs(mark) == 1


async def test_a_stop_ends_the_command_and_what_it_wrote_until_then_is_told(real: RealWorld) -> None:
    words, mark = real.command("until then", "sleep 30")
    asked = await real.ask(OPS, "ada", words)
    await real.start_one(asked, mark)
    await real.until_state(asked.id, ExecutionState.RUNNING)
    await real.say(OPS, "ada", f"stop {asked.id}")
    told = await real.told_once(asked, containing="Stopped")
    assert "until then" in told.text


async def test_f096_an_endless_output_is_cut_says_so_and_the_session_stays_usable(real: RealWorld) -> None:
    words, mark = real.command("begin", "yes | head -c 20000000; echo the very end")
    asked = await real.ask(OPS, "ada", words)
    await real.start_one(asked, mark)
    told = await real.told_once(asked, containing="the very end")
    assert "left out" in told.text
    after, after_mark = real.command("still here")
    next_one = await real.ask(OPS, "ada", after)
    await real.start_one(next_one, after_mark)
    await real.told_once(next_one, containing="still here")


async def test_a_revoked_key_is_cut_off_on_the_open_socket(real: RealWorld) -> None:
    words, mark = real.command("gone", "sleep 30")
    running, waiting = await real.ask(OPS, "ada", words), await real.ask(OPS, "ada", "uptime")
    await real.start_one(running, mark)
    (node,) = real.hub.connected()
    await real.store.write(lambda tx: tx.nodes.revoke(node))
    await real.told_once(running, containing="was revoked")
    await real.told_once(waiting, containing="Cancelled, nothing ran")
    async with asyncio.timeout(10):
        while real.hub.connected():
            await asyncio.sleep(0.02)
