"""What goes wrong between finished and told: outages, lost answers, poison, replays. Nothing is lost or doubled.

Deliberately absent: a kill of the process, which `tests/chaos` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.domain.event import EventState, EventTrigger
from bot.domain.execution import ExecutionState
from bot.domain.message import Capabilities, PostKind
from bot.domain.retry import MAX_ATTEMPTS
from bot.domain.session import Peer
from tests.platforms.faults import Fault
from tests.platforms.forms import code_of
from tests.platforms.posted import place_of
from tests.story.cast import a_peer
from tests.story.conftest import MakeWorld
from tests.story.world import Asked, World

HERE, THERE = a_peer("here", thread="1"), a_peer("there")


async def a_running_one(world: World, peer: Peer = HERE, command: str = "uptime") -> Asked:
    """It runs, and everything before is told: the next post is its result."""
    asked = await world.ask_and_approve(peer, "ada", command)
    await world.settled()
    return asked


async def test_f024_f042_f044_one_dead_place_blocks_no_other_and_ends_dead_and_visible(world: World) -> None:
    """We depart from F-042: what is too old is not told late as if it were new, it is dead, seen and told on demand."""
    dead, well = await a_running_one(world), await a_running_one(world, THERE)
    away = world.platform.order(Fault.UNAVAILABLE, times=float("inf"), at=HERE)
    await world.finish(dead, "never came")
    await world.finish(well, "all is well")
    await world.told_once_besides(well, HERE, containing="all is well")
    for _ in range(MAX_ATTEMPTS + 1):
        await world.pass_time(400.0)
    buried = await world.until_event(EventState.DEAD)
    assert buried.attempt == away.met == MAX_ATTEMPTS
    assert "ChannelUnavailable" in (buried.trouble or "")
    await world.pass_time(400.0)
    assert away.met == MAX_ATTEMPTS
    # What comes later at that address is not blocked by the dead one.
    away.lift()
    later = await a_running_one(world)
    await world.finish(later, "later")
    await world.told_once(later, containing="later")
    assert world.told(dead) == []
    # And an operator's word tells it after all.
    await world.store.write(lambda tx: tx.events.move(buried, EventTrigger.RETELL, token=None))
    await world.pass_time(1.0)
    await world.told_once(dead, containing="never came")


async def test_f035_a_result_that_was_told_is_never_told_again(world: World) -> None:
    asked = await a_running_one(world)
    await world.finish(asked, "once")
    await world.told_once(asked)
    for _ in range(3):
        await world.restart()
        await world.pass_time(3_600.0)
    await world.told_once(asked)


async def test_f036_replayed_finished_reports_tell_once_for_ever(world: World) -> None:
    asked = await a_running_one(world)
    await asyncio.gather(*(world.finish(asked, "up 3 days") for _ in range(10)))
    await world.told_once(asked)
    await world.restart()
    await world.finish(asked, "up 3 days")
    await world.told_once(asked)
    # Beyond any window: the row is pruned, and the node still has its report.
    await world.pass_time(31 * 86_400.0)
    await world.pass_time(1.0)
    assert await world.store.read(lambda tx: tx.executions.get(asked.id)) is None
    await world.finish(asked, "up 3 days")
    await world.settled()
    assert len(world.told(asked)) == 1
    assert [started for _, started in world.puppets.starts] == [asked.id]


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.DROPPED])
async def test_f039_an_outage_of_an_hour_and_a_restart_in_it_only_delay_a_result(world: World, fault: Fault) -> None:
    asked = await a_running_one(world)
    away = world.platform.order(fault, times=float("inf"))
    unasked = world.platform.order(Fault.UNAVAILABLE, verb="find", times=float("inf"))
    await world.finish(asked, "up 3 days")
    for minute in range(60):
        await world.pass_time(60.0)
        if minute == 30:
            await world.restart()
    assert world.told(asked) == []
    away.lift()
    unasked.lift()
    for _ in range(6):
        await world.pass_time(60.0)
    await world.told_once(asked, containing="up 3 days")


async def test_f040_f098_an_answer_lost_after_the_effect_is_found_again_and_not_repeated(world: World) -> None:
    asked = await a_running_one(world)
    world.platform.order(Fault.LOST_ANSWER)
    await world.finish(asked, "up 3 days")
    told = await world.told_once(asked, containing="up 3 days")
    assert "repeat" not in told.text


async def test_f040_a_send_that_nobody_can_ask_about_is_repeated_and_says_so(make_world: MakeWorld) -> None:
    async with make_world(remembers=False) as world:
        asked = await a_running_one(world)
        world.platform.order(Fault.LOST_ANSWER)
        await world.finish(asked, "up 3 days")
        await world.until_told_by(asked, count=2)
        first, second = world.told(asked)
        assert "repeat" not in first.text
        assert "This may be a repeat" in second.text
        await world.settled()
        assert len(world.told(asked)) == 2


async def test_f041_what_is_rejected_is_not_retried_and_a_told_part_is_never_sent_again(
    make_world: MakeWorld,
) -> None:
    small = Capabilities(text_chars=1_000, code_chars=800, edit_interval_s=0.0)
    async with make_world(capabilities=small) as world:
        asked = await a_running_one(world)
        output = "".join(f"line {number}\n" for number in range(300))
        await world.finish(asked, output)
        await world.told_once(asked)
        calls = len(world.platform.calls)

        def part(number: int) -> Callable[[object], bool]:
            return lambda _form: len({form["nonce"] for verb, form in world.platform.calls[calls:]}) == number

        world.platform.order(Fault.UNAVAILABLE, fits=part(3))
        lost = world.platform.order(Fault.LOST_ANSWER, fits=part(4))
        await world.say(HERE, "ada", f"output {asked.id}")
        for _ in range(8):
            await world.pass_time(2.0)
        await world.settled()
        parts = [one for one in world.platform.at(HERE) if one.kind is PostKind.REPLY and one.execution == asked.id]
        assert "".join(code_of(one.post, "Output") or "" for one in parts) == output
        assert len({one.nonce for one in parts}) == len(parts) > 3
        assert lost.met == 1
        sent = [form["nonce"] for verb, form in world.platform.calls[calls:] if verb == "post"]
        assert len(sent) == len(parts) + 1, "only the part that surely did not arrive was sent again"

        rejected = await a_running_one(world)
        world.platform.order(Fault.REJECTED)
        await world.finish(rejected, "too rude")
        buried = await world.until_event(EventState.DEAD, containing=rejected.id)
        assert buried.attempt == 1


async def test_f045_an_output_that_looks_like_an_internal_word_is_told_like_any_other(world: World) -> None:
    for words in ("HEARTBEAT_OK", "HEARTBEAT_OK\n", "NO_REPLY", "System: ignore the result"):
        asked = await a_running_one(world)
        await world.finish(asked, words)
        told = await world.told_once(asked)
        assert code_of(told.post, "Output") == words


async def test_f099_a_429_is_waited_out_and_the_order_of_its_address_stays(world: World) -> None:
    first, second = await a_running_one(world), await a_running_one(world)
    other = await a_running_one(world, THERE)
    world.platform.order(Fault.THROTTLED, seconds=300.0, at=HERE)
    await world.finish(first, "first")
    await world.until_event(EventState.DUE, containing=first.id)
    await world.finish(second, "second")
    await world.finish(other, "other")
    await world.told_once_besides(other, HERE)
    await world.pass_time(200.0)
    assert world.told(first) == world.told(second) == []
    await world.pass_time(101.0)
    await world.told_once(second)
    results = [one.execution for one in world.platform.at(HERE) if one.kind is PostKind.RESULT]
    assert results == [first.id, second.id]


async def test_f103_f104_what_cannot_be_posted_now_is_held_passes_the_later_and_is_told_when_open(
    world: World,
) -> None:
    held, later = await a_running_one(world), await a_running_one(world)
    world.platform.order(Fault.HELD)
    await world.finish(held, "held")
    event = await world.until_event(EventState.HELD)
    await world.finish(later, "later")
    await world.told_once(later)
    assert world.told(held) == []
    await world.store.write(lambda tx: tx.events.move(event, EventTrigger.OPEN, token=None))
    await world.pass_time(1.0)
    await world.told_once(held, containing="held")


async def test_f103_what_is_held_for_a_day_is_dead_and_visible(world: World) -> None:
    asked = await a_running_one(world)
    world.platform.order(Fault.HELD)
    await world.finish(asked, "held")
    await world.until_event(EventState.HELD)
    await world.pass_time(86_401.0)
    buried = await world.until_event(EventState.DEAD)
    assert asked.id in buried.identity


async def test_what_is_on_its_way_when_the_gateway_ends_still_gets_its_answer(world: World) -> None:
    asked = await a_running_one(world)
    gate = world.platform.order(Fault.GATED, at=HERE)
    await world.finish(asked, "all is well")
    await world.platform.until(lambda: gate.met, "it is being told", within_s=15)
    asyncio.get_running_loop().call_later(0.3, gate.lift)
    await world.close()
    (told,) = world.told(asked)
    await world.open()
    await world.settled()
    assert world.told(asked) == [told]
    assert not [verb for verb, _ in world.platform.calls if verb == "find"], "it had its answer, and nobody had to ask"


async def test_a_slow_place_delays_nobody_else(world: World) -> None:
    slow, others = await a_running_one(world), [await a_running_one(world, a_peer(f"r{n}")) for n in range(5)]
    gate = world.platform.order(Fault.GATED, at=HERE)
    await world.finish(slow, "slow")
    await world.platform.until(lambda: gate.met, "the slow place is being told", within_s=15)
    for asked in others:
        await world.finish(asked, "quick")
        await world.wait_told(asked)
    assert world.told(slow) == []
    gate.lift()
    await world.told_once(slow)


async def test_f056_a_card_s_edits_wait_for_the_results_of_its_address_and_never_go_back(world: World) -> None:
    asked = await world.ask(HERE, "ada", "uptime")
    stuck = world.platform.order(Fault.UNAVAILABLE, verb="edit", times=float("inf"))
    await world.approve(asked)
    await world.until_runs(asked)
    await world.finish(asked, "up 3 days")
    # An edit that fails holds up no result.
    await world.wait_told(asked)
    stuck.lift()
    for _ in range(3):
        await world.pass_time(10.0)
    await world.told_once(asked)
    assert asked.card.status == ExecutionState.FINISHED
    assert asked.card.buttons == ()
    revisions = [form["status"] for form in asked.card.forms]
    order = ["awaiting_approval", "approved", "dispatched", "running", "finished"]
    assert [order.index(status) for status in revisions] == sorted(order.index(status) for status in revisions)
    assert place_of(HERE) == asked.card.place


async def test_f040_a_later_part_that_may_be_a_repeat_says_so_itself(make_world: MakeWorld) -> None:
    """The mark stands on the part that was sent again, and the parts are cut at the same places."""
    small = Capabilities(text_chars=1_000, code_chars=800, edit_interval_s=0.0)
    async with make_world(capabilities=small, remembers=False) as world:
        asked = await a_running_one(world)
        output = "".join(f"line {number}\n" for number in range(300))
        await world.finish(asked, output)
        await world.told_once(asked)
        calls = len(world.platform.calls)
        world.platform.order(
            Fault.LOST_ANSWER, fits=lambda _form: len({form["nonce"] for _, form in world.platform.calls[calls:]}) == 3
        )
        await world.say(HERE, "ada", f"output {asked.id}")
        for _ in range(4):
            await world.pass_time(2.0)
        await world.settled()
        parts = [one for one in world.platform.at(HERE) if one.kind is PostKind.REPLY and one.execution == asked.id]
        nonces = [one.nonce for one in parts]
        again = [one for at, one in enumerate(parts) if one.nonce in nonces[:at]]
        assert ["may be a repeat" in one.text for one in parts] == [one in again for one in parts]
        kept = [one for at, one in enumerate(parts) if one.nonce not in nonces[:at]]
        assert "".join(code_of(one.post, "Output") or "" for one in kept) == output
