"""A turn is one transaction at its end: all of it or nothing, once, and never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from bot.domain.command import parse_request
from bot.domain.event import EventState, Input, InputKind, NewInput, Say
from bot.domain.execution import ExecutionState
from bot.domain.session import DEFAULT_ACCOUNT, ChannelName, DeliveryId, ReturnAddress
from bot.domain.words import parse_id
from bot.errors import Malformed
from bot.flow import turn
from bot.ports import Ask, Reply, TurnStep, WholeOutput
from tests.flow.agents import EndlessAgent, ScriptedAgent
from tests.flow.ends import NODE, OTHER_NODE, nothing, the_store_is_away
from tests.flow.stage import ANN, DENY_ALL, RETENTION_S, Stage, at, session

S = ExecutionState


def asks(
    command: str = "df -h", node: str | None = None, *, times: int = 1
) -> Callable[[Sequence[Input]], list[TurnStep]]:
    def answer(inputs: Sequence[Input]) -> list[TurnStep]:
        request = parse_request(command)
        return [Ask(input_id=one.id, request=request, node_name=node) for one in inputs for _ in range(times)]

    return answer


def replies(text: str = "so it is") -> Callable[[Sequence[Input]], list[TurnStep]]:
    return lambda inputs: [Reply(input_id=one.id, text=text) for one in inputs]


def an_input(
    *,
    kind: InputKind = InputKind.MESSAGE,
    address: ReturnAddress | None = None,
    person: str | None = None,
    delivery: str = "x1",
) -> NewInput:
    return NewInput(
        session=session(),
        address=address,
        kind=kind,
        channel=ChannelName("elsewhere"),
        account=DEFAULT_ACCOUNT,
        delivery=DeliveryId(delivery),
        person=person,  # type: ignore[arg-type]  # a name is a name
        person_native=person,
        person_name=None,
        text="",
    )


async def said(stage: Stage) -> list[str]:
    """Every word that is owed or told, oldest first."""
    return [event.payload.text for event in await stage.events() if isinstance(event.payload, Say)]


# --- what a turn writes --------------------------------------------------------------------------------


async def test_a_turn_answers_its_inputs_and_writes_everything_at_once(stage: Stage) -> None:
    await stage.say("run df -h", message="m7")
    await stage.answer()

    execution = await stage.only()
    assert (execution.state, execution.session, execution.origin) == (S.PREPARING, session(), at(message="m7"))
    assert (execution.asker, execution.asker_native, execution.asker_name) == ("discord:U1", "U1", "Ann")
    assert (execution.node, execution.node_name) == (NODE, "web-1")
    assert await stage.steps(execution) == [("requested", "discord:U1")]
    assert await stage.waiting_inputs() == []


async def test_f028_a_turn_wakes_who_inspects_and_who_tells(stage: Stage) -> None:
    for signal in (stage.signals.prepare, stage.signals.heartbeat):
        signal.clear()
    await stage.requested()

    assert stage.signals.prepare._event.is_set()
    assert stage.signals.heartbeat._event.is_set()


async def test_nothing_due_is_no_turn(stage: Stage) -> None:
    assert await stage.turns().step() is False


async def test_a_session_has_one_turn_at_a_time_and_another_session_does_not_wait(stage: Stage) -> None:
    stage.agent = agent = EndlessAgent()
    turns = stage.turns()
    await stage.say("one", room="ops")
    assert await turns.step() is True
    await stage.say("two", room="ops")
    assert await turns.step() is False
    await stage.say("three", room="dev")
    assert await turns.step() is True

    await asyncio.sleep(0)
    assert agent.begun == 2
    await turns.tasks.close()


async def test_no_more_turns_are_begun_than_there_is_room_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "_MAX_TURNS", 1)
    stage.agent = EndlessAgent()
    turns = stage.turns()
    await stage.say("one", room="ops")
    await stage.say("two", room="dev")

    assert [await turns.step(), await turns.step()] == [True, False]
    assert len(await stage.waiting_inputs()) == 1
    await turns.tasks.close()


async def test_a_reply_and_an_output_answer_the_one_who_asked(stage: Stage) -> None:
    execution = await stage.finished()
    stage.agent = ScriptedAgent(
        lambda inputs: [
            Reply(input_id=inputs[-1].id, text="see", code="x = 1"),
            WholeOutput(input_id=inputs[-1].id, execution_id=execution.id),
        ]
    )
    await stage.tell_all()
    await stage.say("show me", message="m9")
    await stage.answer()
    await stage.tell_all()

    reply, output = stage.channel.sent[-2:]
    assert [one.address.message_id for one in (reply, output)] == ["m9", "m9"]
    assert [one.post.mention for one in (reply, output)] == ["U1", "U1"]
    assert ["x = 1" in text for text in stage.posts()[-2:]] == [True, False]
    assert "all is well" in stage.posts()[-1]


def test_an_answer_that_is_repeated_on_a_restored_store_asks_under_the_same_id() -> None:
    """The node's journal knows that id, and starts nothing under it a second time."""
    once = turn.draw_id("7:1800000000.0:reply:7:0:0")

    assert turn.draw_id("7:1800000000.0:reply:7:0:0") == once == parse_id(once)
    assert len({turn.draw_id(f"7:1800000000.0:reply:7:0:{attempt}") for attempt in range(100)}) == 100


async def test_an_id_that_is_taken_is_drawn_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await stage.requested()
    drawn = iter([first.id, first.id, "333333"])
    monkeypatch.setattr(turn, "draw_id", lambda _seed: next(drawn))

    second = await stage.requested("uptime", room="dev")

    assert second.id == "333333"
    assert (await stage.read(first)).request.text == "df -h"


# --- races -------------------------------------------------------------------------------------------


async def test_f051_a_turn_whose_claim_was_lost_writes_nothing(stage: Stage) -> None:
    """Its lease ran out while the agent thought, the sweep gave the inputs back, and another turn answered them."""
    late = ScriptedAgent(asks("df -h"))
    await stage.say("look", message="m1")

    async def another_turn_is_quicker() -> None:
        late.meanwhile = None
        stage.clock.advance(181.0)
        await stage.tidy()
        stage.agent = ScriptedAgent(asks("uptime"))
        await stage.answer()

    late.meanwhile = another_turn_is_quicker
    stage.agent = late
    await stage.answer()

    assert [one.request.text for one in await stage.all_executions()] == ["uptime"]
    assert await stage.waiting_inputs() == []


async def test_a_turn_that_died_is_run_again_from_its_inputs(stage: Stage) -> None:
    stage.agent = EndlessAgent()
    turns = stage.turns()
    await stage.say("run df -h")
    await turns.step()
    await turns.tasks.close()
    assert await stage.waiting_inputs() == []

    stage.clock.advance(180.0)
    await stage.tidy()
    stage.agent = None
    await stage.answer()

    assert [one.request.text for one in await stage.all_executions()] == ["df -h"]


async def test_a_node_that_leaves_while_the_agent_thinks_is_refused_at_once(stage: Stage) -> None:
    async def the_node_leaves() -> None:
        stage.hub.nodes.clear()

    stage.agent = ScriptedAgent(asks(node="web-1"), meanwhile=the_node_leaves)
    await stage.say("look")
    await stage.answer()

    refused = await stage.in_state(await stage.only(), S.REFUSED)
    assert refused.reason == "the node web-1 is not connected; ask again when it is back"


async def test_a_commit_that_fails_is_tried_again_and_asks_once(stage: Stage) -> None:
    await stage.say("run df -h")
    stage.store.before_write.extend([nothing, the_store_is_away])
    await stage.answer()
    assert await stage.all_executions() == []

    stage.clock.advance(1.0)
    await stage.answer()
    assert len(await stage.all_executions()) == 1


# --- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [TimeoutError(), Malformed("the model says nothing")])
async def test_f030_a_turn_that_fails_is_tried_again_later(
    stage: Stage, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stage.agent = agent = ScriptedAgent(replies())
    agent.faults.append(fault)
    await stage.say("look")
    await stage.answer()
    await stage.answer()
    assert len(agent.turns) == 1
    assert [record.message for record in caplog.records] == ["turn.fault"]

    stage.clock.advance(1.0)
    await stage.answer()

    assert [one[0].attempt for one in agent.turns] == [1, 2]
    assert await said(stage) == ["so it is"]


async def test_f059_a_turn_that_hangs_is_ended_and_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "TURN_TIMEOUT_S", 0.01)
    stage.agent = agent = EndlessAgent()
    await stage.say("look")
    await stage.answer()
    stage.clock.advance(1.0)
    await stage.answer()

    assert agent.begun == 2


async def test_f030_after_five_faults_the_people_are_told_and_the_session_goes_on(stage: Stage) -> None:
    stage.agent = agent = ScriptedAgent(replies())
    agent.faults.extend(Malformed("no") for _ in range(5))
    await stage.say("look")
    for _ in range(5):
        await stage.answer()
        stage.clock.advance(60.0)
    stage.signals.heartbeat.clear()
    await stage.answer()

    assert len(agent.turns) == 5
    (sorry,) = await said(stage)
    assert "could not answer" in sorry
    assert stage.signals.heartbeat._event.is_set()
    await stage.say("and now?")
    await stage.answer()
    assert (await said(stage))[1:] == ["so it is"]


async def test_f042_what_was_tried_too_often_takes_no_newer_message_with_it(stage: Stage) -> None:
    stage.agent = agent = ScriptedAgent(replies())
    agent.faults.extend(Malformed("no") for _ in range(5))
    await stage.say("poison", message="m1")
    for _ in range(5):
        await stage.answer()
        stage.clock.advance(60.0)
    await stage.say("hello", message="m2")
    await stage.answer()
    await stage.answer()

    answers = {event.address.message_id: event.payload for event in await stage.events()}
    assert "could not answer" in str(answers["m1"])  # type: ignore[index]  # ids are texts
    assert "so it is" in str(answers["m2"])  # type: ignore[index]  # as above


async def test_an_end_that_the_agent_cannot_answer_is_dropped_without_a_word(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """Its result was told; nobody wrote anything that an apology could answer."""
    await stage.finished()
    await stage.tell_all()
    before = await said(stage)
    stage.agent = agent = ScriptedAgent(replies())
    agent.faults.extend(Malformed("no") for _ in range(5))
    for _ in range(6):
        await stage.answer()
        stage.clock.advance(60.0)

    assert await said(stage) == before
    assert await stage.waiting_inputs() == []
    assert "turn.given_up" in [record.message for record in caplog.records]


async def test_an_agent_that_answers_what_it_was_not_asked_writes_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.agent = ScriptedAgent(lambda inputs: [*replies()(inputs), Reply(input_id=inputs[0].id + 7, text="else")])  # type: ignore[arg-type]  # a wrong id
    await stage.say("look")
    await stage.answer()

    assert await said(stage) == []
    assert [record.message for record in caplog.records] == ["task.fault"]


# --- inputs that lack something ------------------------------------------------------------------------


async def test_f013_an_input_without_an_address_is_answered_and_tells_nobody(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.put(an_input(kind=InputKind.CADENCE))
    stage.agent = ScriptedAgent(replies())
    await stage.answer()

    assert await stage.events() == []
    assert await stage.waiting_inputs() == []
    assert [record.message for record in caplog.records] == ["turn.step_without_address"]


async def test_an_execution_without_an_asker_cannot_exist_and_the_rest_of_the_turn_stands(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.put(an_input(address=at()))
    stage.agent = ScriptedAgent(lambda inputs: [*asks()(inputs), *replies()(inputs)])
    await stage.answer()

    assert await stage.all_executions() == []
    assert await said(stage) == ["so it is"]
    assert [record.message for record in caplog.records] == ["turn.ask_without_person"]


async def test_an_asker_without_a_name_goes_by_their_id(stage: Stage) -> None:
    await stage.put(an_input(address=at(), person="U9"))
    stage.agent = ScriptedAgent(asks())
    await stage.answer()

    assert (await stage.only()).asker_name == "U9"


async def test_a_reply_is_owed_also_when_the_numbers_of_pruned_inputs_come_again(stage: Stage) -> None:
    """SQLite gives the number of the newest row again once that row is pruned."""
    stage.agent = ScriptedAgent(replies())
    for _ in range(2):
        await stage.say("look")
        await stage.say("approve 222222")
        await stage.answer()
        await stage.tell_all()
        stage.clock.advance(RETENTION_S + 1.0)
        await stage.tidy()
        assert await stage.events() == []

    assert ["so it is" in text for text in stage.posts()].count(True) == 2
    assert ["There is no execution" in text for text in stage.posts()].count(True) == 2


# --- which node, and how many ----------------------------------------------------------------------------


async def test_a_node_that_is_not_there_is_said_with_those_that_are(stage: Stage) -> None:
    await stage.say("run on web-9: df -h")
    await stage.answer()

    assert await said(stage) == ["There is no node 'web-9'. Nodes: web-1, db-1."]
    assert await stage.all_executions() == []


async def test_the_only_node_that_is_connected_need_not_be_named(stage: Stage) -> None:
    assert (await stage.requested()).node == NODE


async def test_where_several_are_connected_one_must_be_named(stage: Stage) -> None:
    stage.hub.nodes.append(OTHER_NODE)
    await stage.say("run df -h")
    await stage.answer()

    assert await said(stage) == ["Which node? Write `run on web-1: …`. Nodes: web-1, db-1."]


async def test_where_none_of_several_is_connected_one_must_be_named_too(stage: Stage) -> None:
    stage.hub.nodes.clear()
    await stage.say("run df -h")
    await stage.answer()

    assert await said(stage) == ["Which node? Write `run on web-1: …`. Nodes: web-1, db-1."]


async def test_f090_a_named_node_that_is_away_is_refused_at_once_and_told(stage: Stage) -> None:
    await stage.say("run on db-1: df -h")
    await stage.answer()
    await stage.tell_all()

    refused = await stage.in_state(await stage.only(), S.REFUSED)
    assert refused.node == OTHER_NODE
    assert "db-1 is not connected" in stage.posts()[0]


@pytest.mark.parametrize(("before_s", "state"), [(0.1, S.PREPARING), (0.0, S.REFUSED)])
async def test_f090_a_node_that_may_just_be_coming_back_is_waited_for(
    stage: Stage, before_s: float, state: ExecutionState
) -> None:
    """The gateway has only started: its nodes knock again within seconds."""
    stage.settled_at = stage.clock.now() + before_s
    await stage.say("run on db-1: df -h")
    await stage.answer()

    await stage.in_state(await stage.only(), state)


async def test_a_revoked_node_is_none_to_run_on(stage: Stage) -> None:
    for node in (NODE, OTHER_NODE):
        await stage.revoke(node)
    await stage.say("run df -h")
    await stage.say("run on web-1: df -h")
    await stage.answer()

    nobody, unnamed = await said(stage)
    assert nobody.startswith("No node is paired yet.")
    assert unnamed == "There is no node 'web-1'. Nodes: none is paired yet."


async def test_what_the_policy_denies_is_recorded_and_told(stage: Stage) -> None:
    stage.policy = DENY_ALL
    execution = await stage.requested()
    await stage.tell_all()

    refused = await stage.in_state(execution, S.REFUSED)
    assert (refused.rule, refused.reason) == ("none", "the rule “none” denies it")
    assert await stage.steps(execution) == [
        ("requested", "discord:U1"),
        ("refuse", "policy"),
        ("told", None),
    ]
    assert "denies it" in stage.posts()[0]
    assert stage.hub.inspections == []


async def test_f060_more_than_a_hundred_that_wait_are_too_many(stage: Stage) -> None:
    stage.agent = ScriptedAgent(asks(times=101))
    await stage.say("look", who=ANN)
    await stage.answer()

    assert len(await stage.all_executions()) == 100
    assert await said(stage) == ["100 commands of this conversation are waiting already; decide or stop some first."]
    await stage.say("look", room="dev")
    stage.agent = ScriptedAgent(asks())
    await stage.answer()
    assert len(await stage.all_executions()) == 101


async def test_the_events_of_one_turn_are_owed_in_the_order_of_its_steps(stage: Stage) -> None:
    stage.agent = ScriptedAgent(lambda inputs: [Reply(input_id=inputs[0].id, text=str(number)) for number in range(5)])
    await stage.say("count")
    await stage.answer()

    assert [event.sequence for event in await stage.events(EventState.DUE)] == [1, 2, 3, 4, 5]
    assert await said(stage) == ["0", "1", "2", "3", "4"]
