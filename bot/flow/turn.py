"""Inputs of one session -> the agent's answer -> replies and executions, in one transaction at the end.

Until that transaction nothing of a turn exists outside; a turn that died is run again from its inputs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.domain.batch import BATCH_MARK, BatchId, InBatch
from bot.domain.command import Limits, NodeFingerprint, Request
from bot.domain.event import ClaimToken, Input, InputId, InputKind, NewEvent, Payload, Say, ShowOutput
from bot.domain.execution import (
    ID_ALPHABET,
    ID_CHARS,
    Execution,
    ExecutionId,
    ExecutionState,
    Trigger,
)
from bot.domain.mask import Masker
from bot.domain.policy import Subject, analysed
from bot.domain.retry import delay_s
from bot.domain.session import Peer, PersonId, ReturnAddress
from bot.domain.unmasked import may_start_it
from bot.domain.verdict import Ask as AskPeople
from bot.domain.verdict import Refuse
from bot.errors import HomingError, StaleRow
from bot.flow.outcome import leave
from bot.flow.readiness import ready
from bot.flow.recall import stop_for_agent, take_in
from bot.flow.signals import Signals
from bot.loop import Tasks
from bot.ports import (
    Agent,
    Ask,
    Forget,
    Later,
    Learn,
    NodeHub,
    Policies,
    Reply,
    StopIt,
    Store,
    TurnStep,
    Tx,
    WholeOutput,
)

log = logging.getLogger(__name__)

TURN_TIMEOUT_S = 120.0
"""A turn of a language model with several steps takes a minute; twice that is a turn that hangs."""
_LEASE_S = TURN_TIMEOUT_S + 60.0
_MAX_INPUTS = 20
"""Of one turn; the rest are the next turn's."""
_MAX_TURNS = 32
"""Sessions that are answered at the same time."""
_MAX_ATTEMPTS = 5
"""After so many faults the people are told instead: an input may not block its session for ever."""
_UNASKED = frozenset({InputKind.FINISHED, InputKind.CADENCE})
"""Nobody waits for a word about these."""
_PREPARED_WITHIN_S = 20.0
"""An inspection is bounded at 10 s; after twice that the node has gone."""
_HIDES = (
    "it holds what looks like a secret, and what it starts is not known before a shell or an interpreter has read it: "
    "nobody could see what they approve; keep the secret on the node, in a file or a variable, and ask without it"
)
SETTLING_S = 10.0
"""Nodes try again after 0.5, 1, 2 and 4 s when their gateway went away: by then those that are there are back."""


@dataclass(frozen=True, slots=True)
class Turns:
    """One turn at a time per session; many sessions at once."""

    store: Store
    agent: Agent
    hub: NodeHub
    policies: Policies
    signals: Signals
    limits: Limits
    settled_at: float = 0.0
    """Until then a node that is missing may just be coming back: the gateway has only started."""
    masker: Masker = field(default_factory=Masker)
    tasks: Tasks = field(default_factory=lambda: Tasks("turn", limit=_MAX_TURNS))

    async def step(self) -> bool:
        """Claim one session's inputs and answer them in the background. False where nothing is due."""
        if self.tasks.free <= 0:
            return False
        token = ClaimToken(secrets.token_hex(8))
        inputs = await self.store.write(lambda tx: tx.inputs.claim(token=token, lease_s=_LEASE_S, limit=_MAX_INPUTS))
        if not inputs:
            return False
        self.tasks.start(self._answer(inputs, token), then=self.signals.turn.wake)
        return True

    async def _answer(self, inputs: Sequence[Input], token: ClaimToken) -> None:
        exhausted = [one for one in inputs if one.attempt > _MAX_ATTEMPTS]
        if exhausted:
            await self._give_up(exhausted, [one for one in inputs if one not in exhausted], token)
            return
        try:
            async with asyncio.timeout(TURN_TIMEOUT_S):
                steps = await self.agent.answer(inputs)
            connected = frozenset(self.hub.connected())
            await self.store.write(lambda tx: self._commit(tx, inputs, token, steps, connected))
        except (TimeoutError, HomingError) as fault:
            # Also a commit that failed: without this its inputs would wait until the lease is over.
            log.warning("turn.fault", extra={"session": inputs[0].session, "fault": type(fault).__name__})
            await self._postpone(inputs, token)
            return
        self.signals.prepare.wake()
        self.signals.heartbeat.wake()

    async def _postpone(self, inputs: Sequence[Input], token: ClaimToken) -> None:
        wait_s = delay_s(max(one.attempt for one in inputs), jitter=0.5, at_least_s=1.0)
        await self.store.write(lambda tx: tx.inputs.release(inputs, token=token, not_before=tx.now + wait_s))

    async def _give_up(self, exhausted: Sequence[Input], others: Sequence[Input], token: ClaimToken) -> None:
        """Whoever wrote is told; what came meanwhile gets a turn of its own."""
        text = "I could not answer this; the log of the gateway says why. Ask again, or ask an operator."
        sorry = [Reply(input_id=one.id, text=text) for one in exhausted if one.kind not in _UNASKED]
        log.error("turn.given_up", extra={"session": exhausted[0].session, "inputs": len(exhausted)})

        def give_up(tx: Tx) -> None:
            self._commit(tx, exhausted, token, sorry, frozenset())
            tx.inputs.release(others, token=token, not_before=tx.now, is_untried=True)

        await self.store.write(give_up)
        self.signals.heartbeat.wake()

    def _commit(
        self,
        tx: Tx,
        inputs: Sequence[Input],
        token: ClaimToken,
        steps: Sequence[TurnStep],
        connected: Collection[NodeFingerprint],
    ) -> None:
        later = {step.input_id: step for step in steps if isinstance(step, Later)}
        held = tx.inputs.answer([one for one in inputs if one.id not in later], token=token)
        for one in inputs:
            if (waits := later.get(one.id)) is not None:
                at = tx.now + waits.wait_s
                held &= tx.inputs.release([one], token=token, not_before=at, is_untried=waits.is_untried)
        if not held:
            # The lease ran out and another turn has these inputs: nothing of this one may exist.
            raise StaleRow("the claim of this turn is over")
        for one in inputs:
            # The execution's row alone keeps what is to run; what was written is kept as it may be read.
            text = self.masker.text(one.text)
            if text != one.text:
                tx.inputs.reword(one.id, text)
        by_id = {one.id: one for one in inputs}
        places = _places(tx, by_id, steps)
        for number, step in enumerate(steps):
            answered = by_id[step.input_id]
            if isinstance(step, (Later, Learn, Forget)):
                take_in(tx, answered, step)
                continue
            if answered.address is None:
                log.warning("turn.step_without_address", extra={"session": answered.session})
                continue
            # With its moment: SQLite numbers rows anew once they are pruned, and an identity is spent for ever.
            identity = f"reply:{answered.id}:{answered.created_at}:{number}"
            match step:
                case Reply():
                    _say(tx, answered, answered.address, Say(text=step.text, code=step.code), identity)
                case WholeOutput():
                    _say(tx, answered, answered.address, ShowOutput(execution_id=step.execution_id), identity)
                case StopIt():
                    stop_for_agent(tx, self.policies.now, answered, step)
                case _:
                    batch = places.get(number)
                    self._request(tx, answered, answered.address, step, connected, identity, batch=batch)

    def _request(
        self,
        tx: Tx,
        asked: Input,
        origin: ReturnAddress,
        step: Ask,
        connected: Collection[NodeFingerprint],
        identity: str,
        *,
        batch: InBatch | None,
    ) -> None:
        if asked.person is None or asked.person_native is None:
            log.warning("turn.ask_without_person", extra={"session": asked.session})
            return
        found = ready(tx, asked, origin, step, connected)
        if isinstance(found, str):
            if found:
                _say(tx, asked, origin, Say(text=found), identity)
            return
        replaced = None if step.instead_of is None else self._replaced(tx, step.instead_of, asked.person)
        if isinstance(replaced, str):
            _say(tx, asked, origin, Say(text=replaced), identity)
            return
        masked = self.masker.request(step.request)
        refusal = self._refusal(origin.peer, asked.person, found.name, step.request, is_masked=masked != step.request)
        seed = f"{asked.id}:{asked.created_at!r}:{identity}"
        execution = Execution(
            id=draw_id(f"{seed}:0"),
            state=ExecutionState.PREPARING,
            session=asked.session,
            origin=origin,
            asker=asked.person,
            asker_native=asked.person_native,
            asker_name=asked.person_name or asked.person,
            request=step.request,
            masked=None if masked == step.request else masked,
            node=found.fingerprint,
            node_name=found.name,
            created_at=tx.now,
            expires_at=tx.now + _PREPARED_WITHIN_S,
            rule=refusal.rule if refusal is not None else "",
            batch=batch,
            worded_by=step.worded_by,
            read_untrusted=step.read_untrusted,
        )
        execution = _inserted(tx, execution, seed)
        tx.memories.asked(execution.id, asked.session, origin.peer)
        if replaced is not None:
            _give_way(tx, replaced, execution)
        if refusal is not None:
            leave(tx, execution, Trigger.REFUSE, by="policy", reason=refusal.reason)
        elif found.fingerprint not in connected and tx.now >= self.settled_at:
            reason = f"the node {found.name} is not connected; ask again when it is back"
            leave(tx, execution, Trigger.REFUSE, by="gateway", reason=reason)

    def _refusal(
        self, peer: Peer, asker: PersonId, node_name: str, request: Request, *, is_masked: bool
    ) -> Refuse | None:
        """What needs no look of the node."""
        subject = Subject(analysis=analysed(request))
        refusal = self.policies.now.refuses_unseen(peer=peer, asker=asker, node_name=node_name, subject=subject)
        if refusal is None and is_masked and may_start_it(request):
            return Refuse(rule="no mark hides a program", reason=_HIDES)
        return refusal

    def _replaced(self, tx: Tx, execution_id: ExecutionId, person: PersonId) -> Execution | str:
        """The execution that is to go, locked; or why it does not."""
        execution = tx.executions.lock(execution_id)
        if execution is None or execution.state is not ExecutionState.AWAITING_APPROVAL:
            return f"{execution_id} waits for no decision any more. Ask anew with: run <command>"
        said = self.policies.now.judge_execution(execution)
        if not isinstance(said, AskPeople) or person not in said.deciders:
            who = ", ".join(said.deciders) if isinstance(said, AskPeople) else "nobody, as the policy stands now"
            tx.executions.step(execution_id, "refused_vote", by=person, detail=f"who may decide: {who}")
            return f"You may not decide {execution_id}, so you may not replace it. Who may: {who}."
        if not tx.executions.vote(execution_id, person, approves=False, reason="replaced"):
            return f"You have decided {execution_id} already; the first word counts."
        return execution


def _give_way(tx: Tx, replaced: Execution, execution: Execution) -> None:
    """Whoever asked for `execution` decides against the one that it stands for."""
    person = execution.asker
    tx.executions.step(execution.id, "instead_of", by=person, detail=replaced.id)
    decided = replace(replaced, decided_by=person, decided_at=tx.now)
    leave(tx, decided, Trigger.DENY, by=person, reason=f"replaced by {execution.id}, which has its own card")


def _places(tx: Tx, inputs: Mapping[InputId, Input], steps: Sequence[TurnStep]) -> dict[int, InBatch]:
    """Which steps are of a batch, by their number: those that ask for commands in answer to one and the same message.

    Not all that a turn asks for: somebody who writes twice is answered twice, whichever turn it is that takes both.
    """
    asking: dict[InputId, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        if isinstance(step, Ask):
            asking[step.input_id].append(number)
    places: dict[int, InBatch] = {}
    for input_id, numbers in asking.items():
        if len(numbers) > 1:
            batch = _draw_batch(tx, inputs[input_id])
            places.update((number, InBatch(id=batch, at=at)) for at, number in enumerate(numbers))
    return places


def _draw_batch(tx: Tx, asked: Input) -> BatchId:
    """The same for the same input, as the ids of its executions are."""
    attempt = 0
    while tx.executions.of_batch(
        batch := BatchId(BATCH_MARK + draw_id(f"{asked.id}:{asked.created_at!r}:batch:{attempt}"))
    ):
        attempt += 1
    return batch


def _inserted(tx: Tx, execution: Execution, seed: str) -> Execution:
    """The row, with an id that nobody had: another is drawn where it is taken."""
    attempt = 0
    while not tx.executions.insert(execution):
        attempt += 1
        execution = replace(execution, id=draw_id(f"{seed}:{attempt}"))
    tx.executions.step(execution.id, "requested", by=execution.asker, detail=None)
    return execution


def draw_id(seed: str) -> ExecutionId:
    """The same for the same seed: whoever answers an input a second time, on a store that was restored from a backup,
    asks the node for an execution that its journal knows."""
    number = int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest())
    letters = []
    for _ in range(ID_CHARS):
        number, at = divmod(number, len(ID_ALPHABET))
        letters.append(ID_ALPHABET[at])
    return ExecutionId("".join(letters))


def _say(tx: Tx, answered: Input, address: ReturnAddress, payload: Payload, identity: str) -> None:
    tx.events.add(
        NewEvent(
            identity=identity,
            session=answered.session,
            address=address,
            payload=payload,
            mention=answered.person_native or None,
        )
    )
