"""What a node says goes through the masker before the store: result, live tail, reasons (F-119)."""

from __future__ import annotations

import pytest

from bot.domain.execution import Chunk, Ending, Execution, ExecutionResult, ExecutionState, Output, Stream
from bot.domain.mask import Masker
from tests.clock import START
from tests.flow.ends import NODE
from tests.flow.stage import Stage

S = ExecutionState
SECRET = "correct-horse-battery-staple"
TOKEN = "ghp_" + "Ab1Cd2Ef3" * 4


@pytest.fixture
def stage(stage: Stage) -> Stage:
    stage.masker = Masker([SECRET])
    return stage


def result_of(*chunks: tuple[Stream, str], tail: tuple[tuple[Stream, str], ...] = ()) -> ExecutionResult:
    return ExecutionResult(
        ending=Ending.EXITED,
        exit_code=0,
        signal=None,
        duration_s=1.0,
        output=Output(
            head=tuple(Chunk(stream=stream, text=text) for stream, text in chunks),
            omitted_bytes=7 if tail else 0,
            tail=tuple(Chunk(stream=stream, text=text) for stream, text in tail),
        ),
    )


async def kept_and_told(stage: Stage, execution: Execution) -> str:
    await stage.answer()
    await stage.tell_all()
    kept = await stage.read(execution)
    steps = await stage.store.read(lambda tx: tx.executions.steps(execution.id))
    inputs = [one.text for one in await stage.waiting_inputs()]
    return repr((kept, steps, inputs, stage.posts()))


async def test_f119_the_result_is_masked_over_chunks_streams_and_the_cut_before_it_is_kept(stage: Stage) -> None:
    execution = await stage.running()
    result = result_of(
        (Stream.OUT, f"token {TOKEN[:9]}"),
        (Stream.ERR, f"oh {SECRET[:10]}"),
        (Stream.OUT, f"{TOKEN[9:]}\n"),
        (Stream.ERR, f"{SECRET[10:]}\n"),
        (Stream.OUT, SECRET[:12]),
        tail=((Stream.OUT, f"{SECRET[12:]} end"),),
    )

    await stage.reports.finished(NODE, execution.id, result, START, START)

    finished = await stage.in_state(execution, S.FINISHED)
    assert finished.result is not None
    assert finished.result.exit_code == 0
    assert [chunk.text for chunk in finished.result.output.head] == [
        "token ‹secret: GitHub token›",
        "oh ‹secret›",
        "\n",
        "\n",
        "‹secret›",
    ]
    assert [chunk.text for chunk in finished.result.output.tail] == ["‹secret› end"]
    everything = await kept_and_told(stage, execution)
    for piece in (TOKEN[9:], SECRET[:10], SECRET[10:], SECRET[12:]):
        assert piece not in everything


async def test_f119_the_live_tail_is_masked_at_both_its_ends(stage: Stage) -> None:
    execution = await stage.running()
    await stage.reports.progress(NODE, execution.id, f"{SECRET[9:]}\nhalf of it\n{SECRET[:9]}")

    kept = await stage.in_state(execution, S.RUNNING)
    assert kept.live_tail == "‹secret›\nhalf of it\n‹secret›"
    revision = kept.revision
    await stage.reports.progress(NODE, execution.id, f"{SECRET[8:]}\nhalf of it\n{SECRET[:8]}")
    assert (await stage.read(execution)).revision == revision, "what is shown alike is no change"


async def test_f119_why_a_node_refused_is_masked_because_it_may_quote_the_command(stage: Stage) -> None:
    execution = await stage.dispatched()
    await stage.reports.refused(NODE, execution.id, f"no such file: {SECRET}")

    assert (await stage.in_state(execution, S.REFUSED)).reason == "no such file: ‹secret›"
    assert SECRET not in await kept_and_told(stage, execution)


async def test_f119_why_nothing_is_known_is_masked(stage: Stage) -> None:
    execution = await stage.running()
    await stage.reports.not_known(NODE, execution.id, f"the spool of PASSWORD={TOKEN} is torn")

    assert (await stage.in_state(execution, S.LOST)).reason == "the spool of PASSWORD=‹secret: GitHub token› is torn"
    assert TOKEN not in await kept_and_told(stage, execution)
