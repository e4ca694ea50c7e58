"""The journal on disk: whole at every moment, bounded, and never talked into a second start."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.domain.execution import Chunk, Ending, ExecutionId, ExecutionResult, Output, Stream
from bot.domain.node import Known
from bot.errors import IllegalTransition, Malformed
from bot.node import spool as spool_module
from bot.node.codec import encode
from bot.node.faults import StateDirBusy
from bot.node.files import held, running_node
from bot.node.frames import MAX_FRAME_BYTES, MAX_OUTPUT_BYTES, Finished, NotKnown, Refused
from bot.node.journal import WRITES, Entry, State, check_write, entry_from_bytes, entry_to_bytes
from bot.node.spool import SETTLED_S, Spool
from bot.node.tree import created_at
from tests.node.made import ID, OTHER

BOUND = 64 * 1_048_576


def opened(path: Path, spool_bytes: int = BOUND) -> Spool:
    return Spool(path, spool_bytes=spool_bytes)


def finished(text: str = "out\n", execution: ExecutionId = ID) -> Entry:
    output = Output(head=(Chunk(stream=Stream.OUT, text=text),))
    result = ExecutionResult(ending=Ending.EXITED, exit_code=0, signal=None, duration_s=1.0, output=output)
    report = Finished(execution=execution, result=result, started_at=5.0, ended_at=6.0)
    return Entry(execution=execution, state=State.FINISHED, at=6.0, started_at=5.0, report=report)


def entry(state: State, execution: ExecutionId = ID, **more: object) -> Entry:
    return Entry(execution=execution, state=state, at=time.time(), **more)  # type: ignore[arg-type]  # the fields as named


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """A disk that is full for files of this size, without being root: the kernel's own bound."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_report_survives_the_process_until_it_is_acknowledged(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.reserve(ID, 1_000)
    for state in (State.ACCEPTED, State.STARTING, State.RUNNING):
        spool.write(entry(state, started_at=5.0))
    spool.write(finished())
    again = opened(tmp_path)
    assert again.state(ID) is State.FINISHED
    assert again.report(ID) == finished().report
    again.settle(ID, Known.FINISHED)
    assert opened(tmp_path).state(ID) is Known.FINISHED
    assert [path.name for path in (tmp_path / "journal").iterdir()] == []


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING])
def test_what_was_under_way_when_the_node_died_is_unknown_and_says_why(tmp_path: Path, state: State) -> None:
    spool = opened(tmp_path)
    spool.reserve(ID, 1_000)
    spool.write(entry(State.ACCEPTED))
    spool.write(entry(State.STARTING, started_at=5.0))
    if state is State.RUNNING:
        spool.write(entry(State.RUNNING, pid=1, pid_created_at=1.0))
    again = opened(tmp_path)
    assert again.state(ID) is State.UNKNOWN
    report = again.report(ID)
    assert isinstance(report, NotKnown)
    assert "the node ended" in report.detail
    assert opened(tmp_path).state(ID) is State.UNKNOWN
    again.settle(ID, Known.UNKNOWN)
    assert opened(tmp_path).entries() == []


def test_a_process_that_outlived_the_node_is_named(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        spool = opened(tmp_path)
        spool.write(entry(State.ACCEPTED))
        spool.write(entry(State.STARTING))
        spool.write(entry(State.RUNNING, pid=child.pid, pid_created_at=created_at(child.pid)))
        report = opened(tmp_path).report(ID)
        assert isinstance(report, NotKnown)
        assert f"process {child.pid} is still there" in report.detail
    finally:
        child.kill()
        child.wait()


def test_an_accepted_one_was_never_started(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.reserve(ID, 1_000)
    spool.write(entry(State.ACCEPTED))
    again = opened(tmp_path)
    assert again.state(ID) is State.ACCEPTED
    assert [path.name for path in (tmp_path / "journal").iterdir()] == [f"{ID}.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"form":1}', b"\x00" * 300, b"[" * 9_000, b'{"form":2,"execution":"X"}']
)
def test_a_damaged_entry_is_set_aside_and_never_started_again(tmp_path: Path, content: bytes) -> None:
    spool = opened(tmp_path)
    spool.write(entry(State.ACCEPTED))
    (tmp_path / "journal" / f"{ID}.json").write_bytes(content)
    (tmp_path / "journal" / "notes.txt").write_text("foreign")
    (tmp_path / "settled" / "README").write_text("foreign")
    again = opened(tmp_path)
    assert again.state(ID) is State.UNKNOWN
    assert len(list((tmp_path / "aside").iterdir())) == 3
    assert opened(tmp_path).state(ID) is State.UNKNOWN


@pytest.mark.parametrize("cut", range(0, 400, 13))
def test_a_torn_entry_is_no_entry(cut: int) -> None:
    whole = entry_to_bytes(finished())
    assert entry_from_bytes(whole) == finished()
    with pytest.raises(Malformed):
        entry_from_bytes(whole[: cut % len(whole)])


def test_every_pair_of_states_is_decided_and_nothing_leads_back_to_accepted() -> None:
    assert set(WRITES) == {None, *State}
    for before in State:
        assert before is State.ACCEPTED or State.ACCEPTED not in WRITES[before]
        assert before is State.ACCEPTED or State.STARTING not in WRITES[before]
    with pytest.raises(IllegalTransition):
        check_write(State.FINISHED, State.STARTING)
    with pytest.raises(IllegalTransition):
        check_write(None, State.STARTING)


def test_a_full_disk_refuses_the_room_and_leaves_nothing(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    with no_file_larger_than(50_000), pytest.raises(OSError, match="File too large"):
        spool.reserve(ID, 100_000)
    assert list((tmp_path / "journal").iterdir()) == []
    with pytest.raises(OSError, match="bound"):
        opened(tmp_path, 100_000).reserve(ID, 100_000)


def test_the_report_is_written_into_the_room_that_was_reserved(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.reserve(ID, MAX_OUTPUT_BYTES)
    for state in (State.ACCEPTED, State.STARTING, State.RUNNING):
        spool.write(entry(state))
    reserved = (tmp_path / "journal" / f"{ID}.next").stat()
    worst = finished('"\n\\\t' * (MAX_OUTPUT_BYTES // 4))
    spool.write(worst)
    written = (tmp_path / "journal" / f"{ID}.json").stat()
    assert written.st_ino == reserved.st_ino
    assert written.st_size <= reserved.st_size
    assert worst.report is not None
    assert len(encode(worst.report)) < MAX_FRAME_BYTES


def test_room_of_offers_that_never_went_is_given_back(tmp_path: Path) -> None:
    spool = opened(tmp_path, 300_000)
    spool.reserve(ID, 100_000)
    with pytest.raises(OSError, match="bound"):
        spool.reserve(OTHER, 100_000)
    spool.release(ID)
    spool.reserve(OTHER, 100_000)


def test_a_write_that_fails_leaves_the_old_state_whole(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.write(entry(State.ACCEPTED))
    with no_file_larger_than(10), pytest.raises(OSError, match="File too large"):
        spool.write(entry(State.STARTING))
    assert spool.state(ID) is State.ACCEPTED
    assert opened(tmp_path).state(ID) is State.ACCEPTED


def test_tombstones_are_kept_for_ninety_days_and_then_pruned(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.settle(ID, Known.FINISHED)
    spool.settle(ID, Known.UNKNOWN)
    assert spool.state(ID) is Known.FINISHED
    assert spool.prune(now=time.time() + SETTLED_S - 100) == 0
    assert spool.prune(now=time.time() + SETTLED_S + 100) == 1
    assert opened(tmp_path).state(ID) is None


def test_a_full_journal_takes_no_more_and_forgets_no_young_tombstone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MAX_SETTLED", 2)
    monkeypatch.setattr(spool_module, "MAX_OPEN", 1)
    spool = opened(tmp_path)
    assert spool.room_for_one_more() is None
    spool.settle(ID, Known.FINISHED)
    spool.settle(OTHER, Known.FINISHED)
    assert "90 days" in str(spool.room_for_one_more())
    assert spool.state(ID) is Known.FINISHED
    old = time.time() - SETTLED_S - 10
    os.utime(tmp_path / "settled" / f"{ID}.finished", (old, old))
    assert spool.room_for_one_more() is None
    spool.write(entry(State.ACCEPTED, ID))
    assert "wait on the node" in str(spool.room_for_one_more())


def test_offers_of_days_ago_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MAX_OPEN", 1)
    spool = opened(tmp_path)
    spool.write(Entry(execution=ID, state=State.ACCEPTED, at=time.time() - 200_000))
    assert spool.room_for_one_more() is None
    assert spool.state(ID) is None


def test_a_refusal_is_a_tombstone_that_is_owed(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    report = Refused(execution=ID, reason="too late")
    spool.write(entry(State.REFUSED, report=report))
    assert opened(tmp_path).report(ID) == report
    with pytest.raises(IllegalTransition):
        spool.write(entry(State.ACCEPTED))


def test_raw_output_is_dropped_oldest_first_and_never_of_open_executions(tmp_path: Path) -> None:
    spool = opened(tmp_path, 1_000_000)
    spool.write(entry(State.ACCEPTED, OTHER))
    for at, execution in enumerate((OTHER, ID, ExecutionId("7K3QA4"))):
        raw = spool.raw_output(execution)
        assert raw is not None
        os.write(raw, b"x" * 300_000)
        spool.end_raw_output(execution, raw)
        os.utime(tmp_path / "output" / f"{execution}.raw", (at, at))
    spool.reserve(OTHER, 100_000)
    assert {path.name for path in (tmp_path / "output").iterdir()} == {f"{OTHER}.raw", "7K3QA4.raw"}
    empty = spool.raw_output(ID)
    assert empty is not None
    spool.end_raw_output(ID, empty)
    assert not (tmp_path / "output" / f"{ID}.raw").exists()


def test_one_node_has_a_state_directory_to_itself(tmp_path: Path) -> None:
    assert running_node(tmp_path) is None
    with held(tmp_path):
        script = (
            "import sys; from pathlib import Path; from bot.node.files import *; print(running_node(Path(sys.argv[1])))"
        )
        seen = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
        assert int(seen.stdout) == os.getpid()
        with pytest.raises(StateDirBusy, match=str(os.getpid())), held(tmp_path):
            pass
    assert running_node(tmp_path) is None


def test_a_state_is_flushed_named_and_its_name_flushed_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path)
    steps: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(opened_file: int) -> None:
        steps.append("flush " + Path(f"/proc/self/fd/{opened_file}").readlink().name)
        real_fsync(opened_file)

    def rename(source: Path, target: Path) -> None:
        steps.append("rename")
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    spool.write(entry(State.ACCEPTED))
    assert steps == [f"flush {ID}.tmp", "rename", "flush journal"]
    steps.clear()
    spool.settle(ID, Known.NEVER_STARTED)
    assert steps[-1] == "flush settled"
