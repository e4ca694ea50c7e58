"""What turns took, in whole numbers; and the budgets that refuse kindly."""

from __future__ import annotations

import pytest

from bot.domain.spending import Budget, Price, Spent, total

SOME = Spent(turns=1, requests=2, tokens_read=900, tokens_written=100, money_micros=4_200, took_s=1.5)


def test_sums_are_exact() -> None:
    assert total([]) == Spent()
    assert total([SOME, SOME, SOME]) == Spent(
        turns=3, requests=6, tokens_read=2_700, tokens_written=300, money_micros=12_600, took_s=4.5
    )
    assert SOME.tokens == 1_000


def test_a_price_for_a_million_is_millionths_for_one() -> None:
    price = Price(read_per_million=3.0, written_per_million=15.0, currency="USD")
    assert price.micros(900, 100) == 2_700 + 1_500
    assert price.micros(1_000_000, 0) == 3_000_000
    assert Price().micros(900, 100) == 0


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(), None),
        (Budget(tokens_a_day=1_001), None),
        (Budget(tokens_a_day=1_000), "I have used up"),
        (Budget(tokens_a_day=0), "I have used up"),
        (Budget(money_a_day=0.0043), None),
        (Budget(money_a_day=0.0042), "I have used up"),
        (Budget(tokens_a_person_a_day=1_001), None),
        (Budget(tokens_a_person_a_day=1_000), "You have used up"),
    ],
)
def test_a_budget_is_used_up_at_its_number(budget: Budget, words: str | None) -> None:
    said = budget.objection(by_agent=SOME, by_person=SOME)
    assert (said is None) if words is None else (said is not None and said.startswith(words))


def test_a_person_who_spent_nothing_is_not_refused_for_another() -> None:
    assert Budget(tokens_a_person_a_day=1_000).objection(by_agent=SOME, by_person=Spent()) is None
