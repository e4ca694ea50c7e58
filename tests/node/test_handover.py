"""The node's side of the hand-over, with real commands and a boot clock that the test holds: one start, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from bot.domain.command import Command, Limits, command_hash, parse_request
from bot.domain.execution import Ending, ExecutionId
from bot.domain.node import Known
from bot.node.desk import GO_WITHIN_S, Desk
from bot.node.frames import (
    Accepted,
    Ack,
    Answers,
    Ask,
    Busy,
    Declined,
    Finished,
    Go,
    Inspect,
    Inspected,
    NotKnown,
    Offer,
    Refused,
    Stop,
)
from bot.node.journal import State
from bot.node.launch import START_WITHIN_S
from bot.node.outbox import Outbox
from bot.node.settings import NodeSettings
from bot.node.spool import Spool
from bot.node.tree import become_subreaper
from tests.node.made import GATEWAY, ID, NODE, OTHER, inspector, settings, until
from tests.node.test_spool import no_file_larger_than


@dataclass
class Bench:
    """One node without a socket."""

    given: NodeSettings
    boot_s: float = 1_000.0
    spool: Spool = field(init=False)
    outbox: Outbox = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        become_subreaper()
        self.restart()

    def restart(self) -> None:
        """As after a kill: only what is on the disk is left."""
        self.spool = Spool(self.given.state_dir, spool_bytes=self.given.spool_bytes)
        self.outbox = Outbox(self.spool)
        inspector_ = inspector(self.given)
        self.desk = Desk(self.given, inspector_, self.spool, self.outbox, boot_time=lambda: self.boot_s)

    @property
    def mark(self) -> Path:
        return self.given.state_dir.parent / "mark"

    def starts(self) -> int:
        return len(self.mark.read_text().splitlines()) if self.mark.exists() else 0

    async def inspected(self, text: str) -> Command:
        asked = Inspect(number=1, execution=ID, request=parse_request(text), limits=Limits(timeout_s=20.0))
        found = await self.desk.inspect(asked, GATEWAY)
        assert isinstance(found, Inspected), found
        return found.command

    async def marking(self, then: str = "true") -> Command:
        """A command that leaves a line each time it is started."""
        return await self.inspected(f"echo started >> {self.mark}; {then}")

    async def offered(self, command: Command, execution: ExecutionId = ID) -> Accepted | Declined | Busy:
        offer = Offer(number=2, execution=execution, command=command, hash=command_hash(command))
        return await self.desk.offer(offer, GATEWAY)

    async def accepted(self, command: Command, execution: ExecutionId = ID) -> str:
        answer = await self.offered(command, execution)
        assert isinstance(answer, Accepted), answer
        return answer.token

    def go(self, token: str, execution: ExecutionId = ID) -> None:
        self.desk.go(Go(execution=execution, token=token), GATEWAY)

    async def ended(self, execution: ExecutionId = ID) -> Finished | Refused | NotKnown:
        ends = {State.FINISHED, State.REFUSED, State.UNKNOWN}
        await until(lambda: self.spool.state(execution) in ends and not self.desk.launches.has_begun(execution))
        report = self.spool.report(execution)
        assert report is not None
        return report

    def asked(self, *, handed_over: bool, execution: ExecutionId = ID) -> Known:
        answers = self.desk.answer(Ask(executions=((execution, handed_over),)))
        assert isinstance(answers, Answers)
        ((_, known),) = answers.answers
        return known

    async def refusal(self) -> str:
        report = await self.ended()
        assert isinstance(report, Refused), report
        return report.reason


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(settings(tmp_path))
    yield made
    await made.desk.launches.close()


async def test_offer_accepted_go_and_the_report_is_in_the_journal(bench: Bench) -> None:
    token = await bench.accepted(await bench.marking("echo out; exit 4"))
    assert bench.starts() == 0
    bench.go(token)
    report = await bench.ended()
    assert isinstance(report, Finished)
    assert (report.result.exit_code, report.result.output.text()) == (4, "out\n")
    assert bench.starts() == 1
    assert [type(frame).__name__ for frame in bench.outbox.due(0.0)] == ["Started", "Finished"]


async def test_repeated_offers_and_goes_make_exactly_one_start(bench: Bench) -> None:
    command = await bench.marking("sleep 0.2")
    tokens = [await bench.accepted(command) for _ in range(5)]
    assert len(set(tokens)) == 5
    for token in (*tokens, *tokens):
        bench.go(token)
    assert isinstance(await bench.offered(command), Declined)
    report = await bench.ended()
    for token in tokens:
        bench.go(token)
    assert isinstance(report, Finished)
    assert bench.starts() == 1


async def test_a_repeated_offer_of_what_never_started_is_accepted_anew(bench: Bench) -> None:
    command = await bench.marking()
    await bench.accepted(command)
    bench.boot_s += GO_WITHIN_S + 1
    bench.go(await bench.accepted(command))
    assert isinstance(await bench.ended(), Finished)
    assert bench.starts() == 1


@pytest.mark.parametrize("late_s", [GO_WITHIN_S + 0.1, 100_000.0])
async def test_a_go_that_is_late_by_the_boot_clock_starts_nothing_ever(bench: Bench, late_s: float) -> None:
    command = await bench.marking()
    token = await bench.accepted(command)
    bench.boot_s += late_s
    bench.go(token)
    assert "more than 10 s" in await bench.refusal()
    assert isinstance(await bench.offered(command), Declined)
    bench.go(token)
    assert bench.asked(handed_over=True) is Known.NEVER_STARTED
    assert bench.starts() == 0


async def test_a_go_just_in_time_counts(bench: Bench) -> None:
    token = await bench.accepted(await bench.marking())
    bench.boot_s += GO_WITHIN_S - 0.1
    bench.desk.tidy()
    bench.go(token)
    assert isinstance(await bench.ended(), Finished)


async def test_a_machine_that_slept_between_go_and_start_starts_nothing(bench: Bench) -> None:
    token = await bench.accepted(await bench.marking())
    bench.go(token)
    bench.boot_s += START_WITHIN_S + 1
    assert "too late" in await bench.refusal()
    assert bench.starts() == 0


async def test_a_go_with_another_token_or_without_an_offer_starts_nothing(bench: Bench) -> None:
    await bench.accepted(await bench.marking())
    bench.go("0" * 32)
    assert "without an offer" in await bench.refusal()
    bench.go("0" * 32, OTHER)
    report = await bench.ended(OTHER)
    assert isinstance(report, Refused)
    assert bench.starts() == 0


async def test_a_restart_between_acceptance_and_go_starts_nothing(bench: Bench) -> None:
    token = await bench.accepted(await bench.marking())
    bench.restart()
    bench.go(token)
    assert "without an offer" in await bench.refusal()
    assert bench.starts() == 0


async def test_f082_a_script_that_changed_between_inspection_and_offer_is_refused(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "work" / "deploy.sh"
    script.write_text("echo good\n")
    command = await bench.inspected("sh deploy.sh")
    script.write_text("echo evil\n")
    answer = await bench.offered(command)
    assert isinstance(answer, Declined)
    assert f"{script} has changed" in answer.reason
    assert not answer.already_started
    assert bench.spool.state(ID) is None


async def test_f082_a_script_that_changed_between_offer_and_go_is_refused(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "work" / "deploy.sh"
    script.write_text("echo good\n")
    token = await bench.accepted(await bench.inspected("sh deploy.sh"))
    script.write_text(f"echo evil >> {bench.mark}\n")
    bench.go(token)
    assert f"{script} has changed" in await bench.refusal()
    assert bench.starts() == 0


async def test_f082_each_field_that_differs_from_the_hash_is_refused(bench: Bench) -> None:
    command = await bench.marking()
    for changed in (
        replace(command, argv=("/bin/sh", "-c", "echo evil")),
        replace(command, cwd="/"),
        replace(command, cwd_id="1:1"),
        replace(command, user="toor"),
        replace(command, gateway=""),
        replace(command, env=()),
        replace(command, executable="/bin/false"),
        replace(command, limits=Limits(timeout_s=1.0)),
        replace(command, files=()),
        replace(command, node=type(NODE)("OTHER")),
    ):
        offer = Offer(number=1, execution=ID, command=changed, hash=command_hash(command))
        answer = await bench.desk.offer(offer, GATEWAY)
        assert isinstance(answer, Declined), changed
        assert "not the one of its hash" in answer.reason


async def test_f078_only_the_gateway_that_was_asked_hands_over(bench: Bench) -> None:
    other = type(GATEWAY)("CCCC")
    command = await bench.marking()
    offer = Offer(number=1, execution=ID, command=command, hash=command_hash(command))
    answer = await bench.desk.offer(offer, other)
    assert isinstance(answer, Declined)
    assert "gateway of another key" in answer.reason

    token = await bench.accepted(command)
    bench.desk.go(Go(execution=ID, token=token), other)
    assert "without an offer" in await bench.refusal()
    assert bench.starts() == 0


async def test_a_gateway_cannot_talk_the_node_into_what_it_would_not_see_itself(bench: Bench) -> None:
    command = await bench.marking()
    for changed in (
        replace(command, env=(*command.env, ("LD_PRELOAD", "/srv/x.so"))),
        replace(command, cwd="/"),
        replace(command, cwd_id="1:1"),
        replace(command, user="toor"),
        replace(command, gateway=""),
        replace(command, executable="/bin/false"),
        replace(command, limits=Limits(timeout_s=10.0**9)),
        replace(command, argv=("/bin/bash", "-c", "x")),
        replace(command, node=type(NODE)("OTHER")),
    ):
        assert isinstance(await bench.offered(changed), Declined), changed


async def test_a_program_that_the_system_will_not_start_is_refused_not_lost(bench: Bench, tmp_path: Path) -> None:
    broken = tmp_path / "work" / "broken"
    broken.write_bytes(b"\x7fELFno")
    broken.chmod(0o755)
    bench.go(await bench.accepted(await bench.inspected("./broken")))
    assert "could not be started: Exec format error" in await bench.refusal()


async def test_a_stop_before_the_start_is_a_tombstone(bench: Bench) -> None:
    command = await bench.marking()
    token = await bench.accepted(command)
    bench.desk.stop(Stop(execution=ID))
    bench.desk.stop(Stop(execution=ID))
    bench.go(token)
    assert "stopped before it started" in await bench.refusal()
    assert isinstance(await bench.offered(command), Declined)
    assert bench.starts() == 0


async def test_a_stop_in_the_moment_of_the_start_wins_or_ends_it(bench: Bench) -> None:
    token = await bench.accepted(await bench.marking("sleep 30"))
    bench.go(token)
    bench.desk.stop(Stop(execution=ID))
    assert "stopped before it started" in await bench.refusal()
    assert bench.starts() == 0


async def test_a_stop_of_a_running_one_ends_it_and_may_repeat(bench: Bench) -> None:
    bench.go(await bench.accepted(await bench.marking("sleep 30")))
    await until(lambda: bench.starts() == 1)
    for _ in range(3):
        bench.desk.stop(Stop(execution=ID))
    report = await bench.ended()
    assert isinstance(report, Finished)
    assert report.result.ending is Ending.STOPPED
    bench.desk.stop(Stop(execution=ID))
    assert [type(frame).__name__ for frame in bench.outbox.due(0.0)] == ["Started", "Finished"]


async def test_a_stop_of_what_the_journal_never_saw_proves_nothing(bench: Bench) -> None:
    bench.desk.stop(Stop(execution=ID))
    assert isinstance(await bench.ended(), NotKnown)
    answer = await bench.offered(await bench.marking())
    assert isinstance(answer, Declined)
    assert answer.already_started


async def test_asked_about_an_approved_one_it_says_unseen_and_leaves_it_startable(bench: Bench) -> None:
    command = await bench.marking()
    assert bench.asked(handed_over=False) is Known.UNSEEN
    token = await bench.accepted(command)
    assert bench.asked(handed_over=False) is Known.UNSEEN
    bench.go(token)
    assert isinstance(await bench.ended(), Finished)


async def test_asked_about_a_handed_over_one_that_never_started_it_never_will(bench: Bench) -> None:
    command = await bench.marking()
    token = await bench.accepted(command)
    assert bench.asked(handed_over=True) is Known.NEVER_STARTED
    bench.go(token)
    answer = await bench.offered(command)
    assert isinstance(answer, Declined)
    assert not answer.already_started
    assert bench.asked(handed_over=True) is Known.NEVER_STARTED
    assert bench.starts() == 0


async def test_asked_about_a_handed_over_one_that_it_never_saw_it_will_not_start_it_later(bench: Bench) -> None:
    assert bench.asked(handed_over=True) is Known.UNSEEN
    assert isinstance(await bench.offered(await bench.marking()), Declined)
    bench.restart()
    assert bench.asked(handed_over=True) is Known.UNSEEN


async def test_asked_about_each_state_it_says_what_the_journal_knows(bench: Bench) -> None:
    bench.go(await bench.accepted(await bench.marking("sleep 30")))
    assert bench.asked(handed_over=True) is Known.RUNNING
    await until(lambda: bench.starts() == 1)
    assert bench.asked(handed_over=True) is Known.RUNNING
    bench.desk.stop(Stop(execution=ID))
    await bench.ended()
    # The report is owed and follows.
    assert bench.asked(handed_over=True) is Known.RUNNING
    bench.desk.acknowledged(Ack(execution=ID, report="finished"))
    assert bench.asked(handed_over=True) is Known.FINISHED
    assert bench.spool.entries() == []


async def test_an_acknowledged_report_is_a_tombstone_that_is_not_started_again(bench: Bench) -> None:
    command = await bench.marking()
    bench.go(await bench.accepted(command))
    await bench.ended()
    bench.desk.acknowledged(Ack(execution=ID, report="started"))
    bench.desk.acknowledged(Ack(execution=ID, report="refused"))
    assert bench.spool.state(ID) is State.FINISHED
    bench.desk.acknowledged(Ack(execution=ID, report="finished"))
    bench.desk.acknowledged(Ack(execution=ID, report="finished"))
    answer = await bench.offered(command)
    assert isinstance(answer, Declined)
    assert answer.already_started
    bench.restart()
    assert isinstance(await bench.offered(command), Declined)
    assert bench.outbox.next_at() is None
    assert bench.starts() == 1


async def test_unacknowledged_reports_are_repeated_ever_more_slowly(bench: Bench) -> None:
    bench.go(await bench.accepted(await bench.inspected("true")))
    await bench.ended()
    moments = []
    for second in range(300):
        moments += [second for frame in bench.outbox.due(float(second)) if isinstance(frame, Finished)]
    assert moments[:4] == [0, 5, 10, 15]
    gaps = [after - before for before, after in pairwise(moments)]
    assert max(gaps) <= 61
    assert gaps[-1] >= 30
    bench.outbox.connected()
    assert any(isinstance(frame, Finished) for frame in bench.outbox.due(300.0))


async def test_a_full_disk_is_a_refusal_before_anything_is_started(bench: Bench) -> None:
    command = await bench.marking()
    with no_file_larger_than(20_000):
        answer = await bench.offered(command)
    assert isinstance(answer, Declined)
    assert "no room" in answer.reason
    assert bench.spool.state(ID) is None
    assert isinstance(await bench.offered(command), Accepted)


async def test_more_than_its_places_wait_and_lose_nothing(tmp_path: Path) -> None:
    bench = Bench(settings(tmp_path, max_executions=1))
    command = await bench.marking()
    token = await bench.accepted(command)
    assert isinstance(await bench.offered(command, OTHER), Busy)
    assert bench.spool.state(OTHER) is None
    bench.go(token)
    assert isinstance(await bench.offered(command, OTHER), Busy)
    await bench.ended()
    bench.go(await bench.accepted(command, OTHER), OTHER)
    await bench.ended(OTHER)
    assert bench.starts() == 2
    another = ExecutionId("7K3QA4")
    await bench.accepted(command, another)
    bench.boot_s += GO_WITHIN_S + 1
    assert isinstance(await bench.offered(command, ExecutionId("7K3QA5")), Accepted)


async def test_a_node_that_is_told_to_end_stops_what_runs_and_knows_how_it_ended(bench: Bench) -> None:
    bench.go(await bench.accepted(await bench.marking("sleep 30")))
    await until(lambda: bench.starts() == 1)
    await bench.desk.launches.close()
    bench.restart()
    report = await bench.ended()
    assert isinstance(report, Finished)
    assert report.result.ending is Ending.STOPPED


async def test_f067_a_command_that_kills_its_node_is_not_repeated(bench: Bench, tmp_path: Path) -> None:
    """The journal already says `starting`; the boot after it tells that nobody knows, once."""
    bench.go(await bench.accepted(await bench.marking("sleep 30")))
    await until(lambda: bench.spool.state(ID) is State.RUNNING)
    files = {path: path.read_bytes() for path in (tmp_path / "state" / "journal").iterdir()}
    await bench.desk.launches.close()
    for path, content in files.items():
        path.write_bytes(content)
    bench.restart()
    assert isinstance(await bench.ended(), NotKnown)
    assert isinstance(await bench.offered(await bench.marking("sleep 30")), Declined)
    assert bench.starts() == 1


async def test_a_thousand_small_writes_are_one_report(bench: Bench) -> None:
    bench.go(await bench.accepted(await bench.inspected("i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done")))
    report = await bench.ended()
    assert isinstance(report, Finished)
    assert report.result.output.text() == "".join(f"{number}\n" for number in range(1000))


async def test_many_at_once_each_have_their_own_output(bench: Bench) -> None:
    ids = [
        ExecutionId(f"7K3Q{number:02}".replace("0", "A").replace("1", "C").replace("8", "F")) for number in range(12)
    ]
    assert len(set(ids)) == 12
    for execution in ids:
        bench.go(await bench.accepted(await bench.inspected(f"echo {execution}; sleep 0.1"), execution), execution)
    for execution in ids:
        report = await bench.ended(execution)
        assert isinstance(report, Finished)
        assert report.result.output.text() == f"{execution}\n"
    assert len(list((bench.given.state_dir / "output").iterdir())) == 12
