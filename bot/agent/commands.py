"""The agent without a model: reads the words of `domain/words.py` and answers them, nothing else.

Deliberately absent: what is urgent (`approve`, `stop`, `pause`, `break-glass` and their kind), which intake does at
once, and any write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from bot.domain.command import parse_request
from bot.domain.event import Input, InputKind
from bot.domain.execution import FINAL, Execution, ExecutionId, ExecutionState
from bot.domain.grant import line as grant_line
from bot.domain.hook import parse_hook
from bot.domain.node import Pairing
from bot.domain.parts import duration
from bot.domain.render import LISTED_CHARS
from bot.domain.results import listed_command, title
from bot.domain.session import PeerKind, PersonId
from bot.domain.verdict import Ask as AskVerdict
from bot.domain.words import USAGE, Again, Edit, Plain, Run, ShowWhole, Unclear, Why, parse_words
from bot.errors import Malformed
from bot.ports import Ask, NodeHub, Policies, Reply, Store, TurnStep, Tx, WholeOutput

_LISTED = 15
"""Lines of a list in the chat: what a phone shows without scrolling; `homing executions` shows more."""
_MAX_STEPS = 40
"""An execution has some ten; refused votes of a busy room may be many."""
_INSTRUCTIONS = frozenset({InputKind.MESSAGE, InputKind.COMMAND})
_ELSEWHERE = "(asked in another conversation; write to me alone: pending)"

_HELP = """run <command> — ask for a command; people approve it before it runs
run on <node>: <command> — on that machine
approve <id> · deny <id> [reason] — decide; several at once: approve <id> <id> · deny <id>, <id> [reason]
stop <id> — cancel a waiting one, stop a running one
again <id> — ask for the same command once more
edit <id> <command> — for who may decide it: ask for this instead
output <id> — the whole output, here where it was asked
why <id> — what has become of it, step by step
pending · executions · grants · nodes · whoami — what there is
revoke <id> — take back what was always allowed
break-glass [15m] <reason> — in an emergency, for whom the config names: your own yes is enough here; announced
break-glass end · review <id> ok|misuse <what you found> — end it; look at somebody else's afterwards
new — where a language model answers: begin afresh, without what was said before
pause [reason] · resume — for owners: hand nothing over; results are still told"""


@dataclass(frozen=True, slots=True)
class CommandsAgent:
    HEARS_RESULTS: ClassVar[bool] = False
    """It has never a word to one."""
    store: Store
    hub: NodeHub
    policies: Policies

    async def answer(self, inputs: Sequence[Input]) -> Sequence[TurnStep]:
        """One step for each message that is an instruction; nothing for talk, ends and looks.

        Words of the config and of the terminal are told as they are: there is nobody here to answer them.
        """
        steps: list[TurnStep] = []
        for one in inputs:
            if one.address is None or one.person is None:
                continue
            if one.kind in _INSTRUCTIONS:
                steps += await self._answer_one(one, one.person)
            elif one.kind in {InputKind.SCHEDULE, InputKind.OPERATOR}:
                steps.append(Reply(input_id=one.id, text=one.text))
            elif one.kind is InputKind.HOOK:
                said = parse_hook(one.text)
                steps.append(Reply(input_id=one.id, text=said.says, code=said.lines() or None))
        return steps

    async def _answer_one(self, one: Input, person: PersonId) -> list[TurnStep]:
        words = parse_words(one.text)
        match words:
            case Run():
                return [_ask(one, words.command, words.node)]
            case ShowWhole():
                return [await self._output(one, words.id)]
            case Again():
                return [await self._again(one, words.id)]
            case Edit():
                return [await self._edit(one, words)]
            case Why():
                return [await self._why(one, words.id)]
            case Plain():
                return [await self._plain(one, person, words.word)]
            case Unclear(meant=None):
                return self._talk(one)
            case Unclear():
                return [Reply(input_id=one.id, text=f"Did you mean: {words.meant}")]
            case _:
                # What is urgent was done by intake.
                return []

    def _talk(self, one: Input) -> list[TurnStep]:
        """People talk in rooms; only somebody who writes to us alone is told that it meant nothing to us."""
        if one.address is None or one.address.peer.kind is not PeerKind.DIRECT:
            return []
        return [Reply(input_id=one.id, text="I read single instructions. Write: help")]

    async def _output(self, one: Input, execution_id: ExecutionId) -> TurnStep:
        execution = await self._here(one, execution_id)
        if isinstance(execution, str):
            return Reply(input_id=one.id, text=execution)
        return WholeOutput(input_id=one.id, execution_id=execution_id)

    async def _again(self, one: Input, execution_id: ExecutionId) -> TurnStep:
        execution = await self._here(one, execution_id)
        if isinstance(execution, str):
            return Reply(input_id=one.id, text=execution)
        if execution.state not in FINAL and execution.state is not ExecutionState.LOST:
            return Reply(input_id=one.id, text=f"{execution_id} has not ended yet: {title(execution)}.")
        if execution.masked is not None:
            text = f"{execution_id} held a secret, which is not kept after its end. Write the command once more."
            return Reply(input_id=one.id, text=text)
        return Ask(input_id=one.id, request=execution.request, node_name=execution.node_name)

    async def _edit(self, one: Input, words: Edit) -> TurnStep:
        """A decider's own version: a new request, which is inspected, judged and shown like any other."""
        execution = await self._here(one, words.id)
        if isinstance(execution, str):
            return Reply(input_id=one.id, text=execution)
        asked = _ask(one, words.command, execution.node_name)
        return replace(asked, instead_of=words.id) if isinstance(asked, Ask) else asked

    async def _why(self, one: Input, execution_id: ExecutionId) -> TurnStep:
        """Its steps so far: times, people and reasons, never output."""
        execution = await self._here(one, execution_id)
        if isinstance(execution, str):
            return Reply(input_id=one.id, text=execution)
        steps = await self.store.read(lambda tx: tx.executions.steps(execution_id))
        lines = [
            "  ".join(filter(None, (_clock(step.at), step.what, step.by and f"by {step.by}", step.detail)))
            for step in steps[-_MAX_STEPS:]
        ]
        return Reply(
            input_id=one.id, text=f"{title(execution)} · {execution_id}. Times are UTC.", code="\n".join(lines)
        )

    async def _here(self, one: Input, execution_id: ExecutionId) -> Execution | str:
        """The execution, if this is the conversation that asked for it: its output stands nowhere else."""
        execution = await self.store.read(lambda tx: tx.executions.get(execution_id))
        if execution is None or one.address is None:
            return f"There is no execution {execution_id}, or it was pruned. Write: executions"
        if execution.origin.peer != one.address.peer:
            return f"{execution_id} was asked for in another conversation; ask there."
        return execution

    async def _plain(self, one: Input, person: PersonId, word: str) -> TurnStep:
        match word:
            case "pending":
                text, code = await self._pending(one, person)
            case "executions":
                text, code = await self._executions(one)
            case "grants":
                text, code = await self._grants(one)
            case "nodes":
                text, code = await self._nodes()
            case "whoami":
                text, code = self._whoami(one, person), None
            case "new":
                text, code = "No language model answers here, so there is nothing that I could forget.", None
            case _:
                text, code = "What I understand:", _HELP
        return Reply(input_id=one.id, text=text, code=code)

    async def _pending(self, one: Input, person: PersonId) -> tuple[str, str | None]:
        """What waits for somebody: asked here, or for this person to decide."""

        def look(tx: Tx) -> list[Execution]:
            waiting = tx.executions.in_states({ExecutionState.AWAITING_APPROVAL}, limit=500)
            return [e for e in waiting if e.session == one.session or self._may_decide(e, person)]

        found = await self.store.read(look)
        if not found:
            return "Nothing waits for a decision here.", None
        # Rooms have readers that the place that asked has not: what was asked elsewhere is shown to the decider alone.
        alone = one.address is not None and one.address.peer.kind is PeerKind.DIRECT
        lines = [
            f"{e.id}  {listed_command(e, LISTED_CHARS) if alone or e.session == one.session else _ELSEWHERE}"
            f"  on {e.node_name}, asked by {e.asker}{'' if e.batch is None else f', of {e.batch.id}'}"
            for e in found[:_LISTED]
        ]
        more = f" The oldest {_LISTED}:" if len(found) > _LISTED else ""
        return f"{len(found)} waiting. Decide with: approve <id>, or: deny <id> <reason>.{more}", "\n".join(lines)

    def _may_decide(self, execution: Execution, person: PersonId) -> bool:
        said = self.policies.now.judge_execution(execution)
        return isinstance(said, AskVerdict) and person in said.deciders

    async def _executions(self, one: Input) -> tuple[str, str | None]:
        found = await self.store.read(
            lambda tx: tx.executions.in_states(
                frozenset(ExecutionState), session=one.session, limit=_LISTED, newest_first=True
            )
        )
        if not found:
            return "Nothing was asked for in this conversation yet. Begin with: run uptime", None
        lines = [f"{e.id}  {title(e)}  {_took(e)}{listed_command(e, 60)}" for e in found]
        return "The newest of this conversation:", "\n".join(lines)

    async def _grants(self, one: Input) -> tuple[str, str | None]:
        peer = None if one.address is None else one.address.peer.parent()
        found = [] if peer is None else await self.store.read(lambda tx: tx.grants.live(peer, limit=_LISTED + 1))
        if not found:
            return "Nothing is always allowed in this conversation.", None
        more = f" The newest {_LISTED}; an operator sees all." if len(found) > _LISTED else ""
        lines = [grant_line(grant, until=_until(grant.expires_at)) for grant in found[:_LISTED]]
        return f"Always allowed in this conversation. Take one back with: revoke <id>.{more}", "\n".join(lines)

    async def _nodes(self) -> tuple[str, str | None]:
        connected = set(self.hub.connected())
        known = await self.store.read(lambda tx: tx.nodes.listing())
        lines = [
            f"{node.name}  {'connected' if node.fingerprint in connected else 'not connected'}  {node.fingerprint}"
            for node in known
            if node.pairing is Pairing.PAIRED
        ]
        if not lines:
            return "No node is paired. On a machine: homing node, then here: homing nodes pair", None
        return "Machines that run commands:", "\n".join(lines)

    def _whoami(self, one: Input, person: PersonId) -> str:
        rights = (
            "an owner: you may decide where no rule names others, pause and resume"
            if self.policies.now.is_owner(person)
            else "somebody who may ask"
        )
        return f"You are {one.person_name} ({person}), {rights}. This conversation is {one.session}."


def _ask(one: Input, command: str, node: str | None) -> TurnStep:
    try:
        return Ask(input_id=one.id, request=parse_request(command), node_name=node)
    except Malformed as fault:
        return Reply(input_id=one.id, text=f"{fault}. {USAGE['run']}")


def _until(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, tz=UTC).strftime("%H:%M:%S")


def _took(execution: Execution) -> str:
    return "" if execution.result is None else f"({duration(execution.result.duration_s)})  "
