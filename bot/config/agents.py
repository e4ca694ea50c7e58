"""The model of `[[agents]]`: who answers besides the grammar of instructions, where, with which model and bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator

from bot.config.clock import HeartbeatSection
from bot.config.sections import Section, Word, as_list
from bot.config.values import Length, check_address, check_binding

MAX_AGENTS = 16
"""Each has a client with connections of its own in this one process."""
Bindings = Annotated[tuple[Annotated[str, AfterValidator(check_binding)], ...], BeforeValidator(as_list)]
Tools = Annotated[
    tuple[Literal["run", "nodes", "executions", "output", "stop"], ...],
    BeforeValidator(as_list),
]


class AgentsSection(Section):
    """An agent that is a language model: people speak plainly, and it asks for commands. docs/AGENT.md tells of it."""

    environment: ClassVar[dict[str, str]] = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
    """Provider -> the name of the environment that stands in for `api_key`, where no other address is given."""

    name: Word = Field(
        description="Its name in session keys. That of [agent] answers wherever no binding names another."
    )
    model: str = Field(
        pattern=r"^[a-z0-9_/-]+:\S+$",
        description="Provider and model: openai:<model> (also for every server that speaks its wire), "
        "anthropic:<model>, or another that pydantic-ai speaks.",
    )
    base_url: Annotated[str, AfterValidator(check_address)] | None = Field(
        default=None,
        description="Address of another server that speaks the wire of openai or anthropic, such as "
        "http://127.0.0.1:11434/v1; https, or this machine.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="The key; or api_key_file, or OPENAI_API_KEY or ANTHROPIC_API_KEY of the environment where no "
        "base_url is given. It is never shown.",
    )
    api_key_file: Path | None = Field(default=None, description="A file that holds the key, instead of api_key.")
    instructions: str = Field(
        default="", max_length=16_000, description="What it is told before every turn, behind Homing's own rules."
    )
    tools: Tools = Field(
        default=("run", "nodes", "executions", "output", "stop"), description="What it may use. []: it only talks."
    )
    bindings: Bindings = Field(
        default=(),
        max_length=200,
        description='Where it answers: a channel ("slack"), an account of it ("slack:second"), or one conversation '
        '("slack:channel:C0OPS"). The most specific of all agents counts.',
    )
    heartbeat: HeartbeatSection | None = Field(
        default=None, description='Its own cadence, with the keys of [heartbeat]: {every = "1h", target = "none"}.'
    )
    memory_tokens: int = Field(
        default=16_000,
        ge=1_000,
        le=1_000_000,
        description="Tokens of what was said before that go with each request. Older turns are shortened, then "
        "left out.",
    )
    reply_tokens: int = Field(default=2_048, ge=64, le=64_000, description="Tokens that one answer may have.")
    timeout: Length = Field(
        default=60.0, ge=1, le=90, description='Seconds (or "60s") that one run may take, all its requests together.'
    )
    stream: bool = Field(
        default=True, description="Whether answers are streamed. false for servers that do not do it right."
    )
    max_unprompted: int = Field(
        default=10,
        ge=0,
        le=1_000,
        description="Commands that it may ask for in one conversation before a person speaks there again.",
    )
    price_read: float = Field(
        default=0.0, ge=0, le=1_000_000, description="What a million tokens of a request cost, for sums and budgets."
    )
    price_written: float = Field(
        default=0.0, ge=0, le=1_000_000, description="What a million tokens of an answer cost."
    )
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="Of the prices.")
    tokens_a_day: int | None = Field(
        default=None, ge=0, description="Tokens that it may use within 24 hours; then it says so. Left out: any number."
    )
    money_a_day: float | None = Field(
        default=None, ge=0, description="What it may cost within 24 hours by these prices. Left out: any sum."
    )
    tokens_a_person_a_day: int | None = Field(
        default=None, ge=0, description="Tokens within 24 hours for one person, over all agents. Left out: any number."
    )

    @field_validator("tools", mode="after")
    @classmethod
    def _once(cls, tools: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tools))

    @property
    def provider(self) -> str:
        return self.model.partition(":")[0]
