"""The start itself: the directory that was approved, the user, and limits that the system really holds.

Users need root; without it those tests are left out, and say so.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bot.domain.command import Command
from bot.domain.execution import Ending, ExecutionResult
from bot.node import spawn
from bot.node.process import Patience, Process
from bot.node.tree import Families, become_subreaper
from bot.node.user import User, own_user, user_named
from tests.node.made import command

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a command as another user")
SOON = Patience(grace_s=0.3, drain_s=0.3)


@pytest.fixture(autouse=True)
def subreaper() -> None:
    become_subreaper()


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user may enter: pytest's own belong to who runs it."""
    with tempfile.TemporaryDirectory(prefix="homing-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
async def no_fd_is_left() -> AsyncIterator[None]:
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def run(given: Command) -> ExecutionResult:
    process = Process.start(given, families=Families(), patience=SOON)
    async with asyncio.timeout(30):
        await process.begun()
        return await process.ended()


def own(*argv: str, **limits: int | None) -> Command:
    made = command(*argv)
    return replace(made, user=own_user().name, limits=replace(made.limits, **limits))  # type: ignore[arg-type]  # counts


def python(source: str, **limits: int | None) -> Command:
    return own("python", "-I", "-S", "-c", source, **limits)


def text(result: ExecutionResult) -> str:
    return result.output.text()


async def test_f082_a_directory_that_was_swapped_under_its_path_is_not_entered(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    given = replace(own("pwd"), cwd=str(work), cwd_id=f"{work.stat().st_dev}:{work.stat().st_ino}")
    assert text(await run(given)) == f"{work}\n"
    work.rename(tmp_path / "old")
    work.mkdir()
    with pytest.raises(spawn.NotStarted) as refused:
        await run(given)
    assert "swapped" in str(refused.value.strerror)


@pytest.mark.usefixtures("no_fd_is_left")
async def test_the_address_space_is_really_bounded() -> None:
    grab = "x = bytearray(600 * 1024 * 1024); print(len(x))"
    assert text(await run(python(grab))) == f"{600 * 1024 * 1024}\n"
    result = await run(python(grab, memory_bytes=256 * 1024 * 1024))
    assert result.exit_code == 1
    assert "MemoryError" in text(result)


@pytest.mark.usefixtures("no_fd_is_left")
async def test_open_files_are_really_bounded() -> None:
    result = await run(python("f = [open('/dev/null') for _ in range(100)]", open_files=32))
    assert "Too many open files" in text(result)


async def test_the_limits_that_are_set_are_what_the_command_sees_and_cannot_raise() -> None:
    source = (
        "import resource as r\n"
        "for kind in (r.RLIMIT_AS, r.RLIMIT_NPROC, r.RLIMIT_NOFILE, r.RLIMIT_CORE): print(*r.getrlimit(kind))"
    )
    spawn.forbid_core_dumps()
    result = await run(python(source, memory_bytes=2**30, processes=64, open_files=128))
    assert text(result) == f"{2**30} {2**30}\n64 64\n128 128\n0 0\n"


@pytest.mark.usefixtures("no_fd_is_left")
async def test_a_command_with_limits_is_the_command_and_nothing_before_it() -> None:
    """Words, environment, input, directory, session and signals are as without limits."""
    source = (
        "import os, signal, sys\n"
        "print(sys.argv[1:], dict(os.environ), sys.stdin.read(), os.getcwd(), os.getsid(0) == os.getpid(),"
        " sorted(os.listdir('/proc/self/fd')))\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    free = own("python", "-I", "-S", "-X", "utf8", "-c", source, "ä", "", "a b")
    free = replace(free, env=(*free.env, ("HÜT", "ß\n")))
    bound = replace(free, limits=replace(free.limits, open_files=512))
    one, other = await run(free), await run(bound)
    assert (one.exit_code, other.exit_code) == (0, 0)
    assert text(one) == text(other)
    assert "['ä', '', 'a b']" in text(other)


async def test_a_command_with_limits_ignores_no_signal_that_another_does_not() -> None:
    line = "grep -E '^Sig(Ign|Blk|Cgt)' /proc/self/status"
    one, other = await run(own("sh", "-c", line)), await run(own("sh", "-c", line, open_files=512))
    assert text(one) == text(other)
    ignored = int(re.search(r"SigIgn:\t([0-9a-f]+)", text(other))[1], 16)  # type: ignore[index]
    # Python ignores these for itself; what whoever started the tests ignores stays as it was.
    assert not any(ignored >> (number - 1) & 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))


async def test_a_start_that_is_cancelled_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hangs = tmp_path / "hangs.py"
    hangs.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(spawn, "_STARTER", str(hangs))
    process = Process.start(own("true", open_files=64), families=Families(), patience=SOON)
    beginning = asyncio.create_task(process.begun())
    await asyncio.sleep(0)
    beginning.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await beginning
    assert not Path(f"/proc/{process.pid}").exists()


@pytest.mark.usefixtures("no_fd_is_left")
async def test_what_the_system_will_not_start_under_limits_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELFno")
    broken.chmod(0o755)
    for limits in ({}, {"open_files": 64}):
        with pytest.raises(OSError, match="Exec format error"):
            await run(replace(own("true", **limits), executable=str(broken)))
    assert not any(child for child in Families()._root_of)


async def test_a_starter_that_dies_is_no_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dies = tmp_path / "dies.py"
    dies.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(spawn, "_STARTER", str(dies))
    with pytest.raises(spawn.NotStarted) as refused:
        await run(own("true", open_files=64))
    assert "ended it before it began" in str(refused.value.strerror)


async def test_a_starter_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hangs = tmp_path / "hangs.py"
    hangs.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(spawn, "_STARTER", str(hangs))
    monkeypatch.setattr(spawn, "_BECOME_S", 0.2)
    with pytest.raises(spawn.NotStarted) as refused:
        await run(own("true", open_files=64))
    assert "in time" in str(refused.value.strerror)


async def test_a_stop_in_the_first_moment_ends_a_command_with_limits() -> None:
    process = Process.start(own("sleep", "30", open_files=64), families=Families(), patience=SOON)
    process.stop()
    async with asyncio.timeout(20):
        await process.begun()
        result = await process.ended()
    assert (result.ending, result.signal) == (Ending.STOPPED, signal.SIGTERM.name)


def nobody() -> User:
    found = user_named("nobody")
    assert found is not None
    return found


def as_nobody(given: Command, directory: Path) -> Command:
    seen = directory.stat()
    return replace(given, user="nobody", cwd=str(directory), cwd_id=f"{seen.st_dev}:{seen.st_ino}")


@NEEDS_ROOT
async def test_a_command_runs_as_its_user_with_that_users_groups_and_no_way_back(open_dir: Path) -> None:
    user = nobody()
    line = "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status"
    result = await run(as_nobody(own("sh", "-c", line), open_dir))
    words = [row.split() for row in text(result).splitlines()]
    assert words[0][1:] == [str(user.uid)] * 4
    assert words[1][1:] == [str(user.gid)] * 4
    assert words[2][1:] == [str(group) for group in user.groups]
    assert words[3][1:] == ["0" * 16]
    secret = open_dir / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    refused = await run(as_nobody(own("cat", str(secret)), open_dir))
    assert "Permission denied" in text(refused)


@NEEDS_ROOT
async def test_the_number_of_processes_of_a_user_is_really_bounded(open_dir: Path) -> None:
    line = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; wait"
    already = sum(1 for process in psutil.process_iter(["uids"]) if process.info["uids"].real == nobody().uid)
    bound = replace(own("sh", "-c", line, processes=already + 5))
    result = await run(as_nobody(bound, open_dir))
    assert result.exit_code != 0
    assert "fork" in text(result).lower()


@NEEDS_ROOT
@pytest.mark.usefixtures("no_fd_is_left")
async def test_what_its_user_may_not_run_or_enter_is_refused(open_dir: Path) -> None:
    (open_dir / "tool").write_text("#!/bin/sh\n")
    (open_dir / "tool").chmod(0o700)
    with pytest.raises(PermissionError):
        await run(replace(as_nobody(own("true"), open_dir), executable=str(open_dir / "tool")))
    open_dir.chmod(0o700)
    with pytest.raises(PermissionError):
        await run(as_nobody(own("true"), open_dir))


async def test_a_user_that_is_gone_starts_nothing() -> None:
    with pytest.raises(spawn.NotStarted) as refused:
        await run(replace(own("true"), user="nobody-of-that-name"))
    assert "no user" in str(refused.value.strerror)
