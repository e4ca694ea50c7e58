"""What a model remembers: a stored form of its own, and the newest that fit a budget, never torn out of its fence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.fence import fenced
from bot.domain.memory import (
    SHORTENED_CHARS,
    Called,
    Heard,
    Remembered,
    Told,
    compacted,
    remembered_from_text,
    remembered_to_text,
    tokens,
    tokens_of,
)
from bot.domain.session import PersonId
from bot.errors import Malformed

ENTRIES = st.one_of(
    st.builds(Heard, text=st.text()),
    st.builds(Called, tool=st.text(), arguments=st.text(), answer=st.text()),
    st.builds(Told, text=st.text()),
)
TURNS = st.builds(
    Remembered,
    entries=st.lists(ENTRIES, max_size=4).map(tuple),
    read_untrusted=st.booleans(),
    person=st.none() | st.just(PersonId("discord:ada")),
)


def turn(text: str, answer: str = "") -> Remembered:
    return Remembered(
        entries=(Heard(text=text), Called(tool="output", arguments="{}", answer=answer), Told(text="So it is.")),
        read_untrusted=False,
    )


@given(TURNS)
def test_a_remembered_turn_comes_back_as_it_was(remembered: Remembered) -> None:
    assert remembered_from_text(remembered_to_text(remembered)) == remembered


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"entries": [], "read_untrusted": 1, "person": null}',
        '{"entries": [{"kind": "thought", "text": "x"}], "read_untrusted": true, "person": null}',
        '{"entries": [{"kind": "heard", "text": 1}], "read_untrusted": true, "person": null}',
    ],
)
def test_what_is_no_turn_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        remembered_from_text(text)


@given(st.lists(TURNS, max_size=8), st.integers(min_value=0, max_value=2_000))
def test_the_newest_that_fit_are_kept_in_order_and_the_others_counted(turns: list[Remembered], budget: int) -> None:
    kept, left_out = compacted(turns, budget_tokens=budget)
    assert len(kept) + left_out == len(turns)
    assert sum(map(tokens_of, kept)) <= budget
    assert [one.person for one in kept] == [one.person for one in turns[left_out:]]
    assert [one.read_untrusted for one in kept] == [one.read_untrusted for one in turns[left_out:]]


def test_long_texts_of_older_turns_are_shortened_before_a_turn_is_left_out() -> None:
    long = "\n".join(f"line {number} of what it wrote" for number in range(400))
    turns = [turn(long, answer=long) for _ in range(4)]
    kept, left_out = compacted(turns, budget_tokens=4 * tokens(long) + 2_000)
    assert left_out == 0
    lengths = [len(one.entries[0].text) for one in kept if isinstance(one.entries[0], Heard)]
    assert max(lengths[:2]) <= SHORTENED_CHARS + 60
    assert lengths[2:] == [len(long), len(long)]
    shortened = kept[0].entries[0]
    assert isinstance(shortened, Heard)
    assert shortened.text.startswith("line 0 of")
    assert shortened.text.endswith("line 399 of what it wrote")
    assert "lines left out here]" in shortened.text


@given(st.text(max_size=4_000), st.integers(min_value=1, max_value=200))
def test_f116_what_is_shortened_stays_behind_its_bars(text: str, repeats: int) -> None:
    whole = fenced(text * repeats, what="output", mark="0123456789ab", limit=20_000)
    ((kept, *_), _) = compacted([turn(whole)] * 3, budget_tokens=1_000_000)
    (heard, *_) = kept.entries
    assert isinstance(heard, Heard)
    lines = heard.text.split("\n")
    assert all(line.startswith(("| ", "[untrusted 0123", "[end of untrusted 0123", "[")) for line in lines)
    assert all(line in whole or line.endswith(("…", "left out here]")) for line in lines)


def test_a_text_of_one_long_line_keeps_its_beginning() -> None:
    kept, _ = compacted([turn("x" * 5_000)] * 3, budget_tokens=1_000_000)
    heard = kept[0].entries[0]
    assert isinstance(heard, Heard)
    assert heard.text == "x" * 200 + "…"
