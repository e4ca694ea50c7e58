"""Break-glass by itself: who may, where, on what, and the words that open, end and review one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.directory import Directory, Person
from bot.domain.execution import ID_ALPHABET, ExecutionState
from bot.domain.glass import (
    GLASS_MARK,
    Finding,
    Glass,
    GlassId,
    GlassRule,
    GlassState,
    objection,
    obstacle,
    parse_glass_id,
    reviewers_of,
)
from bot.domain.glass_words import BREAK_GLASS, MAX_CHARS, BreakGlass, EndGlass, Review
from bot.domain.grant import GRANT_MARK, parse_grant_id
from bot.domain.place import parse_place
from bot.domain.session import NativeId, PeerKind, PersonId, ThreadId, format_key
from bot.domain.words import Unclear, Words, parse_id, parse_words
from tests.domain.made import PEER, execution

ADA, BOB, CY = PersonId("ada"), PersonId("bob"), PersonId("cy")
PEOPLE = Directory(
    people=(
        Person(name="ada", ids=(PersonId("discord:77"),), roles=("sre",)),
        Person(name="bob", ids=(PersonId("web:bob"),), roles=("sre", "lead")),
        Person(name="cy", ids=(PersonId("web:cy"),)),
    )
)
ROOM = "discord:channel:1469129735133932162"
ALONE = replace(PEER, kind=PeerKind.DIRECT, id=NativeId("77"))
"""With ada."""
RULE = GlassRule(people=("@sre",), reviewers=("@lead", "cy"), announce_to=(replace(PEER, id=NativeId("1")),))
GLASS = Glass(
    id=GlassId("B7K3QA2"),
    state=GlassState.OPEN,
    person=ADA,
    place=PEER,
    session=format_key(PEER),
    reason="the disk is full",
    opened_at=1_000.0,
    expires_at=2_000.0,
    announce_to=RULE.announce_to,
    review_within_s=86_400.0,
)


@pytest.mark.parametrize("typed", ["B7K3QA2", "b7k3qa2", "`B7K3QA2`", "“b7k3qa2”"])
def test_an_id_is_typed_in_any_case_and_in_quotes(typed: str) -> None:
    assert parse_glass_id(typed) == "B7K3QA2"


@pytest.mark.parametrize("typed", ["", "B", "7K3QA2", "B7K3QA", "B7K3QA22", "G7K3QA2", "B7K3QA0", "B7K3QAﬀ", "B7K3 A2"])
def test_f049_an_id_is_whole_or_none(typed: str) -> None:
    assert parse_glass_id(typed) is None


def test_no_id_of_one_is_the_id_of_another_thing() -> None:
    assert GLASS_MARK not in ID_ALPHABET
    assert GLASS_MARK != GRANT_MARK
    assert parse_id(GLASS.id) is None
    assert parse_grant_id(GLASS.id) is None


@pytest.mark.parametrize(
    ("rule", "person", "why"),
    [
        (RULE, ADA, None),
        (RULE, BOB, None),
        (RULE, CY, "cy is none of those who may break glass: ada, bob"),
        (RULE, PersonId("discord:77"), "discord:77 is none of those"),
        (None, ADA, "names nobody"),
        (replace(RULE, people=("@nobody",)), ADA, "may break glass: nobody"),
        (replace(RULE, people=()), ADA, "may break glass: nobody"),
        (replace(RULE, where=(parse_place(ROOM),)), ADA, None),
        (replace(RULE, where=(parse_place("web"), parse_place("discord"))), ADA, None),
        (replace(RULE, where=(parse_place("web:channel:ops"),)), ADA, "nobody may break glass in this conversation"),
        (replace(RULE, reviewers=("ada",)), ADA, "nobody but ada could review it"),
        (replace(RULE, reviewers=("ada",)), BOB, None),
        (replace(RULE, reviewers=()), BOB, "nobody but bob could review it"),
        (replace(RULE, announce_to=(ALONE,)), ADA, "nobody but ada would hear of it"),
        (replace(RULE, announce_to=(ALONE, PEER)), ADA, None),
        (replace(RULE, announce_to=(ALONE,)), BOB, None),
    ],
)
def test_who_may_break_glass_where(rule: GlassRule | None, person: PersonId, why: str | None) -> None:
    found = obstacle(rule, PEOPLE, person, PEER)
    assert found is None if why is None else why in str(found)


def test_nobody_reviews_their_own_under_whatever_name_it_was_opened() -> None:
    assert reviewers_of(RULE, PEOPLE, ADA) == ("bob", "cy")
    assert reviewers_of(RULE, PEOPLE, BOB) == ("cy",)
    # It was opened when the config did not know yet whose id that is.
    assert reviewers_of(RULE, PEOPLE, PersonId("web:cy")) == ("bob",)
    assert reviewers_of(None, PEOPLE, ADA) == ()


@pytest.mark.parametrize(
    ("glass", "rule", "now", "why"),
    [
        (GLASS, RULE, 1_999.9, None),
        (GLASS, RULE, 2_000.0, "the time of break-glass B7K3QA2 is over"),
        (GLASS, RULE, 940.0, None),
        (GLASS, RULE, 939.9, "was opened later than now: the clock was set back"),
        (replace(GLASS, state=GlassState.ENDED, ended_by="cy"), RULE, 1_500.0, "was ended by cy"),
        (replace(GLASS, state=GlassState.REVIEWED), RULE, 1_500.0, "was ended by its time"),
        (GLASS, None, 1_500.0, "counts no more: the configuration names nobody"),
        (GLASS, replace(RULE, people=("bob",)), 1_500.0, "counts no more: ada is none of those"),
        (GLASS, replace(RULE, where=(parse_place("web"),)), 1_500.0, "counts no more: nobody may break glass in"),
        (GLASS, replace(RULE, nodes=("db-1", "web-1")), 1_500.0, None),
        (GLASS, replace(RULE, nodes=("db-1",)), 1_500.0, "does not reach the node web-1"),
        (replace(GLASS, place=replace(PEER, id=NativeId("2"))), RULE, 1_500.0, "is for another conversation"),
    ],
)
def test_what_it_carries_and_what_it_does_not(
    glass: Glass, rule: GlassRule | None, now: float, why: str | None
) -> None:
    asked = execution(ExecutionState.AWAITING_APPROVAL, "df -h")
    found = objection(glass, rule, PEOPLE, asked, now=now)
    assert found is None if why is None else why in str(found)


def test_it_holds_in_the_threads_of_its_conversation() -> None:
    asked = execution(ExecutionState.AWAITING_APPROVAL, "df -h")
    threaded = replace(PEER, thread=ThreadId("17"))
    asked = replace(asked, origin=replace(asked.origin, peer=threaded))
    assert objection(GLASS, RULE, PEOPLE, asked, now=1_500.0) is None


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("break-glass the disk is full", BreakGlass(reason="the disk is full")),
        ("/break-glass the disk is full", BreakGlass(reason="the disk is full")),
        ("Break-Glass: the disk\nis  full", BreakGlass(reason="the disk is full")),
        ("break-glass 15m the disk is full", BreakGlass(reason="the disk is full", for_s=900.0)),
        ("break-glass 15min full", BreakGlass(reason="full", for_s=900.0)),
        ("break-glass 1h30m full", BreakGlass(reason="full", for_s=5_400.0)),
        ("break-glass 2H full", BreakGlass(reason="full", for_s=7_200.0)),
        ("break-glass 15 nodes are down", BreakGlass(reason="15 nodes are down")),
        (f"break-glass {'x' * 600}", BreakGlass(reason="x" * MAX_CHARS)),
        ("break-glass end", EndGlass()),
        ("break-glass END b7k3qa2", EndGlass(id=GlassId("B7K3QA2"))),
        ("break-glass end of the disk", Unclear(meant="break-glass end <id>")),
        ("break-glass", Unclear(meant=BREAK_GLASS)),
        # Whoever wants to end one, or to know, must not open one.
        *(
            (f"break-glass {slip}", Unclear(meant="break-glass end"))
            for slip in ("end.", "END!", "stop", "over", "off")
        ),
        ("break-glass end .", Unclear(meant="break-glass end <id>")),
        ("break-glass close b7k3qa2.", Unclear(meant="break-glass end B7K3QA2")),
        ("break-glass stop the bleeding", BreakGlass(reason="stop the bleeding")),
        *((f"break-glass {slip}", Unclear(meant=BREAK_GLASS)) for slip in ("?", "help", "status", "...")),
        # A time that is not read would be open for longer than was said.
        *(
            (f"break-glass {length} full", Unclear(meant=BREAK_GLASS))
            for length in ("15mins", "15 min", "15 minutes", "90s", "1hr", "1h30", "2 hours", "0.5h", "for 15m", "1d")
        ),
        ("break-glass 5xx everywhere", BreakGlass(reason="5xx everywhere")),
        ("break-glass 3 masters are down", BreakGlass(reason="3 masters are down")),
        ("break-glass 15m", Unclear(meant="break-glass 15m <reason>")),
        ("breakglass the disk", Unclear(meant="break-glass the disk")),
        ("break‑glass the disk", Unclear(meant="break-glass the disk")),
        ("break the glass", Unclear(meant=None)),
        ("review B7K3QA2 ok it was the disk", Review(id=GLASS.id, finding=Finding.OK, note="it was the disk")),
        ("review b7k3qa2 MISUSE no\nneed", Review(id=GLASS.id, finding=Finding.MISUSE, note="no need")),
        ("review B7K3QA2 ok", Unclear(meant="review B7K3QA2 ok|misuse <what you found>")),
        ("review B7K3QA2", Unclear(meant="review B7K3QA2 ok|misuse <what you found>")),
        ("review B7K3QA2 fine by me", Unclear(meant="review B7K3QA2 ok|misuse <what you found>")),
        ("review my patch please", Unclear(meant=None)),
        ("review", Unclear(meant=None)),
        ("preview", Unclear(meant=None)),
        ("reviewed", Unclear(meant=None)),
    ],
)
def test_f075_f076_only_exact_words_with_a_reason_open_end_or_review(typed: str, said: Words) -> None:
    assert parse_words(typed) == said
