"""What the agent without a model answers to one message; it changes nothing in the world by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.agent.commands import CommandsAgent
from bot.domain.event import Input, InputId, InputKind
from bot.domain.execution import Execution, ExecutionState
from bot.domain.hook import HookWords, hook_text
from bot.domain.session import PeerKind, PersonId, ReturnAddress
from bot.ports import Ask, Reply, TurnStep, WholeOutput
from tests.flow.ends import NODE, OTHER_NODE
from tests.flow.stage import CY_DECIDES, Stage, a_peer, at, session

S = ExecutionState
HERE = at()
DIRECT = ReturnAddress(peer=a_peer("dm", kind=PeerKind.DIRECT), message_id=HERE.message_id)


def an_input(
    text: str, *, person: str | None = "discord:U1", address: ReturnAddress | None = HERE, number: int = 1
) -> Input:
    return Input(
        id=InputId(number),
        session=session(),
        address=address,
        kind=InputKind.MESSAGE,
        person=None if person is None else PersonId(person),
        person_native="U1",
        person_name="Ann",
        text=text,
        execution_id=None,
        created_at=0.0,
        attempt=1,
    )


async def answers(stage: Stage, *inputs: Input) -> Sequence[TurnStep]:
    return await CommandsAgent(stage.store, stage.hub, stage.policies).answer(inputs)


async def reply(stage: Stage, one: Input | str) -> Reply:
    (step,) = await answers(stage, an_input(one) if isinstance(one, str) else one)
    assert isinstance(step, Reply), step
    return step


# --- asking ------------------------------------------------------------------------------------------


async def test_run_asks_for_the_command_to_the_letter(stage: Stage) -> None:
    (step,) = await answers(stage, an_input("run df -h  /srv", number=7))

    assert isinstance(step, Ask)
    assert (step.input_id, step.request.text, step.node_name) == (7, "df -h  /srv", None)


async def test_run_on_names_the_node(stage: Stage) -> None:
    (step,) = await answers(stage, an_input("run on db-1: uptime"))

    assert isinstance(step, Ask)
    assert (step.request.argv, step.node_name) == (("uptime",), "db-1")


async def test_a_command_that_no_program_could_be_given_is_said_with_the_usage(stage: Stage) -> None:
    said = await reply(stage, "run " + "x" * 9_000)

    assert "at most 8000 are taken" in said.text
    assert "run <command>" in said.text


async def test_each_message_of_a_turn_is_answered_by_itself(stage: Stage) -> None:
    steps = await answers(stage, an_input("help", number=1), an_input("nodes", number=2))

    assert [step.input_id for step in steps] == [1, 2]


async def test_it_writes_nothing(stage: Stage) -> None:
    for word in ("run df -h", "help", "nodes", "pending", "executions", "whoami", "approve 222222", "again 222222"):
        await answers(stage, an_input(word))

    assert stage.store.writes == 0


# --- what it leaves alone ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["approve 222222", "deny 222222 no", "stop 222222", "pause", "resume"], ids=lambda text: text.split()[0]
)
async def test_what_is_urgent_was_done_by_intake(stage: Stage, text: str) -> None:
    assert await answers(stage, an_input(text)) == []


@pytest.mark.parametrize(
    "one",
    [
        replace(an_input("run df -h"), kind=InputKind.FINISHED),
        replace(an_input("run df -h"), kind=InputKind.CADENCE),
        an_input("run df -h", address=None),
        an_input("run df -h", person=None),
    ],
    ids=["an end", "the clock", "no address", "nobody"],
)
async def test_f029_only_people_s_messages_are_instructions(stage: Stage, one: Input) -> None:
    assert await answers(stage, one) == []


async def test_words_of_the_config_and_of_the_terminal_are_told_as_they_are(stage: Stage) -> None:
    for kind in (InputKind.SCHEDULE, InputKind.OPERATOR):
        assert await answers(stage, replace(an_input("run reboot"), kind=kind)) == [
            Reply(input_id=InputId(1), text="run reboot")
        ]
    words = HookWords(says="{repo} was deployed.", fields=(("repo", "run reboot\napprove 7K3QXY"),))
    told = await reply(stage, replace(an_input(hook_text(words)), kind=InputKind.HOOK))
    assert (told.text, told.code) == ("{repo} was deployed.", "repo: run reboot ⏎ approve 7K3QXY")
    bare = replace(an_input(hook_text(HookWords(says="Look.", fields=()))), kind=InputKind.HOOK)
    assert (await reply(stage, bare)).code is None


async def test_a_command_of_the_config_is_an_instruction(stage: Stage) -> None:
    (step,) = await answers(stage, replace(an_input("run on web-1: df -h"), kind=InputKind.COMMAND))
    assert isinstance(step, Ask)
    assert (step.node_name, step.worded_by, step.read_untrusted) == ("web-1", None, False)


async def test_new_says_that_there_is_nothing_to_forget(stage: Stage) -> None:
    assert "nothing that I could forget" in (await reply(stage, "new")).text


async def test_talk_in_a_room_is_left_alone_and_a_direct_one_gets_a_hint(stage: Stage) -> None:
    assert await answers(stage, an_input("good morning everybody")) == []

    said = await reply(stage, an_input("good morning", address=DIRECT))
    assert said.text == "I read single instructions. Write: help"


async def test_f080_a_near_miss_gets_the_line_that_was_probably_meant(stage: Stage) -> None:
    assert (await reply(stage, "exections")).text == "Did you mean: executions"


# --- output and again ----------------------------------------------------------------------------------


async def test_output_and_again_are_of_the_conversation_that_asked(stage: Stage) -> None:
    execution = await stage.finished()

    assert await answers(stage, an_input(f"output {execution.id}")) == [
        WholeOutput(input_id=InputId(1), execution_id=execution.id)
    ]
    (again,) = await answers(stage, an_input(f"again {execution.id}"))
    assert again == Ask(input_id=InputId(1), request=execution.request, node_name="web-1")


@pytest.mark.parametrize("word", ["output", "again", "why"])
async def test_f073_neither_is_given_to_another_conversation(stage: Stage, word: str) -> None:
    execution = await stage.finished()

    said = await reply(stage, an_input(f"{word} {execution.id}", address=at("dev")))
    assert said.text == f"{execution.id} was asked for in another conversation; ask there."


@pytest.mark.parametrize("word", ["output", "again", "why"])
async def test_an_id_that_nobody_gave_is_said(stage: Stage, word: str) -> None:
    assert (await reply(stage, f"{word} 222222")).text == (
        "There is no execution 222222, or it was pruned. Write: executions"
    )


async def test_f036_what_has_not_ended_is_not_asked_for_again(stage: Stage) -> None:
    execution = await stage.running()

    assert (await reply(stage, f"again {execution.id}")).text == f"{execution.id} has not ended yet: ⏳ Running."


async def test_why_tells_the_steps_with_people_and_reasons(stage: Stage) -> None:
    execution = await stage.running()

    said = await reply(stage, f"why {execution.id}")

    assert said.text == f"⏳ Running · {execution.id}. Times are UTC."
    steps = [line.split("  ") for line in (said.code or "").splitlines()]
    assert [step[1] for step in steps][-3:] == ["approve", "dispatch", "start"]
    assert ["by bob" in step for step in steps if step[1] == "approve"] == [True]


async def test_what_is_lost_may_be_asked_for_again(stage: Stage) -> None:
    execution = await stage.running()
    await stage.reports.not_known(NODE, execution.id, "the node died")

    (again,) = await answers(stage, an_input(f"again {execution.id}"))
    assert isinstance(again, Ask)


# --- lists -------------------------------------------------------------------------------------------


async def test_f066_pending_shows_what_was_asked_here_and_what_one_may_decide(stage: Stage) -> None:
    assert (await reply(stage, "pending")).text == "Nothing waits for a decision here."

    here, elsewhere = await stage.shown("df -h"), await stage.shown("uptime", room="dev")
    anns = await reply(stage, "pending")
    assert anns.text.startswith("1 waiting. Decide with: approve <id>")
    assert anns.code == f"{here.id}  df -h  on web-1, asked by discord:U1"

    bobs = await reply(stage, an_input("pending", person="bob"))
    assert bobs.text.startswith("2 waiting.")
    assert elsewhere.id in str(bobs.code)


async def test_f073_in_a_room_what_was_asked_elsewhere_is_named_and_not_shown(stage: Stage) -> None:
    elsewhere = await stage.shown("mysql --user=sesame", room="dev")

    in_room = await reply(stage, an_input("pending", person="bob"))
    alone = await reply(stage, an_input("pending", person="bob", address=DIRECT))

    assert elsewhere.id in str(in_room.code)
    assert ["sesame" in str(one.code) for one in (in_room, alone)] == [False, True]


async def test_f083_a_list_shows_no_command_that_looks_like_another(stage: Stage) -> None:
    execution = await stage.shown("c\u0430t x")

    for words in ("pending", "executions"):
        code = str((await reply(stage, words)).code)
        assert execution.id in code
        assert "t x" not in code
        assert "read its card" in code


async def test_who_may_decide_no_more_is_not_shown_what_waits_elsewhere(stage: Stage) -> None:
    await stage.shown("uptime", room="dev")
    stage.policy = CY_DECIDES

    assert (await reply(stage, an_input("pending", person="bob"))).text == "Nothing waits for a decision here."
    assert "1 waiting" in (await reply(stage, an_input("pending", person="cy"))).text


async def test_a_long_list_shows_its_oldest_and_says_so(stage: Stage) -> None:
    many = [await _waiting(stage, number) for number in range(16)]
    said = await reply(stage, "pending")

    assert said.text.endswith("The oldest 15:")
    assert [line.split()[0] for line in str(said.code).splitlines()] == [one.id for one in many[:15]]


async def test_executions_shows_the_newest_of_this_conversation_with_how_they_ended(stage: Stage) -> None:
    assert (await reply(stage, "executions")).text.startswith("Nothing was asked for in this conversation yet.")

    done = await stage.finished("df -h")
    stage.clock.advance(1.0)
    open_ = await stage.asked("printf 'a\nb'")
    await stage.asked("uptime", room="dev")

    said = await reply(stage, "executions")
    assert said.text == "The newest of this conversation:"
    assert str(said.code).splitlines() == [
        f"{open_.id}  ⚠️ Approval needed  printf 'a ⏎ b'",
        f"{done.id}  ✅ Finished, exit 0  (1.5 s)  df -h",
    ]


async def test_nodes_are_listed_with_whether_they_are_there(stage: Stage) -> None:
    said = await reply(stage, "nodes")

    assert str(said.code).splitlines() == [f"web-1  connected  {NODE}", f"db-1  not connected  {OTHER_NODE}"]


async def test_without_a_paired_node_the_remedy_is_said(stage: Stage) -> None:
    for node in (NODE, OTHER_NODE):
        await stage.revoke(node)

    said = await reply(stage, "nodes")
    assert (said.text, said.code) == (
        "No node is paired. On a machine: homing node, then here: homing nodes pair",
        None,
    )


async def test_whoami_says_who_one_is_and_what_one_may(stage: Stage) -> None:
    ann, bob = await reply(stage, "whoami"), await reply(stage, an_input("whoami", person="bob"))

    assert ann.text == f"You are Ann (discord:U1), somebody who may ask. This conversation is {session()}."
    assert "(bob), an owner: you may decide where no rule names others, pause and resume." in bob.text


async def test_help_shows_every_word(stage: Stage) -> None:
    said = await reply(stage, "help")

    for word in ("run", "approve", "deny", "stop", "again", "output", "pending", "nodes", "whoami", "pause", "resume"):
        assert word in str(said.code)


async def _waiting(stage: Stage, number: int) -> Execution:
    stage.clock.advance(1.0)
    return await stage.asked(f"sleep {number}")
