"""Reports of nodes: counted once, from the node that has it, in the states that they fit; else logged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from bot.domain.command import NodeFingerprint
from bot.domain.event import EventState, InputKind, TellOutcome
from bot.domain.execution import Execution, ExecutionId, ExecutionState
from bot.domain.message import PostKind
from bot.domain.node import Known, Pairing
from tests.clock import START
from tests.flow.ends import NODE, OTHER_NODE
from tests.flow.stage import ALLOW_ALL, Stage, a_result
from tests.platforms.forms import text_of

S = ExecutionState
Report = Callable[[Stage, NodeFingerprint, ExecutionId], Awaitable[None]]


async def _started(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.started(node, execution_id, stage.clock.now())


async def _progress(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.progress(node, execution_id, "half of it")


async def _finished(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    now = stage.clock.now()
    await stage.reports.finished(node, execution_id, a_result(), now, now)


async def _refused(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.refused(node, execution_id, "no")


async def _not_known(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.not_known(node, execution_id, "the node died")


async def _unseen(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.known(node, execution_id, Known.UNSEEN)


async def _never_started(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.known(node, execution_id, Known.NEVER_STARTED)


async def _known_running(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.known(node, execution_id, Known.RUNNING)


async def _known_finished(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.known(node, execution_id, Known.FINISHED)


async def _unknown(stage: Stage, node: NodeFingerprint, execution_id: ExecutionId) -> None:
    await stage.reports.known(node, execution_id, Known.UNKNOWN)


REPORTS: dict[str, Report] = {
    "started": _started,
    "progress": _progress,
    "finished": _finished,
    "refused": _refused,
    "not known": _not_known,
    "unseen": _unseen,
    "never started": _never_started,
    "known running": _known_running,
    "known finished": _known_finished,
    "unknown": _unknown,
}

# The state after each report; what a state does not name is left as it was.
COUNTS: dict[ExecutionState, dict[str, ExecutionState]] = {
    S.AWAITING_APPROVAL: {},
    S.APPROVED: {
        "never started": S.REFUSED,
        "known running": S.LOST,
        "known finished": S.LOST,
        "unknown": S.LOST,
    },
    S.DISPATCHED: {
        "started": S.RUNNING,
        "finished": S.FINISHED,
        "refused": S.REFUSED,
        "not known": S.LOST,
        "unseen": S.LOST,
        "never started": S.REFUSED,
        "known finished": S.LOST,
        "unknown": S.LOST,
    },
    S.RUNNING: {
        "finished": S.FINISHED,
        "not known": S.LOST,
        "unseen": S.LOST,
        "known finished": S.LOST,
        "unknown": S.LOST,
    },
    S.LOST: {
        "started": S.RUNNING,
        "finished": S.FINISHED,
        "refused": S.REFUSED,
        "never started": S.REFUSED,
        "known running": S.RUNNING,
    },
    S.FINISHED: {},
}


async def _reach(stage: Stage, state: ExecutionState) -> Execution:
    match state:
        case S.AWAITING_APPROVAL:
            return await stage.shown()
        case S.APPROVED:
            return await stage.approved()
        case S.DISPATCHED:
            return await stage.dispatched()
        case S.RUNNING:
            return await stage.running()
        case S.LOST:
            execution = await stage.running()
            await stage.reports.not_known(NODE, execution.id, "the node died")
            return await stage.in_state(execution, S.LOST)
        case _:
            return await stage.finished()


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("state", COUNTS)
async def test_f078_every_report_counts_in_the_states_that_it_fits_and_in_no_other(
    stage: Stage, state: ExecutionState, report: str
) -> None:
    execution = await _reach(stage, state)
    before = len(await stage.events())

    await REPORTS[report](stage, NODE, execution.id)

    after = await stage.in_state(execution, COUNTS[state].get(report, state))
    if after.state is not state and after.state is not S.RUNNING:
        told = (await stage.events())[-1]
        assert told.payload == TellOutcome(execution_id=execution.id, state=after.state)
        assert (told.session, told.address) == (execution.session, execution.origin)
    else:
        assert len(await stage.events()) == before


@pytest.mark.parametrize("report", REPORTS)
async def test_f078_a_report_of_another_node_changes_nothing_and_is_acknowledged(
    stage: Stage, report: str, caplog: pytest.LogCaptureFixture
) -> None:
    execution = await stage.dispatched()
    before = await stage.events()

    await REPORTS[report](stage, OTHER_NODE, execution.id)

    await stage.in_state(execution, S.DISPATCHED)
    assert await stage.events() == before
    assert [record.message for record in caplog.records] == ["report.not_taken"]


async def test_a_report_about_what_nobody_knows_is_acknowledged_and_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await _finished(stage, NODE, ExecutionId("222222"))

    assert await stage.events() == []
    assert [record.message for record in caplog.records] == ["report.not_taken"]


@pytest.mark.parametrize("report", REPORTS)
async def test_f036_a_repeated_report_changes_nothing(stage: Stage, report: str) -> None:
    execution = await stage.dispatched()
    for _ in range(3):
        await REPORTS[report](stage, NODE, execution.id)

    outcomes = [event for event in await stage.events() if isinstance(event.payload, TellOutcome)]
    assert len(outcomes) <= 1
    steps = [what for what, _ in await stage.steps(execution)]
    assert len(set(steps)) == len(steps)


async def test_a_finished_report_is_result_event_and_input_in_one(stage: Stage) -> None:
    execution = await stage.running()
    await stage.reports.progress(NODE, execution.id, "half of it")
    writes = stage.store.writes

    await stage.reports.finished(NODE, execution.id, a_result("42\n"), START, START)

    assert stage.store.writes == writes + 1
    finished = await stage.in_state(execution, S.FINISHED)
    assert finished.result == a_result("42\n")
    assert (finished.live_tail, finished.ended_at) == ("", START)
    (owed,) = await stage.events(EventState.DUE)
    assert (owed.session, owed.address, owed.mention) == (execution.session, execution.origin, "U1")
    (told,) = await stage.waiting_inputs()
    assert (told.kind, told.session, told.execution_id) == (InputKind.FINISHED, execution.session, execution.id)
    assert (told.person, told.address) == (execution.asker, execution.origin)


async def test_every_report_wakes_who_has_to_look(stage: Stage) -> None:
    execution = await stage.running()
    wakes = (stage.signals.heartbeat, stage.signals.cards, stage.signals.turn)
    for wake in wakes:
        wake.clear()

    await stage.finish(execution)

    assert [wake._event.is_set() for wake in wakes] == [True, True, True]


async def test_the_same_live_tail_again_makes_no_new_card(stage: Stage) -> None:
    execution = await stage.running()
    await stage.reports.progress(NODE, execution.id, "half of it")
    once = await stage.read(execution)
    await stage.reports.progress(NODE, execution.id, "half of it")

    assert once.live_tail == "half of it"
    assert (await stage.read(execution)).revision == once.revision


@pytest.mark.parametrize("report", [_started, _known_running], ids=["started", "known running"])
async def test_a_node_that_is_back_takes_the_loss_back_and_a_second_loss_is_told_too(
    stage: Stage, report: Report
) -> None:
    execution = await stage.running()
    await stage.reports.not_known(NODE, execution.id, "the node died")
    assert (await stage.in_state(execution, S.LOST)).ended_at is not None

    await report(stage, NODE, execution.id)
    running = await stage.in_state(execution, S.RUNNING)
    assert (running.reason, running.ended_at) == (None, None)

    stage.clock.advance(1.0)
    await stage.reports.not_known(NODE, execution.id, "the node died again")

    outcomes = [event for event in await stage.events() if isinstance(event.payload, TellOutcome)]
    assert len(outcomes) == 2


@pytest.mark.parametrize(
    ("said_s", "believed"),
    [(-1.0, False), (0.0, True), (50.0, True), (100.0, True), (101.0, False)],
    ids=["before the decision", "at the decision", "between", "now", "in the future"],
)
async def test_a_node_s_clock_is_believed_between_the_decision_and_now(
    stage: Stage, said_s: float, believed: bool
) -> None:
    """A row that ended long ago by a clock that is behind would be pruned as soon as it is told."""
    execution = await stage.running()
    assert execution.decided_at is not None
    stage.clock.advance(100.0)
    said = execution.decided_at + said_s

    await stage.reports.finished(NODE, execution.id, a_result(), said, said)

    finished = await stage.in_state(execution, S.FINISHED)
    assert finished.ended_at == (said if believed else stage.clock.now())


async def test_a_node_is_asked_about_what_it_may_have_and_about_nothing_else(stage: Stage) -> None:
    await stage.shown("a")
    await stage.finished("b")
    running = await stage.running("c")
    approved = await stage.approved("d")

    asked = dict(await stage.reports.open_executions(NODE))

    assert asked == {approved.id: False, running.id: True}
    assert await stage.reports.open_executions(OTHER_NODE) == []


async def test_a_node_that_proved_its_key_is_recorded_and_looked_up(stage: Stage) -> None:
    key = NodeFingerprint("EEEE-FFFF")

    new = await stage.reports.hello(key, b"key", "mail-1")
    assert (new.pairing, new.name) == (Pairing.PENDING, "mail-1")

    stage.clock.advance(30.0)
    await stage.reports.seen([key])
    assert await stage.reports.pairings() == {NODE: Pairing.PAIRED, OTHER_NODE: Pairing.PAIRED, key: Pairing.PENDING}
    again = await stage.reports.pairing_of(key)
    assert again is not None
    assert again.last_seen_at == START + 30.0
    assert await stage.reports.pairing_of(NodeFingerprint("nobody")) is None


async def test_f043_an_old_run_that_reports_after_its_repeat_is_told_as_itself_and_once(stage: Stage) -> None:
    """The design differs: no message says that a newer run of the same words exists, for `again` is a request of its
    own. Each result says its id and when it started, so that nobody takes the one for the other."""
    old = await stage.running("df -h")
    await stage.reports.not_known(NODE, old.id, "the node was restarted")
    stage.policy = ALLOW_ALL
    await stage.say(f"again {old.id}")
    await stage.answer()
    await stage.inspect()
    await stage.hand_over()
    (new,) = [one for one in await stage.all_executions() if one.id != old.id]
    await stage.reports.started(NODE, new.id, stage.clock.now())
    await stage.finish(new, "new words\n")
    for _ in range(2):
        await stage.reports.finished(NODE, old.id, a_result("old words\n"), START, START + 1.0)
    await stage.tell_all()

    results = [text_of(sent.post) for sent in stage.channel.sent if sent.post.kind is PostKind.RESULT]
    for execution, words in ((new, "new words"), (old, "old words")):
        (told,) = [text for text in results if words in text]
        assert execution.id in told
        assert "Started" in told
    assert len(results) == 2
