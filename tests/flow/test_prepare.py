"""The node's inspection: what it answers is shown, hashed and asked about; what it may not change is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.command import Command, FileDigest, Limits, command_hash
from bot.domain.event import EventState, ShowCard
from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Capabilities
from bot.errors import NodeAbsent, NodeSilent
from bot.flow import prepare
from bot.flow.decision import APPROVED_FOR_S
from bot.ports import NodeRefusal
from tests.flow.ends import NODE, OTHER_NODE, inspected, the_store_is_away
from tests.flow.stage import ALLOW_ALL, BOB, CY_DECIDES, DENY_ALL, Stage
from tests.platforms.forms import text_of

S = ExecutionState


def seen_by(execution: Execution) -> Command:
    return inspected(NODE, execution.request, Limits())


async def test_what_the_node_sees_is_kept_and_asked_about(stage: Stage) -> None:
    execution = await stage.requested()
    stage.clock.advance(5.0)
    await stage.inspect()

    asked = await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert asked.command == seen_by(execution)
    assert asked.command_hash == command_hash(seen_by(execution))
    assert (asked.deciders, asked.rule) == (("bob",), "default: ask the owners")
    assert asked.expires_at == stage.clock.now() + 1_800.0
    (card,) = await stage.events(EventState.DUE)
    assert (card.payload, card.address) == (ShowCard(execution_id=execution.id), execution.origin)


async def test_what_a_rule_allows_is_approved_by_it_and_has_a_card_without_a_question(stage: Stage) -> None:
    stage.policy = ALLOW_ALL
    execution = await stage.asked()
    await stage.tell_all()

    allowed = await stage.in_state(execution, S.APPROVED)
    assert (allowed.rule, allowed.decided_by) == ("all", None)
    assert allowed.expires_at == stage.clock.now() + APPROVED_FOR_S
    assert [button.action.value for button in stage.channel.sent[0].post.buttons] == ["stop"]


async def test_f090_a_node_that_left_is_said_at_once(stage: Stage) -> None:
    stage.hub.inspect_answers.append(NodeAbsent("gone"))
    execution = await stage.asked()

    refused = await stage.in_state(execution, S.REFUSED)
    assert refused.reason == "the node web-1 is not connected; ask again when it is back"


async def test_f090_a_node_that_does_not_answer_is_said(stage: Stage) -> None:
    stage.hub.inspect_answers.append(NodeSilent("no answer"))
    execution = await stage.asked()

    refused = await stage.in_state(execution, S.REFUSED)
    assert refused.reason == "the node web-1 did not answer in time; ask again"


async def test_f087_what_the_node_refuses_is_told_in_its_words(stage: Stage) -> None:
    stage.hub.inspect_answers.append(NodeRefusal(reason="there is no program df"))
    execution = await stage.asked()
    await stage.tell_all()

    assert (await stage.in_state(execution, S.REFUSED)).reason == "there is no program df"
    assert "there is no program df" in stage.posts()[0]
    assert await stage.steps(execution) == [("requested", "discord:U1"), ("refuse", "web-1"), ("told", None)]


@pytest.mark.parametrize(
    "changes",
    [{"node": OTHER_NODE}, {"argv": ("rm", "-rf", "/")}, {"script": "rm -rf /"}],
    ids=["node", "argv", "script"],
)
async def test_f082_a_node_that_describes_another_command_is_refused_and_logged(
    stage: Stage, changes: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    execution = await stage.requested()
    stage.hub.inspect_answers.append(replace(seen_by(execution), **changes))  # type: ignore[arg-type]  # one field each
    await stage.inspect()

    refused = await stage.in_state(execution, S.REFUSED)
    assert refused.command is None
    assert refused.reason == "the node described another command than was asked"
    assert [record.message for record in caplog.records] == ["inspection.differs"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limits": Limits(timeout_s=3_601.0)}, "higher limits"),
        ({"limits": Limits(output_bytes=262_145)}, "higher limits"),
        ({"user": "root\nRule: none"}, "an account that a card cannot show"),
        ({"executable": "df"}, "cannot show in a line"),
        ({"cwd": "/srv\nRule: owners"}, "cannot show in a line"),
        ({"files": (FileDigest(path="/a\tb", sha256="0" * 64),)}, "cannot show in a line"),
        ({"files": (FileDigest(path="/a", sha256="0" * 63 + "\n"),)}, "no SHA-256"),
    ],
)
async def test_f082_a_description_that_no_card_could_show_is_refused(
    stage: Stage, changes: dict[str, object], words: str
) -> None:
    execution = await stage.requested()
    stage.hub.inspect_answers.append(replace(seen_by(execution), **changes))  # type: ignore[arg-type]  # one field each
    await stage.inspect()

    assert words in str((await stage.in_state(execution, S.REFUSED)).reason)


async def test_a_node_may_lower_the_limits(stage: Stage) -> None:
    execution = await stage.requested()
    lower = replace(seen_by(execution), limits=Limits(timeout_s=60.0, output_bytes=1_000))
    stage.hub.inspect_answers.append(lower)
    await stage.inspect()

    assert (await stage.in_state(execution, S.AWAITING_APPROVAL)).command == lower


async def test_a_stop_while_the_node_looks_is_the_end(stage: Stage) -> None:
    execution = await stage.requested()

    async def stop() -> None:
        await stage.say(f"stop {execution.id}")

    stage.hub.during_inspect = stop
    await stage.inspect()

    await stage.in_state(execution, S.CANCELLED)
    assert not [event for event in await stage.events() if isinstance(event.payload, ShowCard)]


async def test_the_policy_of_the_moment_after_the_inspection_counts(stage: Stage) -> None:
    execution = await stage.requested()
    stage.policy = DENY_ALL
    await stage.inspect()

    refused = await stage.in_state(execution, S.REFUSED)
    assert refused.reason == "the rule “none” denies it"
    assert refused.command_hash == command_hash(seen_by(execution))


async def test_f072_the_people_of_the_rule_are_asked_and_nobody_else(stage: Stage) -> None:
    stage.policy = CY_DECIDES
    execution = await stage.shown()

    assert execution.deciders == ("cy",)
    assert "You may not decide" in str(await stage.press(execution, who=BOB))


async def test_f062_what_cannot_be_shown_whole_in_one_message_asks_nobody(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=500, code_chars=200)
    execution = await stage.asked("echo " + "x" * 500)

    refused = await stage.in_state(execution, S.REFUSED)
    assert refused.reason is not None
    assert "too long to be shown whole" in refused.reason


async def test_f083_a_command_that_is_longer_than_a_message_stands_whole_in_a_file_before_anybody_can_decide(
    stage: Stage,
) -> None:
    stage.channel.capabilities = Capabilities(text_chars=1_000, code_chars=600, file_bytes=10_000, card_files=True)
    text = "echo " + "x" * 5_000
    execution = await stage.asked(text)

    # Nobody has seen the file yet: a press keeps until its receipt stands.
    assert "It counts as soon as the card" in str(await stage.press(execution))
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.beat()

    card = stage.channel.sent[-1].post
    assert card.attachment is not None
    assert (card.attachment.name, card.attachment.text) == (f"{execution.id}-command.txt", text)
    assert "The whole command is in the file. Read it before you decide." in text_of(card)
    assert len(text_of(card)) < 1_000
    await stage.press(execution)
    await stage.in_state(execution, S.APPROVED)


async def test_f062_a_file_that_is_too_long_as_well_asks_nobody(stage: Stage) -> None:
    stage.channel.capabilities = Capabilities(text_chars=1_000, code_chars=600, file_bytes=1_000, card_files=True)
    await stage.in_state(await stage.asked("echo " + "x" * 1_000), S.REFUSED)


async def test_f062_what_a_rule_allows_may_be_longer_than_a_message(stage: Stage) -> None:
    stage.policy = ALLOW_ALL
    stage.channel.capabilities = Capabilities(text_chars=500, code_chars=200)

    await stage.in_state(await stage.asked("echo " + "x" * 500), S.APPROVED)


async def test_f012_where_the_account_is_not_configured_the_card_waits_for_it(stage: Stage) -> None:
    execution = await stage.requested()
    stage.channel.name = "slack"  # type: ignore[assignment]  # a name
    await stage.inspect()
    await stage.tell_all()

    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert stage.channel.sent == []
    assert len(await stage.events(EventState.DUE)) == 1


# --- what is begun, and how often ------------------------------------------------------------------------


async def test_without_a_connected_node_nothing_is_asked(stage: Stage) -> None:
    execution = await stage.requested()
    stage.hub.nodes.clear()

    await stage.inspect()

    assert stage.hub.inspections == []
    await stage.in_state(execution, S.PREPARING)


async def test_an_inspection_is_begun_once_however_often_is_looked(stage: Stage) -> None:
    await stage.requested()
    preparation = stage.preparation()

    async def look_again() -> None:
        await preparation.step()

    stage.hub.during_inspect = look_again
    await preparation.step()
    await preparation.step()
    await preparation.tasks.drain()

    assert len(stage.hub.inspections) == 1
    assert preparation.under_way == set()


async def test_no_more_inspections_are_begun_than_there_is_room_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await stage.requested()
    stage.clock.advance(1.0)
    two = await stage.requested("uptime")
    monkeypatch.setattr(prepare, "_MAX_INSPECTIONS", 1)
    preparation = stage.preparation()
    # There is room for one, and both are found.
    monkeypatch.setattr(prepare, "_MAX_INSPECTIONS", 2)
    await preparation.step()
    await preparation.step()
    await preparation.tasks.drain()
    assert stage.hub.inspections == [one.id]

    await preparation.step()
    await preparation.tasks.drain()
    assert stage.hub.inspections == [one.id, two.id]


async def test_an_inspection_whose_commit_failed_is_made_again(stage: Stage) -> None:
    execution = await stage.requested()
    stage.store.before_write.append(the_store_is_away)
    preparation = stage.preparation()
    await preparation.step()
    await preparation.tasks.drain()
    await stage.in_state(execution, S.PREPARING)

    await preparation.step()
    await preparation.tasks.drain()
    await stage.in_state(execution, S.AWAITING_APPROVAL)


@pytest.mark.parametrize("field", ["memory_bytes", "processes", "open_files"])
async def test_f078_a_node_may_lower_what_was_asked_for_and_leave_out_or_raise_none_of_it(
    stage: Stage, field: str
) -> None:
    stage.limits = replace(Limits(), **{field: 100})
    for value, state in ((100, S.AWAITING_APPROVAL), (99, S.AWAITING_APPROVAL), (101, S.REFUSED), (None, S.REFUSED)):
        execution = await stage.requested()
        limits = replace(Limits(), **{field: value})  # type: ignore[arg-type]  # one field each
        stage.hub.inspect_answers.append(replace(seen_by(execution), limits=limits))
        await stage.inspect()
        await stage.in_state(execution, state)
