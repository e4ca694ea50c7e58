"""“Always”: who can say it of what, what it then allows and no more, and how it is taken back to the last moment."""

from __future__ import annotations

import ast
import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.command import FileDigest, Limits, parse_request
from bot.domain.execution import Execution, ExecutionState
from bot.domain.grant import Grant, GrantId
from bot.domain.mask import Masker
from bot.domain.message import Action
from bot.domain.pattern import parse_pattern
from bot.domain.policy import Rule, Verdict
from bot.domain.session import PersonId
from bot.domain.terms import Terms
from bot.domain.verdict import Ask
from bot.flow import grants as grants_module
from bot.ports import Reply
from tests.flow.agents import ScriptedAgent
from tests.flow.ends import NODE, inspected
from tests.flow.stage import ANN, BOB, CY, Stage, a_peer, policy
from tests.platforms.forms import text_of

S = ExecutionState
DAY_S = 86_400.0
ROOT = Path(__file__).resolve().parents[2]
RULE = Rule(name="disk", action=Verdict.ASK, deciders=("bob", "cy"), terms=Terms(grant_for_s=30 * DAY_S))


@pytest.fixture
def granting(stage: Stage) -> Stage:
    stage.policy = policy(RULE)
    return stage


async def all_grants(stage: Stage) -> list[Grant]:
    return list(await stage.store.read(lambda tx: tx.grants.listing(with_past=True)))


async def granted(stage: Stage, command: str = "df -h", *, like: str | None = None) -> Grant:
    """Bob has said always of this command, which ann asked for."""
    before = {one.id for one in await all_grants(stage)}
    execution = await stage.asked(command)
    await stage.say(f"approve {execution.id} always" + ("" if like is None else f": {like}"), who=BOB)
    await stage.in_state(execution, S.APPROVED)
    await stage.hand_over()
    await stage.finish(execution)
    await stage.tell_all()
    await stage.answer()
    (new,) = [one for one in await all_grants(stage) if one.id not in before]
    return new


async def revoked(stage: Stage, grant: Grant) -> None:
    assert await stage.store.inner.write(lambda tx: tx.grants.revoke(grant.id, by="op", why="freeze")) is not None


async def kinds(stage: Stage) -> list[str]:
    return [line.kind for line in await stage.store.read(lambda tx: tx.audit.lines())]


async def refused(stage: Stage, command: str, *, like: str | None = None) -> str:
    """What bob is told who says always of what cannot be always allowed; it still waits, and nothing was given."""
    execution = await stage.asked(command)
    await stage.tell_all()
    await stage.say(f"approve {execution.id} always" + ("" if like is None else f": {like}"), who=BOB)
    await stage.tell_all()
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert await all_grants(stage) == []
    said = stage.posts()[-1]
    assert f"{execution.id} cannot be always allowed: " in said
    assert f"Nothing was decided. To allow it once, type: approve {execution.id}" in said
    return said


async def test_always_approves_it_and_says_in_words_what_is_allowed_from_now_on(granting: Stage) -> None:
    execution = await granting.shown()
    note = await granting.press(execution, Action.ALWAYS)

    (grant,) = await all_grants(granting)
    assert note is not None
    assert note.startswith(f"✅ You approved {execution.id}. From now on always allowed: exactly df -h on web-1 ")
    assert f"revoke {grant.id}" in note
    assert (grant.granted_by, grant.asker, grant.place) == ("bob", "discord:U1", a_peer())
    assert grant.expires_at == grant.granted_at + 30 * DAY_S
    assert grant.command.env == (("PATH", ""),)
    approved = await granting.in_state(execution, S.APPROVED)
    assert approved.grant is None, "this one was decided by a person"
    assert "granted" in await kinds(granting)


async def test_the_same_command_then_runs_unasked_and_everything_says_by_whose_word(granting: Stage) -> None:
    grant = await granted(granting)

    again = await granting.asked()

    assert (again.state, again.grant) == (S.APPROVED, grant.id)
    assert again.rule == f"“disk”, always allowed by bob ({grant.id})"
    await granting.tell_all()
    assert f"Allowed by the rule “disk”, always allowed by bob ({grant.id})." in text_of(granting.channel.sent[-1].post)
    await granting.hand_over()
    await granting.in_state(again, S.DISPATCHED)
    (used,) = await all_grants(granting)
    assert (used.uses, used.last_used_at) == (1, granting.clock.now())
    lines = await granting.store.read(lambda tx: tx.audit.of_execution(again.id))
    assert [line.fields()["grant"] for line in lines if line.kind in {"allow", "grant_used"}] == [grant.id] * 2


async def test_f074_a_yes_for_once_allows_no_second_one(granting: Stage) -> None:
    await granting.finished()
    assert (await granting.asked()).state is S.AWAITING_APPROVAL


@pytest.mark.parametrize("command", ["df", "df -h /", "df -H", "df '-h' /etc/../", "du -h"])
async def test_f085_other_words_are_another_command(granting: Stage, command: str) -> None:
    await granted(granting)
    assert (await granting.asked(command)).state is S.AWAITING_APPROVAL


async def test_it_holds_in_the_threads_of_the_conversation_and_nowhere_else(granting: Stage) -> None:
    await granted(granting)
    assert (await granting.asked(room="other")).state is S.AWAITING_APPROVAL
    await granting.say("run df -h", peer=a_peer(thread="t1"))
    await granting.answer()
    await granting.inspect()
    threaded = [one for one in await granting.all_executions() if one.origin.peer.thread is not None]
    assert [one.state for one in threaded] == [S.APPROVED]


async def test_it_holds_for_whom_it_was_given_alone(granting: Stage) -> None:
    await granted(granting)
    await granting.say("run df -h", who=CY)
    await granting.answer()
    await granting.inspect()
    mine = [one for one in await granting.all_executions() if one.asker == "cy"]
    assert [one.state for one in mine] == [S.AWAITING_APPROVAL]


async def test_another_program_under_the_same_path_is_asked_about(granting: Stage) -> None:
    await granted(granting)
    seen = inspected(NODE, parse_request("df -h"), Limits())
    granting.hub.inspect_answers.append(replace(seen, files=(FileDigest(path="/usr/bin/df", sha256="1" * 64),)))
    assert (await granting.asked()).state is S.AWAITING_APPROVAL


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("bash deploy.sh", "`bash` runs whatever"),
        ("python3 deploy.py", "`python3` runs whatever"),
        ("env df -h", "`env` is there to start any other program"),
        ("busybox df", "`busybox` is there to start any other program"),
        ("df -h | sort", "it is not one plain command"),
        ("df -h; id", "it is not one plain command"),
        ("df -h 'ρ'", "it holds characters that show nothing, or look like others"),
    ],
)
async def test_f085_what_can_come_to_start_anything_is_never_always_allowed(
    granting: Stage, command: str, why: str
) -> None:
    assert why in await refused(granting, command)


async def test_what_holds_a_secret_is_never_always_allowed(granting: Stage) -> None:
    granting.masker = Masker(("hunter2-hunter2",))
    said = await refused(granting, "mysql -phunter2-hunter2")
    assert "it holds a secret" in said


async def test_where_the_rule_gives_no_time_nobody_says_always(stage: Stage) -> None:
    stage.policy = policy(replace(RULE, terms=Terms()))
    assert "the rule “disk” does not let anybody say so" in await refused(stage, "df -h")


async def test_the_card_offers_always_only_where_it_can_be_had(granting: Stage) -> None:
    for command, is_offered in (("df -h", True), ("bash x.sh", False)):
        execution = await granting.shown(command)
        actions = {button.action for button in granting.channel.sent[-1].post.buttons}
        assert (Action.ALWAYS in actions) is is_offered
        assert (execution.terms.grant_for_s is not None) is is_offered


async def test_a_pattern_that_the_decider_typed_allows_what_fits_it(granting: Stage) -> None:
    execution = await granting.asked("systemctl restart app")
    await granting.say(f"approve {execution.id} always: systemctl restart *", who=BOB)
    await granting.tell_all()
    assert (
        "what fits systemctl restart * (systemctl, then restart, then any one word that is no option) on web-1"
        in granting.posts()[-1]
    )

    assert (await granting.asked("systemctl restart db")).state is S.APPROVED
    for command in ("systemctl stop db", "systemctl restart a b", "systemctl restart", "systemctl restart 'a b' | id"):
        assert (await granting.asked(command)).state is S.AWAITING_APPROVAL, command


@pytest.mark.parametrize(
    ("like", "why"),
    [
        ("systemctl stop *", "does not fit this command"),
        ("* restart app", "must spell out what is started, without a star: systemctl"),
        ("**", "must spell out what is started"),
        ("systemctl; **", "belongs to a shell"),
    ],
)
async def test_f085_a_pattern_must_fit_and_spell_out_the_program(granting: Stage, like: str, why: str) -> None:
    assert why in await refused(granting, "systemctl restart app", like=like)


async def test_with_a_wrapper_the_pattern_spells_out_what_it_starts(granting: Stage) -> None:
    said = await refused(granting, "sudo systemctl restart app", like="sudo **")
    assert "must spell out what is started, without a star: sudo systemctl" in said


async def test_a_deny_wins_over_a_grant(granting: Stage) -> None:
    await granted(granting)
    deny = Rule(name="freeze", action=Verdict.DENY, command=(parse_pattern("df **"),))
    granting.policy = policy(deny, RULE)
    assert (await granting.asked()).state is S.REFUSED


async def test_it_expires(granting: Stage) -> None:
    await granted(granting)
    granting.clock.advance(30 * DAY_S)
    assert (await granting.asked()).state is S.AWAITING_APPROVAL


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (replace(RULE, terms=Terms()), "does not let anybody say so"),
        (replace(RULE, terms=Terms(grant_for_s=60.0)), "lets none stand for so long by now"),
        (replace(RULE, deciders=("cy",)), "bob, who gave it, may not decide this any more"),
        (replace(RULE, terms=Terms(grant_for_s=30 * DAY_S, quorum=2)), "needs 2 people"),
        (replace(RULE, action=Verdict.DENY), "denies it"),
    ],
)
async def test_f081_a_policy_that_changed_before_the_hand_over_withdraws_it(
    granting: Stage, changed: Rule, why: str
) -> None:
    await granted(granting)
    gone = len(granting.hub.gone)
    granting.clock.advance(120)
    again = await granting.asked()
    assert again.state is S.APPROVED
    granting.policy = policy(changed)

    await granting.hand_over()
    await granting.tell_all()

    await granting.in_state(again, S.CANCELLED)
    assert len(granting.hub.gone) == gone
    assert why in granting.posts()[-1]
    granting.policy = policy(changed)
    if changed.action is Verdict.ASK:
        assert (await granting.asked()).state is S.AWAITING_APPROVAL


async def test_f081_a_revocation_before_the_hand_over_wins(granting: Stage) -> None:
    grant = await granted(granting)
    gone = len(granting.hub.gone)
    again = await granting.asked()

    async def revoke() -> None:
        await revoked(granting, grant)

    granting.hub.during_offer = revoke
    await granting.hand_over()
    await granting.tell_all()

    await granting.in_state(again, S.CANCELLED)
    assert len(granting.hub.gone) == gone
    assert f"{grant.id} was taken back by op; ask again, and people decide" in granting.posts()[-1]
    assert [one.uses for one in await all_grants(granting)] == [0]


async def test_a_grant_that_expired_or_went_before_the_hand_over_allows_nothing(granting: Stage) -> None:
    grant = await granted(granting)
    granting.clock.advance(30 * DAY_S - 60)
    again = await granting.asked()
    granting.clock.advance(60)
    await granting.hand_over()
    await granting.in_state(again, S.CANCELLED)
    assert (await granting.read(again)).reason == f"{grant.id} has expired; ask again, and people decide"

    for lost in ("G222222", "not an id"):
        other = await granting.approved("uptime")
        locked = replace(other, grant=lost)
        await granting.store.inner.write(lambda tx, locked=locked: tx.executions.amend(locked))  # type: ignore[misc]  # -- bound
        await granting.hand_over()
        assert (await granting.read(other)).reason == f"{lost} is gone; ask again, and people decide"


async def test_f081_on_postgresql_a_revocation_under_way_is_waited_for(postgres_stage: Stage) -> None:
    """The hand-over locks the grant: it sees the revocation that was not committed when it came."""
    stage = postgres_stage
    stage.policy = policy(RULE)
    grant = await granted(stage)
    again = await stage.asked()
    gone = len(stage.hub.gone)
    loop = asyncio.get_running_loop()
    is_revoking, may_commit = asyncio.Event(), asyncio.Event()

    def revoke(tx: object) -> None:
        tx.grants.revoke(grant.id, by="op")  # type: ignore[attr-defined]  # -- a Tx
        loop.call_soon_threadsafe(is_revoking.set)
        asyncio.run_coroutine_threadsafe(may_commit.wait(), loop).result(20)

    revoking = asyncio.create_task(stage.store.inner.write(revoke))
    await is_revoking.wait()
    handing = asyncio.create_task(stage.hand_over())
    while not await _is_somebody_waiting(stage):
        await asyncio.sleep(0.01)
    may_commit.set()
    await asyncio.gather(revoking, handing)

    await stage.in_state(again, S.CANCELLED)
    assert len(stage.hub.gone) == gone


async def _is_somebody_waiting(stage: Stage) -> bool:
    def look(tx: object) -> bool:
        from sqlalchemy import text

        found = tx.grants.connection.execute(  # type: ignore[attr-defined]  # -- the store's own
            text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        )
        return bool(found.scalar_one())

    return await stage.store.inner.read(look)


async def test_f081_grants_of_the_same_moment_are_all_kept(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.policy = policy(RULE)
    asked = [await stage.asked(f"df -h /{number}") for number in range(5)]
    await asyncio.gather(*(stage.say(f"approve {one.id} always", who=BOB) for one in asked))
    assert {one.execution for one in await all_grants(stage)} == {one.id for one in asked}


async def test_a_second_press_gives_no_second_grant(granting: Stage) -> None:
    execution = await granting.shown()
    await granting.press(execution, Action.ALWAYS)
    note = await granting.press(execution, Action.ALWAYS)
    assert note is not None
    assert "already settled" in note
    assert len(await all_grants(granting)) == 1


async def test_whoever_was_asked_by_escalation_alone_says_nothing_for_later(stage: Stage) -> None:
    stage.policy = policy(replace(RULE, deciders=("bob",), escalate_after_s=60.0, escalate_to=("cy",)))
    execution = await stage.shown()
    escalated = replace(execution, is_escalated=True)
    await stage.store.inner.write(lambda tx: tx.executions.amend(escalated))

    note = await stage.press(escalated, Action.ALWAYS, who=CY)

    assert note is not None
    assert "you were asked because nobody else answered" in note
    assert await all_grants(stage) == []
    await stage.press(escalated, Action.ALWAYS, who=BOB)
    assert len(await all_grants(stage)) == 1


async def test_a_conversation_that_is_full_of_grants_takes_no_further_one(
    granting: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants_module, "MAX_LIVE", 1)
    grant = await granted(granting)
    execution = await granting.shown("uptime")
    note = await granting.press(execution, Action.ALWAYS, message=f"posted-{len(granting.channel.sent)}")
    assert note is not None
    assert "1 permissions stand in this conversation already" in note
    await revoked(granting, grant)
    await granting.press(execution, Action.ALWAYS, message=f"posted-{len(granting.channel.sent)}")
    assert len(await all_grants(granting)) == 2


async def test_an_id_that_is_taken_is_drawn_again(granting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await granted(granting)
    drawn = iter([first.id, GrantId("G222222")])
    monkeypatch.setattr(grants_module, "_draw_id", lambda: next(drawn))
    assert (await granted(granting, "uptime")).id == "G222222"


async def test_without_a_command_that_a_node_saw_nothing_is_given(granting: Stage) -> None:
    execution = replace(await granting.asked(), command=None)
    asked = granting.policy.judge_execution(execution)
    assert isinstance(asked, Ask)
    given = await granting.store.write(
        lambda tx: grants_module.give(tx, PersonId("bob"), execution, asked, pattern=None, reason="")
    )
    assert given is None
    assert await all_grants(granting) == []


async def test_the_reason_stands_with_the_grant(granting: Stage) -> None:
    execution = await granting.asked()
    await granting.say(f"approve {execution.id} always because it only looks", who=BOB)
    (grant,) = await all_grants(granting)
    assert grant.reason == "it only looks"
    steps = await granting.store.read(lambda tx: tx.executions.steps(execution.id))
    assert ("approve", f"it only looks; always: {grant.id}") in [(step.what, step.detail) for step in steps]


async def test_whoever_gave_it_takes_it_back_in_the_chat_and_so_does_an_owner(granting: Stage) -> None:
    granting.policy = policy(RULE, owners=("cy",))
    for who in (BOB, CY):
        grant = await granted(granting)
        await granting.say(f"revoke {grant.id.lower()} the disk is new", who=who)
        await granting.tell_all()
        assert f"{grant.id} is taken back: exactly df -h on web-1 is asked about again." in granting.posts()[-1]
        (now,) = [one for one in await all_grants(granting) if one.id == grant.id]
        assert (now.revoked_by, now.revoked_why) == ("bob" if who is BOB else "cy", "the disk is new")
        await granting.say(f"revoke {grant.id}", who=who)
        await granting.tell_all()
        assert f"{grant.id} is over already" in granting.posts()[-1]
        assert (await granting.asked()).state is S.AWAITING_APPROVAL
        for one in await granting.all_executions():
            if one.state is S.AWAITING_APPROVAL:
                await granting.press(one, Action.STOP)
        granting.channel.sent.clear()


async def test_f076_nobody_else_takes_it_back_and_the_attempt_is_on_record(granting: Stage) -> None:
    grant = await granted(granting)
    await granting.say(f"revoke {grant.id}", who=ANN)
    await granting.say("revoke G222222", who=ANN)
    await granting.tell_all()
    assert f"You may not take {grant.id} back. Who may: bob" in granting.posts()[-2]
    assert "There is no permission G222222" in granting.posts()[-1]
    assert (await all_grants(granting))[0].is_live(granting.clock.now())
    assert "revoke_refused" in await kinds(granting)


async def test_the_conversation_lists_its_own(granting: Stage) -> None:
    grant = await granted(granting)
    for room in ("ops", "other"):
        await granting.say("grants", room=room)
        await granting.answer()
        await granting.tell_all()
    here, elsewhere = granting.posts()[-2:]
    assert f"{grant.id}  exactly df -h  on web-1, for discord:U1, until " in here
    assert "Nothing is always allowed in this conversation." in elsewhere


async def test_the_sweep_prunes_what_was_over_for_the_retention_time(granting: Stage) -> None:
    await granted(granting)
    granting.clock.advance(30 * DAY_S)
    await granting.tidy()
    assert len(await all_grants(granting)) == 1
    granting.clock.advance(DAY_S + 1)
    await granting.tidy()
    assert await all_grants(granting) == []


async def test_f076_words_of_an_agent_give_nothing(granting: Stage) -> None:
    """What a model answers is told as its words; it is read by nobody as an instruction."""
    execution: Execution = await granting.shown()
    before = await granting.read(execution)
    said = f"approve {execution.id} always"
    granting.agent = ScriptedAgent(lambda inputs: [Reply(input_id=one.id, text=said) for one in inputs])
    await granting.say("what do you think?")
    await granting.answer()
    await granting.tell_all()
    assert await granting.read(execution) == before
    assert await all_grants(granting) == []


def test_f076_only_a_press_a_reaction_or_a_typed_word_reaches_a_decision() -> None:
    """No agent and no turn imports what decides or gives: the one caller of `decide` is the inbox of people."""
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "bot").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module, bool({"decide", "give"} & {name.name for name in node.names}))
        in {("bot.flow.decision", True), ("bot.flow.grants", True)}
    }
    assert importers == {"bot/flow/intake.py", "bot/flow/decision.py", "bot/flow/together.py"}
