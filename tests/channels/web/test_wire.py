"""Requests are parsed strictly, posts are written down whole. Pure: no server, no log."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.command import CommandHash
from bot.domain.message import (
    Action,
    Button,
    Code,
    Facts,
    Heading,
    Instant,
    Post,
    PostKind,
    Prose,
)
from bot.domain.session import AccountName, AgentName, MessageId, PeerKind
from bot.errors import Malformed
from bot.ports import ChatEntry, ChatPerson
from channels.web import access, wire
from channels.web.view import entry_for_page

ANA = ChatPerson(native="ana", name="Ana Sol")
US = wire.Identity(agent=AgentName("main"), account=AccountName("default"))
FIELDS = ("kind", "room", "thread", "text", "nonce", "button", "message", "proof", "reason", "code")
VALUES: tuple[object, ...] = (
    "channel",
    "direct",
    "ops",
    "ana",
    "12",
    "run x",
    "nonce-0001",
    "0" * 64,
    "",
    "\ud800",
    "\x00",
    None,
    7,
    [],
    {},
)
BUTTON = Button(action=Action.APPROVE, execution_id="7K3QHM", shown=CommandHash("ab" * 32))


def message(**changes: object) -> Mapping[str, object]:
    return {"kind": "channel", "room": "ops", "text": "run uptime", "nonce": "nonce-0001", **changes}


def press(**changes: object) -> Mapping[str, object]:
    fields = {"message": "12", "button": BUTTON.token(), "proof": "0" * 64, "reason": "", "nonce": "nonce-0001"}
    return {"kind": "channel", "room": "ops", **fields, **changes}


def entry(body: str, *, author: str = "", kind: str = "channel", thread: str | None = None) -> ChatEntry:
    return ChatEntry(
        id=12,
        change=15,
        kind=kind,
        room="ops",
        thread=thread,
        author=author,
        body=body,
        nonce="nonce-0001",
        created_at=1_800_000_000.0,
        edited_at=None,
    )


def test_a_message_names_its_room_or_thread() -> None:
    parsed = wire.parse_message(message(thread="12"), person=ANA, identity=US)
    assert (parsed.peer.kind, parsed.peer.id, parsed.peer.thread) == (PeerKind.CHANNEL, "ops", "12")
    assert parsed.text == "run uptime"


def test_a_direct_conversation_is_ones_own_and_there_is_no_word_for_anothers() -> None:
    for room in (None, "ana"):
        parsed = wire.parse_message(message(kind="direct", room=room), person=ANA, identity=US)
        assert (parsed.peer.kind, parsed.peer.id) == (PeerKind.DIRECT, "ana")
    with pytest.raises(Malformed):
        wire.parse_message(message(kind="direct", room="ben"), person=ANA, identity=US)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "group"},
        {"kind": None},
        {"room": "Ops"},
        {"room": "o" * 41},
        {"room": ""},
        {"room": "a/b"},
        {"room": "ops\n"},
        {"room": 7},
        {"thread": "0"},
        {"thread": "12x"},
        {"thread": "1" * 19},
        {"thread": 12},
        {"thread": "١٢"},
        {"text": ""},
        {"text": "  \n "},
        {"text": "x" * 8_501},
        {"text": "a\x00b"},
        {"text": "\ud83d"},
        {"text": ["run"]},
        {"nonce": "short"},
        {"nonce": "with space"},
        {"nonce": None},
    ],
)
def test_a_message_of_another_shape_is_refused(changes: Mapping[str, object]) -> None:
    with pytest.raises(Malformed):
        wire.parse_message(message(**changes), person=ANA, identity=US)


def test_the_longest_message_is_taken_whole_and_a_longer_one_is_named_with_its_length() -> None:
    assert len(wire.parse_message(message(text="x" * 8_500), person=ANA, identity=US).text) == 8_500
    with pytest.raises(Malformed, match=r"at most 8,500 characters, this one has 8,501"):
        wire.parse_message(message(text="x" * 8_501), person=ANA, identity=US)


def test_f113_a_repeated_press_is_the_same_delivery_and_another_persons_is_not() -> None:
    first, again = (wire.parse_press(press(), person=ANA, identity=US).press for _ in range(2))
    bens = wire.parse_press(press(), person=ChatPerson(native="ben", name="Ben"), identity=US).press
    later = wire.parse_press(press(nonce="nonce-0002"), person=ANA, identity=US).press
    assert first == again
    assert len({first.delivery, bens.delivery, later.delivery}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"button": "h1:approve:7K3QHM:short"},
        {"button": "h1:explode:7K3QHM:" + "ab" * 32},
        {"button": "x" * 5_000},
        {"button": None},
        {"proof": ""},
        {"proof": None},
        {"message": "-1"},
        {"message": 12},
        {"reason": "x" * 501},
        {"reason": 5},
        {"kind": "direct", "room": "ben"},
    ],
)
def test_a_press_of_another_shape_is_refused(changes: Mapping[str, object]) -> None:
    with pytest.raises(Malformed):
        wire.parse_press(press(**changes), person=ANA, identity=US)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"{", b"[" * 50_000, b'{"a":' * 9_000])
def test_what_is_not_one_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.parse_json(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(body: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert isinstance(wire.parse_json(body), dict)


@given(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES)))
def test_any_fields_are_a_message_or_malformed(fields: Mapping[str, object]) -> None:
    for parse in (wire.parse_message, wire.parse_press):
        with contextlib.suppress(Malformed):
            parse(fields, person=ANA, identity=US)


def test_a_post_reaches_the_page_whole_with_a_proof_on_each_button() -> None:
    post = Post(
        kind=PostKind.CARD,
        blocks=(
            Heading(spans=("Running · 7K3QHM",)),
            Prose(spans=("Running since ", Instant(1_800_000_000.5), ".")),
            Code(text="rm -rf /tmp/⟨U+202E⟩x", label="Command"),
            Facts(rows=(("Node", ("web-1",)), ("Expires", (Instant(1.0),)))),
        ),
        buttons=(BUTTON,),
        execution_id="7K3QHM",
        mention="ben",
        status="running",
    )
    quote = wire.Quote(message_id=MessageId("11"), author="ben", excerpt="run rm")
    shown = entry_for_page(
        entry(wire.post_body(post, quote)), viewer="ana", cookie="c" * 43 + ".1", names={"ben": "Ben Ito"}
    )
    assert shown["author"] is None
    assert shown["answers"] == {"id": "11", "author": "ben", "excerpt": "run rm", "name": "Ben Ito"}
    assert shown["post"] == {
        "kind": "card",
        "status": "running",
        "execution": "7K3QHM",
        "mention": {"id": "ben", "name": "Ben Ito"},
        "since": 1_800_000_000.5,
        "blocks": [
            {"is": "heading", "spans": ["Running · 7K3QHM"]},
            {"is": "prose", "spans": ["Running since ", {"at": 1_800_000_000.5}, "."]},
            {"is": "code", "label": "Command", "text": "rm -rf /tmp/⟨U+202E⟩x"},
            {"is": "facts", "rows": [["Node", ["web-1"]], ["Expires", [{"at": 1.0}]]]},
        ],
        "buttons": [
            {
                "action": "approve",
                "token": BUTTON.token(),
                "proof": access.proof_of("c" * 43 + ".1", "12", BUTTON.token()),
                "asks": [],
            }
        ],
    }
    json.dumps(shown)


def test_only_the_writer_is_told_the_nonce_of_a_message() -> None:
    body = wire.message_body("run uptime")
    views = [
        entry_for_page(entry(body, author="ana"), viewer=viewer, cookie="c", names={"ana": "Ana"})
        for viewer in ("ana", "ben")
    ]
    assert "nonce" in views[0]
    assert "nonce" not in views[1]


def test_a_quote_is_one_short_line() -> None:
    quote = wire.quote_of(entry(wire.message_body("run sh -c '\n" + "x" * 200 + "'"), author="ana"))
    assert len(quote.excerpt) == wire.EXCERPT_CHARS
    assert "\n" not in quote.excerpt
    assert wire.quote_of_body(wire.post_body(Post(kind=PostKind.REPLY, blocks=()), quote)) == quote


def test_a_proof_fits_one_sign_in_one_card_and_one_button() -> None:
    mine, token = access.new_cookie(1_800_000_000.0), BUTTON.token()
    proof = access.proof_of(mine, "12", token)
    assert access.is_proof(proof, mine, "12", token)
    assert not access.is_proof(proof, access.new_cookie(1_800_000_000.0), "12", token)
    assert not access.is_proof(proof, mine, "13", token)
    assert not access.is_proof(proof, mine, "12", token.replace("approve", "deny"))
    assert not access.is_proof("é" * 64, mine, "12", token)


@pytest.mark.parametrize("native", ["", "-a", "a b", "a:b", "a" * 65, "ä", "a\n"])
def test_a_person_whose_id_no_page_could_carry_is_not_invited(native: str) -> None:
    with pytest.raises(Malformed):
        wire.parse_native(native)
