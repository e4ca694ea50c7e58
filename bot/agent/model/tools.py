"""What a model may do in a turn: ask for a command, look at nodes and at output of this conversation, stop.

A use of a tool reads, or is noted as a step of the turn. Deliberately absent: any way to decide, to grant, to change a
rule, or to name another conversation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.agent.model.profile import Parameter, Profile, Tool
from bot.domain.command import parse_request
from bot.domain.event import Input
from bot.domain.execution import FINAL, Execution, ExecutionState
from bot.domain.fence import fenced, named
from bot.domain.mask import Masker
from bot.domain.node import Node, Pairing
from bot.domain.parts import visible
from bot.domain.policy import Subject, analysed
from bot.domain.results import title
from bot.domain.words import parse_id
from bot.errors import Malformed
from bot.ports import Ask, NodeHub, Policies, StopIt, Store, TurnStep, Tx

PAGE_CHARS = 6_000
"""Of output in one page: what a model reads at once without losing the thread."""
MAX_ASKS = 20
"""Commands in one turn. The worst real turn that we know asked for 63, and nobody wanted to read as many cards."""
_LISTED = 20


_ID = Parameter(name="id", kind="string", description="Id of the execution, six characters such as 7K3QXY.")
_COMMAND = Parameter(name="command", kind="string", description="As typed in a shell, such as: df -h /srv")
_NODE = Parameter(
    name="node", kind="string", description="Name of the node. Left out: the only one there is.", is_required=False
)
_PAGE = Parameter(name="page", kind="integer", description="Counted from 1.", is_required=False)
_TOOLS = (
    Tool(
        name="run",
        description="Ask for one command on a node. Returns at once; people decide, and its result comes later.",
        parameters=(_COMMAND, _NODE),
    ),
    Tool(name="nodes", description="The machines that can run commands."),
    Tool(name="executions", description="The newest commands of this conversation and how they stand."),
    Tool(
        name="output",
        description="Read the output of an execution of this conversation, one page at a time.",
        parameters=(_ID, _PAGE),
    ),
    Tool(
        name="stop",
        description="Cancel a command that waits, or stop one that runs, in this conversation.",
        parameters=(_ID,),
    ),
)


@dataclass(slots=True, kw_only=True)
class TurnTools:
    """The `ToolBox` of one run: for one person, in one place."""

    store: Store
    hub: NodeHub
    policies: Policies
    masker: Masker
    profile: Profile
    asked: Input
    """In whose answer, and so in whose name and at which address, everything is asked for."""
    is_prompted: bool
    unprompted: int
    read_untrusted: bool
    mark: str
    steps: list[TurnStep] = field(default_factory=list)

    def offered(self) -> Sequence[Tool]:
        return [tool for tool in _TOOLS if tool.name in self.profile.tools]

    async def use(self, name: str, arguments: Mapping[str, object]) -> str:
        tool = next((one for one in self.offered() if one.name == name), None)
        if tool is None:
            names = ", ".join(one.name for one in self.offered()) or "none"
            return f"There is no tool {named(name)}. There are: {names}."
        wrong = _wrong(tool, arguments)
        if wrong is not None:
            return f"Nothing was done: {wrong}"
        match name:
            case "run":
                return await self._run(str(arguments["command"]), _text(arguments, "node"))
            case "nodes":
                return await self._nodes()
            case "executions":
                return await self._executions()
            case "output":
                page = arguments.get("page", 1)
                return await self._output(str(arguments["id"]), page if isinstance(page, int) else 1)
            case _:
                return await self._stop(str(arguments["id"]))

    async def _run(self, command: str, node: str | None) -> str:
        asks = [step for step in self.steps if isinstance(step, Ask)]
        if len(asks) >= MAX_ASKS:
            return f"Nothing was asked for: {MAX_ASKS} commands in one turn are enough. Wait for their results."
        limit = None if self.is_prompted else self.profile.unprompted_limit
        try:
            ask = self._ask_of(command, node, limit)
        except Malformed as fault:
            return f"Nothing was asked for: {fault}"
        if limit is not None and self.unprompted + len(asks) >= limit:
            # A step all the same: the turn refuses it, and says once to the people that it ends here.
            self.steps.append(ask)
            return f"Nothing was asked for: {limit} commands since a person last wrote are enough. Wait for a person."
        nodes = await self._paired()
        wanted = next((one for one in nodes if one.name == node), None) if node is not None else None
        if node is not None and wanted is None:
            return f"Nothing was asked for: there is no node {named(node)}. {_list_of(nodes)}"
        ready = [one for one in nodes if one.fingerprint in self.hub.connected()] or nodes
        if node is None and len(ready) != 1:
            return f"Nothing was asked for: name the node. {_list_of(nodes)}"
        self.steps.append(ask)
        refusal = self._refusal(ask, wanted or ready[0])
        if refusal is not None:
            return f"Refused: {refusal} People are told so. Do not ask for it again."
        return (
            "Asked for. It waits for the node's look and, unless a rule allows it, for a person's yes. "
            "Its end comes to you by itself; until then you do not know it."
        )

    def _ask_of(self, command: str, node: str | None, limit: int | None) -> Ask:
        return Ask(
            input_id=self.asked.id,
            request=parse_request(command),
            node_name=node,
            worded_by=self.profile.name,
            read_untrusted=self.read_untrusted,
            unprompted_limit=limit,
        )

    def _refusal(self, ask: Ask, node: Node) -> str | None:
        if self.asked.address is None or self.asked.person is None:
            return "nobody asked, and there is no conversation that its result could be told in."
        said = self.policies.now.refuses_unseen(
            peer=self.asked.address.peer,
            asker=self.asked.person,
            node_name=node.name,
            subject=Subject(analysis=analysed(ask.request)),
        )
        return None if said is None else f"{said.reason}."

    async def _paired(self) -> list[Node]:
        found = await self.store.read(lambda tx: tx.nodes.listing())
        return [node for node in found if node.pairing is Pairing.PAIRED]

    async def _nodes(self) -> str:
        nodes, connected = await self._paired(), set(self.hub.connected())
        lines = [
            f"- {named(node.name)}: {'connected' if node.fingerprint in connected else 'not connected'}"
            for node in nodes
        ]
        return "\n".join(lines) or "No node is paired."

    async def _executions(self) -> str:
        def look(tx: Tx) -> Sequence[Execution]:
            states = frozenset(ExecutionState)
            return tx.executions.in_states(states, session=self.asked.session, limit=_LISTED, newest_first=True)

        found = [one for one in await self.store.read(look) if self._is_here(one)]
        if not found:
            return "Nothing was asked for in this conversation yet."
        self.read_untrusted = True
        lines = "\n".join(
            f"{one.id}  {title(one)}  on {named(one.node_name)}  {named(one.shown.text)}" for one in found
        )
        return fenced(lines, what="commands of this conversation, newest first", mark=self.mark)

    async def _output(self, raw_id: str, page: int) -> str:
        execution = await self._here(raw_id)
        if isinstance(execution, str):
            return execution
        if execution.result is None:
            return f"{execution.id} has no output yet: {title(execution)}."
        text = visible(execution.result.output.text())
        pages = max(1, -(-len(text) // PAGE_CHARS))
        if not 1 <= page <= pages:
            return f"{execution.id} has {pages} pages."
        self.read_untrusted = True
        what = f"output of {execution.id}, page {page} of {pages}"
        piece = text[(page - 1) * PAGE_CHARS : page * PAGE_CHARS]
        return fenced(piece, what=what, mark=self.mark) if text else f"{execution.id} wrote no output."

    async def _stop(self, raw_id: str) -> str:
        execution = await self._here(raw_id)
        if isinstance(execution, str):
            return execution
        if execution.state in FINAL:
            return f"{execution.id} has ended already: {title(execution)}."
        if not self.is_prompted and execution.worded_by is None:
            return f"{execution.id} was asked for by a person. Only a person can have it stopped."
        self.steps.append(StopIt(input_id=self.asked.id, execution_id=execution.id, is_prompted=self.is_prompted))
        return f"Noted: {execution.id} is stopped with the end of this turn, if whoever wrote to you may stop it."

    async def _here(self, raw_id: str) -> Execution | str:
        """The execution, if it was asked for here; of others nothing is said, not even that they are."""
        execution_id = parse_id(raw_id)
        found = None if execution_id is None else await self.store.read(lambda tx: tx.executions.get(execution_id))
        if found is None or not self._is_here(found):
            return f"There is no execution {named(raw_id)} in this conversation."
        return found

    def _is_here(self, execution: Execution) -> bool:
        return self.asked.address is not None and execution.origin.peer == self.asked.address.peer


def _wrong(tool: Tool, arguments: Mapping[str, object]) -> str | None:
    """What is wrong with the arguments; None where all is as the tool says."""
    known = {one.name: one for one in tool.parameters}
    for name, value in arguments.items():
        if name not in known:
            return f"{tool.name} has no argument {named(name)}. It has: {', '.join(known) or 'none'}."
        # True is an int to Python, and no page.
        fits = isinstance(value, str) if known[name].kind == "string" else type(value) is int
        if not fits and (value is not None or known[name].is_required):
            return f"{name} of {tool.name} is no {known[name].kind}."
    missing = [one.name for one in tool.parameters if one.is_required and one.name not in arguments]
    return f"{tool.name} needs {', '.join(missing)}." if missing else None


def _text(arguments: Mapping[str, object], name: str) -> str | None:
    value = arguments.get(name)
    return value if isinstance(value, str) and value else None


def _list_of(nodes: Sequence[Node]) -> str:
    return f"Nodes: {', '.join(named(node.name) for node in nodes) or 'none is paired yet'}."
