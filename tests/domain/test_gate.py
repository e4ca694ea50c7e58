"""The gate: who is heard where, ids to the byte, empty lists as nobody, and codes that can be read aloud."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.command import CommandHash
from bot.domain.directory import Directory, Person
from bot.domain.gate import (
    CODE_ALPHABET,
    CODE_CHARS,
    Admission,
    Admit,
    AskToPair,
    Closed,
    DirectPolicy,
    Gate,
    Ignore,
    RoomPolicy,
    draw_code,
)
from bot.domain.glass import GlassRule
from bot.domain.message import Action, Button, ButtonPress, InboundMessage, Reaction, Sender
from bot.domain.policy import Policy, Rule, Verdict
from bot.domain.session import (
    DEFAULT_ACCOUNT,
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    PersonId,
    ThreadId,
)
from bot.domain.words import parse_words

SLACK = ChannelName("slack")
ADA = Person(name="ada", ids=(PersonId("slack:U1"),), roles=("sre",))
"""Named, and decides."""
BOB = Person(name="bob", ids=(PersonId("discord:2"), PersonId("slack:U2")), roles=("dev",))
"""Named, and does not decide."""
POLICY = Policy(
    directory=Directory(people=(ADA, BOB)),
    rules=(
        Rule(name="ops", action=Verdict.ASK, deciders=("@sre", "slack:U8")),
        Rule(name="no deciders", action=Verdict.DENY, deciders=("slack:U9",)),
    ),
)
STRANGER, ADA_ID, BOB_ID, DECIDER_ID = "U9", "U1", "U2", "U8"
ROOM, SPACE = "C1", "T1"
Heard = Admit | Ignore | AskToPair


def a_peer(native: str = ROOM, kind: PeerKind = PeerKind.CHANNEL, *, thread: str | None = None) -> Peer:
    return Peer(
        agent=AgentName("main"),
        channel=SLACK,
        kind=kind,
        id=NativeId(native),
        thread=None if thread is None else ThreadId(thread),
    )


def gate(admission: Admission | None) -> Gate:
    return Gate(admissions={} if admission is None else {(SLACK, DEFAULT_ACCOUNT): admission})


def hear(
    admission: Admission | None,
    who: str,
    text: str = "run df -h",
    *,
    peer: Peer | None = None,
    space: str | None = None,
    policy: Policy = POLICY,
    is_addressed: bool = True,
) -> Heard:
    message = InboundMessage(
        peer=a_peer() if peer is None else peer,
        sender=Sender(native=who, name="somebody"),
        delivery=DeliveryId("d"),
        message_id=MessageId("m"),
        text=text,
        sent_at=0.0,
        space=space,
        is_addressed=is_addressed,
    )
    return gate(admission).hear(policy, message, parse_words(text))


def alone(admission: Admission, who: str, text: str = "run df -h") -> Heard:
    return hear(admission, who, text, peer=a_peer(who, PeerKind.DIRECT))


def a_press(action: Action, who: str, peer: Peer, space: str | None = None) -> ButtonPress:
    return ButtonPress(
        peer=peer,
        sender=Sender(native=who, name="somebody"),
        delivery=DeliveryId("d"),
        message_id=MessageId("m"),
        button=Button(action=action, execution_id="7K3Q9A", shown=CommandHash("0" * 64)),
        space=space,
    )


def a_reaction(who: str, peer: Peer) -> Reaction:
    return Reaction(
        peer=peer,
        sender=Sender(native=who, name="somebody"),
        delivery=DeliveryId("d"),
        message_id=MessageId("m"),
        emoji="✅",
    )


ALLOWED = Admission(rooms=frozenset({ROOM}))
PAIRING, ALLOWLIST = DirectPolicy.PAIRING, DirectPolicy.ALLOWLIST


# --- alone with us -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dm_policy", "allow_from", "who", "heard"),
    [
        (PAIRING, None, STRANGER, AskToPair()),
        (PAIRING, (), STRANGER, AskToPair()),
        (PAIRING, ("bob",), STRANGER, AskToPair()),
        (PAIRING, ("slack:U9",), STRANGER, Admit()),
        (PAIRING, ("*",), STRANGER, Admit()),
        (PAIRING, None, BOB_ID, Admit()),
        (PAIRING, (), BOB_ID, Admit()),
        (ALLOWLIST, None, STRANGER, Ignore(Closed.NOT_ON_THE_LIST)),
        (ALLOWLIST, (), STRANGER, Ignore(Closed.NOT_ON_THE_LIST)),
        (ALLOWLIST, ("slack:u9",), STRANGER, Ignore(Closed.NOT_ON_THE_LIST)),
        (ALLOWLIST, ("discord:U9",), STRANGER, Ignore(Closed.NOT_ON_THE_LIST)),
        (ALLOWLIST, ("slack:U9",), STRANGER, Admit()),
        (ALLOWLIST, ("*",), STRANGER, Admit()),
        (ALLOWLIST, (), BOB_ID, Admit()),
        (DirectPolicy.OPEN, (), STRANGER, Admit()),
        (DirectPolicy.DISABLED, ("*",), STRANGER, Ignore(Closed.DIRECT_OFF)),
        (DirectPolicy.DISABLED, ("ada",), ADA_ID, Ignore(Closed.DIRECT_OFF)),
    ],
)
def test_alone_with_us_the_direct_policy_says_who_is_heard(
    dm_policy: DirectPolicy, allow_from: tuple[str, ...] | None, who: str, heard: Heard
) -> None:
    assert alone(Admission(dm_policy=dm_policy, allow_from=allow_from), who) == heard


def test_an_id_on_another_network_makes_nobody_known() -> None:
    # Bob is discord:2; who is "2" on Slack is somebody else.
    assert alone(Admission(), "2") == AskToPair()


def test_a_list_names_people_by_name_role_or_any_of_their_ids() -> None:
    for named in ("bob", "@dev", "slack:U2", "discord:2"):
        admission = replace(ALLOWED, allow_from=(named,))
        assert hear(admission, BOB_ID) == Admit(), named
        assert hear(admission, ADA_ID) == Ignore(Closed.NOT_ON_THE_LIST), named


# --- in rooms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("admission", "space", "heard"),
    [
        (Admission(), None, Ignore(Closed.ROOM_NOT_ALLOWED)),
        (Admission(), SPACE, Ignore(Closed.ROOM_NOT_ALLOWED)),
        (Admission(rooms=frozenset({"c1"})), None, Ignore(Closed.ROOM_NOT_ALLOWED)),
        (Admission(rooms=frozenset({ROOM})), None, Admit()),
        (Admission(spaces=frozenset({SPACE})), SPACE, Admit()),
        (Admission(spaces=frozenset({SPACE})), "T2", Ignore(Closed.ROOM_NOT_ALLOWED)),
        (Admission(spaces=frozenset({SPACE})), None, Ignore(Closed.ROOM_NOT_ALLOWED)),
        (Admission(spaces=frozenset({ROOM})), SPACE, Ignore(Closed.ROOM_NOT_ALLOWED)),
        (Admission(room_policy=RoomPolicy.OPEN), None, Admit()),
        (Admission(room_policy=RoomPolicy.DISABLED, rooms=frozenset({ROOM})), SPACE, Ignore(Closed.ROOMS_OFF)),
    ],
)
def test_in_a_room_the_room_must_be_allowed(admission: Admission, space: str | None, heard: Heard) -> None:
    for kind in (PeerKind.CHANNEL, PeerKind.GROUP):
        for thread in (None, "17.1"):
            assert hear(admission, ADA_ID, peer=a_peer(kind=kind, thread=thread), space=space) == heard


def test_a_thread_counts_as_its_room_and_never_as_a_room() -> None:
    threads = Admission(rooms=frozenset({"17.1"}))
    assert hear(threads, ADA_ID, peer=a_peer(thread="17.1")) == Ignore(Closed.ROOM_NOT_ALLOWED)


def test_without_a_mention_a_room_is_not_heard_unless_the_account_says_so() -> None:
    assert hear(ALLOWED, ADA_ID, is_addressed=False) == Ignore(Closed.NOT_ADDRESSED)
    assert hear(ALLOWED, ADA_ID, "approve 7K3Q9A", is_addressed=False) == Ignore(Closed.NOT_ADDRESSED)
    assert hear(replace(ALLOWED, require_mention=False), ADA_ID, is_addressed=False) == Admit()


def test_a_list_narrows_who_may_speak_in_a_room_and_an_empty_one_is_nobody() -> None:
    assert hear(ALLOWED, STRANGER) == Admit()
    assert hear(replace(ALLOWED, allow_from=("ada",)), STRANGER) == Ignore(Closed.NOT_ON_THE_LIST)
    assert hear(replace(ALLOWED, allow_from=("ada",)), ADA_ID) == Admit()
    assert hear(replace(ALLOWED, allow_from=("*",)), STRANGER) == Admit()
    for who in (STRANGER, BOB_ID):
        assert hear(replace(ALLOWED, allow_from=()), who) == Ignore(Closed.NOT_ON_THE_LIST)


# --- decisions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["approve 7K3Q9A", "deny 7K3Q9A not now", "stop 7K3Q9A", "approve 7K3Q9A 222222", "deny 7K3Q9A, 222222 not now"],
)
def test_a_deciders_typed_verdict_needs_no_list_but_an_allowed_room(text: str) -> None:
    closed = Admission(dm_policy=ALLOWLIST, allow_from=(), rooms=frozenset({ROOM}))
    for decider in (ADA_ID, DECIDER_ID):
        assert hear(closed, decider, text) == Admit()
        assert alone(closed, decider, text) == Admit()
        assert hear(closed, decider, text, peer=a_peer("C2")) == Ignore(Closed.ROOM_NOT_ALLOWED)
        assert hear(closed, decider, "run df -h") == Ignore(Closed.NOT_ON_THE_LIST)
    # Deciders of a rule that does not ask decide nothing.
    assert hear(closed, STRANGER, text) == Ignore(Closed.NOT_ON_THE_LIST)
    assert alone(closed, STRANGER, text) == Ignore(Closed.NOT_ON_THE_LIST)


@pytest.mark.parametrize("action", [Action.APPROVE, Action.DENY, Action.STOP])
def test_a_press_that_decides_is_the_policys_to_answer_wherever_our_message_stands(action: Action) -> None:
    for admission in (Admission(), Admission(room_policy=RoomPolicy.DISABLED, dm_policy=DirectPolicy.DISABLED)):
        for peer in (a_peer("C2"), a_peer(STRANGER, PeerKind.DIRECT)):
            assert gate(admission).take_press(POLICY, a_press(action, STRANGER, peer)) == Admit()


@pytest.mark.parametrize("action", [Action.AGAIN, Action.OUTPUT])
def test_a_press_that_asks_is_a_word_that_is_said_to_us(action: Action) -> None:
    def press(admission: Admission, who: str, peer: Peer, space: str | None = None) -> Heard:
        return gate(admission).take_press(POLICY, a_press(action, who, peer, space))

    assert press(ALLOWED, STRANGER, a_peer()) == Admit()
    assert press(ALLOWED, STRANGER, a_peer("C2")) == Ignore(Closed.ROOM_NOT_ALLOWED)
    assert press(Admission(spaces=frozenset({SPACE})), STRANGER, a_peer("C2"), SPACE) == Admit()
    assert press(replace(ALLOWED, allow_from=("ada",)), STRANGER, a_peer()) == Ignore(Closed.NOT_ON_THE_LIST)
    assert press(ALLOWED, STRANGER, a_peer(STRANGER, PeerKind.DIRECT)) == AskToPair()


def test_a_reaction_counts_for_deciders_everywhere_and_for_others_where_they_are_heard() -> None:
    closed = Admission(room_policy=RoomPolicy.DISABLED, dm_policy=DirectPolicy.DISABLED)
    assert gate(closed).take_reaction(POLICY, a_reaction(ADA_ID, a_peer())) == Admit()
    assert gate(closed).take_reaction(POLICY, a_reaction(BOB_ID, a_peer())) == Ignore(Closed.ROOMS_OFF)
    assert gate(ALLOWED).take_reaction(POLICY, a_reaction(BOB_ID, a_peer())) == Admit()


def test_whom_a_rule_escalates_to_decides_and_is_heard() -> None:
    closed = Admission(dm_policy=ALLOWLIST, allow_from=(), rooms=frozenset({ROOM}))
    rule = replace(POLICY.rules[0], escalate_after_s=60.0, escalate_to=("slack:U7",))
    reaction = a_reaction("U7", a_peer())
    assert hear(closed, "U7", "approve 7K3Q9A") == Ignore(Closed.NOT_ON_THE_LIST)
    assert gate(closed).take_reaction(POLICY, reaction) == Ignore(Closed.NOT_ON_THE_LIST)
    wider = replace(POLICY, rules=(rule,))
    assert hear(closed, "U7", "approve 7K3Q9A", policy=wider) == Admit()
    assert gate(closed).take_reaction(wider, reaction) == Admit()


def test_an_owner_decides_by_default_so_their_verdict_is_heard_whatever_list_narrows_the_room() -> None:
    narrow = replace(ALLOWED, allow_from=())
    owned = replace(POLICY, owners=("slack:U5",))
    assert hear(narrow, "U5", "approve 7K3Q9A", policy=owned) == Admit()
    assert hear(narrow, "U4", "approve 7K3Q9A", policy=owned) == Ignore(Closed.NOT_ON_THE_LIST)
    assert hear(narrow, "U5", "run df", policy=owned) == Ignore(Closed.NOT_ON_THE_LIST)


def test_whoever_may_break_glass_or_review_it_is_heard_with_that_and_with_a_verdict() -> None:
    closed = Admission(dm_policy=ALLOWLIST, allow_from=(), rooms=frozenset({ROOM}))
    glass = GlassRule(people=("slack:U7",), reviewers=("slack:U6",), announce_to=(a_peer(),))
    with_glass = replace(POLICY, glass=glass)
    for who, text in (
        ("U7", "break-glass the site is down"),
        ("U7", "break-glass end"),
        ("U7", "approve 7K3Q9A"),
        ("U6", "review B7K3Q9A ok it was right"),
    ):
        assert hear(closed, who, text) == Ignore(Closed.NOT_ON_THE_LIST)
        assert hear(closed, who, text, policy=with_glass) == Admit()
        assert hear(closed, "U9", text, policy=with_glass) == Ignore(Closed.NOT_ON_THE_LIST)
    assert hear(closed, "U7", "run df", policy=with_glass) == Ignore(Closed.NOT_ON_THE_LIST)


# --- accounts ----------------------------------------------------------------------------------------


def test_an_account_without_an_admission_hears_nobody_except_where_people_sign_in() -> None:
    assert hear(None, ADA_ID) == Ignore(Closed.NO_ADMISSION)
    web = replace(a_peer("ops"), channel=ChannelName("web"))
    assert hear(None, STRANGER, peer=web) == Admit()
    assert gate(None).take_press(POLICY, a_press(Action.APPROVE, ADA_ID, a_peer())) == Ignore(Closed.NO_ADMISSION)
    assert gate(None).take_press(POLICY, a_press(Action.AGAIN, ADA_ID, web)) == Admit()
    assert gate(None).take_reaction(POLICY, a_reaction(ADA_ID, a_peer())) == Ignore(Closed.NO_ADMISSION)


def test_each_account_has_its_own_admission() -> None:
    other = replace(a_peer(), account=AccountName("second"))
    assert hear(ALLOWED, ADA_ID, peer=other) == Ignore(Closed.NO_ADMISSION)


def test_completions_are_for_whom_the_gate_hears() -> None:
    def completes(admission: Admission, peer: Peer, space: str | None = None, *, is_paired: bool = False) -> bool:
        who = Sender(native=STRANGER, name="somebody")
        return gate(admission).may_complete(POLICY, peer, who, space=space, is_paired=is_paired)

    direct = a_peer(STRANGER, PeerKind.DIRECT)
    assert completes(ALLOWED, a_peer())
    assert not completes(ALLOWED, a_peer("C2"))
    assert completes(Admission(spaces=frozenset({SPACE})), a_peer("C2"), SPACE)
    assert not completes(ALLOWED, direct)
    assert completes(ALLOWED, direct, is_paired=True)
    assert not completes(Admission(dm_policy=DirectPolicy.DISABLED), direct, is_paired=True)


# --- any id ------------------------------------------------------------------------------------------

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=24)


@given(listed=IDS, said=IDS)
def test_rooms_and_people_are_compared_to_the_byte(listed: str, said: str) -> None:
    rooms = Admission(rooms=frozenset({listed}))
    assert (hear(rooms, ADA_ID, peer=a_peer(said)) == Admit()) is (listed == said)
    people = Admission(room_policy=RoomPolicy.OPEN, allow_from=(f"slack:{listed}",))
    assert (hear(people, said) == Admit()) is (listed == said)


@given(
    who=IDS,
    room=IDS,
    space=st.none() | IDS,
    is_addressed=st.booleans(),
    kind=st.sampled_from(PeerKind),
    text=st.sampled_from(["run df -h", "approve 7K3Q9A", "pause", "hello"]),
)
def test_empty_lists_hear_nobody_who_is_not_named(
    who: str, room: str, space: str | None, is_addressed: bool, kind: PeerKind, text: str
) -> None:
    empty = Admission(dm_policy=ALLOWLIST, allow_from=())
    if who not in {ADA_ID, BOB_ID, DECIDER_ID}:
        heard = hear(empty, who, text, peer=a_peer(room, kind), space=space, is_addressed=is_addressed)
        assert isinstance(heard, Ignore)


@given(st.binary(min_size=2 * CODE_CHARS, max_size=2 * CODE_CHARS))
def test_a_code_has_eight_characters_that_nobody_mistakes(numbers: bytes) -> None:
    code = draw_code(numbers)
    assert len(code) == CODE_CHARS == 8
    assert set(code) <= set(CODE_ALPHABET)
    assert not set(CODE_ALPHABET) & set("01OIL")
    assert len(set(CODE_ALPHABET)) == len(CODE_ALPHABET) == 30


def test_every_letter_of_a_code_can_come_and_each_byte_counts() -> None:
    drawn = [draw_code(bytes([high, low]) * CODE_CHARS)[0] for high in range(2) for low in range(256)]
    assert set(drawn) == set(CODE_ALPHABET)
    # Both bytes of a pair, as one number; half a pair is a fault of whoever drew it.
    assert draw_code(bytes([0, 1, 1, 0, 2, 7])) == CODE_ALPHABET[1] + CODE_ALPHABET[256 % 30] + CODE_ALPHABET[519 % 30]
    with pytest.raises(ValueError, match="shorter"):
        draw_code(bytes(3))
