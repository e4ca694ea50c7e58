"""Three records that know nothing of each other, compared: the node's system, the platforms, the store.

The command itself leaves a line with its moment in a file; the platform servers show what stands on them; the store is
read as it is. Deliberately absent: any look into a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.event import Event, EventState, ShowCard
from bot.domain.execution import FINAL, Execution, ExecutionState, Step
from bot.domain.message import Action
from bot.domain.session import MessageId, Peer, key_for
from bot.ports import Tx
from tests.chaos.people import AWAY
from tests.chaos.points import Moment
from tests.chaos.world import Asked, Stuck, World
from tests.platforms.driver import Seen

MARK = "may be a repeat"
CANNOT_ASK = frozenset({"whatsapp"})
"""Networks that cannot always say what became of a send: there a repeat may stand, if it says that it may be one."""
_LOOKS = 3
"""The records are read one after the other, and somebody may be heard late in between."""
_CLOCK_S = 0.005
"""Between two looks at the same clock, one of them through a shell's `date`: the row is written first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The store's record."""

    executions: Mapping[str, Execution]
    steps: Mapping[str, Sequence[Step]]
    events: Sequence[Event]
    receipts: Mapping[int, Sequence[MessageId]]

    def of(self, execution: Execution) -> list[Event]:
        return [one for one in self.events if getattr(one.payload, "execution_id", None) == execution.id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The platforms' record."""

    here: Mapping[Peer, Sequence[Seen]]
    by_bot: Mapping[str, Sequence[Seen]]
    """Network -> all that the bot has standing there."""


async def compare(world: World, *, looks: int = _LOOKS) -> list[str]:
    """Every way in which what happened breaks the promises. The world is at rest, or nobody hopes for that any more."""
    return (await compare_shown(world, looks=looks))[0]


async def compare_shown(world: World, *, looks: int = _LOOKS) -> tuple[list[str], Shown]:
    """What breaks a promise is there at the next look as well; what was just being told is not."""
    for look in range(1, looks + 1):
        stored, shown = await _stored(world), await _shown(world)
        found = [fault for asked in world.asked for fault in _faults_of(world, asked, stored, shown)]
        found += _strays(world, stored, shown)
        if not found or look == looks:
            break
        await asyncio.sleep(0.5)
        with contextlib.suppress(Stuck):
            await world.settled()
    return found, shown


async def forget(world: World) -> list[str]:
    """Compare now; what stands by then is not asked about again, also where the store forgets it."""
    found, shown = await compare_shown(world)
    world.past |= {seen.id for each in shown.by_bot.values() for seen in each}
    world.asked.clear()
    return found


async def _stored(world: World) -> Stored:
    def look(tx: Tx) -> Stored:
        executions = tx.executions.in_states(frozenset(ExecutionState), limit=1_000_000)
        events = tx.events.listing(states=frozenset(EventState), limit=1_000_000)
        return Stored(
            executions={one.id: one for one in executions},
            steps={one.id: tx.executions.steps(one.id) for one in executions},
            events=events,
            receipts={one.id: [message for _, _, message in tx.events.receipts(one.id)] for one in events},
        )

    return await world.store.read(look)


async def _shown(world: World) -> Shown:
    for _ in range(200):
        with contextlib.suppress(*AWAY):
            places = {asked.peer: asked.people for asked in world.asked}
            here = {peer: list(await people.shown(peer)) for peer, people in places.items()}
            return Shown(here=here, by_bot={one.name: list(await one.by_bot()) for one in world.networks})
        await asyncio.sleep(0.1)
    raise Stuck("the places could not be read")


def runs(world: World, asked: Asked) -> list[float]:
    """The moments at which it really ran, by its own word."""
    mark = world.marks / asked.token
    return [float(line) for line in mark.read_text().splitlines()] if mark.exists() else []


def _faults_of(world: World, asked: Asked, stored: Stored, shown: Shown) -> Iterator[str]:
    mine = [one for one in stored.executions.values() if asked.token in one.request.text]
    ran = runs(world, asked)
    name = f"{asked.token} on {asked.people.name}"
    if len(ran) > 1:
        yield f"{name}: ran {len(ran)} times"
    if len(mine) > 1:
        yield f"{name}: {len(mine)} executions of one request"
    if not mine:
        if asked.is_acknowledged:
            yield f"{name}: acknowledged, and no execution stands for it"
        if ran:
            yield f"{name}: ran without an execution"
        return
    execution = mine[0]
    name = f"{name} ({execution.id}, {execution.state.value})"
    for fault in (
        *_of_its_run(world, asked, execution, ran, stored),
        *_of_its_events(asked, execution, stored, shown),
        *_of_its_result(asked, execution, ran, stored, shown),
    ):
        yield f"{name}: {fault}"


def _of_its_run(world: World, asked: Asked, execution: Execution, ran: list[float], stored: Stored) -> Iterator[str]:
    state = execution.state
    if execution.origin.peer != asked.peer:
        yield f"belongs to {execution.origin.peer}, asked at {asked.peer}"
    if execution.session != key_for(asked.peer, person=execution.asker):
        yield f"its session is {execution.session}"
    if state not in FINAL | {ExecutionState.LOST}:
        yield "never came to an end"
    if ran and state in FINAL - {ExecutionState.FINISHED}:
        yield "it ran, and people were told that it did not"
    if state is ExecutionState.FINISHED and not ran:
        yield "told as finished, and it never ran"
    handed_over = [step.at for step in stored.steps[execution.id] if step.what == "dispatch" and step.by == "gateway"]
    ahead = world.clock.now() - time.time()
    if ran and (not handed_over or handed_over[0] - ahead > ran[0] + _CLOCK_S):
        yield f"it ran at {ran[0]}, before its hand-over was committed ({handed_over})"
    journalled = (f"{Moment.AFTER} journal finished", execution.id) in world.ledger("node").passed()
    if journalled and not asked.is_cut_off and state is not ExecutionState.FINISHED:
        yield "the node had its report in the journal, and it did not come to the store"
    if state is ExecutionState.LOST and not asked.may_be_lost:
        yield f"lost ({execution.reason}), and nothing in the story may lose it"


def _of_its_events(asked: Asked, execution: Execution, stored: Stored, shown: Shown) -> Iterator[str]:
    events = stored.of(execution)
    here = {seen.id for seen in shown.here[asked.peer]}
    for event in events:
        if event.session != execution.session:
            yield f"{event.identity} is owed to the session {event.session}"
        if event.address.peer != asked.peer:
            yield f"{event.identity} is owed at {event.address.peer}"
        if event.state not in {EventState.TOLD, EventState.HELD, EventState.DEAD}:
            yield f"{event.identity} is left {event.state.value}"
        if event.state is not EventState.TOLD and not asked.may_be_dead:
            yield f"{event.identity} is {event.state.value} ({event.trouble}), and nothing in the story closes its room"
        missing = [one for one in stored.receipts[event.id] if one not in here]
        if missing:
            yield f"{event.identity} has receipts {missing}, and nothing of it stands there"
    ends = [one for one in events if one.identity.startswith(f"outcome:{execution.id}:{execution.state.value}")]
    if not ends and execution.state in FINAL | {ExecutionState.LOST}:
        yield "its end is owed to nobody"
    for event in ends:
        if event.state is EventState.TOLD and not stored.receipts[event.id]:
            yield f"{event.identity} is told without a receipt"


def _of_its_result(asked: Asked, execution: Execution, ran: list[float], stored: Stored, shown: Shown) -> Iterator[str]:
    """What the platforms show of the output: once, where it was asked; a repeat only where it says so."""
    begins = f"begins:{asked.token}"
    here = [seen for seen in shown.here[asked.peer] if seen.author is None and begins in seen.text]
    ids = {seen.id for seen in here}
    astray = [one for each in shown.by_bot.values() for one in each if begins in one.text and one.id not in ids]
    if astray:
        yield f"its output stands elsewhere: {[one.id for one in astray]}"
    is_told = any(
        one.state is EventState.TOLD and one.identity == f"outcome:{execution.id}:finished"
        for one in stored.of(execution)
    )
    if execution.state is ExecutionState.FINISHED and ran and is_told:
        unmarked = [one for one in here if MARK not in one.text]
        if not here:
            yield "told, and its output stands nowhere"
        if len(unmarked) > 1:
            yield f"its output stands {len(unmarked)} times, and none says that it may be a repeat"
        if len(here) > 1 and asked.people.name not in CANNOT_ASK:
            yield f"its output stands {len(here)} times, where the network could have been asked"
    if asked.people.name != "whatsapp" and execution.state in FINAL:
        offers = [
            seen.id
            for seen in shown.here[asked.peer]
            if any(does is Action.APPROVE and execution.id in token for does, token in seen.buttons)
        ]
        if offers and not asked.may_be_dead:
            yield f"it is over, and {offers} still offer to approve it"


def _strays(world: World, stored: Stored, shown: Shown) -> Iterator[str]:
    """Nothing stands in any room but what an event has a receipt for; and nothing runs but what was asked."""
    known = {message for each in stored.receipts.values() for message in each}
    for network, messages in shown.by_bot.items():
        for seen in messages:
            if seen.id in known or seen.id in world.past:
                continue
            repeated = [one for one in messages if one.id in known and MARK in one.text]
            if network not in CANNOT_ASK or not repeated:
                yield f"{network}: nobody has a receipt for {seen.id}: {seen.text[:80]!r}"
    for mark in world.marks.iterdir():
        if len(mark.read_text().splitlines()) > 1:
            yield f"{mark.name} ran {len(mark.read_text().splitlines())} times"
        if mark.name not in world.tokens:
            yield f"{mark.name} ran, and nobody asked for it"
    for event in stored.events:
        if event.state not in {EventState.TOLD, EventState.HELD, EventState.DEAD}:
            yield f"{event.identity} is left {event.state.value}"
        is_card = isinstance(event.payload, ShowCard)
        if event.state is EventState.TOLD and is_card and len(stored.receipts[event.id]) != 1:
            yield f"{event.identity} is a card with {len(stored.receipts[event.id])} receipts"
