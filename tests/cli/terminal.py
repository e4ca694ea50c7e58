"""`homing` as a process of its own, as an operator has it, and a store with one story in it.

Deliberately absent: any call into the command line's code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bot.cli.opened import WallClock
from bot.domain.event import ClaimToken, Event, EventState, EventTrigger, Say, ShowCard
from bot.domain.execution import ExecutionId, ExecutionState, Trigger
from bot.domain.message import Nonce, Receipt
from bot.domain.session import MessageId, PersonId
from bot.flow.outcome import leave, owe
from bot.ports import Tx
from bot.store import open_store
from tests.store import made

ROOT = Path(__file__).resolve().parents[2]
TOKEN = ClaimToken("t")
FINISHED, WAITING, RUNNING = ExecutionId("7K3Q9A"), ExecutionId("7K3Q9C"), ExecutionId("7K3Q9F")
CONFIG = """
owners = ["owner"]
[display]
time_zone = "Europe/Berlin"
[[people]]
name = "owner"
ids = ["web:owner"]
[[people]]
name = "ann"
ids = ["slack:U1", "web:annie"]
"""


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 -- a document of any shape
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A folder with a config.toml, and `homing` in it."""

    folder: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'data' / 'homing.db'}"

    def homing(self, *words: str, within_s: float = 30.0, **environ: str) -> Ended:
        """Run to its end, away from a terminal."""
        return self.python("-m", "bot", *words, within_s=within_s, **environ)

    def python(self, *words: str, within_s: float = 30.0, **environ: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    async def fill(self) -> None:
        """One execution that was told, one that waits, one that runs; and one dead event."""
        store = open_store(self.url, clock=WallClock(), gateway=True)
        try:
            await store.write(_hello)
            await store.write(_finished)
            await store.write(_waiting)
            await store.write(_running)
            await store.write(_dead)
        finally:
            await store.close()


def _hello(tx: Tx) -> None:
    tx.nodes.hello(made.NODE, b"\x01" * 32, "web-1")


def _finished(tx: Tx) -> None:
    execution = made.execution(FINISHED, created_at=tx.now, expires_at=tx.now + 600)
    tx.executions.insert(execution)
    tx.executions.step(FINISHED, "requested", by=execution.asker)
    execution = tx.executions.move(execution, Trigger.ASK, by=execution.rule, detail="bob, web:cy")
    owe(tx, execution, ShowCard(execution_id=FINISHED), identity=f"card:{FINISHED}")
    _tell(tx, "posted-1")
    tx.executions.vote(FINISHED, PersonId("bob"), approves=True, reason="")
    execution = replace(execution, decided_by=PersonId("bob"), decided_at=tx.now)
    execution = tx.executions.move(execution, Trigger.APPROVE, by="bob")
    execution = tx.executions.move(execution, Trigger.DISPATCH, by="gateway")
    execution = tx.executions.move(replace(execution, started_at=tx.now), Trigger.START, by="web-1")
    ended = replace(execution, result=made.result("the output is told elsewhere\n"))
    leave(tx, ended, Trigger.FINISH, by="web-1", reason=None)
    _tell(tx, "posted-2")
    tx.executions.step(FINISHED, "told", detail="outcome")


def _waiting(tx: Tx) -> None:
    execution = made.execution(WAITING, created_at=tx.now, expires_at=tx.now + 600)
    tx.executions.insert(execution)
    tx.executions.move(execution, Trigger.ASK, by=execution.rule)


def _running(tx: Tx) -> None:
    execution = made.execution(RUNNING, created_at=tx.now, expires_at=tx.now + 600)
    tx.executions.insert(execution)
    for trigger in (Trigger.ALLOW, Trigger.DISPATCH, Trigger.START):
        execution = tx.executions.move(execution, trigger)
    assert execution.state is ExecutionState.RUNNING


def _claimed(tx: Tx) -> Event:
    (event,) = tx.events.claim(token=TOKEN, lease_s=60, limit=1, channels=made.ALL_CHANNELS, states=made.ALL_CLAIMABLE)
    return event


def _tell(tx: Tx, message_id: str) -> None:
    nonce = Nonce(f"n-{message_id}")
    sending = tx.events.begin_send(_claimed(tx), token=TOKEN, nonce=nonce, part=0, lease_s=60)
    assert sending is not None
    assert tx.events.receipt(
        sending, token=TOKEN, part=0, nonce=nonce, receipt=Receipt(message_id=MessageId(message_id))
    )
    assert tx.events.move(sending, EventTrigger.TELL, token=TOKEN)


def _dead(tx: Tx) -> None:
    tx.events.add(made.event("reply:9:0", payload=Say(text="hello")))
    event = _claimed(tx)
    assert tx.events.move(event, EventTrigger.BURY, token=TOKEN, trouble="ChannelRejected: no such room")
    assert tx.events.listing(states={EventState.DEAD})
