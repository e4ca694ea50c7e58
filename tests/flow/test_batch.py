"""What one turn asks for in answer to one message: few cards, each owed once nothing of it is being prepared."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from bot.domain.batch import OWN_CARD, BatchId
from bot.domain.event import NewEvent, ShowBatch, ShowCard
from bot.domain.execution import Execution, ExecutionState, Trigger
from bot.domain.mask import Masker
from bot.domain.message import Action, Capabilities, NotPosted, Receipt
from bot.domain.pattern import parse_pattern
from bot.domain.policy import Rule, Verdict
from bot.domain.session import ChannelName, MessageId
from bot.domain.terms import Terms
from bot.errors import ChannelRejected, ChannelUncertain
from bot.flow.batch import owe_cards
from bot.flow.escalation import Escalations
from bot.flow.outcome import leave
from bot.flow.turn import _draw_batch
from bot.ports import NodeRefusal, Tx
from tests.flow.ends import NODE, RecordingHub
from tests.flow.stage import ALLOW_ALL, BOB, CY, Stage, a_peer, at, policy
from tests.flow.together import (
    THREE,
    asked_together,
    asking,
    button,
    card_of,
    on_card,
    press,
    press_all,
    shown_together,
)
from tests.platforms.forms import buttons_of, text_of

S = ExecutionState
WIDE, LEADS = a_peer("wide"), a_peer("leads")
DF_IS_CY_S = Rule(name="cy for df", action=Verdict.ASK, deciders=("cy",), command=(parse_pattern("df **"),))
UPTIME_RUNS = Rule(name="uptime", action=Verdict.ALLOW, command=(parse_pattern("uptime"),))


def places(several: list[Execution]) -> list[tuple[int, int | None]]:
    return [(one.batch.at, one.batch.card) for one in several if one.batch is not None]


async def settle(stage: Stage) -> None:
    for _ in range(3):
        await stage.tell_all()
        await stage.edit()


# --- what a batch is -----------------------------------------------------------------------------------------


async def test_f060_what_one_message_led_to_is_one_card_with_every_command_whole(stage: Stage) -> None:
    several = await shown_together(stage)

    (sent,) = stage.channel.sent
    assert [block.text for block in on_card(sent.post)] == list(THREE)
    assert all(one.id in block.label for one, block in zip(several, on_card(sent.post), strict=True))
    assert sent.address == several[0].origin
    assert sent.post.mention == "U1"
    assert places(several) == [(0, 1), (1, 1), (2, 1)]
    assert len({one.batch.id for one in several if one.batch is not None}) == 1
    assert len({one.command_hash for one in several}) == 3


async def test_somebody_who_writes_twice_is_answered_twice_whichever_turn_takes_both(stage: Stage) -> None:
    await stage.say("run df -h", message="one")
    await stage.say("run uptime", message="two")
    await stage.answer()
    await stage.inspect()
    await stage.tell_all()

    assert sorted(sent.address.message_id or "" for sent in stage.channel.sent) == ["one", "two"]
    assert {one.batch for one in await stage.all_executions()} == {None}


async def test_two_messages_with_several_commands_each_are_two_batches(stage: Stage) -> None:
    stage.agent = asking("df -h", "uptime")
    await stage.say("first", message="one")
    await stage.say("second", message="two")
    await stage.answer()
    await stage.inspect()
    await stage.inspect()
    await stage.tell_all()

    assert [sent.address.message_id for sent in stage.channel.sent] == ["one", "two"]
    assert len({one.batch.id for one in await stage.all_executions() if one.batch is not None}) == 2


async def test_one_that_is_asked_for_alone_is_of_no_batch(stage: Stage) -> None:
    (one,) = await shown_together(stage, "df -h")

    assert one.batch is None
    assert [type(event.payload) for event in await stage.events()] == [ShowCard]


async def test_f036_a_turn_that_is_repeated_draws_the_same_batch(stage: Stage) -> None:
    several = await asked_together(stage)
    batch = several[0].batch
    assert batch is not None

    def drawn_again(tx: Tx) -> None:
        # As on a store that was restored from before this turn.
        for one in several:
            tx.executions.move(replace(one, batch=None), Trigger.CANCEL)

    await stage.store.write(drawn_again)

    def draw(tx: Tx) -> BatchId:
        (asked,) = stage.agent.turns[0]  # type: ignore[union-attr]
        return _draw_batch(tx, asked)

    assert await stage.store.write(draw) == batch.id


async def test_a_batch_s_id_that_is_taken_is_drawn_anew(stage: Stage) -> None:
    several = await asked_together(stage)
    (asked,) = stage.agent.turns[0]  # type: ignore[union-attr]
    drawn = await stage.store.write(lambda tx: _draw_batch(tx, asked))

    assert several[0].batch is not None
    assert drawn != several[0].batch.id


# --- when its card is owed -----------------------------------------------------------------------------------


async def test_until_the_last_is_inspected_no_card_is_shown(stage: Stage) -> None:
    gate = asyncio.Event()
    stage.agent = asking(*THREE)
    await stage.say("look after it")
    await stage.answer()

    async def the_last_is_slow() -> None:
        if len(stage.hub.inspections) == len(THREE):
            await gate.wait()

    stage.hub.during_inspect = the_last_is_slow
    preparation = stage.preparation()
    await preparation.step()
    async with asyncio.timeout(10.0):
        while sum(one.state is S.AWAITING_APPROVAL for one in await stage.all_executions()) < 2:
            await asyncio.sleep(0.005)
    await preparation.step()
    await stage.tell_all()
    assert stage.channel.sent == []

    gate.set()
    await preparation.tasks.drain()
    await preparation.step()
    await stage.tell_all()
    assert len(on_card(stage.channel.sent[0].post)) == 3


async def test_one_that_the_node_refuses_is_told_and_the_others_share_a_card(stage: Stage) -> None:
    stage.hub.inspect_answers.append(NodeRefusal(reason="there is no such program"))
    several = await shown_together(stage)

    refused = [one for one in several if one.state is S.REFUSED]
    assert len(refused) == 1
    assert len(on_card(stage.channel.sent[-1].post)) == 2
    assert not any(refused[0].id in block.label for block in on_card(stage.channel.sent[-1].post))


@pytest.mark.parametrize("how", ["expired", "stopped", "revoked"])
async def test_one_that_leaves_while_it_is_prepared_strands_no_card(stage: Stage, how: str) -> None:
    """Nothing but a look at the rows brings the card: no transaction had to know that it was the last."""
    stage.agent = asking(*THREE)
    await stage.say("look after it")
    await stage.answer()
    several = await stage.all_executions()
    two = several[1:]
    for one in two:
        preparation = stage.preparation()
        await preparation._inspect(one)
    match how:
        case "expired":
            stage.clock.advance(21.0)
            await stage.tidy()
        case "stopped":
            await stage.say(f"stop {several[0].id}", who=BOB)
        case _:
            await stage.store.write(
                lambda tx: leave(tx, several[0], Trigger.CANCEL, by="gateway", reason="the node was revoked")
            )
    stage.hub.nodes.clear()
    await stage.inspect()
    await stage.tell_all()

    cards = [sent.post for sent in stage.channel.sent if sent.post.kind.value == "card"]
    assert [len(on_card(post)) for post in cards] == [2]


async def test_where_only_one_waits_it_is_the_card_of_today(stage: Stage) -> None:
    stage.hub.inspect_answers.extend([NodeRefusal(reason="no"), NodeRefusal(reason="no")])
    several = await shown_together(stage)

    (waits,) = [one for one in several if one.state is S.AWAITING_APPROVAL]
    assert stage.channel.sent[-1].post.execution_id == waits.id
    assert (await stage.read(waits)).batch == replace(several[0].batch, at=waits.batch.at, card=OWN_CARD)  # type: ignore[type-var,union-attr]
    assert await stage.press(waits, message=f"posted-{len(stage.channel.sent)}") is not None
    await stage.in_state(waits, S.APPROVED)


async def test_what_a_rule_allows_has_its_own_card_at_once_and_runs(stage: Stage) -> None:
    stage.policy = policy(UPTIME_RUNS)
    several = await shown_together(stage)

    assert [one.state for one in several] == [S.AWAITING_APPROVAL, S.APPROVED, S.AWAITING_APPROVAL]
    assert [post.post.execution_id for post in stage.channel.sent] == [several[1].id, several[0].batch.id]  # type: ignore[union-attr]
    assert places(several) == [(0, 1), (1, OWN_CARD), (2, 1)]


async def test_all_that_is_allowed_is_no_shared_card(stage: Stage) -> None:
    stage.policy = ALLOW_ALL
    await shown_together(stage)
    await stage.inspect()

    assert [type(event.payload) for event in await stage.events()] == [ShowCard] * 3


async def test_others_who_decide_have_a_card_of_their_own(stage: Stage) -> None:
    stage.policy = policy(DF_IS_CY_S)
    several = await shown_together(stage, "df -h", "uptime", "df -i", "free -m", "df /srv")

    assert places(several) == [(0, 1), (1, 2), (2, 1), (3, 2), (4, 1)]
    assert [len(on_card(sent.post)) for sent in stage.channel.sent] == [3, 2]
    assert "cy" in text_of(stage.channel.sent[0].post)
    assert "bob" in text_of(stage.channel.sent[1].post)


async def test_f064_a_code_is_one_command_s_so_those_that_want_one_share_no_card(stage: Stage) -> None:
    stage.policy = policy(Rule(name="codes", action=Verdict.ASK, terms=Terms(second_factor=True)))
    several = await shown_together(stage)

    assert [sent.post.execution_id for sent in stage.channel.sent] == [one.id for one in several]


async def test_a_network_that_has_no_such_card_shows_each_alone(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=4_000, code_chars=3_000)
    several = await shown_together(stage)

    assert [sent.post.execution_id for sent in stage.channel.sent] == [one.id for one in several]


async def test_an_account_that_is_gone_gets_no_shared_card(stage: Stage) -> None:
    """Its words wait until it is configured again, as those of single cards do."""
    stage.agent = asking(*THREE)
    await stage.say("look after it")
    await stage.answer()
    await stage.inspect()
    (batch,) = await stage.store.read(lambda tx: tx.executions.unshown_batches())
    await stage.store.write(partial(owe_cards, batch=batch, policies=stage.policies, at=lambda _peer: None))

    assert [type(event.payload) for event in await stage.events()] == [ShowCard] * 3


async def test_more_than_one_card_can_hold_are_cut_into_several_in_their_order(stage: Stage) -> None:
    commands = [f"echo {number}" for number in range(20)]
    several = await shown_together(stage, *commands)

    assert [len(on_card(sent.post)) for sent in stage.channel.sent] == [8, 8, 4]
    assert [block.text for sent in stage.channel.sent for block in on_card(sent.post)] == commands
    assert [card for _, card in places(several)] == [1] * 8 + [2] * 8 + [3] * 4


async def test_f062_one_that_is_too_long_for_a_shared_card_has_its_own_and_the_others_share(stage: Stage) -> None:
    several = await shown_together(stage, "df -h", f"echo {'x' * 3_400}", "uptime")

    assert places(several) == [(0, 1), (1, OWN_CARD), (2, 1)]
    assert [len(on_card(sent.post)) for sent in stage.channel.sent] == [2, 1]
    assert stage.channel.sent[1].post.execution_id == several[1].id


async def test_f062_one_that_no_card_can_hold_is_refused_alone(stage: Stage) -> None:
    several = await shown_together(stage, "df -h", f"echo {'x' * 5_000}", "uptime")

    assert [one.state for one in several] == [S.AWAITING_APPROVAL, S.REFUSED, S.AWAITING_APPROVAL]
    assert len(on_card(stage.channel.sent[-1].post)) == 2


async def test_one_that_is_decided_before_its_card_has_one_that_says_so(stage: Stage) -> None:
    stage.agent = asking(*THREE)
    await stage.say("look after it")
    await stage.answer()
    preparation = stage.preparation()
    await preparation.step()
    await preparation.tasks.drain()
    quick, denied, waits = await stage.all_executions()
    await stage.say(f"approve {quick.id}", who=BOB)
    await stage.say(f"deny {denied.id}", who=BOB)
    await preparation.step()
    await stage.tell_all()

    cards = {sent.post.execution_id: sent.post for sent in stage.channel.sent if sent.post.kind.value == "card"}
    assert cards.keys() == {quick.id, waits.id}
    assert "✅ Approved" in text_of(cards[quick.id])
    assert not await stage.store.read(lambda tx: tx.executions.unshown_batches())


async def test_rules_that_ask_nobody_any_more_when_the_card_is_due_strand_none(stage: Stage) -> None:
    """What was asked is shown; each decision and hand-over goes by the rules of its own moment anyway."""
    stage.policy = policy(Rule(name="in wide too", action=Verdict.ASK, copy_to=(WIDE,)))
    stage.agent = asking(*THREE)
    await stage.say("look after it")
    await stage.answer()
    preparation = stage.preparation()
    await preparation.step()
    await preparation.tasks.drain()
    stage.policy = ALLOW_ALL
    await stage.inspect()
    await stage.tell_all()

    assert [sent.address.peer for sent in stage.channel.sent] == [a_peer()]
    assert "nobody, as the policy stands now" in await press_all(stage)


async def test_two_replicas_that_see_the_same_batch_owe_its_card_once(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.agent = asking(*THREE)
    await stage.say("look after it")
    await stage.answer()
    await stage.inspect()
    (batch,) = await stage.store.read(lambda tx: tx.executions.unshown_batches())
    owe = partial(owe_cards, batch=batch, policies=stage.policies, at=stage._capabilities_at)
    await asyncio.gather(*(stage.store.write(owe) for _ in range(4)))

    (event,) = await stage.events()
    assert isinstance(event.payload, ShowBatch)


async def test_two_that_settle_at_the_same_moment_strand_no_card(postgres_stage: Stage) -> None:
    """Each of the two transactions sees the other one still being prepared."""
    stage = postgres_stage
    stage.agent = asking("df -h", "uptime")
    await stage.say("look after it")
    await stage.answer()
    both = await stage.all_executions()
    arrived = asyncio.Barrier(2)
    stage.hub = RecordingHub(during_inspect=arrived.wait)
    preparation = stage.preparation()
    await asyncio.gather(*(preparation._inspect(one) for one in both))
    await preparation.step()

    (event,) = await stage.events()
    assert isinstance(event.payload, ShowBatch)


async def test_a_pass_that_comes_while_one_is_prepared_again_waits(stage: Stage) -> None:
    """The look and the lock are two moments: what is being prepared at the second one counts."""
    stage.agent = asking("df -h", "uptime")
    await stage.say("look after it")
    await stage.answer()
    batch = (await stage.all_executions())[0].batch
    assert batch is not None
    await stage.store.write(partial(owe_cards, batch=batch.id, policies=stage.policies, at=stage._capabilities_at))

    assert await stage.events() == []


# --- the card through their lives ----------------------------------------------------------------------------


async def test_f056_the_card_shows_the_newest_of_each_and_closes_with_the_last(stage: Stage) -> None:
    first, second, third = await shown_together(stage)
    await press(stage, button(card_of(stage), Action.APPROVE, first.id))
    await press(stage, button(card_of(stage), Action.DENY, second.id))
    await settle(stage)

    (edit,) = [post for message, post in stage.channel.edits if message == "posted-1"]
    labels = [block.label for block in on_card(edit)]
    assert ["✅ Approved" in labels[0], "❌ Denied" in labels[1], third.id in labels[2]] == [True] * 3
    assert edit.status == "awaiting_approval"
    assert {one.action for one in buttons_of(edit)} == {Action.APPROVE, Action.DENY, Action.STOP, Action.STOP_ALL}

    await stage.hand_over()
    await stage.reports.started(NODE, first.id, stage.clock.now())
    await stage.finish(await stage.read(first))
    await press(stage, button(card_of(stage), Action.DENY, third.id))
    stage.clock.advance(1.0)
    await settle(stage)
    assert (card_of(stage).status, buttons_of(card_of(stage))) == ("finished", [])
    count = len(stage.channel.edits)
    await stage.store.write(lambda tx: tx.executions.amend(tx.executions.get(first.id)))  # type: ignore[arg-type]
    stage.clock.advance(60.0)
    await settle(stage)
    assert len(stage.channel.edits) == count


async def test_f073_no_output_stands_on_it(stage: Stage) -> None:
    first, *_ = await shown_together(stage)
    await press(stage, button(card_of(stage), Action.APPROVE, first.id))
    await stage.hand_over()
    await stage.reports.started(NODE, first.id, stage.clock.now())
    await stage.reports.progress(NODE, first.id, "live secret")
    await stage.finish(await stage.read(first), "final secret\n")
    await settle(stage)

    assert not any("secret" in text_of(post) for _, post in stage.channel.edits)
    (told,) = [text for text in stage.posts() if "final secret" in text]
    assert first.id in told


async def test_each_result_is_a_message_of_its_own_to_who_asked(stage: Stage) -> None:
    several = await shown_together(stage)
    await press_all(stage)
    for _ in several:
        await stage.hand_over()
    for one in several:
        await stage.finish(await stage.read(one), f"of {one.id}\n")
    await settle(stage)

    results = [sent for sent in stage.channel.sent if sent.post.kind.value == "result"]
    assert {sent.address for sent in results} == {several[0].origin}
    assert sorted(sent.post.execution_id or "" for sent in results) == sorted(one.id for one in several)


async def test_one_that_expires_leaves_the_others(stage: Stage) -> None:
    first, second, third = await shown_together(stage)
    await stage.store.write(lambda tx: tx.executions.amend(replace(first, expires_at=tx.now + 1.0)))
    stage.clock.advance(2.0)
    await stage.tidy()
    await settle(stage)

    assert (await stage.read(first)).state is S.EXPIRED
    assert {(await stage.read(one)).state for one in (second, third)} == {S.AWAITING_APPROVAL}
    assert "⏱ Expired" in on_card(card_of(stage))[0].label


async def test_a_card_that_can_never_be_posted_ends_all_that_it_asks_about(stage: Stage) -> None:
    several = await asked_together(stage)
    stage.channel.send_answers.append(ChannelRejected("no such room"))
    await stage.beat()

    for one in several:
        ended = await stage.in_state(one, S.CANCELLED)
        assert ended.reason == "its card could not be posted here, so nobody could be asked"


async def test_a_send_in_doubt_that_stands_is_edited_from_then_on(stage: Stage) -> None:
    await asked_together(stage)
    stage.channel.send_answers.append(ChannelUncertain("no answer"))
    stage.channel.find_answers.append(Receipt(message_id=MessageId("posted-1")))
    for _ in range(3):
        await stage.beat()
    await stage.edit()

    assert [message for message, _ in stage.channel.edits] == ["posted-1"]
    assert len(on_card(stage.channel.edits[0][1])) == 3


async def test_a_card_that_may_be_a_repeat_says_so(stage: Stage) -> None:
    await asked_together(stage)
    stage.channel.send_answers.append(ChannelUncertain("no answer"))
    stage.channel.find_answers.append(NotPosted.UNKNOWN)
    await stage.beat()
    await stage.beat()
    stage.clock.advance(60.0)
    await stage.beat()

    assert text_of(stage.channel.sent[-1].post).startswith("♻️ This may be a repeat")
    assert len(on_card(stage.channel.sent[-1].post)) == 3


async def test_what_is_pruned_before_its_card_is_told_is_said_to_be_gone(stage: Stage) -> None:
    several = await asked_together(stage)
    await stage.add(_owed(several[0], BatchId("T234567")))
    await stage.tell_all()

    assert "was pruned" in stage.posts()[-1]


def _owed(one: Execution, batch: BatchId) -> NewEvent:
    return NewEvent(
        identity="card:gone",
        session=one.session,
        address=at(),
        payload=ShowBatch(execution_id=one.id, batch=batch, card=1),
    )


# --- copies --------------------------------------------------------------------------------------------------


async def test_a_copy_shows_all_of_it_where_it_was_asked_and_decides(stage: Stage) -> None:
    stage.policy = policy(Rule(name="in wide too", action=Verdict.ASK, copy_to=(WIDE,)))
    several = await shown_together(stage)

    assert [sent.address.peer for sent in stage.channel.sent] == [several[0].origin.peer, WIDE]
    copy = stage.channel.sent[1].post
    assert "Asked in: discord channel ops" in text_of(copy)
    assert [block.text for block in on_card(copy)] == list(THREE)
    await press(stage, button(copy, Action.APPROVE_ALL), message="posted-2", peer=WIDE)
    assert {(await stage.read(one)).state for one in several} == {S.APPROVED}
    await settle(stage)
    assert {message for message, _ in stage.channel.edits} == {"posted-1", "posted-2"}


async def test_a_place_that_cannot_show_it_gets_a_copy_of_each_that_it_can(stage: Stage) -> None:
    strange = replace(WIDE, channel=ChannelName("slack"))
    stage.policy = policy(Rule(name="too", action=Verdict.ASK, copy_to=(strange, WIDE, a_peer())))
    several = await asked_together(stage)

    steps = [await stage.steps(one) for one in several]
    assert all(("no_copy", "gateway") in of_one for of_one in steps)
    assert [event.address.peer for event in await stage.events()] == [several[0].origin.peer, WIDE]


async def test_nobody_decides_and_further_people_see_one_copy_of_the_card(stage: Stage) -> None:
    rule = Rule(
        name="bob, then cy",
        action=Verdict.ASK,
        deciders=("bob",),
        escalate_after_s=300.0,
        escalate_to=("cy",),
        escalate_copy_to=(LEADS,),
    )
    stage.policy = policy(rule)
    several = await shown_together(stage)
    stage.clock.advance(300.0)
    await Escalations(stage.store, stage.policies, stage.signals, stage._capabilities_at).step()
    await settle(stage)

    assert [sent.address.peer for sent in stage.channel.sent] == [several[0].origin.peer, LEADS]
    assert "bob, cy" in text_of(card_of(stage))
    note = await press(stage, button(card_of(stage), Action.APPROVE_ALL), who=CY)
    assert note.startswith("✅ You approved")


async def test_one_of_a_batch_with_its_own_card_escalates_by_itself(stage: Stage) -> None:
    stage.policy = policy(replace(DF_IS_CY_S, escalate_after_s=300.0, escalate_to=("bob",), escalate_copy_to=(LEADS,)))
    several = await shown_together(stage, "df -h", "uptime", "free -m")
    stage.clock.advance(300.0)
    await Escalations(stage.store, stage.policies, stage.signals, stage._capabilities_at).step()
    await stage.tell_all()

    assert stage.channel.sent[-1].address.peer == LEADS
    assert stage.channel.sent[-1].post.execution_id == several[0].id


# --- where nothing can be edited -----------------------------------------------------------------------------


@pytest.fixture
def fixed(stage: Stage) -> Stage:
    stage.channel.capabilities = Capabilities(text_chars=4_000, code_chars=3_000, can_edit=False, batch_members=8)
    return stage


async def test_one_line_follows_when_all_is_decided(fixed: Stage) -> None:
    first, second, third = await shown_together(fixed)
    await press(fixed, button(card_of(fixed), Action.APPROVE, first.id))
    await settle(fixed)
    assert len(fixed.channel.sent) == 1
    await press(fixed, button(card_of(fixed), Action.APPROVE, second.id))
    await press(fixed, button(card_of(fixed), Action.DENY, third.id))
    await settle(fixed)

    lines = [text for text in fixed.posts() if "approved by" in text]
    assert lines == [f"✅ {first.id}, {second.id}: approved by bob."]
    assert fixed.channel.edits == []


async def test_where_nothing_was_approved_no_line_follows_and_a_copy_gets_the_ends(fixed: Stage) -> None:
    fixed.policy = policy(Rule(name="in wide too", action=Verdict.ASK, copy_to=(WIDE,)))
    several = await shown_together(fixed)
    batch = several[0].batch
    assert batch is not None
    await press_all(fixed, Action.DENY_ALL)
    await settle(fixed)

    in_wide = [text for sent, text in zip(fixed.channel.sent, fixed.posts(), strict=True) if sent.address.peer == WIDE]
    ends = "; ".join(f"{one.id} ❌ Denied, nothing ran" for one in several)
    assert in_wide[1:] == [f"{batch.id}: {ends}."]
    assert not any("approved by" in text for text in fixed.posts())


# --- how it is looked up -------------------------------------------------------------------------------------


async def test_why_says_on_which_card_it_stands_and_the_list_of_which_batch_it_is(stage: Stage) -> None:
    first, *_ = await shown_together(stage)
    batch = first.batch
    assert batch is not None
    steps = await stage.store.read(lambda tx: tx.executions.steps(first.id))
    assert [step.detail for step in steps if step.what == "batch"] == [f"{batch.id}: number 1 of 3 on card 1"]
    stage.agent = None
    await stage.say("pending", who=BOB)
    await stage.answer()
    await stage.tell_all()
    assert stage.posts()[-1].count(f"of {batch.id}") == 3


async def test_what_waits_for_somebody_is_shown_by_cards(stage: Stage) -> None:
    several = await shown_together(stage)
    stage.clock.advance(1.0)
    alone = await asked_together(stage, "df -i")
    posts = await stage.intake.awaiting(stage.channel.name, BOB)

    assert [post.execution_id for post in posts] == [several[0].batch.id, alone[0].id]  # type: ignore[union-attr]
    note = await press(stage, button(posts[0], Action.APPROVE_ALL), message=None)
    assert note.startswith("✅ You approved")


async def test_a_card_that_a_private_view_has_no_room_for_is_shown_one_by_one(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=20_000, code_chars=3_000, batch_members=30)
    several = await shown_together(stage, *(f"echo {number}" for number in range(25)))
    assert len(stage.channel.sent) == 1

    posts = await stage.intake.awaiting(stage.channel.name, BOB)
    assert [post.execution_id for post in posts] == [one.id for one in several[:20]]


async def test_a_secret_is_masked_on_it_and_in_no_label(stage: Stage) -> None:
    stage.masker = Masker()
    several = await shown_together(stage, "df -h", "curl -u ops:hunter2secret https://x.example")

    text = text_of(card_of(stage))
    assert "hunter2secret" not in text
    assert several[1].masked is not None
