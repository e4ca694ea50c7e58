"""What a yes takes: the strictest of several rules, and the form in which it is kept."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.session import NativeId, PersonId
from bot.domain.terms import ONE_YES, Terms, strictest, terms_from_json, terms_to_json
from bot.domain.verdict import Allow, Ask, Escalation, Refuse, all_of
from bot.errors import Malformed
from tests.domain.made import PEER

OTHER = replace(PEER, id=NativeId("2"))
A, B, C = PersonId("ann"), PersonId("bob"), PersonId("cy")
some_terms = st.builds(
    Terms,
    quorum=st.integers(1, 20),
    four_eyes=st.booleans(),
    needs_reason=st.booleans(),
    second_factor=st.booleans(),
    grant_for_s=st.none() | st.floats(60, 1e6),
)


@given(some_terms)
def test_terms_come_back_from_their_form(terms: Terms) -> None:
    assert terms_from_json(json.loads(json.dumps(terms_to_json(terms)))) == terms


@pytest.mark.parametrize("change", [{"quorum": "2"}, {"more": 1}, {"grant_for_s": "1d"}, {"four_eyes": None}])
def test_any_other_form_is_malformed_and_never_read_as_one_yes(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        terms_from_json(terms_to_json(ONE_YES) | change)


def test_a_malformed_form_is_named_by_its_fields_for_whoever_reads_the_log() -> None:
    with pytest.raises(Malformed, match=r"^terms of four_eyes, more$"):
        terms_from_json({"more": 1, "four_eyes": True})
    with pytest.raises(Malformed, match=r"^terms of nothing$"):
        terms_from_json({})


@given(st.lists(some_terms, min_size=2, max_size=4))
def test_the_strictest_terms_satisfy_each_and_grant_nothing(listed: list[Terms]) -> None:
    joined = strictest(listed)
    for terms in listed:
        assert joined.quorum >= terms.quorum
        assert joined.four_eyes >= terms.four_eyes
        assert joined.needs_reason >= terms.needs_reason
        assert joined.second_factor >= terms.second_factor
    assert joined.grant_for_s is None


def ask(rule: str, *deciders: PersonId, terms: Terms = ONE_YES, escalation: Escalation | None = None) -> Ask:
    return Ask(rule=rule, deciders=deciders, expires_after_s=60.0, terms=terms, escalation=escalation)


def test_one_refusal_refuses_all() -> None:
    no = Refuse(rule="no", reason="never")
    assert all_of([Allow(rule="a"), ask("b", A), no]) == no


def test_what_all_allow_is_allowed_and_one_that_asks_asks() -> None:
    assert all_of([Allow(rule="a"), Allow(rule="b")]) == Allow(rule="a")
    assert all_of([Allow(rule="a"), ask("b", A), ask("b", A)]) == ask("b", A)


def test_several_rules_are_decided_by_whom_each_of_them_names_on_the_strictest_terms() -> None:
    strict = Ask(rule="b", deciders=(C, B), expires_after_s=30.0, terms=Terms(quorum=1, needs_reason=True))
    assert all_of([ask("a", A, B), strict]) == Ask(
        rule="a + b", deciders=(B,), expires_after_s=30.0, terms=Terms(needs_reason=True)
    )


def test_f087_where_nobody_may_decide_all_of_it_the_reason_says_who_decides_what() -> None:
    said = all_of([ask("a", A), ask("b", B)])
    assert isinstance(said, Refuse)
    assert "“a”: ann; “b”: bob" in said.reason
    assert said.reason.endswith("may decide all of it; ask for the commands one by one")
    assert said.rule == "a + b"
    more = all_of([ask("a", A, B), ask("b", C)])
    assert isinstance(more, Refuse)
    assert more.reason.startswith("its commands are decided by different people (“a”: ann, bob; “b”: cy), and not")


def test_several_rules_copy_their_card_to_every_place_that_one_of_them_names_once() -> None:
    first = replace(ask("a", A), copy_to=(PEER,), escalation=Escalation(after_s=10.0, to=(B,), copy_to=(PEER,)))
    second = replace(ask("b", A), copy_to=(OTHER, PEER), escalation=Escalation(after_s=20.0, to=(B,), copy_to=(OTHER,)))
    said = all_of([first, second])
    assert isinstance(said, Ask)
    assert said.copy_to == (PEER, OTHER)
    assert said.escalation == Escalation(after_s=20.0, to=(B,), copy_to=(PEER, OTHER))


def test_the_people_of_several_rules_are_named_in_the_order_of_the_first() -> None:
    said = all_of([ask("a", B, A), ask("b", A, B)])
    assert isinstance(said, Ask)
    assert said.deciders == (B, A)


def test_who_is_asked_later_counts_where_every_rule_admits_them() -> None:
    later = Escalation(after_s=10.0, to=(B, C))
    said = all_of([ask("a", A, escalation=later), ask("b", B, escalation=Escalation(after_s=20.0, to=(A,)))])
    assert isinstance(said, Ask)
    assert said.deciders == ()
    assert said.escalation == Escalation(after_s=20.0, to=(B, A))
