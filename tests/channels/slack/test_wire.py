"""Every kind of payload that Slack sends, made by hand after its documents, as the core takes it."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from bot.domain.message import Action, InboundMessage
from bot.domain.policy import decision_of
from bot.domain.session import AccountName, AgentName, PeerKind
from bot.errors import Malformed
from channels.slack import doctor, presses, wire

SAMPLES = Path(__file__).parent / "samples"
ROOT = Path(__file__).resolve().parents[3]
ME = wire.Me(user="U0HOMING", bot="B0HOMING", team="T0EXAMPLE")
HERE = wire.Identity(agent=AgentName("main"), account=AccountName("default"), has_threads=False)
IN_THREADS = wire.Identity(agent=AgentName("main"), account=AccountName("default"), has_threads=True)
TS, THREAD = "1700000000.000100", "1699999999.000200"
NOW = 1_700_000_000.0


def sample(name: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return payload


def heard(name: str, identity: wire.Identity = HERE) -> InboundMessage:
    payload = sample(name)
    event = payload["event"]
    assert wire.is_for(payload, ME)
    assert wire.is_said_by_a_person(event, ME)
    kind = wire.kind_of(event.get("channel_type")) or PeerKind.CHANNEL
    space = wire.space_of(payload)
    room = wire.place_id(event["channel"])
    return wire.message_of(event, room=room, kind=kind, name="ana", space=space, me=ME, identity=identity)


# --- messages --------------------------------------------------------------------------------------


def test_a_message_in_a_channel_comes_to_the_letter_with_all_that_the_gate_asks() -> None:
    found = heard("message_in_channel")
    assert found.text == "run df -h <&\"'> ümläut 🏠"
    assert (found.peer.kind, found.peer.id, found.peer.thread) == (PeerKind.CHANNEL, "C0OPS", None)
    assert (found.sender.native, found.sender.name, found.space) == ("U0ANA", "ana", "T0EXAMPLE")
    assert (found.message_id, found.sent_at, found.is_addressed) == (TS, 1_700_000_000.0001, True)


def test_f108_a_message_and_its_mention_are_one_delivery() -> None:
    assert heard("app_mention").delivery == heard("message_in_channel").delivery
    assert heard("app_mention").is_addressed


@pytest.mark.parametrize(
    ("name", "kind", "native", "thread", "is_addressed"),
    [
        ("message_in_private_channel", PeerKind.CHANNEL, "C0VAULT", None, False),
        ("message_in_thread", PeerKind.CHANNEL, "C0OPS", THREAD, True),
        ("message_in_thread_of_others", PeerKind.CHANNEL, "C0OPS", THREAD, False),
        ("message_direct", PeerKind.DIRECT, "U0ANA", None, True),
        ("message_of_several", PeerKind.GROUP, "G0SEVERAL", None, False),
        ("message_broadcast", PeerKind.CHANNEL, "C0OPS", THREAD, False),
        ("message_with_file", PeerKind.CHANNEL, "C0OPS", None, False),
    ],
)
def test_f005_a_message_knows_its_conversation_and_its_thread(
    name: str, kind: PeerKind, native: str, thread: str | None, is_addressed: bool
) -> None:
    found = heard(name)
    assert (found.peer.kind, found.peer.id, found.peer.thread) == (kind, native, thread)
    assert found.is_addressed is is_addressed


def test_a_question_at_the_top_begins_a_thread_only_where_that_is_the_setting() -> None:
    assert heard("message_in_channel", IN_THREADS).peer.thread == TS
    assert heard("message_in_thread", IN_THREADS).peer.thread == THREAD
    assert heard("message_direct", IN_THREADS).peer.thread is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "message_with_links",
            "run curl example.org https://example.org/?a=1&b=2 ana@example.org #ops page (https://example.org) “q”",
        ),
        (
            "message_with_links_in_rich_text",
            "run curl example.org https://example.org/?a=1&b=2 ana@example.org *a b* `ls`",
        ),
        ("message_with_code", "run\n```ls -l\npwd```"),
    ],
)
def test_what_slack_makes_of_words_is_turned_back_into_what_was_typed(name: str, text: str) -> None:
    assert heard(name).text == text


def test_ids_of_an_enterprise_grid_are_kept() -> None:
    found = heard("message_on_grid")
    assert (found.sender.native, found.space) == ("W0ANA", "T0EXAMPLE")


@pytest.mark.parametrize(
    "name",
    [
        "message_by_us",
        "message_by_bot",
        "message_by_app_of_today",
        "message_by_slackbot",
        "message_changed",
        "message_deleted",
        "message_joined",
    ],
)
def test_what_no_person_said_is_not_heard(name: str) -> None:
    assert not wire.is_said_by_a_person(sample(name)["event"], ME)


def test_f012_what_is_told_to_another_installation_is_not_for_us() -> None:
    assert not wire.is_for(sample("message_of_other_installation"), ME)


@pytest.mark.parametrize(
    "change",
    [
        {"user": "ana"},
        {"user": None},
        {"ts": "1700000000"},
        {"ts": "١٧٠٠٠٠٠٠٠٠.٠٠٠١٠٠"},
        {"thread_ts": "C0OPS"},
        {"channel": "c0ops"},
        {"channel": "C0OPS\n"},
        {"channel": "slack:C0OPS"},
        {"text": 7},
        {"blocks": "none"},
    ],
)
def test_f006_an_id_that_is_none_of_slacks_is_refused_at_the_border(change: dict[str, object]) -> None:
    event = sample("message_in_channel")["event"] | change
    with pytest.raises(Malformed):
        wire.message_of(
            event,
            room=wire.place_id(event["channel"]),
            kind=PeerKind.CHANNEL,
            name="",
            space=None,
            me=ME,
            identity=HERE,
        )


def test_f071_a_reaction_keeps_its_skin_tone_and_decides_all_the_same() -> None:
    event = sample("reaction_added")["event"]
    peer = wire.peer_of(HERE, PeerKind.CHANNEL, "C0OPS")
    found = wire.reaction_of(
        peer=peer, room="C0OPS", message=event["item"]["ts"], person=event["user"], name="", emoji=event["reaction"]
    )
    assert (found.emoji, found.message_id, found.sender.native) == ("+1::skin-tone-3", TS, "U0ANA")
    assert decision_of(found.emoji) is Action.APPROVE


# --- presses, forms, commands ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "room", "thread", "kind"),
    [
        ("press", "C0OPS", None, PeerKind.CHANNEL),
        ("press_in_thread", "C0OPS", THREAD, PeerKind.CHANNEL),
        ("press_direct", "D0ANA", None, PeerKind.DIRECT),
        ("press_of_several", "C0SEVERAL", None, None),
        # Slack's name for it may be either kind: it is asked for.
        ("press_in_private_channel", "C0VAULT", None, None),
    ],
)
def test_f048_a_press_knows_its_card_and_its_conversation(
    name: str, room: str, thread: str | None, kind: PeerKind | None
) -> None:
    found = presses.pressed(sample(name))
    assert (found.room, found.thread, found.message_id) == (room, thread, TS)
    assert wire.kind_by_name(room, found.room_name) is kind
    assert (found.button.action, found.button.execution_id) == (Action.APPROVE, "7K3QHM")
    assert (found.sender.native, found.sender.name, found.space) == ("U0ANA", "ana", "T0EXAMPLE")


def test_a_press_in_app_home_has_no_message() -> None:
    found = presses.pressed(sample("press_in_home"))
    assert (found.room, found.message_id, found.thread) == (None, None, None)


def test_f070_a_forged_button_is_none() -> None:
    with pytest.raises(Malformed):
        presses.pressed(sample("press_forged"))


def test_a_denial_carries_its_reason_and_all_that_the_press_knew() -> None:
    found, filled = presses.submitted(sample("form_sent_in"))
    assert filled == presses.Filled(reason="not during the freeze")
    assert (found.button.action, found.room, found.message_id, found.thread) == (Action.DENY, "C0OPS", TS, THREAD)
    assert presses.submitted(sample("form_without_reason"))[1] == presses.Filled()


def test_a_press_comes_back_whole_from_the_form_that_it_opened() -> None:
    pressed = presses.pressed(sample("press_in_thread"))
    payload = sample("form_sent_in")
    payload["view"]["private_metadata"] = presses.kept(pressed)
    found, _ = presses.submitted(payload)
    assert (found.button, found.room, found.message_id, found.thread, found.room_name) == (
        pressed.button,
        pressed.room,
        pressed.message_id,
        pressed.thread,
        pressed.room_name,
    )


def test_f080_a_command_is_an_addressed_message_without_an_id() -> None:
    found = presses.command_of(sample("command"), wire.peer_of(HERE, PeerKind.CHANNEL, "C0OPS"), now=NOW)
    assert (found.text, found.message_id, found.is_addressed) == ("run df -h && uptime", None, True)
    assert (found.sender.native, found.space, found.delivery) == ("U0ANA", "T0EXAMPLE", "command:1.3.fake")


# --- signed HTTP -----------------------------------------------------------------------------------


def signed(raw: bytes, stamp: str, secret: str = "fake-secret") -> str:
    return "v0=" + hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("change", "is_good"),
    [
        ({}, True),
        ({"stamp": str(int(NOW) - 300)}, True),
        ({"stamp": str(int(NOW) - 301)}, False),
        ({"stamp": str(int(NOW) + 301)}, False),
        ({"stamp": "nan"}, False),
        ({"stamp": "٣" * 10}, False),
        ({"secret": "another"}, False),
        ({"raw": b"{} "}, False),
    ],
)
def test_f112_only_what_is_signed_lately_over_the_same_bytes_is_good(change: dict[str, Any], is_good: bool) -> None:
    stamp = change.get("stamp", str(int(NOW)))
    signature = signed(b"{}", stamp, change.get("secret", "fake-secret"))
    assert wire.is_signed(change.get("raw", b"{}"), stamp, signature, secret="fake-secret", now=NOW) is is_good


def test_bodies_of_all_three_shapes_are_read() -> None:
    command, press = sample("command"), sample("press")
    urlencoded = "application/x-www-form-urlencoded"
    assert wire.parse_body(urllib.parse.urlencode(command).encode(), urlencoded) == command
    assert wire.parse_body(urllib.parse.urlencode({"payload": json.dumps(press)}).encode(), urlencoded) == press
    assert wire.parse_body(json.dumps(press).encode(), "application/json") == press


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"\xff", b"{" * 100_000, b'{"a":' * 50_000])
def test_a_body_that_is_no_object_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        wire.parse_body(raw, "application/json")


# --- the manifest ----------------------------------------------------------------------------------


def test_the_manifest_asks_for_the_scopes_that_the_doctor_looks_for() -> None:
    manifest = (ROOT / "deploy" / "slack-manifest.yaml").read_text(encoding="utf-8")
    scopes = manifest.partition("    bot:\n")[2].partition("settings:")[0]
    assert tuple(re.findall(r"^ +- (\S+)$", scopes, re.MULTILINE)) == doctor.SCOPES
