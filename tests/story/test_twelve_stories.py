"""The twelve stories that the house is built around: on SQLite and on PostgreSQL, asked by a person and by a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.domain.execution import ExecutionState
from bot.domain.message import Action, PostKind
from bot.domain.session import PeerKind
from tests.platforms.faults import Fault
from tests.platforms.forms import code_of
from tests.story.cast import a_peer
from tests.story.conftest import a_world
from tests.story.models import a_model_world
from tests.story.puppet import a_result
from tests.story.world import World

OPS, DEPLOYS = a_peer("ops", thread="17"), a_peer("deploys", channel="slack")


@pytest.fixture(params=["a person", "a model"])
def asks(request: pytest.FixtureRequest) -> str:
    """Who asks for the commands: a person in exact words, or the agent after a person's plain ones."""
    return str(request.param)


@pytest.fixture
async def either_world(either_url: str, asks: str) -> AsyncIterator[World]:
    if asks == "a person":
        async with a_world(either_url) as world:
            yield world
        return
    wire = "openai" if either_url.startswith("sqlite") else "anthropic"
    async with a_model_world(either_url, wire=wire) as (world, _):
        yield world


async def test_the_result_returns_to_the_place_that_asked(either_world: World) -> None:
    asked = await either_world.ask_and_approve(OPS, "ada", "df -h /srv")
    await either_world.finish(asked, "80% /srv\n")
    told = await either_world.told_once(asked, containing="80% /srv")
    assert told.kind is PostKind.RESULT
    assert told.mention == "ada"


async def test_two_rooms_finish_at_once_and_each_gets_its_own(either_world: World) -> None:
    ours = await either_world.ask_and_approve(OPS, "ada", "echo ours")
    theirs = await either_world.ask_and_approve(DEPLOYS, "ben", "echo theirs")
    await asyncio.gather(either_world.finish(theirs, "for deploys"), either_world.finish(ours, "for ops"))
    assert "for deploys" not in (await either_world.told_once(ours, containing="for ops")).text
    assert "for ops" not in (await either_world.told_once(theirs, containing="for deploys")).text


async def test_f004_f008_f009_talk_elsewhere_meanwhile_changes_nothing(either_world: World) -> None:
    """The same person, other people, the same room's other threads: none of it is the way home."""
    asked = await either_world.ask_and_approve(OPS, "ada", "uptime")
    elsewhere = [
        a_peer("ops"),
        a_peer("ops", thread="18"),
        a_peer("ada", kind=PeerKind.DIRECT),
        a_peer("ada", channel="slack", kind=PeerKind.DIRECT),
        DEPLOYS,
    ]
    for peer in elsewhere:
        await either_world.say(peer, "ada", "whoami")
        await either_world.say(peer, "ben", "what a day")
    other = await either_world.ask_and_approve(DEPLOYS, "ada", "uptime")
    await either_world.finish(asked, "up 3 days")
    await either_world.finish(other, "up 5 days")
    await either_world.told_once(asked, containing="up 3 days")
    await either_world.told_once(other, containing="up 5 days")


async def test_f037_two_identical_results_are_both_told(either_world: World) -> None:
    several = [await either_world.ask_and_approve(OPS, "ada", "uptime") for _ in range(2)]
    for asked in several:
        await either_world.finish(asked, "up 3 days")
    for asked in several:
        await either_world.told_once(asked, containing="up 3 days")


async def test_f035_twenty_one_results_are_all_told_in_order(either_world: World) -> None:
    """We depart from the row, which sums up what is over a cap: here nothing is left out, the order is the commits'."""
    several = [await either_world.ask_and_approve(OPS, "ada", f"echo {number}") for number in range(21)]
    for number, asked in enumerate(several):
        await either_world.finish(asked, f"<{number}>")
    await either_world.wait_told(several[-1])
    await either_world.settled()
    results = [one for one in either_world.platform.at(OPS) if one.kind is PostKind.RESULT]
    assert [code_of(one.post, "Output") for one in results] == [f"<{number}>" for number in range(21)]


async def test_f034_a_restart_between_finish_and_relay_loses_nothing(either_world: World) -> None:
    several = [await either_world.ask_and_approve(peer, "ada", "uptime") for peer in (OPS, DEPLOYS)]
    await either_world.settled()
    for number, asked in enumerate(several):
        await either_world.finish_and_die(asked, f"<{number}>")
    assert [either_world.told(asked) for asked in several] == [[], []]
    await either_world.open()
    for number, asked in enumerate(several):
        await either_world.told_once(asked, containing=f"<{number}>")


async def test_f015_ids_that_differ_only_in_case_stay_apart(either_world: World) -> None:
    upper, lower = a_peer("!RoomABC", thread="Tx"), a_peer("!roomabc", thread="tx")
    several = [await either_world.ask_and_approve(peer, "ada", "uptime") for peer in (upper, lower)]
    await either_world.finish(several[1], "for lower")
    await either_world.finish(several[0], "for UPPER")
    await either_world.told_once(several[0], containing="for UPPER")
    await either_world.told_once(several[1], containing="for lower")
    assert {one.peer.id for one in either_world.platform.by_bot()} == {"!RoomABC", "!roomabc"}


async def test_f033_f047_the_told_result_contains_command_status_and_output(either_world: World) -> None:
    failed = await either_world.ask_and_approve(OPS, "ada", "ls '/no such place'")
    await either_world.finish(failed, a_result("ls: no such place\n", exit_code=2, duration_s=1.5))
    told = await either_world.told_once(failed)
    assert code_of(told.post, "Command") == "ls '/no such place'"
    assert code_of(told.post, "Output") == "ls: no such place\n"
    for part in (failed.id, "exit 2", "web-1", "1.5 s"):
        assert part in told.text
    silent = await either_world.ask_and_approve(OPS, "ada", "true")
    await either_world.finish(silent, "")
    assert "no output" in (await either_world.told_once(silent)).text
    # Told means that the network's own id of the message is kept.
    receipts = "SELECT count(*) FROM events JOIN receipts ON receipts.event_id = events.id WHERE state = 'told'"
    told_ones = "SELECT count(*) FROM events WHERE state = 'told'"
    assert await either_world.count(receipts) == await either_world.count(told_ones) > 0


async def test_f050_f061_a_denied_or_expired_request_never_reaches_a_node(either_world: World) -> None:
    denied, expired = await either_world.ask(OPS, "ada", "reboot"), await either_world.ask(OPS, "ada", "halt")
    await either_world.platform.press(denied.card, "owner", Action.DENY, reason="not during the freeze")
    assert "not during the freeze" in (await either_world.told_once(denied)).text
    await either_world.pass_time(1_800.0 + 1.0)
    assert "Expired, nothing ran" in (await either_world.told_once(expired)).text
    # A yes after the end is none, typed or pressed on what somebody still sees.
    note = await either_world.platform.press_button(expired.card, "owner", expired.card.first_shown(Action.APPROVE))
    assert note is not None
    assert "Expired" in note
    await either_world.say(OPS, "owner", f"approve {denied.id}")
    await either_world.settled()
    assert either_world.puppets.offers == []
    assert either_world.puppets.starts == []


async def test_f051_f068_f069_only_a_permitted_approval_counts_and_the_second_changes_nothing(
    either_world: World,
) -> None:
    asked = await either_world.ask(OPS, "ada", "uptime")
    await either_world.settled()
    for stranger in ("ada", "mallory"):
        note = await either_world.platform.press(asked.card, stranger, Action.APPROVE)
        assert note is not None
        assert "may not decide" in note
    assert (await either_world.execution(asked.id)).state is ExecutionState.AWAITING_APPROVAL
    approve = asked.card.button(Action.APPROVE)
    await asyncio.gather(
        *(either_world.platform.press_button(asked.card, "owner", approve) for _ in range(20)),
        *(either_world.say(a_peer("owner", kind=PeerKind.DIRECT), "owner", f"approve {asked.id}") for _ in range(5)),
    )
    await either_world.until_runs(asked)
    await either_world.platform.press_button(asked.card, "owner", approve)
    await either_world.finish(asked, "up 3 days")
    await either_world.told_once(asked)
    assert [started for _, started in either_world.puppets.starts] == [asked.id]
    votes = await either_world.store.read(lambda tx: tx.executions.approvers(asked.id))
    assert votes == ["owner"]


async def test_f088_a_node_that_vanishes_after_the_hand_over_runs_nothing_twice(either_world: World) -> None:
    world = either_world
    asked = await world.ask_and_approve(OPS, "ada", "deploy")
    world.puppets.away.update(world.puppets.fingerprints())
    await world.pass_time(700.0)
    assert "Not known whether it ran" in (await world.told_once(asked)).text
    await world.restart()
    await world.puppets.reconnect(world.core.reports)
    await world.finish(asked, "deployed")
    late = await world.wait_told(asked, containing="deployed")
    assert late[0].kind is PostKind.RESULT
    await world.settled()
    assert len(world.told(asked)) == 2
    assert [started for _, started in world.puppets.starts] == [asked.id]


async def test_f098_an_answer_lost_after_the_effect_leaves_one_visible_message(either_world: World) -> None:
    world = either_world
    asked = await world.ask_and_approve(OPS, "ada", "uptime")
    await world.settled()
    lost = world.platform.order(Fault.LOST_ANSWER)
    await world.finish(asked, "up 3 days")
    await world.told_once(asked, containing="up 3 days")
    assert lost.met == 1
