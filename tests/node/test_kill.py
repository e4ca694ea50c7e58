"""kill -9 at every step from the offer to the acknowledged report: at most one start, and the journal never lies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import psutil

from bot.domain.command import command_hash
from bot.domain.node import Known
from bot.node.desk import Desk
from bot.node.frames import Accepted, Ask, Declined, Go, Offer
from bot.node.journal import State
from bot.node.outbox import Outbox
from bot.node.spool import Spool
from bot.node.tree import become_subreaper
from tests.node.killed_program import inspected
from tests.node.made import GATEWAY, ID, inspector, settings, until

MOST_STEPS = 80


async def test_f067_a_kill_at_every_step_starts_the_command_at_most_once(tmp_path: Path) -> None:
    become_subreaper()
    # Other tests' servers are children of this process as well.
    others = frozenset(child.pid for child in psutil.Process().children())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.node.killed_program", str(tmp_path), str(MOST_STEPS)
    )
    async with asyncio.timeout(60):
        assert await process.wait() == 0
    *killed, whole = sorted(tmp_path.iterdir(), key=lambda directory: int(directory.name))
    assert (whole / "done").exists()
    assert len(killed) > 20
    outcomes = [await after_the_kill(directory, others) for directory in killed]
    # Each kind of moment was met, so the test has seen what it speaks of.
    assert set(outcomes) == {"unseen", "accepted", "unknown", "finished", "settled"}


async def after_the_kill(directory: Path, others: frozenset[int]) -> str:
    """The next start of the node: what it knows, and what it can still be talked into."""
    given = settings(directory)
    mark = directory / "mark"
    # Its command may still be running: it is an orphan of ours now.
    await until(lambda: nobody_is_left(others))
    starts = lines(mark)
    spool = Spool(given.state_dir, spool_bytes=given.spool_bytes)
    state = spool.state(ID)
    desk = Desk(given, inspector(given), spool, Outbox(spool))
    assert starts <= 1
    if starts == 1:
        assert state in {State.UNKNOWN, State.FINISHED} or state is Known.FINISHED
    if isinstance(state, Known) or state in {State.UNKNOWN, State.FINISHED}:
        outcome = "settled" if isinstance(state, Known) else str(state)
    else:
        outcome = "unseen" if state is None else str(state)

    command = await inspected(desk, directory)
    answer = await desk.offer(Offer(number=2, execution=ID, command=command, hash=command_hash(command)), GATEWAY)
    if outcome in {"unseen", "accepted"}:
        # Never started, so a repeated offer may start it: once.
        assert isinstance(answer, Accepted)
        desk.go(Go(execution=ID, token=answer.token), GATEWAY)
        await until(lambda: spool.state(ID) is State.FINISHED and not desk.launches.has_begun(ID))
        assert lines(mark) == 1
    else:
        assert isinstance(answer, Declined)
        assert answer.already_started
        ((_, known),) = desk.answer(Ask(executions=((ID, True),))).answers
        # `running` while its report is owed.
        assert known in {Known.UNKNOWN, Known.FINISHED, Known.RUNNING}
        assert lines(mark) == starts
    return outcome


def lines(mark: Path) -> int:
    return len(mark.read_text().splitlines()) if mark.exists() else 0


def nobody_is_left(others: frozenset[int]) -> bool:
    """Of the orphans that were given to us: each is reaped when it has ended."""
    left = [child.pid for child in psutil.Process().children() if child.pid not in others]
    for pid in left:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return not left
