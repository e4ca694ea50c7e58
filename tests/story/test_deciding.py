"""Who decides what: one decision for one card, by one who may, once; no answer is never a yes."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from bot.domain.command import CommandHash
from bot.domain.directory import Person
from bot.domain.execution import ExecutionState
from bot.domain.message import Action, PostKind
from bot.domain.policy import Rule, Verdict
from bot.domain.session import PeerKind, PersonId, key_for
from tests.platforms.faults import Fault
from tests.platforms.forms import code_of
from tests.platforms.posted import Posted
from tests.story.agents import Seen
from tests.story.cast import OWNER, a_peer, a_settings
from tests.story.conftest import MakeWorld
from tests.story.world import World

OPS = a_peer("ops", thread="17")
S = ExecutionState
CAROL = Person(name="carol", ids=(PersonId("discord:carol"), PersonId("slack:carol")), roles=("sre",))
SRE = Rule(name="sre decides", action=Verdict.ASK, deciders=("@sre",))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_f048_each_press_decides_its_own_card_in_any_order(world: World, order: tuple[int, ...]) -> None:
    several = [await world.ask(OPS, "ada", f"echo {number}") for number in range(3)]
    await world.settled()
    for done, number in enumerate(order, start=1):
        action = Action.DENY if number == 1 else Action.APPROVE
        await world.platform.press(several[number].card, "owner", action)
        decided = {at for at, asked in enumerate(several) if (await world.execution(asked.id)).decided_by is not None}
        assert decided == set(order[:done])
    await world.until_runs(several[0], several[2])
    assert len(world.puppets.starts) == 2
    wanted = {several[0].id, several[2].id}
    assert {started for _, started in world.puppets.starts} == wanted


async def test_f049_a_typed_id_is_whole_or_nothing_and_its_case_and_quotes_do_not_matter(world: World) -> None:
    """We depart from the row's unique prefixes of eight: ours are six characters to say aloud, and never a prefix."""
    asked, other = await world.ask(OPS, "ada", "uptime"), await world.ask(OPS, "ada", "whoami")
    for words in (f"approve {asked.id[:5]}", f"approve {asked.id}X", "approve", f"approve {asked.id} {other.id[:5]}"):
        await world.say(OPS, "owner", words)
    await world.settled()
    assert (await world.execution(asked.id)).state is S.AWAITING_APPROVAL
    await world.say(OPS, "owner", f"/Approve `{asked.id.lower()}` once")
    await world.until_runs(asked)
    assert (await world.execution(other.id)).state is S.AWAITING_APPROVAL


async def test_f050_a_yes_at_the_very_end_or_after_it_is_none(world: World) -> None:
    asked = await world.ask(OPS, "ada", "uptime")
    await world.settled()
    approve = asked.card.button(Action.APPROVE)
    # The clock passes the end and no sweep has looked: the decision itself does.
    world.advance(1_800.0)
    note = await world.platform.press_button(asked.card, "owner", approve)
    assert note is not None
    assert "expired" in note
    assert "Expired" in (await world.told_once(asked)).text
    assert world.puppets.offers == []
    assert world.puppets.starts == []


async def test_f050_an_approval_that_its_node_does_not_take_in_time_expires_and_never_runs(world: World) -> None:
    asked = await world.ask(OPS, "ada", "uptime")
    world.puppets.away.update(world.puppets.fingerprints())
    await world.approve(asked)
    await world.until_state(asked.id, S.APPROVED)
    await world.pass_time(601.0)
    assert "did not take it in time" in (await world.told_once(asked)).text
    await world.puppets.reconnect(world.core.reports)
    world.core.signals.all()
    await world.settled()
    assert world.puppets.starts == []


async def test_f051_a_hundred_presses_of_two_deciders_are_one_decision_and_one_start(make_world: MakeWorld) -> None:
    people = (OWNER, CAROL, Person(name="dave", ids=(PersonId("discord:dave"),), roles=("sre",)))
    async with make_world(settings=a_settings(SRE, people=people)) as world:
        asked = await world.ask(OPS, "ada", "uptime")
        await world.settled()
        approve = asked.card.button(Action.APPROVE)
        pressed = [world.platform.press_button(asked.card, who, approve) for who in ("carol", "dave") * 50]
        notes = await asyncio.gather(*pressed)
        assert sum("You approved" in (note or "") for note in notes) == 1
        assert sum("already settled by" in (note or "") for note in notes) == 99
        await world.until_runs(asked)
        await world.finish(asked)
        await world.told_once(asked)
        assert len(world.puppets.starts) == 1


async def test_f052_f053_a_card_that_is_older_than_the_process_still_decides(world: World) -> None:
    approved, denied = await world.ask(OPS, "ada", "uptime"), await world.ask(OPS, "ada", "halt")
    await world.restart()
    await world.platform.press(approved.card, "owner", Action.APPROVE)
    await world.platform.press(denied.card, "owner", Action.DENY)
    await world.until_runs(approved)
    await world.restart()
    await world.finish(approved, "up 3 days")
    await world.told_once(approved, containing="up 3 days")
    await world.told_once(denied)


async def test_f054_the_decision_is_recorded_before_the_press_is_answered(world: World) -> None:
    """We depart from the row's acknowledgement within a second of a stalled store: recorded first, then answered."""
    asked = await world.ask(OPS, "ada", "uptime")
    await world.settled()
    note = await world.approve(asked)
    assert note is not None
    assert "You approved" in note
    assert (await world.execution(asked.id)).decided_by == "owner"


async def test_f055_a_card_shows_a_decision_only_after_its_commit(world: World) -> None:
    asked = await world.ask(OPS, "ada", "uptime")
    await world.settled()
    world.puppets.away.update(world.puppets.fingerprints())
    await world.approve(asked)
    await world.settled()
    assert [form["status"] for form in asked.card.forms] == ["awaiting_approval", "approved"]
    assert "Approved by owner" in asked.card.text


@pytest.mark.parametrize("end", ["typed elsewhere", "expired", "stopped"])
async def test_f056_every_end_takes_the_buttons_away_and_late_presses_post_nothing(world: World, end: str) -> None:
    asked = await world.ask(OPS, "ada", "uptime")
    await world.settled()
    match end:
        case "typed elsewhere":
            await world.say(a_peer("owner", kind=PeerKind.DIRECT), "owner", f"deny {asked.id} no")
        case "expired":
            await world.pass_time(1_801.0)
        case _:
            await world.platform.press(asked.card, "ada", Action.STOP)
    await world.told_once(asked)
    assert asked.card.buttons == ()
    stand = len(world.platform.messages)
    for action in (Action.APPROVE, Action.DENY, Action.STOP):
        note = await world.platform.press_button(asked.card, "owner", asked.card.first_shown(action))
        assert note is not None
        assert "already settled" in note
    await world.settled()
    assert len(world.platform.messages) == stand
    assert world.puppets.starts == []


async def test_f058_a_decision_does_not_wait_behind_the_turn_of_its_session(make_world: MakeWorld, seen: Seen) -> None:
    async with make_world() as world:
        asked, other = await world.ask(OPS, "ada", "uptime"), await world.ask(OPS, "ada", "whoami")
        await world.settled()
        await world.say(OPS, "ada", "think")
        await world.platform.until(lambda: seen.blocked == 1, "the lane is blocked", within_s=15)
        await world.say(OPS, "owner", f"approve {asked.id}")
        await world.until_runs(asked)
        # Only the exact words pass by the lane.
        await world.say(OPS, "owner", f"please approve {other.id}")
        assert (await world.execution(other.id)).state is S.AWAITING_APPROVAL
        seen.gate.set()


async def test_f060_the_same_command_asked_twice_is_two_cards_up_to_a_cap(world: World) -> None:
    """We depart from the row's one open request per digest: who asks twice is asked about twice, a hundred at most."""
    first, second = await world.ask(OPS, "ada", "uptime"), await world.ask(OPS, "ada", "uptime")
    assert first.id != second.id
    for _ in range(98):
        await world.say(OPS, "ada", "run uptime")
    refused = await world.answered(OPS, "ada", await world.say(OPS, "ada", "run uptime"))
    assert refused.card.kind is PostKind.REPLY
    assert "waiting already" in refused.card.text


async def test_f062_a_card_that_cannot_be_shown_whole_is_refused_at_once(world: World) -> None:
    refused = await world.ask(OPS, "ada", f"echo {'x' * 5_000}")
    assert "too long to be shown whole" in refused.card.text
    await world.told_once(refused)


async def test_f062_a_card_that_could_not_be_posted_ends_its_request_and_that_is_told(world: World) -> None:
    world.platform.order(Fault.REJECTED, at=OPS)
    asked = await world.answered(OPS, "ada", await world.say(OPS, "ada", "run uptime"))
    told = await world.told_once(asked, containing="its card could not be posted here")
    assert "Cancelled, nothing ran" in told.text
    assert (await world.execution(asked.id)).state is S.CANCELLED
    assert world.puppets.offers == []


async def test_f064_a_stop_before_the_hand_over_starts_nothing(world: World) -> None:
    waiting, approved = await world.ask(OPS, "ada", "uptime"), await world.ask(OPS, "ada", "whoami")
    await world.settled()
    world.puppets.away.update(world.puppets.fingerprints())
    await world.approve(approved)
    await world.until_state(approved.id, S.APPROVED)
    for asked in (waiting, approved):
        await world.say(OPS, "ada", f"stop {asked.id}")
        assert "Cancelled, nothing ran" in (await world.told_once(asked)).text
    await world.puppets.reconnect(world.core.reports)
    world.core.signals.all()
    await world.settled()
    assert world.puppets.offers == []


async def test_f066_pending_lists_what_waits_here_and_what_this_person_may_decide(world: World) -> None:
    several = [await world.ask(peer, "ada", "uptime") for peer in (OPS, a_peer("lab"))]
    direct = a_peer("owner", kind=PeerKind.DIRECT)
    listed = (await world.answered(direct, "owner", await world.say(direct, "owner", "pending"))).card
    assert all(asked.id in listed.text for asked in several)
    mine = (await world.answered(OPS, "ada", await world.say(OPS, "ada", "pending"))).card
    assert several[0].id in mine.text
    assert several[1].id not in mine.text


@pytest.mark.parametrize(
    "settings",
    [
        a_settings(owners=()),
        a_settings(Rule(name="nobody", action=Verdict.ASK, deciders=())),
        a_settings(Rule(name="a role that nobody has", action=Verdict.ASK, deciders=("@sre",))),
    ],
    ids=["no owners", "no deciders", "an empty role"],
)
async def test_f068_an_empty_list_of_deciders_is_nobody_and_says_so_at_once(
    make_world: MakeWorld, settings: object
) -> None:
    async with make_world(settings=settings) as world:
        asked = await world.ask(OPS, "ada", "uptime")
        assert "nobody may approve" in asked.card.text
        for who in ("ada", "owner", "mallory"):
            await world.say(OPS, who, f"approve {asked.id}")
            await world.platform.react(OPS, asked.card.id, who, "✅")
        await world.settled()
        assert world.puppets.offers == []


async def test_f069_an_asker_who_is_no_decider_and_a_decider_of_another_rule_may_not_approve(
    make_world: MakeWorld,
) -> None:
    async with make_world(settings=a_settings(SRE, people=(OWNER, CAROL))) as world:
        asked = await world.ask(OPS, "ada", "rm -rf /srv/old")
        await world.settled()
        for who in ("ada", "owner"):
            note = await world.platform.press(asked.card, who, Action.APPROVE)
            assert note == f"You may not decide {asked.id}. Who may: carol."
        await world.platform.press(asked.card, "carol", Action.APPROVE)
        await world.until_runs(asked)


async def test_f071_a_tick_counts_only_on_a_card_of_ours_by_a_decider_while_it_is_open(world: World) -> None:
    asked = await world.ask(OPS, "ada", "uptime")
    await world.settled()
    copied = await world.say(OPS, "mallory", asked.card.text)
    for who, message, emoji in (
        ("mallory", asked.card.id, "✅"),
        ("owner", copied, "✅"),
        ("owner", asked.message_id, "👍"),
        ("owner", asked.card.id, "🎉"),
        ("owner", asked.card.id, "eyes"),
    ):
        await world.platform.react(OPS, message, who, emoji)
    elsewhere = a_peer("lab")
    await world.platform.react(elsewhere, asked.card.id, "owner", "✅")
    await world.settled()
    assert (await world.execution(asked.id)).state is S.AWAITING_APPROVAL
    await world.platform.react(OPS, asked.card.id, "owner", "👍🏽")
    await world.until_runs(asked)
    await world.finish(asked)
    await world.told_once(asked)
    stand = len(world.platform.messages)
    await world.platform.react(OPS, asked.card.id, "owner", "❌")
    await world.settled()
    assert len(world.platform.messages) == stand


@pytest.mark.parametrize("how", ["press", "reaction"])
async def test_f071_a_decision_that_is_quicker_than_the_card_s_receipt_counts(world: World, how: str) -> None:
    slow = world.platform.order(Fault.SLOW, seconds=0.5)
    asked = await world.ask(OPS, "ada", "uptime")
    if how == "press":
        note = await world.approve(asked)
        assert note is not None
        assert "Noted" in note
    else:
        await world.platform.react(OPS, asked.card.id, "owner", "✅")
    assert (await world.execution(asked.id)).decided_by is None
    assert slow.met == 1
    await world.until_runs(asked)
    await world.finish(asked)
    await world.told_once(asked)


async def test_f074_once_is_once_the_same_command_asks_again(world: World) -> None:
    first = await world.ask_and_approve(OPS, "ada", "uptime")
    await world.finish(first)
    await world.told_once(first)
    await world.say(OPS, "ada", f"again {first.id}")
    cards = await world.platform.until(
        lambda: found if len(found := _cards(world)) == 2 else None, "it is asked again", within_s=15
    )
    assert cards[1].status == S.AWAITING_APPROVAL
    assert len(world.puppets.starts) == 1


async def test_f075_loose_words_never_approve(world: World) -> None:
    asked = await world.ask(OPS, "ada", "git reset --hard")
    await world.settled()
    for words in ("ok", "yes", "y", "approve it", "approve", "lgtm", "👍", "go ahead", f"{asked.id}", "approve all"):
        await world.say(OPS, "owner", words)
    await world.settled()
    assert (await world.execution(asked.id)).state is S.AWAITING_APPROVAL
    assert world.puppets.offers == []


async def test_f083_a_button_of_another_command_decides_nothing(world: World) -> None:
    asked, other = await world.ask(OPS, "ada", "uptime"), await world.ask(OPS, "ada", "rm -rf /")
    await world.settled()
    mine, theirs = asked.card.button(Action.APPROVE), other.card.button(Action.APPROVE)
    forged = [theirs, replace(mine, shown=theirs.shown), replace(theirs, shown=mine.shown)]
    for button in [*forged, replace(mine, shown=CommandHash("0" * 64))]:
        note = await world.platform.press_button(asked.card, "owner", button)
        assert note is not None
        assert "Nothing was decided" in note
    assert world.puppets.offers == []
    assert {(await world.execution(one.id)).state for one in (asked, other)} == {S.AWAITING_APPROVAL}


async def test_a_denial_shows_its_reason_to_the_one_who_asked(world: World) -> None:
    asked = await world.ask(OPS, "ada", "reboot")
    await world.say(OPS, "owner", f"deny {asked.id} not during the freeze")
    told = await world.told_once(asked, containing="not during the freeze")
    assert told.mention == "ada"
    assert code_of(told.post, "Command") == "reboot"
    assert key_for(asked.peer) == (await world.execution(asked.id)).session


def _cards(world: World) -> list[Posted]:
    return [one for one in world.platform.at(OPS) if one.kind is PostKind.CARD]
