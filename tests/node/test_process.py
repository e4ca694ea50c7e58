"""One running command, with real processes: its ending, its output, and nothing of it left afterwards."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from pathlib import Path

import psutil
import pytest

from bot.domain.command import Command
from bot.domain.execution import Ending, ExecutionResult, Stream
from bot.node.process import Patience, Process
from bot.node.tree import Families, become_subreaper, is_alive
from tests.node.made import command, until

SOON = Patience(grace_s=0.3, drain_s=0.3)


@pytest.fixture(autouse=True)
def nothing_is_left() -> object:
    """Every test here ends without a process or a zombie that it did not have before."""
    become_subreaper()
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    end = time.monotonic() + 5
    while left := [child for child in psutil.Process().children(recursive=True) if child.pid not in before]:
        Families().look()
        assert time.monotonic() < end, left
        time.sleep(0.01)


async def run(given: Command, *, patience: Patience = SOON, stop_after_s: float | None = None) -> ExecutionResult:
    process = Process.start(given, families=Families(), patience=patience)
    if stop_after_s is not None:
        asyncio.get_running_loop().call_later(stop_after_s, process.stop)
    async with asyncio.timeout(30):
        return await process.ended()


def sh(script: str, **more: float) -> Command:
    return command("sh", "-c", script, **more)  # type: ignore[arg-type]  # only the limits are handed on


async def test_f093_an_exit_is_an_exit_with_its_code() -> None:
    result = await run(sh("exit 3"))
    assert (result.ending, result.exit_code, result.signal) == (Ending.EXITED, 3, None)
    assert not result.succeeded
    assert (await run(command("true"))).succeeded


async def test_f093_a_death_by_signal_names_the_signal_and_is_no_success() -> None:
    result = await run(sh("kill -9 $$"))
    assert (result.ending, result.exit_code, result.signal) == (Ending.SIGNALLED, None, "SIGKILL")
    assert not result.succeeded


async def test_f093_a_time_out_says_so() -> None:
    result = await run(command("sleep", "100", timeout_s=0.2))
    assert (result.ending, result.signal) == (Ending.TIMED_OUT, "SIGTERM")
    assert result.duration_s < 2


async def test_f093_a_stop_says_so_also_where_the_command_takes_it_well() -> None:
    result = await run(sh("trap 'echo bye; exit 0' TERM; while :; do :; done"), stop_after_s=0.2)
    assert (result.ending, result.exit_code) == (Ending.STOPPED, 0)
    assert result.output.text() == "bye\n"
    assert not result.succeeded


async def test_a_stop_after_the_end_changes_nothing() -> None:
    process = Process.start(command("true"), families=Families(), patience=SOON)
    await until(lambda: process._exited.is_set())
    process.stop()
    assert (await process.ended()).ending is Ending.EXITED


async def test_f092_children_that_ignore_term_are_killed() -> None:
    result = await run(sh("trap '' TERM; sleep 100 & sleep 100", timeout_s=0.2))
    assert (result.ending, result.signal) == (Ending.TIMED_OUT, "SIGKILL")


async def test_f092_who_left_the_session_is_ended_too() -> None:
    result = await run(
        sh("setsid sh -c 'trap \"\" TERM; sleep 100' & (setsid sleep 100 &) ; sleep 0.2; echo up; sleep 100"),
        stop_after_s=0.6,
    )
    assert result.ending is Ending.STOPPED
    assert result.output.text() == "up\n"


async def test_f092_a_stopped_process_is_ended_too() -> None:
    result = await run(sh("kill -STOP $$; exit 0"), stop_after_s=0.2)
    assert (result.ending, result.signal) == (Ending.STOPPED, "SIGKILL")


async def test_f092_a_tree_is_not_taken_for_that_of_a_neighbour() -> None:
    families = Families()
    first = Process.start(sh("(setsid sleep 100 &) ; sleep 100"), families=families, patience=SOON)
    second = Process.start(sh("(setsid sleep 0.9 &) ; sleep 0.8; echo fine"), families=families, patience=SOON)
    await asyncio.sleep(0.1)
    families.look()
    first.stop()
    assert (await first.ended()).ending is Ending.STOPPED
    result = await second.ended()
    assert (result.ending, result.output.text()) == (Ending.EXITED, "fine\n")


async def test_a_grandchild_that_holds_the_pipe_holds_nobody_up() -> None:
    began = time.monotonic()
    result = await run(sh("sleep 100 & echo done"))
    assert (result.ending, result.output.text()) == (Ending.EXITED, "done\n")
    assert time.monotonic() - began < 2


async def test_a_daemon_with_a_session_of_its_own_lives_on() -> None:
    result = await run(sh("setsid sleep 50 >/dev/null 2>&1 & echo $!; sleep 0.1"))
    daemon = psutil.Process(int(result.output.text()))
    try:
        assert daemon.is_running()
        assert result.succeeded
    finally:
        daemon.kill()


async def test_a_daemon_of_an_earlier_command_outlives_the_stop_of_a_later_one() -> None:
    families = Families()
    first = Process.start(sh("setsid sleep 50 >/dev/null 2>&1 & echo $!; sleep 0.1"), families=families, patience=SOON)
    daemon = psutil.Process(int((await first.ended()).output.text()))
    try:
        second = Process.start(command("sleep", "50"), families=families, patience=SOON)
        second.stop()
        await second.ended()
        assert is_alive(daemon.pid, daemon.create_time())
    finally:
        daemon.kill()


async def test_f094_all_output_is_there_also_of_a_process_that_ended_at_once() -> None:
    for _ in range(20):
        result = await run(sh("head -c 5000 /dev/zero | tr '\\0' x; head -c 5000 /dev/zero | tr '\\0' y >&2"))
        texts = dict.fromkeys(Stream, "")
        for chunk in result.output.head:
            texts[chunk.stream] += chunk.text
        assert texts == {Stream.OUT: "x" * 5000, Stream.ERR: "y" * 5000}


async def test_f094_out_and_err_are_apart_and_in_the_order_of_arrival() -> None:
    result = await run(sh("echo one; sleep 0.05; echo two >&2; sleep 0.05; echo three"))
    assert [(chunk.stream, chunk.text) for chunk in result.output.head] == [
        (Stream.OUT, "one\n"),
        (Stream.ERR, "two\n"),
        (Stream.OUT, "three\n"),
    ]


async def test_f096_a_flood_takes_no_memory_and_is_cut_with_a_count() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = await run(sh("yes | head -c 100000000"))
    kept = sum(len(chunk.text) for chunk in (*result.output.head, *result.output.tail))
    assert kept + result.output.omitted_bytes == 100_000_000
    assert kept <= 262_144
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


async def test_f096_the_loop_goes_on_while_a_command_floods() -> None:
    process = Process.start(command("yes", timeout_s=0.5), families=Families(), patience=SOON)
    ending = asyncio.create_task(process.ended())
    longest = 0.0
    while not ending.done():
        began = time.monotonic()
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - began)
    assert (await ending).ending is Ending.TIMED_OUT
    assert longest < 0.25


async def test_nothing_but_the_listed_environment_and_no_input_reach_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOMING_SECRET", "s3cret")
    result = await run(command("env", cwd=tmp_path))
    assert result.output.text() == "PATH=/usr/bin:/bin\n"
    assert (await run(command("cat"))).output.text() == ""
    assert (await run(command("pwd", cwd=tmp_path))).output.text().strip() == os.path.realpath(tmp_path)


async def test_no_file_of_the_node_is_open_in_the_command() -> None:
    result = await run(sh("ls /proc/self/fd | wc -l"))
    assert int(result.output.text()) <= 4


async def test_a_program_is_started_under_the_name_that_was_typed(tmp_path: Path) -> None:
    script = tmp_path / "real"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    given = command("sh", "-c", "echo $0", "called")
    assert (await run(given)).output.text() == "called\n"


async def test_what_cannot_be_started_raises_and_leaves_nothing_open(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELFno")
    broken.chmod(0o755)
    given = command("true")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for executable in (str(broken), str(tmp_path / "gone")):
        with pytest.raises(OSError, match=r"Exec format|No such file"):
            Process.start(
                Command(**{name: getattr(given, name) for name in Command.__slots__} | {"executable": executable}),
                families=Families(),
            )
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


async def test_raw_output_is_kept_beside_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    opened = os.open(path, os.O_WRONLY | os.O_CREAT)
    process = Process.start(
        sh("printf '\\033[31mred'; head -c 5000 /dev/zero"), families=Families(), raw=opened, raw_bytes=100
    )
    await process.ended()
    os.close(opened)
    assert path.read_bytes() == (b"\x1b[31mred" + bytes(5000))[:100]


async def test_cancelling_the_watch_leaves_no_process() -> None:
    process = Process.start(command("sleep", "100"), families=Families(), patience=SOON)
    created = psutil.Process(process.pid).create_time()
    watch = asyncio.create_task(process.ended())
    await asyncio.sleep(0.05)
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert not is_alive(process.pid, created)
