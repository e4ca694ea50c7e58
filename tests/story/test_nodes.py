"""Nodes that vanish, lie, come back late, are revoked or made anew: at most one start, and every end is told."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain.execution import ExecutionState
from bot.domain.message import Action, PostKind
from bot.domain.node import Known
from bot.domain.policy import Rule, Verdict
from bot.flow.dispatch import Dispatch
from tests.platforms.posted import Posted
from tests.story.cast import a_peer, a_settings
from tests.story.conftest import MakeWorld
from tests.story.puppet import Puppets, a_result, fingerprint_of
from tests.story.world import World

OPS = a_peer("ops", thread="17")
S = ExecutionState
TWO = ("web-1", "web-2")


async def test_f078_reports_that_are_not_this_node_s_to_make_change_nothing(make_world: MakeWorld) -> None:
    async with make_world(puppets=Puppets(names=TWO)) as world:
        running = await world.ask_and_approve(OPS, "ada", "on web-1: uptime")
        waiting = await world.ask(OPS, "ada", "on web-1: whoami")
        await world.settled()
        other, own, now = fingerprint_of("web-2"), fingerprint_of("web-1"), world.clock.now()
        reports = world.core.reports
        await reports.finished(other, running.id, a_result("forged"), now, now)
        await reports.started(other, waiting.id, now)
        await reports.progress(other, running.id, "forged tail")
        await reports.refused(other, running.id, "forged")
        await reports.not_known(other, running.id, "forged")
        # Its own node, for what nobody approved or nobody ever asked for.
        await reports.finished(own, waiting.id, a_result("forged"), now, now)
        await reports.started(own, waiting.id, now)
        await reports.finished(own, type(waiting.id)("AAAAAA"), a_result("forged"), now, now)
        await world.settled()
        assert (await world.execution(waiting.id)).state is S.AWAITING_APPROVAL
        assert (await world.execution(running.id)).state in {S.DISPATCHED, S.RUNNING}
        assert not any("forged" in one.text for one in world.platform.by_bot())
        await world.finish(running, "up 3 days")
        await world.told_once(running, containing="up 3 days")


async def test_f088_a_go_that_was_lost_is_never_sent_again_and_told_as_never_started(world: World) -> None:
    asked = await world.ask(OPS, "ada", "deploy")
    world.puppets.go_is_lost = True
    await world.approve(asked)
    await world.until_state(asked.id, S.DISPATCHED)
    world.core.signals.all()
    await world.look()
    await world.puppets.reconnect(world.core.reports)
    told = await world.told_once(asked, containing="nothing ran")
    assert "never started and never will" in told.text
    await world.restart()
    await world.told_once(asked)
    assert world.puppets.starts == []
    assert world.puppets.offers == [asked.id]


async def test_f088_a_gateway_that_dies_between_the_commit_and_the_go_starts_nothing(world: World) -> None:
    """The row says dispatched, the process that could have sent `go` is gone: nothing hands it over again."""
    asked = await world.ask(OPS, "ada", "deploy")
    world.puppets.go_is_lost = True
    await world.approve(asked)
    await world.until_state(asked.id, S.DISPATCHED)
    world.puppets.go_is_lost = False
    await world.restart()
    await world.told_once(asked, containing="nothing ran")
    assert world.puppets.starts == []


async def test_f090_a_node_that_is_away_is_said_at_once_and_a_late_result_is_still_told(world: World) -> None:
    running = await world.ask_and_approve(OPS, "ada", "deploy")
    world.puppets.away.update(world.puppets.fingerprints())
    refused = await world.ask(OPS, "ada", "uptime")
    assert "not connected" in refused.card.text
    await world.pass_time(700.0)
    assert "Not known whether it ran" in (await world.told_once(running)).text
    # A late start is shown, a late result told; and the loss is not told twice.
    node, now = fingerprint_of("web-1"), world.clock.now()
    await world.core.reports.started(node, running.id, now)
    assert (await world.execution(running.id)).state is S.RUNNING
    await world.finish(running, "deployed")
    await world.wait_told(running, containing="deployed")
    await world.settled()
    assert [one.kind for one in world.told(running)] == [PostKind.NOTICE, PostKind.RESULT]
    assert len(world.puppets.starts) == 1


async def test_a_gateway_that_has_just_started_waits_a_moment_for_its_nodes(make_world: MakeWorld) -> None:
    """A node needs a second or two to come back; who asks in that moment is not sent away."""
    async with make_world(settings=a_settings(settling_s=3_600.0)) as world:
        nodes = world.puppets.fingerprints()
        world.puppets.away.update(nodes)
        asked = asyncio.create_task(world.ask(OPS, "ada", "uptime"))
        async with asyncio.timeout(10.0):
            while not await world.store.read(lambda tx: tx.executions.in_states({S.PREPARING, S.REFUSED})):
                await asyncio.sleep(0.01)
        world.puppets.away.clear()

        assert "Approval needed" in (await asked).card.text


async def test_a_node_that_died_with_the_command_is_told_as_not_known_and_not_run_again(world: World) -> None:
    asked = await world.ask_and_approve(OPS, "ada", "deploy")
    await world.core.reports.not_known(fingerprint_of("web-1"), asked.id, "the node was restarted while it ran")
    told = await world.told_once(asked, containing="restarted while it ran")
    assert "Look on the node before you run it again" in told.text
    again = await world.platform.press(told, "ada", Action.AGAIN)
    assert again is None
    cards = await world.platform.until(
        lambda: (
            found if len(found := [one for one in world.platform.at(OPS) if one.kind is PostKind.CARD]) == 2 else ()
        ),
        "it is asked anew",
        within_s=15,
    )
    assert cards[1].status == S.AWAITING_APPROVAL
    assert len(world.puppets.starts) == 1


async def test_a_revoked_node_cuts_off_what_waits_for_it_and_loses_what_it_has(world: World) -> None:
    running, waiting = await world.ask_and_approve(OPS, "ada", "deploy"), await world.ask(OPS, "ada", "uptime")
    node = fingerprint_of("web-1")
    await world.store.write(lambda tx: tx.nodes.revoke(node))
    world.puppets.away.add(node)
    await world.pass_time(1.0)
    assert "Not known" in (await world.told_once(running, containing="was revoked")).text
    assert "Cancelled" in (await world.told_once(waiting, containing="was revoked")).text
    await world.platform.press_button(waiting.card, "owner", waiting.card.first_shown(Action.APPROVE))
    assert len(world.puppets.starts) == 1


async def test_a_node_that_was_revoked_after_the_approval_is_handed_nothing(world: World) -> None:
    asked = await world.ask(OPS, "ada", "deploy")
    world.puppets.away.update(world.puppets.fingerprints())
    await world.approve(asked)
    await world.until_state(asked.id, S.APPROVED)
    node = fingerprint_of("web-1")
    # Revoked between the look that found it and the transaction that would hand it over.
    await world.store.write(lambda tx: tx.nodes.revoke(node))
    world.puppets.away.clear()
    world.core.signals.all()
    await world.told_once(asked, containing="was revoked")
    assert world.puppets.starts == []


async def test_a_machine_with_a_new_key_is_a_new_node_and_inherits_nothing(world: World) -> None:
    approved, running = await world.ask(OPS, "ada", "deploy"), await world.ask_and_approve(OPS, "ada", "backup")
    old, new = fingerprint_of("web-1"), fingerprint_of("web-1, set up anew")
    world.puppets.away.add(old)
    await world.approve(approved)
    await world.until_state(approved.id, S.APPROVED)
    await world.store.write(lambda tx: tx.nodes.revoke(old))
    world.puppets.names = ("web-1, set up anew",)
    await world.pair(new, "web-1")
    await world.pass_time(1.0)
    await world.told_once(approved, containing="Cancelled, nothing ran")
    await world.told_once(running, containing="was revoked")
    now = world.clock.now()
    await world.core.reports.finished(new, running.id, a_result("not mine"), now, now)
    fresh = await world.ask_and_approve(OPS, "ada", "uptime")
    assert world.puppets.starts == [(old, running.id), (new, fresh.id)]
    await world.told_once(running)


async def test_paused_hands_nothing_over_still_tells_results_and_resumed_goes_on(world: World) -> None:
    running = await world.ask_and_approve(OPS, "ada", "deploy")
    await world.say(OPS, "mallory", "pause")
    await world.say(OPS, "owner", "pause the disk is full")
    waiting = await world.ask(OPS, "ada", "uptime")
    await world.approve(waiting)
    await world.finish(running, "deployed")
    await world.told_once(running, containing="deployed")
    await world.restart()
    await world.until_state(waiting.id, S.APPROVED)
    await world.dispatch_once()
    assert [started for _, started in world.puppets.starts] == [running.id]
    await world.say(OPS, "owner", "resume")
    await world.until_runs(waiting)
    await world.finish(waiting, "up 3 days")
    await world.told_once(waiting, containing="up 3 days")


async def test_a_policy_that_changed_after_the_approval_withdraws_it(make_world: MakeWorld) -> None:
    async with make_world() as world:
        asked = await world.ask(OPS, "ada", "deploy")
        world.puppets.away.update(world.puppets.fingerprints())
        await world.approve(asked)
        await world.until_state(asked.id, S.APPROVED)
        world.settings = a_settings(Rule(name="others decide now", action=Verdict.ASK, deciders=("discord:carol",)))
        await world.restart()
        world.puppets.away.clear()
        world.core.signals.all()
        await world.told_once(asked, containing="may not decide it any more")
        assert world.puppets.starts == []


@pytest.mark.parametrize("already_started", [False, True])
async def test_what_a_node_refuses_is_told_with_its_reason_and_runs_nothing(
    world: World, already_started: bool
) -> None:
    asked = await world.ask(OPS, "ada", "deploy")
    if already_started:
        world.puppets.journal[asked.id] = Known.FINISHED
    else:
        world.puppets.refuses = "the script has changed since it was inspected"
    await world.approve(asked)
    told = await world.told_once(asked, containing="started here before" if already_started else "has changed")
    assert ("Not known whether it ran" in told.text) == already_started
    assert world.puppets.starts == []


async def test_a_stop_is_sent_until_the_node_answers_and_its_output_until_then_is_told(world: World) -> None:
    asked = await world.ask_and_approve(OPS, "ada", "tail -f log")
    await world.core.reports.started(fingerprint_of("web-1"), asked.id, world.clock.now())
    world.puppets.away.update(world.puppets.fingerprints())
    await world.say(OPS, "ada", f"stop {asked.id}")
    await world.settled()
    await world.restart()
    assert world.puppets.stops == []
    world.puppets.away.clear()
    world.core.signals.all()
    await world.platform.until(lambda: asked.id in world.puppets.stops, "the stop arrives", within_s=15)
    await world.finish(asked, "the log until then")
    await world.told_once(asked, containing="the log until then")


async def test_the_live_tail_is_shown_on_the_card_and_nowhere_else(world: World) -> None:
    asked = await world.ask_and_approve(OPS, "ada", "make")
    node = fingerprint_of("web-1")
    await world.core.reports.started(node, asked.id, world.clock.now())
    for number in range(5):
        await world.core.reports.progress(node, asked.id, f"step {number} of 5")
    await world.settled()
    assert "step 4 of 5" in asked.card.text
    assert world.told(asked) == []
    await world.finish(asked, "all made")
    await world.told_once(asked, containing="all made")
    assert "step" not in asked.card.text


async def test_two_processes_that_hand_over_the_same_rows_start_nothing_twice_and_every_end_is_told(
    world: World,
) -> None:
    """The commit of `dispatched` lets one of them through; a `go` for an offer that was repeated starts nothing."""
    several = [await world.ask(OPS, "ada", f"echo {number}") for number in range(5)]
    await world.settled()
    second = Dispatch(world.store, world.hub, world.core.policies, world.core.signals)
    for asked in several:
        await world.approve(asked)
        await second.step()
    for asked in several:
        await world.until_state(asked.id, S.DISPATCHED)
    await second.tasks.drain()
    started = [execution_id for _, execution_id in world.puppets.starts]
    assert len(started) == len(set(started))
    for execution_id in started:
        await world.finish(execution_id, f"<{execution_id}>")
    await world.puppets.reconnect(world.core.reports)
    for asked in several:
        await world.told_once(asked, containing=f"<{asked.id}>" if asked.id in started else "nothing ran")


def _cards(world: World) -> list[Posted]:
    return [one for one in world.platform.at(OPS) if one.kind is PostKind.CARD]
