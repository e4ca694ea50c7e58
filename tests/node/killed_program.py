"""A node that dies by SIGKILL at its n-th step on disk or at a start, from offer to acknowledged report.

Run as `python -m tests.node.killed_program <directory> <most>`: one fork for each n, until one lives through it all.
Deliberately absent: any hook in the node. The steps are the system calls that change something; the process kills
itself just before the n-th.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bot.domain.command import Command, Limits, command_hash, parse_request
from bot.node.desk import Desk
from bot.node.frames import Accepted, Ack, Go, Inspect, Inspected, Offer
from bot.node.journal import State
from bot.node.outbox import Outbox
from bot.node.spool import Spool
from bot.node.tree import become_subreaper
from tests.node.made import GATEWAY, ID, inspector, settings, until

COMMAND = "echo started >> {mark}; echo out"


def count_down(steps: int) -> None:
    """Kill this process in the n-th of these calls, before it is made."""
    left = steps

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)

        return call

    for name in ("fsync", "rename", "unlink", "link", "ftruncate", "posix_fallocate", "write"):
        setattr(os, name, counted(getattr(os, name)))
    # Before the start, and after it as well: the child lives, and nothing says so on the disk yet.
    start = subprocess.Popen.__init__

    def started(*args: object, **more: object) -> None:
        counted(start)(*args, **more)
        counted(lambda: None)()

    subprocess.Popen.__init__ = started  # type: ignore[method-assign]  # a step like the others


async def live(directory: Path) -> None:
    given = settings(directory)
    become_subreaper()
    spool = Spool(given.state_dir, spool_bytes=given.spool_bytes)
    desk = Desk(given, inspector(given), spool, Outbox(spool))
    command = await inspected(desk, directory)
    accepted = await desk.offer(Offer(number=2, execution=ID, command=command, hash=command_hash(command)), GATEWAY)
    assert isinstance(accepted, Accepted)
    (directory / "accepted").touch()
    desk.go(Go(execution=ID, token=accepted.token), GATEWAY)
    await until(lambda: spool.state(ID) is State.FINISHED and not desk.launches.has_begun(ID))
    desk.acknowledged(Ack(execution=ID, report="finished"))
    (directory / "done").touch()


async def inspected(desk: Desk, directory: Path) -> Command:
    request = parse_request(COMMAND.format(mark=directory / "mark"))
    asked = Inspect(number=1, execution=ID, request=request, limits=Limits(timeout_s=20.0))
    found = await desk.inspect(asked, GATEWAY)
    assert isinstance(found, Inspected), found
    return found.command


def live_in_a_fork(directory: Path, steps: int) -> int:
    """The fork's end as `waitpid` gives it."""
    directory.mkdir()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        count_down(steps)
        asyncio.run(live(directory))
        os._exit(0)
    return os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    for n in range(1, int(sys.argv[2])):
        if live_in_a_fork(Path(sys.argv[1]) / str(n), n) == 0:
            sys.exit(0)
    sys.exit("there are more steps than were asked for")
