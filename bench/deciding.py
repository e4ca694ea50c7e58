"""(c), in the gateway's process: a press on Allow once, and the moment in which the command on a real node runs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import aiohttp

from bench.sides import peer_of
from bot.app import Core
from bot.domain.event import EventId
from bot.domain.execution import Execution, ExecutionState
from bot.domain.message import Action, Button, ButtonPress, InboundMessage, Nonce, Sender
from bot.domain.session import DeliveryId, MessageId
from bot.ports import Tx

WITHIN_S = 20.0
OWNER = Sender(native="owner", name="Owner")
COMMAND = ("date", "+%s.%N")
"""Its output is the moment of its own start, by the clock that the press was stamped with."""


async def pressed(core: Core, room: str) -> float:
    """Milliseconds from the press to the command's first output."""
    peer, message_id = peer_of(room), MessageId("asked")
    asked = InboundMessage(
        peer=peer,
        sender=OWNER,
        delivery=DeliveryId(f"ask-{room}"),
        message_id=message_id,
        text=f"run {' '.join(COMMAND)}",
        sent_at=time.time(),
        is_addressed=True,
    )
    await core.inbox.message(asked)
    waiting = await _until(core, room, ExecutionState.AWAITING_APPROVAL)
    assert waiting.command_hash is not None
    # The card must stand, as it does for a person: a press on one that is not yet known to stand is kept for later.
    await asyncio.sleep(0.05)
    press = ButtonPress(
        peer=peer,
        sender=OWNER,
        delivery=DeliveryId(f"press-{room}"),
        message_id=await _card_of(core, waiting),
        button=Button(action=Action.APPROVE, execution_id=waiting.id, shown=waiting.command_hash),
    )
    at = time.time()
    await core.inbox.press(press)
    ended = await _until(core, room, ExecutionState.FINISHED)
    assert ended.result is not None
    return 1_000 * (float(ended.result.output.text()) - at)


def _receipts(tx: Tx, one: EventId) -> Sequence[tuple[int, Nonce, MessageId]]:
    return tx.events.receipts(one)


async def _card_of(core: Core, execution: Execution) -> MessageId:
    async with asyncio.timeout(WITHIN_S):
        while True:
            events = await core.store.read(lambda tx: tx.events.of_execution(execution.id))
            for event in events:
                receipts = await core.store.read(partial(_receipts, one=event.id))
                if receipts:
                    return receipts[0][2]
            await asyncio.sleep(0.01)


async def _until(core: Core, room: str, state: ExecutionState) -> Execution:
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = await core.store.read(
                lambda tx: tx.executions.in_states(frozenset(ExecutionState), newest_first=True, limit=5)
            )
            for one in found:
                if one.origin.peer.id == room and one.state is state:
                    return one
            await asyncio.sleep(0.02)


async def bare(database: Path, network: str, count: int) -> list[float]:
    """The same done by hand: a commit, a question to another process, a commit, a second one, and the command."""
    taken = []
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE decided (id INTEGER PRIMARY KEY, body TEXT)")
        async with aiohttp.ClientSession() as client:
            for _ in range(count):
                at = time.time()
                for _ in range(2):
                    connection.execute("INSERT INTO decided (body) VALUES ('approved')")
                    async with client.post(f"{network}/find", data="{}") as answer:
                        await answer.read()
                process = await asyncio.create_subprocess_exec(*COMMAND, stdout=asyncio.subprocess.PIPE)
                out, _ = await process.communicate()
                taken.append(1_000 * (float(out) - at))
    return taken
