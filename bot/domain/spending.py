"""What the turns of a model took: tokens, money and time; and the budgets that end it kindly.

Deliberately absent: what a model costs by itself. The config says it, because prices change and contracts differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.domain.session import AgentName, PersonId, SessionKey

MICROS = 1_000_000
"""Of one unit of money: sums of whole numbers do not drift."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Money for a million tokens, in the config's currency."""

    read_per_million: float = 0.0
    written_per_million: float = 0.0
    currency: str = ""

    def micros(self, tokens_read: int, tokens_written: int) -> int:
        """A price for a million tokens is millionths for one."""
        return round(tokens_read * self.read_per_million + tokens_written * self.written_per_million)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Of one turn, or of many."""

    turns: int = 0
    requests: int = 0
    """To the model's service."""
    tokens_read: int = 0
    tokens_written: int = 0
    money_micros: int = 0
    took_s: float = 0.0

    @property
    def tokens(self) -> int:
        return self.tokens_read + self.tokens_written

    def plus(self, other: Spent) -> Spent:
        return Spent(
            turns=self.turns + other.turns,
            requests=self.requests + other.requests,
            tokens_read=self.tokens_read + other.tokens_read,
            tokens_written=self.tokens_written + other.tokens_written,
            money_micros=self.money_micros + other.money_micros,
            took_s=self.took_s + other.took_s,
        )


def total(listed: Iterable[Spent]) -> Spent:
    summed = Spent()
    for one in listed:
        summed = summed.plus(one)
    return summed


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one turn of one agent took in one session, and for whom."""

    agent: AgentName
    session: SessionKey
    person: PersonId | None
    """Who spoke last in it; None where nobody did."""
    model: str
    spent: Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Within any 24 hours. None: without bound."""

    tokens_a_day: int | None = None
    money_a_day: float | None = None
    tokens_a_person_a_day: int | None = None

    def objection(self, *, by_agent: Spent, by_person: Spent) -> str | None:
        """The words for whoever asks, where a budget is used up."""
        if self.tokens_a_person_a_day is not None and by_person.tokens >= self.tokens_a_person_a_day:
            return (
                "You have used up what I may spend for one person within a day. Single instructions still work "
                "(write: help); plain words again when the oldest of it is a day old."
            )
        over_tokens = self.tokens_a_day is not None and by_agent.tokens >= self.tokens_a_day
        over_money = self.money_a_day is not None and by_agent.money_micros >= self.money_a_day * MICROS
        if over_tokens or over_money:
            return (
                "I have used up what I may spend within a day. Single instructions still work (write: help), and "
                "results are told as always; an operator can raise the budget."
            )
        return None
