"""How codes are read, what of a text is one, and what people are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.factor import HIDDEN, Factor, codes_in, parse_code, spoken, without, without_codes
from bot.domain.message import Action, Button, FormField
from bot.domain.session import PersonId
from bot.domain.words import Approve, Unclear, as_kept, parse_words
from tests.channels.contract import SHOWN

ID = "7K3Q9A"


def test_a_code_is_read_as_people_write_it_and_nothing_else_is_one() -> None:
    for typed in ("123456", " 123 456 ", "123-456", "123\u00a0456"):
        assert parse_code(typed) == "123456"
    assert parse_code("acfh-kmqr-2345") == "ACFHKMQR2345"
    assert spoken("ACFHKMQR2345") == "ACFH-KMQR-2345"
    for typed in ("12345", "1234567", "abcdef", "١٢٣٤٥٦", "", HIDDEN, "2345-6723-456B"):
        assert parse_code(typed) is None


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("code 123456", Approve(id=ID, code="123456")),  # type: ignore[arg-type]
        ("code 123 456", Approve(id=ID, code="123 456")),  # type: ignore[arg-type]
        ("CODE acfh-kmqr-2345", Approve(id=ID, code="acfh-kmqr-2345")),  # type: ignore[arg-type]
        ("because the disk is full code 123456", Approve(id=ID, reason="the disk is full", code="123456")),  # type: ignore[arg-type]
        ("code 123456 because the disk is full", Approve(id=ID, reason="the disk is full", code="123456")),  # type: ignore[arg-type]
        ("always code 123456", Approve(id=ID, always=True, code="123456")),  # type: ignore[arg-type]
        ("always because why not code 123456", Approve(id=ID, always=True, reason="why not", code="123456")),  # type: ignore[arg-type]
        ("code 123456 always: df *", Approve(id=ID, always=True, pattern="df *", code="123456")),  # type: ignore[arg-type]
        ("always: df * code 123456", Approve(id=ID, always=True, pattern="df *", code="123456")),  # type: ignore[arg-type]
        ("because code red", Approve(id=ID, reason="code red")),  # type: ignore[arg-type]
        ("code 123456 code 234567", Unclear(meant=f"approve {ID} code <code>")),
        ("123456", Unclear(meant=f"approve {ID}")),
        ("code", Unclear(meant=f"approve {ID}")),
    ],
)
def test_a_code_stands_behind_its_word_first_or_last_and_once(tail: str, expected: object) -> None:
    assert parse_words(f"approve {ID} {tail}") == expected


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"approve {ID} code 123 456", f"approve {ID} code {HIDDEN}"),
        (f"approve {ID} because it burns code acfh-kmqr-2345", f"approve {ID} because it burns code {HIDDEN}"),
        (f"approve {ID} 123456", f"approve {ID} {HIDDEN}"),
        (f"approve {ID} code123456", f"approve {ID} code{HIDDEN}"),
        (f"aprove {ID} code: 12345", f"aprove {ID} code: {HIDDEN}"),
        (f"approve {ID} code because it burns", f"approve {ID} code because it burns"),
        (f"deny {ID} see 123456", f"deny {ID} see {HIDDEN}"),
        (f"approve {ID} code 12 34 56", f"approve {ID} code {HIDDEN}"),
        (f"approve {ID} code ACFH KMQR 2345 because it burns", f"approve {ID} code {HIDDEN} because it burns"),
        ("123456", HIDDEN),
        (f"approve {ID} because it burns", f"approve {ID} because it burns"),
        # Talk about a number stays; only a right code is taken out of it, and the store knows which is.
        ("build 123456 has failed", "build 123456 has failed"),
        # A command is to the letter.
        ("run echo code 123456", "run echo code 123456"),
        (f"edit {ID} echo code 123456", f"edit {ID} echo code 123456"),
    ],
)
def test_what_is_kept_of_a_text_holds_no_code(text: str, kept: str) -> None:
    assert as_kept(text, parse_words(text)) == kept
    # Masked once is masked: what is read again from the store is the same.
    assert without_codes(without_codes(text)) == without_codes(text)


def test_single_codes_are_taken_out_of_talk_and_other_numbers_stay() -> None:
    text = "INC-482913 and 123 456, or 1234567"
    assert codes_in(text) == ["482913", "123456"]
    assert without(text, frozenset({"123456"})) == f"INC-482913 and {HIDDEN}, or 1234567"
    assert len(codes_in(" ".join(f"{number:06d}" for number in range(50)))) == 8


def test_a_code_is_found_whatever_stands_before_it_and_however_it_is_spaced() -> None:
    right = frozenset({"123456", "ACFHKMQR2345"})
    for text, kept in (
        ("room 345 123 456", f"room 345 {HIDDEN}"),
        ("12 34 56", HIDDEN),
        ("at 9 it was 12-34-56.", f"at 9 it was {HIDDEN}."),
        ("1 2 3 4 5 6 and 123456", f"{HIDDEN} and {HIDDEN}"),
        ("123\u2009456", HIDDEN),
        ("acfh kmqr 2345", HIDDEN),
        ("99 12 34 56 acfhkmqr2345", f"99 {HIDDEN} {HIDDEN}"),
    ):
        assert right & set(codes_in(text)), text
        assert without(text, right) == kept
    assert without("345 123 456", frozenset({"345123", "123456"})) == HIDDEN
    assert without("0123456 and 1234567", right) == "0123456 and 1234567"


def test_a_lock_ends_by_itself() -> None:
    factor = Factor(
        person=PersonId("bob"),
        begun_at=1.0,
        begun_by="op",
        enrolled_at=2.0,
        failures=0,
        locked_until=100.0,
        last_used_at=None,
        recovery_left=10,
    )
    assert factor.is_locked(99.0)
    assert not factor.is_locked(100.0)
    assert not replace(factor, locked_until=None).is_locked(0.0)


def test_a_form_opens_for_a_denial_and_for_what_a_yes_needs() -> None:
    button = Button(action=Action.APPROVE, execution_id=ID, shown=SHOWN)
    assert not button.has_form
    assert replace(button, action=Action.DENY).has_form
    assert replace(button, asks=(FormField.CODE,)).has_form
