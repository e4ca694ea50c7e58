"""Somebody changes an export of the audit: whatever it is, the check finds it, and names a line not after it.

Held for every single change of a field, a character or the order; for whole chains written anew, by heads.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.audit import Fields, Line, Value, body_text, canonical, follow, line_from_text, line_to_text
from bot.domain.audit_check import Broken, Sound, check, redactions
from bot.domain.execution import ExecutionId
from bot.errors import Malformed

WORDS = st.text(max_size=12)
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
FIELDS: st.SearchStrategy[Fields] = st.dictionaries(WORDS, VALUES, max_size=4)
STEPS = st.tuples(
    st.sampled_from(["ask", "vote", "approve", "finish"]),
    st.sampled_from([None, ExecutionId("7K3Q9A"), ExecutionId("7K3QXY")]),
    st.none() | WORDS,
    FIELDS,
)
HEXADECIMAL = "0123456789abcdef"


@st.composite
def exports(draw: st.DrawFn) -> list[str]:
    """Some lines, perhaps with the bodies of the first ones redacted, and the line that says so."""
    lines: list[Line] = []
    for number, (kind, execution, by, fields) in enumerate(draw(st.lists(STEPS, min_size=2, max_size=7))):
        body = body_text(by, fields, salt=f"{number:032x}")
        at = f"2027-01-15T08:00:0{number}.000Z"
        lines.append(follow(lines[-1].head() if lines else None, at=at, kind=kind, execution=execution, body=body))
    gone = draw(st.integers(0, len(lines)))
    texts = [line_to_text(line) for line in lines]
    if gone:
        body = body_text("op", {"first": 1, "last": gone, "reason": "retention"}, salt="00")
        last = follow(lines[-1].head(), at="2027-01-16T08:00:00.000Z", kind="redacted", execution=None, body=body)
        texts = [canonical({**json.loads(text), "body": None}) for text in texts[:gone]] + texts[gone:]
        texts.append(line_to_text(last))
    return texts


def verdict(texts: list[str], *heads: str) -> Sound | Broken:
    """As `homing audit verify` comes to it."""
    try:
        known = redactions([line_from_text(text) for text in texts])
    except Malformed:
        known = redactions([])
    return check((line_from_text(text) for text in texts), known, [line_from_text(text).head() for text in heads])


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- any JSON
    """The way to every value in it, the whole ones too."""
    found = [here] if here else []
    if isinstance(value, dict):
        found += [path for name in value for path in paths(value[name], (*here, name))]
    if isinstance(value, list):
        found += [path for at, one in enumerate(value) for path in paths(one, (*here, at))]
    return found


def other(draw: st.DrawFn, value: Any) -> Any:  # noqa: ANN401 -- any JSON
    """Another value, near to this one: what a careful forger would write."""
    if isinstance(value, str) and value and set(value) <= set(HEXADECIMAL):
        at = draw(st.integers(0, len(value) - 1))
        return value[:at] + draw(st.sampled_from([one for one in HEXADECIMAL if one != value[at]])) + value[at + 1 :]
    if isinstance(value, str):
        return draw(st.sampled_from([value + " ", "x" + value, "eve"]).filter(lambda new: new != value))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + draw(st.sampled_from([-1, 1]))
    return draw(st.sampled_from([None, "", 0, [], {}, ["x"], {"x": 1}]).filter(lambda new: new != value))


@st.composite
def changed_fields(draw: st.DrawFn) -> tuple[list[str], list[str], int]:
    texts = draw(exports())
    at = draw(st.integers(0, len(texts) - 1))
    form = json.loads(texts[at])
    *way, last = draw(st.sampled_from(paths(form)))
    inner = form
    for step in way:
        inner = inner[step]
    inner[last] = other(draw, inner[last])
    return texts, [*texts[:at], canonical(form), *texts[at + 1 :]], at + 1


@settings(max_examples=150, deadline=None)
@given(changed_fields())
def test_a_change_of_any_field_of_any_line_is_found(case: tuple[list[str], list[str], int]) -> None:
    texts, forged, number = case
    assert isinstance(verdict(texts), Sound)
    found = verdict(forged)
    assert isinstance(found, Broken), "a changed line passes"
    # What a line about redactions says is missed where it was needed, which may stand before it.
    assert found.number <= number


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_change_of_any_character_is_found(data: st.DataObject) -> None:
    texts = data.draw(exports())
    at = data.draw(st.integers(0, len(texts) - 1))
    place = data.draw(st.integers(0, len(texts[at])))
    width = data.draw(st.integers(0, 2))
    put = data.draw(st.text(max_size=2))
    new = texts[at][:place] + put + texts[at][place + width :]
    if new != texts[at]:
        assert isinstance(verdict([*texts[:at], new, *texts[at + 1 :]]), Broken)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_lines_that_are_taken_out_doubled_or_moved_are_found(data: st.DataObject) -> None:
    texts = data.draw(exports())
    head = texts[-1]
    at, to = (data.draw(st.integers(0, len(texts) - 1)) for _ in range(2))
    without = texts[:at] + texts[at + 1 :]
    moved = [*without[:to], texts[at], *without[to:]]
    doubled = [*texts[:to], texts[at], *texts[to:]]
    assert isinstance(verdict(doubled, head), Broken)
    if moved != texts:
        assert isinstance(verdict(moved, head), Broken)
    if at > 0:
        # The first lines may be left out (`export --since`); what is there then begins later, and says so.
        assert isinstance(verdict(without, head), Broken)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_f076_a_past_that_is_written_anew_or_cut_shows_by_any_head_that_was_kept_of_it(data: st.DataObject) -> None:
    texts = data.draw(exports())
    lines = [line_from_text(text) for text in texts]
    at = data.draw(st.integers(0, len(texts) - 1))
    anew = lines[:at]
    for line in lines[at:]:
        body = body_text("eve", {}, salt="ff") if line.seq == at + 1 else line.body or "{}"
        previous = anew[-1].head() if anew else None
        anew.append(follow(previous, at=line.at, kind=line.kind, execution=line.execution, body=body))
    kept = data.draw(st.sampled_from(texts[at:]))
    assert isinstance(verdict([line_to_text(line) for line in anew], kept), Broken)
    cut = data.draw(st.integers(0, at))
    assert isinstance(verdict(texts[:cut], kept), Broken)
