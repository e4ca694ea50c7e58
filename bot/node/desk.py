"""The node's side of the hand-over: every frame of an open connection that asks the node for something.

offer -> checked, journalled, accepted with a token; go -> counts once, within 10 s, by a clock that goes on while the
machine sleeps; stop -> ends it, or makes a tombstone; ask -> what the journal knows. Deliberately absent: the socket,
which may be another one for each of these frames.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.domain.command import Command, NodeFingerprint, canonical, command_hash
from bot.domain.execution import ExecutionId
from bot.domain.node import Known
from bot.node.frames import (
    MAX_TEXT_CHARS,
    Accepted,
    Ack,
    Answers,
    Ask,
    Busy,
    Declined,
    Go,
    Inspect,
    Inspected,
    NotKnown,
    Offer,
    Stop,
)
from bot.node.inspect import Inspector
from bot.node.journal import KNOWN, Entry, State
from bot.node.launch import Launches
from bot.node.outbox import Outbox
from bot.node.settings import NodeSettings
from bot.node.spool import Spool
from bot.ports import NodeRefusal

log = logging.getLogger(__name__)

GO_WITHIN_S = 10.0
"""From the node's own acceptance. The gateway commits in between, which takes milliseconds."""
_MAX_TOKENS = 8
"""Of one execution that count at the same time: a gateway repeats an offer about once in ten seconds."""


def boot_time() -> float:
    """Seconds since the start of the machine, its sleep included: a `go` that slept is late."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class _Acceptance:
    command: Command
    tokens: dict[str, float] = field(default_factory=dict)
    """Token -> moment of its acceptance, in seconds of the boot clock."""


class Desk:
    """Lives as long as the node; connections come and go."""

    def __init__(
        self,
        settings: NodeSettings,
        inspector: Inspector,
        spool: Spool,
        outbox: Outbox,
        *,
        boot_time: Callable[[], float] = boot_time,
    ) -> None:
        self._settings = settings
        self._inspector = inspector
        self._spool = spool
        self._outbox = outbox
        self._boot_time = boot_time
        self._accepted: dict[ExecutionId, _Acceptance] = {}
        self.launches = Launches(settings, inspector, spool, outbox, boot_time=boot_time)

    async def inspect(self, asked: Inspect, gateway: NodeFingerprint) -> Inspected | Declined:
        """`gateway` is the key that the other end of this connection has proved; here and below."""
        request = asked.request
        found = await asyncio.to_thread(
            self._inspector.inspect, request.argv, request.script, asked.limits, gateway=gateway
        )
        if isinstance(found, NodeRefusal):
            return _declined(asked.number, found.reason)
        return Inspected(number=asked.number, command=found)

    async def offer(self, offer: Offer, gateway: NodeFingerprint) -> Accepted | Declined | Busy:
        """May repeat, for as long as it was never started; each acceptance has a token of its own."""
        command = offer.command
        if not hmac.compare_digest(command_hash(command), offer.hash):
            return _declined(offer.number, "the command is not the one of its hash; ask again")
        if command.node != self._inspector.node:
            return _declined(offer.number, "the command was approved for another node; ask again")
        if command.gateway != gateway:
            return _declined(offer.number, "the command was approved at a gateway of another key; ask again")
        # Looked at before the files as well, so that offers that wait for a place cost no hashing.
        not_now = self._not_now(offer)
        if not_now is not None:
            return not_now
        changed = await asyncio.to_thread(self._inspector.differences, command)
        # From here on without a pause: nobody comes in between the look into the journal and the entry.
        not_now = self._not_now(offer)
        if not_now is not None:
            return not_now
        if changed is not None:
            return _declined(offer.number, changed)
        return self._accept(offer)

    def _not_now(self, offer: Offer) -> Declined | Busy | None:
        state = self._spool.state(offer.execution)
        if state not in {None, State.ACCEPTED} or self.launches.has_begun(offer.execution):
            return _never_again(offer.number, state)
        if offer.execution not in self._accepted and self._places_taken() >= self._settings.max_executions:
            return Busy(number=offer.number)
        no_room = self._spool.room_for_one_more() if state is None else None
        if no_room is not None:
            return _declined(offer.number, f"{no_room}; look after its connection and its disk")
        return None

    def _accept(self, offer: Offer) -> Accepted | Declined:
        command = offer.command
        try:
            self._spool.reserve(offer.execution, command.limits.output_bytes)
            self._spool.write(Entry(execution=offer.execution, state=State.ACCEPTED, at=time.time()))
        except OSError as fault:
            log.warning("offer.no_room", extra={"execution_id": offer.execution, "errno": fault.errno})
            self._spool.release(offer.execution)
            self._accepted.pop(offer.execution, None)
            return _declined(offer.number, "the node's disk has no room for the report; make room there and ask again")
        return Accepted(number=offer.number, token=self._new_token(offer.execution, command))

    def go(self, go: Go, gateway: NodeFingerprint) -> None:
        """Sent once, so whatever keeps it from starting ends it: a tombstone and a word to the gateway."""
        state = self._spool.state(go.execution)
        if self.launches.has_begun(go.execution) or state not in {None, State.ACCEPTED}:
            log.warning("go.of_no_use", extra={"execution_id": go.execution})
            return
        acceptance = self._accepted.pop(go.execution, None)
        accepted_at = None if acceptance is None else acceptance.tokens.get(go.token)
        if acceptance is None or accepted_at is None or acceptance.command.gateway != gateway:
            self.launches.refuse(go.execution, "it was told to go without an offer that the node still holds")
        elif self._boot_time() - accepted_at > GO_WITHIN_S:
            self.launches.refuse(
                go.execution, f"it was told to go more than {GO_WITHIN_S:.0f} s after the node had accepted it"
            )
        else:
            self.launches.begin(go.execution, acceptance.command, accepted_at)

    def stop(self, stop: Stop) -> None:
        """Safe to repeat."""
        if self.launches.has_begun(stop.execution):
            self.launches.stop(stop.execution)
            return
        match self._spool.state(stop.execution):
            case State.ACCEPTED:
                self._accepted.pop(stop.execution, None)
                self.launches.refuse(stop.execution, "it was stopped before it started")
            case None:
                # It was handed over, or nobody would stop it here; a journal that was lost proves nothing.
                self._bury_unseen(stop.execution)
            case State():
                self._outbox.owe_end(stop.execution)
            case _:
                return

    def answer(self, ask: Ask) -> Answers:
        return Answers(answers=tuple((asked, self._known(asked, handed_over)) for asked, handed_over in ask.executions))

    def acknowledged(self, ack: Ack) -> None:
        self._outbox.acknowledged(ack.execution, ack.report)

    def tidy(self) -> None:
        """Every second or so: give back the room of offers whose `go` can count no more."""
        now = self._boot_time()
        for execution, acceptance in list(self._accepted.items()):
            acceptance.tokens = {token: at for token, at in acceptance.tokens.items() if now - at <= GO_WITHIN_S}
            if not acceptance.tokens:
                del self._accepted[execution]
                self._spool.release(execution)

    def _known(self, execution: ExecutionId, handed_over: bool) -> Known:
        state = self._spool.state(execution)
        match state:
            case Known():
                return state
            case State.ACCEPTED if self.launches.has_begun(execution):
                return Known.RUNNING
            case State.FINISHED:
                # Its report is owed and follows; `finished` is what nobody will report any more.
                return Known.RUNNING
            case State.ACCEPTED if handed_over:
                # Committed, and the `go` did not come before this question: it will never count.
                self._accepted.pop(execution, None)
                self._spool.settle(execution, Known.NEVER_STARTED)
                return Known.NEVER_STARTED
            case None if handed_over:
                self._spool.settle(execution, Known.UNSEEN)
                return Known.UNSEEN
            case State.ACCEPTED | None:
                return Known.UNSEEN
            case State():
                return KNOWN[state]

    def _bury_unseen(self, execution: ExecutionId) -> None:
        report = NotKnown(
            execution=execution, detail="the node's journal does not know it: whether it ran is not known"
        )
        self._spool.write(Entry(execution=execution, state=State.UNKNOWN, at=time.time(), report=report))
        self._outbox.owe_end(execution)

    def _places_taken(self) -> int:
        self.tidy()
        return self.launches.count + len(self._accepted)

    def _new_token(self, execution: ExecutionId, command: Command) -> str:
        acceptance = self._accepted.get(execution)
        if acceptance is None or canonical(acceptance.command) != canonical(command):
            acceptance = self._accepted[execution] = _Acceptance(command)
        token = secrets.token_hex(16)
        acceptance.tokens[token] = self._boot_time()
        for oldest in list(acceptance.tokens)[:-_MAX_TOKENS]:
            del acceptance.tokens[oldest]
        return token


def _declined(number: int, reason: str, *, already_started: bool = False) -> Declined:
    return Declined(number=number, reason=reason[:MAX_TEXT_CHARS], already_started=already_started)


def _never_again(number: int, state: State | Known | None) -> Declined:
    if state in {State.REFUSED, Known.NEVER_STARTED}:
        return _declined(number, "the node was told before to put it away for good; it never started")
    return _declined(number, "the node has started it before, by an earlier hand-over", already_started=True)
