"""A secret in a command: run as it was written, shown masked, and not kept after the end (F-119)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.command import FileDigest, command_hash, parse_request
from bot.domain.execution import Execution, ExecutionState
from bot.domain.mask import Masker
from bot.domain.message import Action
from tests.flow.ends import NODE, inspected
from tests.flow.stage import BOB, Stage

S = ExecutionState
SECRET = "correct-horse-battery-staple"
COMMAND = f"login {SECRET}"


@pytest.fixture
def stage(stage: Stage) -> Stage:
    stage.masker = Masker([SECRET])
    return stage


async def rows(stage: Stage, execution: Execution) -> str:
    """Everything that the store holds of it, as text."""
    kept = await stage.read(execution)
    inputs = [one.text for one in await stage.waiting_inputs()]
    steps = await stage.store.read(lambda tx: tx.executions.steps(execution.id))
    return repr((kept, inputs, steps))


async def test_f119_the_node_gets_the_true_command_and_everybody_else_the_masked_one(stage: Stage) -> None:
    execution = await stage.shown(COMMAND)

    assert execution.command is not None
    assert execution.command.argv == ("login", SECRET)
    assert execution.command_hash == command_hash(execution.command)
    assert "login ‹secret›" in stage.posts()[-1]
    assert SECRET not in "".join(stage.posts())
    assert SECRET in await rows(stage, execution)


async def test_f119_no_path_on_a_card_gives_away_what_the_command_has_masked(stage: Stage) -> None:
    text = f"python3 /srv/{SECRET}/x.py /srv/{SECRET}"
    seen = inspected(NODE, parse_request(text), stage.limits)
    script = FileDigest(path=f"/srv/{SECRET}/x.py", sha256="b" * 64)
    stage.hub.inspect_answers.append(replace(seen, files=(*seen.files, script)))

    await stage.shown(text)

    assert "python3 /srv/‹secret›/x.py" in stage.posts()[-1]
    assert "Script: •••" in stage.posts()[-1]
    assert SECRET not in "".join(stage.posts())


async def test_f119_a_program_under_a_masked_path_is_no_path_on_the_card(stage: Stage) -> None:
    text = f"/srv/{SECRET}/run x"
    seen = inspected(NODE, parse_request(text), stage.limits)
    stage.hub.inspect_answers.append(replace(seen, executable=f"/srv/{SECRET}/run"))

    await stage.shown(text)

    assert "Runs: without a shell: •••" in stage.posts()[-1]
    assert SECRET not in "".join(stage.posts())


@pytest.mark.parametrize(
    "text",
    [
        "PASSWORD='rm -rf /srv'; $PASSWORD",
        "for x in -password reboot; do $x; done",
        "echo --password reboot | cut -c 12- | sh",
        "env PASSWORD=reboot sh -c '$PASSWORD'",
        "MY_TOKEN=reboot12; eval $MY_TOKEN",
        f"$X {SECRET}",
    ],
)
async def test_f083_nobody_is_asked_about_a_secret_that_may_be_what_is_started(stage: Stage, text: str) -> None:
    execution = await stage.asked(text)

    refused = await stage.in_state(execution, S.REFUSED)
    assert refused.reason is not None
    assert "keep the secret on the node" in refused.reason
    assert stage.hub.inspections == []


async def test_a_secret_that_is_handed_to_what_can_be_read_is_asked_about(stage: Stage) -> None:
    for text in (COMMAND, f"PGPASSWORD={SECRET} psql -l | wc -l", f"mysql -p{SECRET} -e 'select 1'"):
        await stage.in_state(await stage.asked(text), S.AWAITING_APPROVAL)


async def test_f119_after_its_end_no_row_holds_the_secret_and_the_hash_is_still_that_of_what_ran(stage: Stage) -> None:
    request = parse_request(COMMAND)
    seen = inspected(NODE, request, stage.limits)
    stage.hub.inspect_answers.append(replace(seen, env=(*seen.env, ("TOKEN", SECRET))))
    before = await stage.shown(COMMAND)
    await stage.press(before)
    await stage.hand_over()
    await stage.finish(before)
    await stage.answer()
    await stage.tell_all()

    after = await stage.in_state(before, S.FINISHED)
    assert SECRET not in await rows(stage, before)
    assert after.command_hash == before.command_hash
    assert after.command is not None
    assert after.command.argv == ("login", "‹secret›")
    assert dict(after.command.env) == {"PATH": "/usr/bin", "TOKEN": ""}
    assert "login ‹secret›" in stage.posts()[-1]


@pytest.mark.parametrize("way", ["deny", "stop"])
async def test_f119_what_never_ran_is_wiped_as_well(stage: Stage, way: str) -> None:
    execution = await stage.shown(COMMAND)

    await stage.press(execution, Action(way), who=BOB)
    await stage.answer()

    assert SECRET not in await rows(stage, execution)


async def test_f119_the_message_that_asked_is_kept_masked_once_it_is_answered(stage: Stage) -> None:
    await stage.requested(COMMAND)

    def texts(tx: object) -> list[str]:
        return [str(row.text) for row in tx.inputs.connection.exec_driver_sql("SELECT text FROM inputs")]  # type: ignore[attr-defined]

    assert await stage.store.read(texts) == ["run login ‹secret›"]


async def test_f119_a_reason_is_kept_and_told_masked(stage: Stage) -> None:
    execution = await stage.shown("df -h")

    await stage.say(f"deny {execution.id} use {SECRET}", who=BOB)
    await stage.tell_all()

    denied = await stage.in_state(execution, S.DENIED)
    assert denied.reason == "use ‹secret›"
    assert SECRET not in "".join(stage.posts())


async def test_what_held_a_secret_is_not_asked_for_again_and_the_remedy_is_said(stage: Stage) -> None:
    execution = await stage.finished(COMMAND)
    await stage.tell_all()
    assert not any(button.action is Action.AGAIN for button in stage.channel.sent[-1].post.buttons)

    await stage.say(f"again {execution.id}")
    await stage.answer()
    await stage.tell_all()

    assert "held a secret, which is not kept after its end. Write the command once more." in stage.posts()[-1]
    assert len(await stage.all_executions()) == 1


async def test_f119_a_reason_that_waits_for_its_card_waits_masked(stage: Stage) -> None:
    execution = await stage.asked("df -h")
    press = stage.a_press(execution, Action.DENY, reason=f"use {SECRET}")

    await stage.intake.press(press)

    def kept(tx: object) -> list[str]:
        return [str(row.body) for row in tx.inputs.connection.exec_driver_sql("SELECT body FROM early")]  # type: ignore[attr-defined]

    (body,) = await stage.store.read(kept)
    assert SECRET not in body
    assert "secret" in body
