"""A grant by itself: its id, what it says in words, and what it does not cover. Its life is tested in the flow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.command import parse_request
from bot.domain.execution import ID_ALPHABET, Execution, ExecutionId, ExecutionState
from bot.domain.grant import (
    GRANT_MARK,
    Grant,
    GrantId,
    allowed_by,
    bound,
    covers,
    line,
    misfit,
    objection,
    obstacle,
    offered,
    parse_grant_id,
    what,
    whole,
)
from bot.domain.pattern import parse_pattern
from bot.domain.session import PersonId, ThreadId
from bot.domain.terms import Terms
from bot.domain.verdict import Ask
from bot.domain.words import Plain, Revoke, Unclear, parse_id, parse_words
from bot.errors import Malformed
from tests.domain.made import PEER, command_of, execution

GRANT = Grant(
    id=GrantId("G7K3QA2"),
    command=bound(command_of("df -h")),
    pattern=None,
    node_name="web-1",
    place=PEER,
    asker=PersonId("discord:77"),
    execution=ExecutionId("7K3QAC"),
    granted_by=PersonId("bob"),
    granted_at=1_000.0,
    expires_at=2_000.0,
)
ASKED = Ask(rule="disk", deciders=(PersonId("bob"),), expires_after_s=60.0, terms=Terms(grant_for_s=1_000.0))


def asks(text: str = "df -h") -> Execution:
    return execution(ExecutionState.AWAITING_APPROVAL, text)


@pytest.mark.parametrize("typed", ["G7K3QA2", "g7k3qa2", "`G7K3QA2`", "“g7K3qA2”"])
def test_an_id_is_typed_in_any_case_and_in_quotes(typed: str) -> None:
    assert parse_grant_id(typed) == "G7K3QA2"


@pytest.mark.parametrize("typed", ["", "G", "7K3QA2", "G7K3QA", "G7K3QA22", "A7K3QA2", "G7K3QA0", "G7K3QAﬀ", "G7K3 A2"])
def test_f049_an_id_is_whole_or_none(typed: str) -> None:
    assert parse_grant_id(typed) is None


def test_no_id_of_a_grant_is_an_id_of_an_execution() -> None:
    assert GRANT_MARK not in ID_ALPHABET
    assert parse_id(GRANT.id) is None
    assert parse_id(GRANT.id[:6]) is None


def test_revoke_takes_a_whole_id_and_a_reason() -> None:
    assert parse_words("revoke g7k3qa2 the disk is new") == Revoke(id=GRANT.id, reason="the disk is new")
    assert parse_words("revoke it") == Unclear(meant="revoke <id>")
    assert parse_words("revoke 7K3QAC") == Unclear(meant="revoke <id>")


def test_people_speak_of_grant_and_of_grants_without_an_answer() -> None:
    assert parse_words("Grant said that the disk is full") == Unclear(meant=None)
    assert parse_words("grants are due on Friday") == Unclear(meant=None)
    assert parse_words("grants") == Plain(word="grants")
    assert parse_words("grant") == Unclear(meant="grants")


def test_it_keeps_no_value_of_the_environment() -> None:
    assert GRANT.command.env == (("PATH", ""),)


def test_it_says_in_words_what_it_allows() -> None:
    like = replace(GRANT, pattern="systemctl restart app-* **", command=command_of("systemctl restart 'app-1'"))
    assert what(GRANT) == "exactly df -h"
    assert what(like) == (
        "what fits systemctl restart app-* ** "
        "(systemctl, then restart, then one word like app-*, then any further words, or none)"
    )
    assert whole(GRANT, until="Friday") == (
        "exactly df -h on web-1 (as /usr/bin/df), for discord:77, in discord channel 1469129735133932162, until Friday"
    )
    assert line(GRANT, until="Friday").endswith("until Friday, given by bob, not used yet")
    assert line(replace(GRANT, uses=1), until="Friday").endswith("used 1 time")
    assert line(replace(GRANT, uses=2), until="Friday").endswith("used 2 times")
    assert allowed_by(GRANT, ASKED) == "“disk”, always allowed by bob (G7K3QA2)"


def test_a_star_alone_is_said_as_one_word() -> None:
    assert parse_pattern("df *").in_words() == "df, then any one word that is no option"


def test_it_covers_the_same_command_as_the_node_saw_it() -> None:
    one = asks()
    assert covers(GRANT, one)
    origin = one.origin
    in_thread = replace(one, origin=replace(origin, peer=replace(origin.peer, thread=ThreadId("t1"))))
    assert covers(GRANT, in_thread)


@pytest.mark.parametrize(
    "changed",
    [
        {"executable": "/usr/local/bin/df"},
        {"cwd": "/tmp"},  # noqa: S108 -- a name, nothing is made there
        {"user": "root"},
        {"files": ()},
        {"node": "beef"},
        {"argv": ("df", "-H")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_f085_it_covers_nothing_that_differs(changed: dict[str, object]) -> None:
    one = asks()
    assert one.command is not None
    assert not covers(GRANT, replace(one, command=replace(one.command, **changed)))  # type: ignore[arg-type]  # -- any field


def test_it_covers_nobody_else_nothing_unseen_and_nothing_that_is_no_plain_command() -> None:
    one = asks()
    assert not covers(GRANT, replace(one, asker=PersonId("discord:78")))
    assert not covers(GRANT, replace(one, command=None))
    assert not covers(GRANT, replace(one, masked=one.request))
    assert objection(GRANT, replace(one, asker=PersonId("eve")), ASKED, now=1_500.0) == "G7K3QA2 is for another command"
    assert objection(GRANT, one, ASKED, now=1_500.0) is None


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        ("find . -name x -exec rm -rf / ;", "find **"),
        ("find . -exec rm x + -exec rm y +", "find **"),
        ("sudo rm -rf /", "sudo *  **"),
        ("tar --to-command=sh -xf a.tar", "tar **"),
    ],
)
def test_f085_a_pattern_covers_nothing_that_starts_something_else(command: str, pattern: str) -> None:
    words = tuple(command.split())
    one = asks()
    assert one.command is not None
    seen = replace(one.command, argv=words)
    one = replace(one, request=replace(parse_request("df -h"), argv=words), command=seen)
    like = replace(GRANT, pattern=pattern, command=bound(seen))
    assert not covers(like, one)
    assert obstacle(one, ASKED) is not None or misfit(pattern, one) is not None


def test_before_the_node_has_looked_a_path_in_a_pattern_fits_no_bare_name() -> None:
    one = asks()
    assert misfit("/usr/bin/df **", one) is None
    assert misfit("/usr/bin/df **", replace(one, command=None)) is not None


def test_f085_a_pattern_that_cannot_be_granted_is_told_what_to_spell_out() -> None:
    assert misfit("sudo * **", asks("sudo df -h")) == (
        "the pattern sudo * ** must spell out what is started, without a star: sudo df"
    )
    assert misfit("du **", asks()) == "the pattern du ** does not fit this command"
    with pytest.raises(Malformed) as fault:
        parse_pattern("")
    assert misfit("", asks()) == str(fault.value)


def test_a_grant_keeps_the_names_of_the_environment_and_no_value() -> None:
    command = replace(command_of("df -h"), env=(("PATH", "/usr/bin"), ("TOKEN", "s3cret")))
    assert bound(command) == replace(command, env=(("PATH", ""), ("TOKEN", "")))


def test_always_is_offered_where_one_person_may_say_it_and_nowhere_else() -> None:
    assert offered(asks(), ASKED) == ASKED.terms
    for terms in (replace(ASKED.terms, quorum=2), replace(ASKED.terms, grant_for_s=None)):
        asked = replace(ASKED, terms=terms)
        assert obstacle(asks(), asked) is not None
        assert offered(asks(), asked) == replace(terms, grant_for_s=None)
    secret = replace(asks(), masked=parse_request("df ****"))
    assert obstacle(secret, ASKED) == "it holds a secret, which no standing permission may keep"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("df -h | sort", "it is not one plain command; a shell, or another program, makes several of it"),
        ("watch df", "it is not one plain command; a shell, or another program, makes several of it"),
        ("df \u0430", "it holds characters that show nothing, or look like others"),
    ],
)
def test_f085_what_may_not_be_allowed_always_says_why(text: str, why: str) -> None:
    assert obstacle(asks(text), ASKED) == why


def test_f081_a_grant_is_live_until_its_end_and_not_at_it_nor_once_taken_back() -> None:
    assert GRANT.is_live(1_999.9)
    assert not GRANT.is_live(2_000.0)
    assert not replace(GRANT, revoked_at=1_500.0).is_live(1_600.0)


def test_f081_a_grant_allows_only_what_the_policy_of_the_moment_still_lets_stand() -> None:
    def why(grant: Grant = GRANT, terms: Terms = ASKED.terms, *, now: float = 1_500.0) -> str | None:
        return objection(grant, asks(), replace(ASKED, terms=terms), now=now)

    assert why() is None
    assert why(now=1_999.9) is None
    assert why(now=2_000.0) == "G7K3QA2 has expired"
    shorter = replace(ASKED.terms, grant_for_s=500.0)
    assert why(terms=shorter, now=1_499.9) is None
    assert why(terms=shorter, now=1_500.0) == (
        "G7K3QA2 counts no more: the rule “disk” lets none stand for so long by now"
    )
    assert why(terms=replace(ASKED.terms, grant_for_s=None)) == (
        "G7K3QA2 counts no more: the rule “disk” does not let anybody say so"
    )
    assert why(terms=replace(ASKED.terms, second_factor=True)) == (
        "G7K3QA2 counts no more: the rule “disk” wants a second factor by now, and it had none"
    )
    assert why(replace(GRANT, with_factor=True), replace(ASKED.terms, second_factor=True)) is None
