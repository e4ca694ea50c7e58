"""What one agent is, and the one who completes its prompts. Deliberately absent: how a provider is spoken to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bot.domain.memory import Called, Remembered
from bot.domain.quiet import ACK_MAX_CHARS
from bot.domain.session import AgentName
from bot.domain.spending import Budget, Price, Spent

TOOLS = ("run", "nodes", "executions", "output", "stop")
MAX_UNPROMPTED = 10
"""Commands that a model asks for in one place before a person speaks there again. A chain of real work is shorter;
a model that answers its own results is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    name: AgentName
    model: str
    """As the config names it; for records."""
    instructions: str = ""
    """The operator's, behind ours."""
    tools: frozenset[str] = frozenset(TOOLS)
    memory_tokens: int = 16_000
    """Of the past, in each request."""
    timeout_s: float = 60.0
    """Of all rounds of one run."""
    unprompted_limit: int = MAX_UNPROMPTED
    price: Price = field(default_factory=Price)
    budget: Budget = field(default_factory=Budget)
    ack_max_chars: int = ACK_MAX_CHARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    kind: Literal["string", "integer"]
    description: str
    is_required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What a model is told of one tool."""

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()

    def schema(self) -> dict[str, object]:
        """The JSON schema of its arguments."""
        return {
            "type": "object",
            "properties": {one.name: {"type": one.kind, "description": one.description} for one in self.parameters},
            "required": [one.name for one in self.parameters if one.is_required],
            "additionalProperties": False,
        }


class ToolBox(Protocol):
    def offered(self) -> Sequence[Tool]: ...

    async def use(self, name: str, arguments: Mapping[str, object]) -> str:
        """The answer for the model; also to what is wrong. Changes nothing in the world."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """What came of one run."""

    text: str
    called: tuple[Called, ...]


@dataclass(slots=True)
class Meter:
    """What a run took so far, also of one that ends in a fault: a service is paid for what it answered."""

    spent: Spent = field(default_factory=Spent)

    def add(self, more: Spent) -> None:
        self.spent = self.spent.plus(more)


class Brain(Protocol):
    """Whoever completes prompts."""

    async def think(
        self, instructions: str, past: Sequence[Remembered], prompt: str, tools: ToolBox, meter: Meter
    ) -> Thought:
        """Rounds with the model until it has no more to use. Raises `ModelError`."""
        ...

    async def close(self) -> None: ...
