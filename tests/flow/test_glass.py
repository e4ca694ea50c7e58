"""Break-glass in the flow: opened by a word, used by its person's own yes, counted again at the hand-over, announced
each time, reviewed by somebody else."""

from __future__ import annotations

import ast
import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.event import ClaimToken, EventState, EventTrigger, Say
from bot.domain.execution import Execution, ExecutionState
from bot.domain.glass import Glass, GlassId, GlassRule, GlassState, GlassTrigger
from bot.domain.mask import Masker
from bot.domain.message import Action, Sender
from bot.domain.pattern import parse_pattern
from bot.domain.place import parse_place
from bot.domain.policy import Policy, Rule, Verdict
from bot.domain.session import Peer, PeerKind, PersonId
from bot.domain.terms import Terms
from bot.errors import StaleRow
from bot.flow import glass as glass_module
from bot.flow.glass_watch import GlassWatch
from bot.ports import Reply, Tx
from tests.flow.agents import ScriptedAgent
from tests.flow.races import overtaken
from tests.flow.stage import ANN, BOB, CY, Stage, a_peer, policy
from tests.platforms.forms import text_of

S, G = ExecutionState, GlassState
ROOT = Path(__file__).resolve().parents[2]
HALF_HOUR_S = 1_800.0
DAY_S = 86_400.0
ALL = a_peer("announcements")
STRICT = Rule(
    name="three of them", action=Verdict.ASK, deciders=("cy", "discord:U1", "discord:U9"), terms=Terms(quorum=3)
)
LAW = GlassRule(people=("bob",), reviewers=("cy", "bob"), announce_to=(ALL,))
DEE = Sender(native="U4", name="Dee")
"""May nothing."""


def glassy(*rules: Rule, law: GlassRule | None = LAW, owners: tuple[str, ...] = ("bob",)) -> Policy:
    return replace(policy(*(rules or (STRICT,)), owners=owners), glass=law)


@pytest.fixture
def breaking(stage: Stage) -> Stage:
    """Bob may break glass; cy reviews. Three others decide, and bob is none of them."""
    stage.policy = glassy(owners=("cy",))
    return stage


async def all_of(stage: Stage) -> list[Glass]:
    return list(await stage.store.inner.read(lambda tx: tx.glasses.listing(frozenset(G))))


async def broken(stage: Stage, words: str = "the disk is full", *, room: str = "ops") -> Glass:
    """Bob breaks glass."""
    before = {one.id for one in await all_of(stage)}
    await stage.say(f"break-glass {words}", who=BOB, room=room)
    (new,) = [one for one in await all_of(stage) if one.id not in before]
    return new


async def one(stage: Stage, glass: Glass) -> Glass:
    (found,) = [each for each in await all_of(stage) if each.id == glass.id]
    return found


async def announced(stage: Stage) -> list[str]:
    """All that is owed or told in the configured place, whole, in order; the command behind its words."""
    owed = [event for event in await stage.events() if event.address.peer == ALL]
    said = [event.payload for event in sorted(owed, key=lambda event: event.sequence)]
    return [f"{each.text}\n{each.code or ''}".strip() for each in said if isinstance(each, Say)]


async def answer(stage: Stage, text: str, *, who: Sender = BOB, room: str = "ops") -> str:
    await stage.say(text, who=who, room=room)
    await stage.tell_all()
    said = [sent for sent in stage.channel.sent if sent.address.peer == a_peer(room)]
    return text_of(said[-1].post)


async def approved(stage: Stage, command: str = "df -h") -> Execution:
    """Under bob's open break-glass."""
    execution = await stage.asked(command)
    await stage.say(f"approve {execution.id}", who=BOB)
    return await stage.in_state(execution, S.APPROVED)


async def watch(stage: Stage) -> None:
    await GlassWatch(stage.store, stage.policies, stage.signals).step()


async def kinds(stage: Stage) -> list[str]:
    return [line.kind for line in await stage.store.inner.read(lambda tx: tx.audit.lines())]


# --- who may, where, with which words --------------------------------------------------------------


async def test_one_persons_own_yes_is_enough_while_it_is_open_and_everything_says_so(breaking: Stage) -> None:
    glass = await broken(breaking)
    execution = await breaking.shown("df -h")
    assert "Waiting for 3 of: cy, discord:U1, discord:U9." in breaking.posts()[-1]

    note = await breaking.press(execution, message=f"posted-{len(breaking.channel.sent)}")

    assert note is not None
    assert note.startswith(
        f"🔓 You approved {execution.id} alone, under break-glass {glass.id}, and that is announced."
    )
    under = await breaking.in_state(execution, S.APPROVED)
    assert (under.glass, under.decided_by, under.approved_by) == (glass.id, "bob", ("bob",))
    await breaking.hand_over()
    await breaking.in_state(execution, S.DISPATCHED)
    await breaking.finish(execution, "output of it\n")
    await breaking.tell_all()
    told = breaking.posts()[-1]
    assert "all is well" not in told
    assert f"bob alone, under break-glass {glass.id}" in told
    steps = await breaking.store.inner.read(lambda tx: tx.executions.steps(execution.id))
    assert [step.detail for step in steps if step.what == "approve"] == [f"break-glass {glass.id}: the disk is full"]
    lines = await breaking.store.inner.read(lambda tx: tx.audit.of_execution(execution.id))
    assert [line.fields()["glass"] for line in lines if line.kind in {"approve", "glass_used"}] == [glass.id] * 2
    assert (await one(breaking, glass)).uses == 1


async def test_its_opening_each_approval_its_end_and_its_review_are_announced_and_never_any_output(
    breaking: Stage,
) -> None:
    glass = await broken(breaking, "15m the disk\nis full")
    execution = await approved(breaking, "df -h")
    await breaking.hand_over()
    await breaking.finish(execution, "OUTPUT-OF-IT\n")
    await breaking.say("break-glass end", who=BOB)
    await breaking.say(f"review {glass.id} ok it was full", who=CY)
    opened, under, ended, reviewed = await announced(breaking)
    assert opened.startswith(
        f"🔓 Break-glass {glass.id}: bob opened it in discord channel ops, until 2027-01-15 08:15 UTC"
    )
    assert "Reason: the disk is full." in opened
    assert "Reviewed afterwards by one of: cy." in opened
    assert under.startswith(
        f"🔓 Break-glass {glass.id}: bob alone approved {execution.id}, on web-1, asked by discord:U1"
    )
    assert under.endswith("df -h")
    assert ended.startswith(f"🔒 Break-glass {glass.id} of bob: ended by bob, after 0.0 s. ")
    assert f"Approved under it: {execution.id}. To review it, until 2027-01-16 08:00 UTC, by cy: review" in ended
    assert reviewed == f"✅ Break-glass {glass.id} of bob was reviewed by cy: ok. it was full"
    assert not [text for text in await announced(breaking) if "OUTPUT-OF-IT" in text]
    await breaking.tell_all()
    assert len([sent for sent in breaking.channel.sent if sent.address.peer == ALL]) == 4


async def test_it_is_announced_in_the_transaction_that_opens_it_and_lost_by_no_crash(breaking: Stage) -> None:
    """Not told yet: what was committed with it is still owed."""
    await broken(breaking)
    owed = [event for event in await breaking.events(EventState.DUE) if event.address.peer == ALL]
    assert len(owed) == 1


@pytest.mark.parametrize(
    ("who", "law", "why"),
    [
        (ANN, LAW, "discord:U1 is none of those who may break glass: bob"),
        (CY, LAW, "cy is none of those"),
        (BOB, None, "the configuration names nobody who may break glass"),
        (BOB, replace(LAW, people=()), "bob is none of those who may break glass: nobody"),
        (
            BOB,
            replace(LAW, where=(parse_place("discord:channel:other"),)),
            "nobody may break glass in this conversation",
        ),
        (BOB, replace(LAW, reviewers=("bob",)), "nobody but bob could review it"),
    ],
)
async def test_f068_whoever_may_not_opens_none_and_the_attempt_is_on_record(
    stage: Stage, who: Sender, law: GlassRule | None, why: str
) -> None:
    stage.policy = glassy(law=law)
    said = await answer(stage, "break-glass the disk is full", who=who)
    assert f"You may not break glass here: {why}" in said
    assert said.rstrip().endswith("Nothing was opened.")
    assert await all_of(stage) == []
    assert await announced(stage) == []
    assert "glass_refused" in await kinds(stage)


@pytest.mark.parametrize("words", ["31m the disk", "5h the disk", "0m the disk"])
async def test_it_opens_for_no_longer_than_the_config_says(breaking: Stage, words: str) -> None:
    assert "It may be open for 1 min to 30 min" in await answer(breaking, f"break-glass {words}")
    assert await all_of(breaking) == []


async def test_a_shorter_time_is_taken_and_without_one_it_is_the_configs(breaking: Stage) -> None:
    glass = await broken(breaking, "5m the disk")
    assert glass.expires_at - glass.opened_at == 300.0
    await breaking.say("break-glass end", who=BOB)
    glass = await broken(breaking)
    assert glass.expires_at - glass.opened_at == HALF_HOUR_S


async def test_none_overlaps_another_and_none_lengthens_itself(breaking: Stage) -> None:
    glass = await broken(breaking, "5m the disk")
    for words in ("break-glass 30m the disk", "break-glass the disk"):
        assert f"{glass.id} of yours is open here until 2027-01-15 08:05 UTC" in await answer(breaking, words)
    assert await all_of(breaking) == [glass]
    elsewhere = await broken(breaking, room="other")
    assert elsewhere.place == a_peer("other")


async def test_where_the_time_of_the_last_is_over_a_new_one_ends_it_first(breaking: Stage) -> None:
    glass = await broken(breaking, "5m the disk")
    breaking.clock.advance(301.0)
    again = await broken(breaking)
    over = await one(breaking, glass)
    assert (over.state, over.ended_by, over.ended_at) == (G.ENDED, None, glass.expires_at)
    assert again.state is G.OPEN
    assert "its time is over, after 5 min. Nothing was approved under it." in (await announced(breaking))[1]


async def test_an_id_that_is_taken_is_drawn_again(breaking: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await broken(breaking, room="other")
    drawn = iter([first.id, GlassId("B222222")])
    monkeypatch.setattr(glass_module, "_draw_id", lambda: next(drawn))
    assert (await broken(breaking)).id == "B222222"


async def test_f051_a_delivery_that_is_repeated_or_comes_late_opens_none(
    breaking: Stage,
) -> None:
    for _ in range(2):
        await breaking.say("break-glass 1m the disk", who=BOB, delivery="d-same")
    (glass,) = await all_of(breaking)
    breaking.clock.advance(61.0)
    await watch(breaking)
    await breaking.say("break-glass 1m the disk", who=BOB, delivery="d-same")
    await breaking.say("break-glass 1m the disk", who=BOB, age_s=3_601.0)
    assert [each.id for each in await all_of(breaking)] == [glass.id]


async def test_f119_a_secret_in_the_reason_is_masked_before_it_is_kept_or_announced(breaking: Stage) -> None:
    breaking.masker = Masker(("hunter2-hunter2",))
    glass = await broken(breaking, "the password hunter2-hunter2 leaked")
    execution = await breaking.asked("mysql -phunter2-hunter2")
    await breaking.say(f"approve {execution.id}", who=BOB)
    await breaking.in_state(execution, S.APPROVED)
    assert "hunter2" not in glass.reason
    assert len(await announced(breaking)) == 2
    assert not [text for text in await announced(breaking) if "hunter2" in text]


# --- what it carries -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "terms", [Terms(), Terms(quorum=2), Terms(four_eyes=True), Terms(quorum=2, four_eyes=True)], ids=str
)
async def test_it_is_enough_whoever_decides_however_many_and_whoever_asked(stage: Stage, terms: Terms) -> None:
    rule = Rule(name="others", action=Verdict.ASK, deciders=("cy", "discord:U9"), terms=terms)
    stage.policy = glassy(rule)
    await broken(stage)
    await stage.say("run df -h", who=BOB)
    await stage.answer()
    await stage.inspect()
    execution = await stage.only()
    await stage.say(f"approve {execution.id}", who=BOB)
    await stage.in_state(execution, S.APPROVED)
    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)


async def test_every_command_needs_its_own_yes_and_nothing_is_approved_by_opening(breaking: Stage) -> None:
    before = await breaking.asked("df -h")
    await broken(breaking)
    after = await breaking.asked("uptime")
    for execution in (before, after):
        await breaking.in_state(execution, S.AWAITING_APPROVAL)
    await breaking.say(f"approve {after.id}", who=BOB)
    await breaking.in_state(before, S.AWAITING_APPROVAL)
    await breaking.in_state(after, S.APPROVED)


async def test_a_deny_stays_a_deny_and_so_does_what_nobody_may_approve(stage: Stage) -> None:
    deny = Rule(name="freeze", action=Verdict.DENY, command=(parse_pattern("df **"),))
    nobody = Rule(name="nobody", action=Verdict.ASK, deciders=(), command=(parse_pattern("id"),))
    stage.policy = glassy(deny, nobody, STRICT)
    await broken(stage)
    for command in ("df -h", "id", "uptime; df -h"):
        execution = await stage.requested(command)
        assert execution.state is S.REFUSED, command
        await stage.say(f"approve {execution.id}", who=BOB)
        await stage.in_state(execution, S.REFUSED)


async def test_a_rule_that_comes_to_deny_meanwhile_wins_over_it(breaking: Stage) -> None:
    await broken(breaking)
    waiting, execution = await breaking.asked("df -h"), await approved(breaking)
    breaking.policy = glassy(Rule(name="freeze", action=Verdict.DENY))
    await breaking.say(f"approve {waiting.id}", who=BOB)
    await breaking.in_state(waiting, S.AWAITING_APPROVAL)
    await breaking.hand_over()
    assert (await breaking.in_state(execution, S.CANCELLED)).reason == "the rule “freeze” denies it"
    assert breaking.hub.gone == []


async def test_f083_a_button_of_another_command_decides_nothing_under_it_either(breaking: Stage) -> None:
    await broken(breaking)
    execution, other = await breaking.asked("df -h"), await breaking.asked("uptime")
    await breaking.tell_all()
    assert other.command_hash is not None
    await breaking.intake.press(breaking.a_press(execution, shown=other.command_hash))
    await breaking.in_state(execution, S.AWAITING_APPROVAL)


async def test_the_yes_of_somebody_else_is_no_more_than_it_was(breaking: Stage) -> None:
    await broken(breaking)
    execution = await breaking.asked()
    for who in (CY, DEE):
        await breaking.say(f"approve {execution.id}", who=who)
    waiting = await breaking.in_state(execution, S.AWAITING_APPROVAL)
    assert (waiting.approved_by, waiting.glass) == (("cy",), None)


async def test_it_holds_in_the_threads_of_its_conversation_and_in_no_other_one(breaking: Stage) -> None:
    await broken(breaking)
    execution = await breaking.asked(room="other")
    said = await answer(breaking, f"approve {execution.id}")
    assert f"You may not decide {execution.id}. Who may: cy, discord:U1, discord:U9." in said
    await breaking.in_state(execution, S.AWAITING_APPROVAL)
    await breaking.say("run df -h", peer=a_peer(thread="t1"))
    await breaking.answer()
    await breaking.inspect()
    (threaded,) = [each for each in await breaking.all_executions() if each.origin.peer.thread is not None]
    await breaking.say(f"approve {threaded.id}", who=BOB, peer=a_peer(thread="t1"))
    await breaking.in_state(threaded, S.APPROVED)


async def test_where_it_does_not_reach_the_node_the_reason_is_said(stage: Stage) -> None:
    stage.policy = glassy(law=replace(LAW, nodes=("db-1",)))
    glass = await broken(stage)
    execution = await stage.asked()
    said = await answer(stage, f"approve {execution.id}")
    assert f"Your break-glass {glass.id} does not reach the node web-1." in said
    await stage.in_state(execution, S.AWAITING_APPROVAL)


async def test_f076_it_says_no_no_and_no_always(breaking: Stage) -> None:
    breaking.policy = glassy(replace(STRICT, terms=Terms(grant_for_s=DAY_S)), owners=("cy",))
    await broken(breaking)
    execution = await breaking.asked()
    for words in ("deny {} no", "approve {} always"):
        await breaking.say(words.format(execution.id), who=BOB)
        await breaking.in_state(execution, S.AWAITING_APPROVAL)
    assert await breaking.store.inner.read(lambda tx: tx.grants.listing(with_past=True)) == []


async def test_what_a_yes_must_bring_along_it_must_bring_along_here_too(stage: Stage) -> None:
    stage.policy = glassy(replace(STRICT, terms=Terms(quorum=3, needs_reason=True)))
    await broken(stage)
    execution = await stage.asked()
    assert "needs a reason" in await answer(stage, f"approve {execution.id}")
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    await stage.say(f"approve {execution.id} because it is urgent", who=BOB)
    await stage.in_state(execution, S.APPROVED)
    steps = await stage.store.inner.read(lambda tx: tx.executions.steps(execution.id))
    assert [step.detail for step in steps if step.what == "approve" and "it is urgent; break-glass" in str(step.detail)]


async def test_a_reaction_does_not_use_it_and_stays_what_it_is_without(breaking: Stage) -> None:
    glass = await broken(breaking)
    execution = await breaking.shown()
    message = f"posted-{len(breaking.channel.sent)}"
    assert str(await breaking.react("👍", message=message)).endswith(
        f" Your break-glass {glass.id} is used by a press or a typed word, and by no reaction."
    )
    await breaking.in_state(execution, S.AWAITING_APPROVAL)
    breaking.policy = glassy(replace(STRICT, deciders=("bob", "cy"), terms=Terms(quorum=2)), owners=("cy",))
    assert "counts: 1 of 2" in str(await breaking.react("👍", message=message))
    await breaking.press(execution, message=message)
    assert (await breaking.in_state(execution, S.APPROVED)).glass == glass.id


async def test_where_the_ordinary_way_is_enough_it_is_not_used(stage: Stage) -> None:
    stage.policy = glassy(Rule(name="bob", action=Verdict.ASK, deciders=("bob",)))
    glass = await broken(stage)
    execution = await approved(stage)
    assert execution.glass is None
    assert (await one(stage, glass)).uses == 0
    assert len(await announced(stage)) == 1


async def test_a_yes_that_was_said_before_it_was_opened_can_be_said_again(stage: Stage) -> None:
    stage.policy = glassy(Rule(name="two", action=Verdict.ASK, deciders=("bob", "cy"), terms=Terms(quorum=2)))
    execution = await stage.asked()
    await stage.say(f"approve {execution.id}", who=BOB)
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    glass = await broken(stage)
    await stage.say(f"approve {execution.id}", who=BOB)
    assert (await stage.in_state(execution, S.APPROVED)).glass == glass.id
    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)


# --- the hand-over ---------------------------------------------------------------------------------


async def test_f081_it_is_counted_again_at_the_hand_over(breaking: Stage) -> None:
    glass = await broken(breaking)
    ways = {
        "was ended by bob": lambda: breaking.say("break-glass end", who=BOB),
        "is over": None,
        "bob is none of those who may break glass: cy": replace(LAW, people=("cy",), reviewers=("bob",)),
        "the configuration names nobody": None,
        "nobody may break glass in this conversation": replace(LAW, where=(parse_place("web"),)),
        "does not reach the node web-1": replace(LAW, nodes=("db-1",)),
        "nobody but bob could review it": replace(LAW, reviewers=("bob",)),
    }
    for why, how in ways.items():
        breaking.policy = glassy(owners=("cy",))
        if (await one(breaking, glass)).state is not G.OPEN:
            glass = await broken(breaking)
        execution = await approved(breaking)
        if callable(how):
            await how()
        elif isinstance(how, GlassRule):
            breaking.policy = glassy(law=how)
        elif why == "is over":
            breaking.clock.advance(HALF_HOUR_S)
            # The node was away for longer than it was open, and yet the approval still holds by itself.
            await amended(breaking, replace(execution, expires_at=breaking.clock.now() + 60.0))
        else:
            breaking.policy = glassy(law=None)
        await breaking.hand_over()
        cancelled = await breaking.in_state(execution, S.CANCELLED)
        assert why in str(cancelled.reason)
        assert str(cancelled.reason).endswith("; ask again, and people decide")
        await watch(breaking)
    assert breaking.hub.gone == []
    await breaking.tell_all()
    assert "was ended by bob" in "\n".join(breaking.posts())


async def test_where_none_of_its_places_can_be_told_it_carries_nothing_neither_a_yes_nor_a_hand_over(
    breaking: Stage,
) -> None:
    glass = await broken(breaking)
    execution = await approved(breaking)
    await rejected(breaking, ALL)
    silent = f"break-glass {glass.id} carries nothing now: none of the places that it is announced in can be told"
    await breaking.hand_over()
    assert (await breaking.in_state(execution, S.CANCELLED)).reason == f"{silent}; ask again, and people decide"
    other = await breaking.asked("uptime")
    assert f"Your {silent}." in await answer(breaking, f"approve {other.id}")
    await breaking.in_state(other, S.AWAITING_APPROVAL)


async def test_its_own_person_alone_with_the_bot_is_no_place_that_hears_of_it(breaking: Stage) -> None:
    alone = a_peer("U2", kind=PeerKind.DIRECT)
    breaking.policy = glassy(law=replace(LAW, announce_to=(alone,)), owners=("cy",))
    assert "nobody but bob would hear of it" in await answer(breaking, "break-glass the disk is full")
    breaking.policy = glassy(law=replace(LAW, announce_to=(ALL, alone)), owners=("cy",))
    await broken(breaking)
    execution = await approved(breaking)
    await rejected(breaking, ALL)
    await breaking.hand_over()
    await breaking.in_state(execution, S.CANCELLED)


async def test_one_place_that_hears_of_it_is_enough(stage: Stage) -> None:
    second = a_peer("pager")
    stage.policy = glassy(law=replace(LAW, announce_to=(ALL, second)), owners=("cy",))
    await broken(stage)
    execution = await approved(stage)
    await rejected(stage, ALL)
    await stage.hand_over()
    await stage.in_state(execution, S.DISPATCHED)
    other = await approved(stage, "uptime")
    await rejected(stage, second)
    await stage.hand_over()
    await stage.in_state(other, S.CANCELLED)


async def rejected(stage: Stage, place: Peer) -> None:
    """What is owed there is dead: the bot was put out of that room."""

    def bury(tx: Tx) -> bool:
        token = ClaimToken("t")
        claimed = tx.events.claim(
            token=token, lease_s=60.0, limit=100, channels=stage.channels.keys(), states={EventState.DUE}
        )
        for event in claimed:
            is_there = event.address.peer == place
            tx.events.move(event, EventTrigger.BURY if is_there else EventTrigger.RELEASE, token=token)
        return any(event.address.peer == place for event in claimed)

    while await stage.store.inner.write(bury):
        pass


async def amended(stage: Stage, execution: Execution) -> None:
    await stage.store.inner.write(lambda tx: tx.executions.amend(execution))


async def test_one_that_is_gone_or_another_persons_carries_nothing(breaking: Stage) -> None:
    await broken(breaking)
    first, second, third = [await approved(breaking, command) for command in ("df -h", "uptime", "id")]
    breaking.policy = glassy(law=replace(LAW, people=("bob", "cy"), reviewers=("bob", "cy")))
    await breaking.say("break-glass mine", who=CY)
    cys = next(each for each in await all_of(breaking) if each.person == "cy")
    forged = {first.id: "B222222", second.id: "nonsense", third.id: cys.id}
    for execution in (first, second, third):
        await amended(breaking, replace(execution, glass=forged[execution.id]))
    await breaking.hand_over()
    reasons = [str((await breaking.in_state(each, S.CANCELLED)).reason) for each in (first, second, third)]
    assert [reason.split(";")[0] for reason in reasons] == [
        "break-glass B222222 is gone",
        "break-glass nonsense is gone",
        f"cy, whose break-glass {cys.id} is, did not approve it",
    ]


async def test_a_rule_that_comes_to_allow_it_lets_it_run(breaking: Stage) -> None:
    await broken(breaking)
    execution = await approved(breaking)
    breaking.policy = policy(Rule(name="all", action=Verdict.ALLOW))
    await breaking.hand_over()
    await breaking.in_state(execution, S.DISPATCHED)


async def ended_meanwhile(stage: Stage, glass: Glass, act: Callable[[], Awaitable[object]]) -> None:
    """Another replica holds the row of the glass, and ends it while `act` waits for that row."""
    await overtaken(
        stage,
        lambda tx: tx.glasses.lock(glass.id),
        lambda tx, locked: glass_module.close(tx, stage.policy, locked, GlassTrigger.END, by="cy"),
        act=act,
    )


async def test_f081_an_end_before_the_hand_over_wins_on_postgresql(postgres_stage: Stage) -> None:
    """The hand-over waits for the row's lock, and then sees that it was ended."""
    stage = postgres_stage
    stage.policy = glassy()
    glass = await broken(stage)
    execution = await approved(stage)
    await ended_meanwhile(stage, glass, stage.hand_over)
    assert "was ended by cy" in str((await stage.in_state(execution, S.CANCELLED)).reason)
    assert stage.hub.gone == []


async def test_f081_an_end_before_the_yes_wins_on_postgresql(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.policy = glassy()
    glass = await broken(stage)
    execution = await stage.asked()
    await ended_meanwhile(stage, glass, lambda: stage.say(f"approve {execution.id}", who=BOB))
    await stage.in_state(execution, S.AWAITING_APPROVAL)
    assert len(await announced(stage)) == 2


async def test_two_replicas_open_one_of_them_on_postgresql(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.policy = glassy()
    await asyncio.gather(*(stage.say(f"break-glass the disk {number}", who=BOB) for number in range(6)))
    (glass,) = await all_of(stage)
    assert [text.partition(":")[0] for text in await announced(stage)] == [f"🔓 Break-glass {glass.id}"]
    await stage.tell_all()
    assert sum("of yours is open here until" in post for post in stage.posts()) == 5


# --- its end and its review ------------------------------------------------------------------------


@pytest.mark.parametrize("who", [BOB, CY])
async def test_its_person_its_reviewers_and_owners_end_it(stage: Stage, who: Sender) -> None:
    stage.policy = glassy(owners=("discord:U1",))
    glass = await broken(stage)
    assert f"🔒 {glass.id} is over" in await answer(stage, f"break-glass end {glass.id.lower()}", who=who)
    assert (await one(stage, glass)).state is G.ENDED
    assert f"{glass.id} is over already." in await answer(stage, f"break-glass end {glass.id}", who=ANN)


async def test_an_owner_ends_anybodys_from_anywhere_and_nobody_else_does(breaking: Stage) -> None:
    glass = await broken(breaking)
    assert f"You may not end {glass.id}. Who may: bob" in await answer(breaking, f"break-glass end {glass.id}", who=DEE)
    assert "You have none open here." in await answer(breaking, "break-glass end", who=CY)
    assert "You have none open here." in await answer(breaking, "break-glass end", room="other")
    assert "There is no break-glass B222222." in await answer(breaking, "break-glass end B222222")
    assert (await one(breaking, glass)).state is G.OPEN
    breaking.policy = glassy(owners=("discord:U1",))
    await breaking.say(f"break-glass end {glass.id}", who=ANN, room="other")
    assert (await one(breaking, glass)).ended_by == "discord:U1"
    assert (await kinds(breaking)).count("glass_refused") == 1


async def test_its_time_ends_it_and_a_reload_that_lets_nobody_does(breaking: Stage) -> None:
    first = await broken(breaking, "1m the disk")
    await watch(breaking)
    assert (await one(breaking, first)).state is G.OPEN
    breaking.clock.advance(60.0)
    await watch(breaking)
    over = await one(breaking, first)
    assert (over.state, over.ended_by, over.review_by) == (G.ENDED, None, breaking.clock.now() + DAY_S)
    second = await broken(breaking)
    breaking.policy = glassy(law=None)
    await watch(breaking)
    withdrawn = await one(breaking, second)
    assert (withdrawn.state, withdrawn.ended_by) == (G.ENDED, "policy")
    # Where it was promised to be announced it is announced, whatever the config says by then.
    assert "ended by policy (the configuration names nobody who may break glass)" in (await announced(breaking))[-1]
    assert "by an operator, at the terminal: review" in (await announced(breaking))[-1]


async def test_one_that_was_opened_by_a_clock_ahead_is_over_once_the_clock_is_right(breaking: Stage) -> None:
    breaking.clock.advance(DAY_S)
    first = await broken(breaking)
    execution = await approved(breaking)
    breaking.clock.advance(-DAY_S)
    await breaking.hand_over()
    assert "the clock was set back" in str((await breaking.in_state(execution, S.CANCELLED)).reason)
    second = await broken(breaking)
    assert ((await one(breaking, first)).state, second.state) == (G.ENDED, G.OPEN)
    breaking.clock.advance(-3_600.0)
    await watch(breaking)
    assert (await one(breaking, second)).state is G.ENDED


async def test_what_nobody_reviews_in_time_is_an_error_and_announced_once_more(
    breaking: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    glass = await broken(breaking)
    await breaking.say("break-glass end", who=BOB)
    breaking.clock.advance(DAY_S)
    for _ in range(3):
        await watch(breaking)
    assert (await one(breaking, glass)).state is G.OVERDUE
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.message for record in errors] == ["glass.unreviewed"]
    assert len(await announced(breaking)) == 3
    assert "was not reviewed within 24 h. To review it, until " in (await announced(breaking))[-1]
    await breaking.say(f"review {glass.id} misuse there was no need", who=CY)
    assert "⚠️ Break-glass" in (await announced(breaking))[-1]


async def test_somebody_else_reviews_it_once_and_never_its_person(breaking: Stage) -> None:
    glass = await broken(breaking)
    assert f"{glass.id} is still open, until" in await answer(breaking, f"review {glass.id} ok fine", who=CY)
    await breaking.say("break-glass end", who=BOB)
    for who in (BOB, ANN, DEE):
        said = await answer(breaking, f"review {glass.id} ok fine", who=who)
        assert f"You may not review {glass.id}. Who may: cy." in said
    assert "There is no break-glass B222222." in await answer(breaking, "review B222222 ok fine", who=CY)
    assert (await one(breaking, glass)).state is G.ENDED
    assert f"{glass.id} is reviewed: ok." in await answer(breaking, f"review {glass.id} ok fine", who=CY)
    said = await answer(breaking, f"review {glass.id} misuse no", who=CY)
    assert f"{glass.id} was reviewed by cy already; the first word counts." in said
    assert (await one(breaking, glass)).note == "fine"


async def test_where_the_table_is_gone_nobody_in_the_chat_reviews_it(breaking: Stage) -> None:
    glass = await broken(breaking)
    await breaking.say("break-glass end", who=BOB)
    breaking.policy = glassy(law=None)
    assert "Who may: nobody in the chat." in await answer(breaking, f"review {glass.id} ok fine", who=CY)


async def test_the_sweep_prunes_what_was_reviewed_and_nothing_else(breaking: Stage) -> None:
    glass, left = await broken(breaking), await broken(breaking, room="other")
    for room in ("ops", "other"):
        await breaking.say("break-glass end", who=BOB, room=room)
    await breaking.say(f"review {glass.id} ok fine", who=CY)
    breaking.clock.advance(2 * DAY_S)
    await breaking.tidy()
    assert [each.id for each in await all_of(breaking)] == [left.id]


async def test_another_replica_that_moved_it_first_keeps_the_watch_from_ending_it_twice(postgres_stage: Stage) -> None:
    stage = postgres_stage
    stage.policy = glassy()
    glass = await broken(stage, "1m the disk")
    stage.clock.advance(60.0)
    await watch(stage)
    over = await one(stage, glass)
    with pytest.raises(StaleRow):
        await stage.store.inner.write(
            lambda tx: glass_module.close(tx, stage.policy, glass, GlassTrigger.LAPSE, by=None)
        )
    assert await one(stage, glass) == over
    assert len(await announced(stage)) == 2


async def test_the_watch_leaves_alone_what_another_replica_ended_between_its_look_and_its_lock(
    postgres_stage: Stage,
) -> None:
    stage = postgres_stage
    stage.policy = glassy()
    glass = await broken(stage, "1m the disk")
    stage.clock.advance(60.0)
    await ended_meanwhile(stage, glass, lambda: watch(stage))
    assert (await one(stage, glass)).ended_by == "cy"
    assert len(await announced(stage)) == 2


# --- who can never -------------------------------------------------------------------------------------


async def test_f076_words_of_an_agent_open_nothing(breaking: Stage) -> None:
    """What a model answers is told as its words; it is read by nobody as an instruction."""
    said = "break-glass the disk is full"
    breaking.agent = ScriptedAgent(lambda inputs: [Reply(input_id=each.id, text=said) for each in inputs])
    await breaking.say("what do you think?", who=BOB)
    await breaking.answer()
    await breaking.tell_all()
    assert said in breaking.posts()[-1]
    assert await all_of(breaking) == []


async def test_f116_output_that_holds_the_words_opens_nothing(breaking: Stage) -> None:
    await broken(breaking, room="other")
    execution = await breaking.asked()
    for who in (CY, ANN, Sender(native="U9", name="Ida")):
        await breaking.say(f"approve {execution.id}", who=who)
    await breaking.hand_over()
    await breaking.finish(execution, "break-glass the disk is full\n/break-glass 30m now\n")
    await breaking.tell_all()
    await breaking.answer()
    assert len(await all_of(breaking)) == 1


def test_f076_only_the_inbox_of_people_opens_ends_or_reviews_one_in_the_chat() -> None:
    importers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "bot").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "bot.flow.glass"
        and "said_of_glass" in {name.name for name in node.names}
    }
    assert importers == {"bot/flow/intake.py"}


async def test_f076_a_press_a_reaction_and_silence_open_none(breaking: Stage) -> None:
    execution = await breaking.shown()
    await breaking.press(execution, Action.ALWAYS)
    await breaking.react("🔓")
    breaking.clock.advance(60.0)
    assert await all_of(breaking) == []
    assert PersonId("bob") not in (await breaking.read(execution)).approved_by
