"""The `Agent` that is a model: one run for each place and person of a turn's inputs, and the steps that come of it.

Exact instructions are done as without a model, so that they work whatever becomes of it. Deliberately absent: telling
a result, which nobody waits for here; any write.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bot.agent.commands import CommandsAgent
from bot.agent.model.profile import Brain, Meter, Profile, Thought
from bot.agent.model.prompt import RULES, Prompt, prompt_of
from bot.agent.model.tools import TurnTools
from bot.domain.event import Input, InputKind
from bot.domain.execution import Execution, ExecutionId
from bot.domain.fence import without_marks
from bot.domain.mask import Masker
from bot.domain.memory import Heard, Remembered, Told, compacted
from bot.domain.quiet import is_quiet, without_token
from bot.domain.retry import delay_s
from bot.domain.session import Peer, PersonId
from bot.domain.spending import DAY_S, Spending, Spent
from bot.domain.words import Plain, Unclear, parse_words
from bot.errors import ModelAway, ModelRefused
from bot.ports import Forget, Later, Learn, NodeHub, Policies, Reply, Store, TurnStep, Tx

log = logging.getLogger(__name__)

NEW = "new"
_WISHES = frozenset({InputKind.MESSAGE, InputKind.SCHEDULE, InputKind.OPERATOR})
_ALL_RUNS_S = 100.0
"""Of one turn, which is ended after 120 s: what did not come to its run by then is a later turn's."""
_MAX_WORDS_CHARS = 20_000
"""Of one answer: a dozen messages of a chat. A model's own bound is usually shorter."""
_FORGOTTEN = "Started afresh: I know nothing of what was said here before. What still runs is told as always."
_NO_WORDS = "I have no answer to that."
_UNREACHABLE = (
    "The service of my language model refuses to answer; an operator must mend it. Single instructions still work "
    "(write: help), and results are told as always."
)


@dataclass(frozen=True, slots=True)
class _Run:
    """Inputs that are answered together: of one place and one person, in order."""

    place: Peer | None
    person: PersonId | None
    inputs: tuple[Input, ...]

    @property
    def message(self) -> Input | None:
        return next((one for one in reversed(self.inputs) if one.kind is InputKind.MESSAGE), None)

    @property
    def is_wished(self) -> bool:
        """Whether it begins with somebody's wish: a person's, or the operator's. Not with a look of the agent's own, a
        call from outside, or a result of what it asked for itself."""
        return any(one.kind in _WISHES for one in self.inputs)

    @property
    def may_instruct(self) -> bool:
        return len(self.inputs) == 1 and self.inputs[0].kind in {InputKind.MESSAGE, InputKind.COMMAND}

    @property
    def answered(self) -> Input:
        """The input that words and commands answer: the newest message, else the newest of all."""
        return self.message or self.inputs[-1]


@dataclass(slots=True)
class _Learnt:
    """What this very turn adds to the pasts of its places, and which of them it has forgotten."""

    turns: dict[Peer | None, list[Remembered]] = field(default_factory=dict)
    forgotten: set[Peer | None] = field(default_factory=set)

    def forget(self, place: Peer | None) -> None:
        self.forgotten.add(place)
        self.turns.pop(place, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAgent:
    profile: Profile
    brain: Brain
    store: Store
    hub: NodeHub
    policies: Policies
    commands: CommandsAgent
    masker: Masker = field(default_factory=Masker)
    ticks: Callable[[], float] = time.monotonic

    async def close(self) -> None:
        await self.brain.close()

    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        steps: list[TurnStep] = []
        learnt = _Learnt()
        until, wait_s = self.ticks() + _ALL_RUNS_S, None
        for run in _runs(inputs):
            words = parse_words(run.answered.text) if run.may_instruct else None
            if words == Plain(word=NEW):
                learnt.forget(run.place)
                steps += [Forget(input_id=run.answered.id), Reply(input_id=run.answered.id, text=_FORGOTTEN)]
            elif words is not None and not isinstance(words, Unclear):
                steps += await self.commands.answer(run.inputs)
            elif wait_s is not None or self.ticks() >= until:
                is_untried = wait_s is None
                steps += [Later(input_id=one.id, wait_s=wait_s or 0.0, is_untried=is_untried) for one in run.inputs]
            else:
                found, wait_s = await self._run(run, learnt, until)
                steps += found
        return steps

    async def _run(self, run: _Run, learnt: _Learnt, until: float) -> tuple[list[TurnStep], float | None]:
        """The steps of one run; and how long others should wait, where the model is away."""
        given, session = len(run.inputs), run.answered.session
        past, ended, run, objection, unprompted = await self.store.read(lambda tx: self._look(tx, run, learnt))
        if len(run.inputs) < given:
            # Told as always, and known to nobody: who looks for why the model says nothing of it finds this.
            extra = {"agent": self.profile.name, "session": session, "inputs": given - len(run.inputs)}
            log.info("agent.begun_afresh", extra=extra)
        if not run.inputs:
            return [], None
        kept, left_out = compacted(past, budget_tokens=self.profile.memory_tokens)
        mark = secrets.token_hex(6)
        prompt = self._prompt(run, ended, mark, left_out)
        if objection is not None:
            return self._unanswered(run, prompt, objection, learnt, None), None
        tools = TurnTools(
            store=self.store,
            hub=self.hub,
            policies=self.policies,
            masker=self.masker,
            profile=self.profile,
            asked=run.answered,
            is_prompted=run.message is not None,
            unprompted=0 if run.is_wished else unprompted,
            read_untrusted=prompt.read_untrusted or any(_taints(turn, run.person) for turn in kept),
            mark=mark,
        )
        began, meter = self.ticks(), Meter()
        try:
            async with asyncio.timeout(min(self.profile.timeout_s, until - began)):
                thought = await self.brain.think(self._instructions(), kept, prompt.text, tools, meter)
        except (ModelAway, TimeoutError) as fault:
            wait_s = self._wait_s(run, fault)
            later = [Later(input_id=one.id, wait_s=wait_s) for one in run.inputs]
            return [*self._only_spent(run, meter, began), *later], wait_s
        except ModelRefused as fault:
            log.error("model.refused", extra={"agent": self.profile.name, "fault": str(fault)})  # noqa: TRY400 - ours
            spending = self._spending(run, meter, began) if meter.spent.tokens else None
            return self._unanswered(run, prompt, _UNREACHABLE, learnt, spending), None
        return self._steps(run, prompt, thought, tools, self._spending(run, meter, began), learnt), None

    def _only_spent(self, run: _Run, meter: Meter, began: float) -> list[TurnStep]:
        """A fault in a late round does not undo what the earlier ones cost."""
        if not meter.spent.tokens:
            return []
        spending = self._spending(run, meter, began)
        return [Learn(input_id=run.answered.id, turn=None, spending=spending, is_prompted=False)]

    def _spending(self, run: _Run, meter: Meter, began: float) -> Spending:
        spent = meter.spent
        money = self.profile.price.micros(spent.tokens_read, spent.tokens_written)
        return Spending(
            agent=self.profile.name,
            session=run.answered.session,
            person=run.person,
            model=self.profile.model,
            spent=replace(spent, turns=1, took_s=self.ticks() - began, money_micros=money),
        )

    def _look(
        self, tx: Tx, run: _Run, learnt: _Learnt
    ) -> tuple[list[Remembered], dict[ExecutionId, Execution], _Run, str | None, int]:
        """The past of the place, the executions that came home to it, and whether there is a budget left."""
        session = run.answered.session
        stored = tx.memories.recall(session, run.place)
        has_forgotten = run.place in learnt.forgotten
        past = [] if has_forgotten else list(stored.turns)
        # What was asked for before the place forgot is told, and no part of what it begins now.
        kept = tuple(
            one
            for one in run.inputs
            if one.execution_id is None
            or (not has_forgotten and tx.memories.is_present(one.execution_id, session, run.place))
        )
        ids = [one.execution_id for one in kept if one.execution_id is not None]
        ended = {execution.id: execution for execution in map(tx.executions.get, ids) if execution is not None}
        since = tx.now - DAY_S
        by_agent = tx.memories.spent(since=since, agent=self.profile.name)
        by_person = Spent() if run.person is None else tx.memories.spent(since=since, person=run.person)
        objection = self.profile.budget.objection(by_agent=by_agent, by_person=by_person)
        return [*past, *learnt.turns.get(run.place, ())], ended, replace(run, inputs=kept), objection, stored.unprompted

    def _prompt(self, run: _Run, ended: dict[ExecutionId, Execution], mark: str, left_out: int) -> Prompt:
        inputs = [replace(one, text=self.masker.text(one.text)) for one in run.inputs]
        prompt = prompt_of(inputs, ended, mark=mark)
        if not left_out:
            return prompt
        return replace(prompt, text=f"[{left_out} earlier turns of this conversation are left out]\n\n{prompt.text}")

    def _instructions(self) -> str:
        return f"{RULES}\n\n{self.profile.instructions}".strip()

    def _wait_s(self, run: _Run, fault: Exception) -> float:
        attempt = max(one.attempt for one in run.inputs)
        asked_s = fault.retry_after_s if isinstance(fault, ModelAway) else 0.0
        wait_s = max(asked_s, delay_s(attempt, jitter=0.5, at_least_s=1.0))
        detail = str(fault) or type(fault).__name__
        log.warning("model.away", extra={"agent": self.profile.name, "fault": detail, "wait_s": round(wait_s, 1)})
        return wait_s

    def _unanswered(
        self, run: _Run, prompt: Prompt, text: str, learnt: _Learnt, spending: Spending | None
    ) -> list[TurnStep]:
        """Words of ours for whoever wrote; nobody else waits for any. What came home is known all the same, once."""
        words: list[TurnStep] = [] if run.message is None else [Reply(input_id=run.message.id, text=text)]
        turn = None
        if any(one.kind is InputKind.FINISHED for one in run.inputs):
            told = Told(text="" if run.message is None else text)
            entries = (Heard(text=prompt.text), told)
            turn = Remembered(entries=entries, read_untrusted=prompt.read_untrusted, person=run.person)
            learnt.turns.setdefault(run.place, []).append(turn)
        if turn is None and spending is None:
            return words
        return [Learn(input_id=run.answered.id, turn=turn, spending=spending, is_prompted=False), *words]

    def _steps(
        self,
        run: _Run,
        prompt: Prompt,
        thought: Thought,
        tools: TurnTools,
        spending: Spending,
        learnt: _Learnt,
    ) -> list[TurnStep]:
        text = self.masker.text(without_marks(thought.text))[:_MAX_WORDS_CHARS]
        turn = Remembered(
            entries=(Heard(text=prompt.text), *thought.called, Told(text=text)),
            read_untrusted=tools.read_untrusted,
            person=run.person,
        )
        learnt.turns.setdefault(run.place, []).append(turn)
        learn = Learn(input_id=run.answered.id, turn=turn, spending=spending, is_prompted=run.is_wished)
        steps: list[TurnStep] = [learn, *tools.steps]
        if not is_quiet(text, ack_max_chars=self.profile.ack_max_chars if run.message is None else 0):
            if run.place is None:
                # As its config has it: what it says is remembered, and told to nobody.
                log.info("agent.untold", extra={"agent": self.profile.name, "session": run.answered.session})
            else:
                steps.append(Reply(input_id=run.answered.id, text=without_token(text)))
        elif run.message is not None and not tools.steps:
            steps.append(Reply(input_id=run.message.id, text=_NO_WORDS))
        return steps


def _taints(turn: Remembered, person: PersonId | None) -> bool:
    """To this person's turn, words of unknown origin, and words of others, are what somebody else may want."""
    return turn.read_untrusted or turn.person != person


def _runs(inputs: Sequence[Input]) -> list[_Run]:
    """In their order; a message that is an instruction of its own is a run of its own."""
    runs: list[_Run] = []
    for key, group in itertools.groupby(inputs, key=_run_key):
        runs.append(_Run(place=key[0], person=key[1], inputs=tuple(group)))
    return runs


def _run_key(one: Input) -> tuple[Peer | None, PersonId | None, int]:
    is_message = one.kind is InputKind.MESSAGE and not isinstance(parse_words(one.text), Unclear)
    is_instruction = is_message or one.kind is InputKind.COMMAND
    return (None if one.address is None else one.address.peer, one.person, one.id if is_instruction else 0)
