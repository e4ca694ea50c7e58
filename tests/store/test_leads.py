"""Which event leads its address is marked, so that a look for the next one is short: at rest the mark is right."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import pytest
from sqlalchemy import func, select

from bot.domain.event import BLOCKING, EVENT_TRANSITIONS, ClaimToken, Event, EventTrigger, NewEvent
from bot.domain.message import Nonce
from bot.ports import Tx
from bot.store import OpenStore
from bot.store.schema import events
from bot.store.transaction import Connected
from tests.clock import ManualClock
from tests.store.made import event
from tests.store.sending import ONE, S, T, add, adding, claim, claim_one, move, send

ROOMS = ("a", "b", "c")


async def marked(store: OpenStore) -> tuple[set[int], set[int]]:
    """The events that are marked, and those that are the first of their address."""

    def look(tx: Tx) -> tuple[set[int], set[int]]:
        assert isinstance(tx.events, Connected)
        run = tx.events.connection.execute
        leading = set(run(select(events.c.id).where(events.c.leads == 1)).scalars())
        first = select(events.c.address_id, func.min(events.c.sequence)).where(events.c.blocks == 1)
        places = [tuple(row) for row in run(first.group_by(events.c.address_id)).all()]
        ids = {
            run(select(events.c.id).where(events.c.address_id == one, events.c.sequence == number)).scalar_one()
            for one, number in places
        }
        return leading, ids

    return await store.read(look)


@pytest.mark.parametrize("seed", range(6))
async def test_the_first_of_each_address_is_marked_whatever_became_of_the_others(
    store: OpenStore, another: OpenStore, clock: ManualClock, seed: int
) -> None:
    """Every trigger of the table, in any order, from two openings of one database."""
    draw = random.Random(seed)  # noqa: S311 -- repeated by its seed
    for step in range(60):
        clock.advance(1.0)
        one = draw.choice((store, another))
        if draw.random() < 0.4:
            new = event(f"{seed}:{step}", room=draw.choice(ROOMS))
            at_once = draw.random() < 0.5
            await one.write(partial(_add, new=new, at_once=at_once))
        else:
            found = await one.read(lambda tx: tx.events.listing(states=frozenset(S)))
            usable = [each for each in found if EVENT_TRANSITIONS[each.state]]
            if usable:
                chosen = draw.choice(usable)
                trigger = draw.choice(sorted(EVENT_TRANSITIONS[chosen.state]))
                await one.write(partial(_step, each=chosen, trigger=trigger))
        leading, first = await marked(store)
        assert leading == first, f"step {step}"


def _add(tx: Tx, *, new: NewEvent, at_once: bool) -> None:
    if at_once:
        tx.events.add_sending(new, token=ONE, nonce=Nonce("n"), lease_s=60)
    else:
        tx.events.add(new)


def _step(tx: Tx, *, each: Event, trigger: EventTrigger) -> None:
    if trigger is T.CLAIM:
        tx.events.claim(
            token=ONE,
            lease_s=60,
            limit=1,
            channels=[(each.address.peer.channel, each.address.peer.account)],
            states={S.DUE},
        )
    elif trigger is T.SEND:
        tx.events.begin_send(each, token=ONE, nonce=Nonce("n"), part=0, lease_s=60)
    else:
        tx.events.move(each, trigger, token=None)


async def test_one_that_is_added_while_the_first_is_told_is_led_to_its_turn(
    store: OpenStore, another: OpenStore
) -> None:
    """Two replicas at one address in the same moment: no event is left that nobody looks for."""
    for number in range(15):
        room = f"room-{number}"
        await add(store, f"{room}:1", room=room)
        first = await send(store, next(one for one in await claim(store) if one.identity == f"{room}:1"))
        await asyncio.gather(
            move(store, first, T.TELL),
            another.write(adding(event(f"{room}:2", room=room))),
        )
        assert [one.identity for one in await claim(store)] == [f"{room}:2"]


async def test_a_look_is_no_longer_for_what_waits_behind_others(store: OpenStore, url: str) -> None:
    """Not how long it takes, but how many rows it walks through: SQLite counts its steps."""
    if not url.startswith("sqlite"):
        return
    await add(store, "1")
    assert await move(store, await send(store, await claim_one(store)), T.RETRY)

    async def steps() -> int:
        def count(tx: Tx) -> int:
            raw = tx.events.connection.connection.driver_connection  # type: ignore[attr-defined]
            taken = 0

            def tick() -> int:
                nonlocal taken
                taken += 1
                return 0

            raw.set_progress_handler(tick, 1)
            try:
                channels = [(peer.channel, peer.account)]
                found = tx.events.claim(
                    token=ClaimToken("look"), lease_s=60, limit=64, channels=channels, states={S.DUE}
                )
                assert found == []
                return taken
            finally:
                raw.set_progress_handler(None, 0)

        return await store.write(count)

    (waiting,) = await store.read(lambda tx: tx.events.listing(states=BLOCKING))
    peer = waiting.address.peer
    await store.write(
        lambda tx: tx.events.claim(
            token=ONE, lease_s=60, limit=1, channels=[(peer.channel, peer.account)], states={S.DUE}
        )
    )
    few = await steps()
    await add(store, *(f"behind-{number}" for number in range(300)))
    assert await steps() == few
