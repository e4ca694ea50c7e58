"""What a model's turn leaves beside its words: its memory, what it took, what it stops, and the end of its leash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from bot.domain.command import parse_request
from bot.domain.event import Input, InputKind, NewInput
from bot.domain.execution import Execution, ExecutionId, ExecutionState
from bot.domain.memory import Heard, Remembered, Told
from bot.domain.message import Sender
from bot.domain.pattern import parse_pattern
from bot.domain.policy import Rule, Verdict
from bot.domain.session import DEFAULT_ACCOUNT, AgentName, ChannelName, DeliveryId, PersonId, ReturnAddress
from bot.domain.spending import Spending, Spent
from bot.domain.terms import Terms
from bot.ports import Ask, Forget, Later, Learn, Past, Reply, StopIt, TurnStep
from tests.flow.agents import ScriptedAgent
from tests.flow.stage import ANN, BOB, Stage, a_peer, policy, session
from tests.flow.test_turn import said

S = ExecutionState
TURN = Remembered(entries=(Heard(text="How?"), Told(text="So.")), read_untrusted=False, person=PersonId("discord:U1"))
SPENDING = Spending(
    agent=AgentName("main"),
    session=session(),
    person=PersonId("discord:U1"),
    model="openai:test-1",
    spent=Spent(turns=1, requests=2, tokens_read=30, tokens_written=4, money_micros=5, took_s=0.5),
)


def acts(*made: Callable[[Input], TurnStep]) -> ScriptedAgent:
    return ScriptedAgent(lambda inputs: [make(inputs[-1]) for make in made])


def learn(one: Input, turn: Remembered | None = TURN, *, is_prompted: bool = True) -> Learn:
    return Learn(input_id=one.id, turn=turn, spending=SPENDING, is_prompted=is_prompted)


def ask(one: Input, command: str = "df -h", *, limit: int | None = None, untrusted: bool = False) -> Ask:
    return Ask(
        input_id=one.id,
        request=parse_request(command),
        node_name=None,
        worded_by=AgentName("main"),
        read_untrusted=untrusted,
        unprompted_limit=limit,
    )


async def past(stage: Stage, room: str = "ops") -> Past:
    return await stage.store.read(lambda tx: tx.memories.recall(session(room), a_peer(room)))


async def test_a_turn_is_remembered_with_its_commit_in_its_own_place(stage: Stage) -> None:
    stage.agent = acts(learn, lambda one: Reply(input_id=one.id, text="So."))
    await stage.say("How?")
    await stage.answer()

    assert (await past(stage)).turns == [TURN]
    assert (await past(stage, "dev")).turns == []
    spent = await stage.store.read(lambda tx: tx.memories.spent(since=0.0, agent=AgentName("main")))
    assert spent == SPENDING.spent
    assert await said(stage) == ["So."]


async def test_a_turn_without_words_of_its_own_still_took_something(stage: Stage) -> None:
    stage.agent = acts(lambda one: Learn(input_id=one.id, turn=None, spending=SPENDING, is_prompted=True))
    await stage.say("How?")
    await stage.answer()
    assert (await past(stage)).turns == []

    stage.agent = acts(lambda one: Learn(input_id=one.id, turn=TURN, spending=None, is_prompted=True))
    await stage.say("How?", message="m2")
    await stage.answer()
    assert (await past(stage)).turns == [TURN]
    assert (await stage.store.read(lambda tx: tx.memories.spent(since=0.0))).turns == 1


async def test_f051_a_turn_whose_claim_was_lost_is_not_remembered(stage: Stage) -> None:
    late = acts(learn, lambda one: Later(input_id=one.id, wait_s=1.0))
    await stage.say("look")

    async def another_turn_is_quicker() -> None:
        late.meanwhile = None
        stage.clock.advance(181.0)
        await stage.tidy()
        stage.agent = ScriptedAgent()
        await stage.answer()

    late.meanwhile = another_turn_is_quicker
    stage.agent = late
    await stage.answer()
    assert (await past(stage)).turns == []


async def test_an_input_that_is_answered_later_is_due_again_and_the_others_are_answered(stage: Stage) -> None:
    def first_later(inputs: Sequence[Input]) -> list[TurnStep]:
        rest = [Reply(input_id=one.id, text=one.text) for one in inputs if one.text != "one"]
        return [*(Later(input_id=one.id, wait_s=30.0) for one in inputs if one.text == "one"), *rest]

    stage.agent = ScriptedAgent(first_later)
    await stage.say("one", message="m1")
    await stage.say("two", message="m2")
    await stage.answer()
    assert await said(stage) == ["two"]

    stage.clock.advance(29.0)
    await stage.answer()
    assert await said(stage) == ["two"]
    stage.agent = acts(lambda one: Reply(input_id=one.id, text=f"{one.text} {one.attempt}"))
    stage.clock.advance(1.0)
    await stage.answer()
    assert await said(stage) == ["two", "one 2"]


async def test_new_forgets_the_past_of_its_place_and_what_was_asked_for_in_it(stage: Stage) -> None:
    stage.agent = acts(learn, ask)
    await stage.say("How?")
    await stage.answer()
    before = await stage.only()
    stage.agent = acts(lambda one: Forget(input_id=one.id), lambda one: ask(one, "uptime"))
    await stage.say("new", message="m2")
    await stage.answer()
    after = next(one for one in await stage.all_executions() if one.id != before.id)

    assert (await past(stage)).turns == []

    async def is_present(execution: Execution) -> bool:
        return await stage.store.read(lambda tx: tx.memories.is_present(execution.id, session(), a_peer()))

    assert [await is_present(one) for one in (before, after)] == [False, True]
    assert not await stage.store.read(lambda tx: tx.memories.is_present(after.id, session("dev"), a_peer("dev")))
    unknown = ExecutionId("222222")
    assert not await stage.store.read(lambda tx: tx.memories.is_present(unknown, session(), a_peer()))
    assert await stage.store.read(lambda tx: tx.memories.is_present(unknown, session("dev"), a_peer("dev")))


async def test_f029_what_nobody_prompted_ends_at_its_limit_and_that_is_said_once(stage: Stage) -> None:
    stage.agent = acts(lambda one: learn(one, is_prompted=False), lambda one: ask(one, limit=2))
    for number in range(5):
        await stage.say("not a person's word, as the agent says", message=f"m{number}")
        await stage.answer()
    assert len(await stage.all_executions()) == 2
    assert await said(stage) == [
        "I have asked for 2 commands since somebody last wrote to me. Write to me, and I go on."
    ]
    assert (await past(stage)).unprompted == 5

    stage.agent = acts(learn, lambda one: ask(one, limit=2))
    await stage.say("go on", message="m9")
    await stage.answer()
    assert len(await stage.all_executions()) == 3
    assert (await past(stage)).unprompted == 1


# --- stopping ------------------------------------------------------------------------------------------


def stops(execution: Execution, *, is_prompted: bool) -> Callable[[Input], TurnStep]:
    return lambda one: StopIt(input_id=one.id, execution_id=execution.id, is_prompted=is_prompted)


async def test_a_model_stops_for_whoever_may_and_without_a_word_only_its_own(stage: Stage) -> None:
    stage.agent = acts(ask)
    await stage.say("look", message="m1")
    await stage.answer()
    own = await stage.only()
    stage.agent = None
    typed = await stage.requested("uptime")

    async def tried(execution: Execution, *, is_prompted: bool, room: str = "ops", who: Sender = ANN) -> S:
        stage.agent = acts(stops(execution, is_prompted=is_prompted))
        await stage.say("as the agent says", room=room, who=who)
        await stage.answer()
        return (await stage.read(execution)).state

    assert await tried(typed, is_prompted=False) is S.PREPARING
    assert await tried(typed, is_prompted=True, room="dev") is S.PREPARING
    assert await tried(own, is_prompted=False, who=BOB) is S.PREPARING
    assert await tried(own, is_prompted=False) is S.CANCELLED
    assert await tried(typed, is_prompted=True) is S.CANCELLED


async def test_what_does_not_exist_or_has_nobody_behind_it_is_not_stopped(stage: Stage) -> None:
    typed = await stage.requested("uptime")
    unknown = ExecutionId("222222")
    stage.agent = acts(lambda one: StopIt(input_id=one.id, execution_id=unknown, is_prompted=True))
    await stage.say("end it", message="m2")
    await stage.answer()
    stage.agent = acts(stops(typed, is_prompted=True))
    nobody = NewInput(
        session=session(),
        address=ReturnAddress(peer=a_peer(), message_id=None),
        kind=InputKind.CADENCE,
        channel=ChannelName("elsewhere"),
        account=DEFAULT_ACCOUNT,
        delivery=DeliveryId("x1"),
        person=None,
        person_native=None,
        person_name=None,
        text="",
    )
    await stage.store.write(lambda tx: tx.inputs.add(nobody))
    await stage.answer()
    assert (await stage.read(typed)).state is S.PREPARING


# --- what nothing allows unasked -----------------------------------------------------------------------


@pytest.mark.parametrize("untrusted", [False, True])
async def test_f116_no_rule_allows_what_was_worded_after_reading_what_anybody_wrote(
    stage: Stage, untrusted: bool
) -> None:
    stage.policy = policy(Rule(name="reads", action=Verdict.ALLOW, command=(parse_pattern("df -h"),)))
    stage.agent = acts(lambda one: ask(one, untrusted=untrusted))
    await stage.say("look")
    await stage.answer()
    await stage.inspect()
    execution = await stage.only()
    assert execution.state is (S.AWAITING_APPROVAL if untrusted else S.APPROVED)
    assert execution.read_untrusted is untrusted
    # Nor does a rule that allows everything.
    stage.policy = policy(Rule(name="all", action=Verdict.ALLOW))
    stage.agent = acts(lambda one: ask(one, "uptime", untrusted=untrusted))
    await stage.say("look", message="m2")
    await stage.answer()
    await stage.inspect()
    second = next(one for one in await stage.all_executions() if one.id != execution.id)
    assert second.state is (S.AWAITING_APPROVAL if untrusted else S.APPROVED)


async def test_f116_no_grant_does_either(stage: Stage) -> None:
    terms = Terms(grant_for_s=3_600.0)
    stage.policy = policy(Rule(name="granted", action=Verdict.ASK, terms=terms))
    first = await stage.shown("df -h")
    await stage.say(f"approve {first.id} always", who=BOB)
    assert len(await stage.store.read(lambda tx: tx.grants.live(a_peer()))) == 1
    for untrusted, state in ((False, S.APPROVED), (True, S.AWAITING_APPROVAL)):
        stage.agent = acts(partial(ask, untrusted=untrusted))
        await stage.say("look", message=f"u{untrusted}")
        await stage.answer()
        await stage.inspect()
        newest = max(await stage.all_executions(), key=lambda one: (one.created_at, one.read_untrusted))
        assert newest.read_untrusted is untrusted
        assert newest.state is state
        stage.clock.advance(1.0)
