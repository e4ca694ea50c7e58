"""Slack's wire format, inbound: signed bodies -> payloads -> our values; ids by shape. Pure.

A fault in what came in is `Malformed`, and names no word of it. Deliberately absent: presses and
commands (`presses`), HTTP, the library, what goes out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.message import InboundMessage, Reaction, Sender
from bot.domain.session import (
    AccountName,
    AgentName,
    ChannelName,
    DeliveryId,
    MessageId,
    NativeId,
    Peer,
    PeerKind,
    ThreadId,
)
from bot.errors import Malformed
from channels.slack import typed

SLACK = ChannelName("slack")
MAX_BODY_BYTES = 1 << 20
WINDOW_S = 300
"""Of a signature: https://docs.slack.dev/authentication/verifying-requests-from-slack"""
MAX_FIELDS = 60
"""Of a form; a slash command has some 15."""
MAX_NAME_CHARS = 80
MAX_REASON_CHARS = 500
MAX_TEXT_CHARS = 40_000
"""Slack's own limit of a message."""

_PERSON = re.compile(r"[UW][A-Z0-9]{2,30}", re.ASCII)
_ROOM = re.compile(r"[CG][A-Z0-9]{2,30}", re.ASCII)
_DIRECT = re.compile(r"D[A-Z0-9]{2,30}", re.ASCII)
_TS = re.compile(r"[0-9]{10}\.[0-9]{6}", re.ASCII)
_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._:+'-]{1,120}", re.ASCII)
ANY_ID = re.compile(r"[A-Za-z0-9._-]{1,120}", re.ASCII)
_SAID_BY_PEOPLE = frozenset({None, "file_share", "thread_broadcast", "me_message"})
_KINDS = {"channel": PeerKind.CHANNEL, "group": PeerKind.CHANNEL, "mpim": PeerKind.GROUP, "im": PeerKind.DIRECT}

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are: given at composition, part of every peer."""

    agent: AgentName
    account: AccountName
    has_threads: bool
    """A question at a room's top level is answered in a thread of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Who Slack says that we are."""

    user: str
    bot: str
    team: str


# --- signed HTTP -----------------------------------------------------------------------------------


def is_signed(raw: bytes, stamp: str, signature: str, *, secret: str, now: float) -> bool:
    """Over the bytes as they came, compared in constant time; lately."""
    if not is_lately(stamp, now):
        return False
    mac = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={mac}".encode(), signature.encode("utf-8", "surrogateescape"))


def is_lately(stamp: str, now: float) -> bool:
    return _STAMP.fullmatch(stamp) is not None and abs(now - int(stamp)) <= WINDOW_S


def parse_body(raw: bytes, kind: str) -> dict[str, object]:
    """An event (JSON), an interaction (a form with JSON in it) or a command (a form)."""
    try:
        text = raw.decode("utf-8")
        if kind == "application/json":
            return fields_of(json.loads(text))
        if kind != "application/x-www-form-urlencoded":
            raise Malformed("Slack sends JSON and forms only")
        pairs = urllib.parse.parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS
        )
        form: dict[str, object] = dict(pairs)
        payload = form.get("payload")
        return fields_of(json.loads(payload)) if isinstance(payload, str) else form
    except (ValueError, RecursionError):
        raise Malformed("a body that is not what its type says") from None


# --- ids -------------------------------------------------------------------------------------------


def person_id(value: object) -> str:
    return shaped(_PERSON, value, "person")


def room_id(value: object) -> str:
    """Of a channel, private channel or conversation of several."""
    return shaped(_ROOM, value, "channel")


def place_id(value: object) -> str:
    """Of any conversation, the direct ones included."""
    return value if is_direct(value) and isinstance(value, str) else room_id(value)


def is_direct(value: object) -> bool:
    return isinstance(value, str) and _DIRECT.fullmatch(value) is not None


def ts_id(value: object) -> str:
    return shaped(_TS, value, "message")


def shaped(shape: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or shape.fullmatch(value) is None:
        raise Malformed(f"that is no id of a {what} on Slack")
    return value


def kind_of(value: object) -> PeerKind | None:
    """From `channel_type`; None where it does not say."""
    return _KINDS.get(value) if isinstance(value, str) else None


def kind_by_name(room: str, name: str) -> PeerKind | None:
    """Interactions name the conversation only; a private one may be a channel or a conversation of several.

    None where Slack has to be asked: anybody may give a channel the name of a conversation of several.
    """
    if is_direct(room):
        return PeerKind.DIRECT
    return PeerKind.CHANNEL if name and name != "privategroup" and not name.startswith("mpdm-") else None


def peer_of(identity: Identity, kind: PeerKind, native: str, thread: str | None = None) -> Peer:
    """`native` is a person's id where the kind is direct."""
    return Peer(
        agent=identity.agent,
        channel=SLACK,
        account=identity.account,
        kind=kind,
        id=NativeId(person_id(native) if kind is PeerKind.DIRECT else room_id(native)),
        thread=None if thread is None else ThreadId(ts_id(thread)),
    )


# --- events ----------------------------------------------------------------------------------------


def is_for(payload: Fields, me: Me) -> bool:
    """Whether an event is told to this installation, and not to another of the same app."""
    given = payload.get("authorizations")
    if not isinstance(given, list) or not given:
        return payload.get("team_id") in {me.team, None}
    return any(isinstance(one, dict) and one.get("user_id") == me.user for one in given)


def is_said_by_a_person(event: Fields, me: Me) -> bool:
    """Not by us or another bot, and not the noise about messages: edits, joins, topics."""
    if event.get("subtype") not in _SAID_BY_PEOPLE or event.get("hidden") is True:
        return False
    return not (event.get("bot_id") or event.get("bot_profile")) and event.get("user") not in {me.user, "USLACKBOT"}


def thread_of(message: Fields) -> str | None:
    """The thread that a message is a reply in; None at the top level, also for what begins a thread."""
    thread = message.get("thread_ts")
    return None if thread is None or thread == message.get("ts") else ts_id(thread)


def message_of(
    event: Fields, *, room: str, kind: PeerKind, name: str, space: str | None, me: Me, identity: Identity
) -> InboundMessage:
    """Also of a message of the history. `kind` is found out by the caller where the event does not say it."""
    ts, person, thread = ts_id(event.get("ts")), person_id(event.get("user")), thread_of(event)
    text, blocks = event.get("text"), event.get("blocks")
    if not isinstance(text, str | None) or not isinstance(blocks, list | None) or (text is None and blocks is None):
        raise Malformed("a message has words")
    is_addressed = (
        kind is PeerKind.DIRECT
        or event.get("type") == "app_mention"
        or typed.mentions(text, me.user)
        or (thread is not None and event.get("parent_user_id") == me.user)
    )
    if identity.has_threads and thread is None and kind is not PeerKind.DIRECT:
        thread = ts
    return InboundMessage(
        peer=peer_of(identity, kind, person if kind is PeerKind.DIRECT else room, thread),
        sender=Sender(native=person, name=name or person),
        delivery=DeliveryId(f"message:{room}:{ts}"),
        message_id=MessageId(ts),
        text=typed.words_of(text, blocks, me.user)[:MAX_TEXT_CHARS],
        sent_at=float(ts),
        space=space,
        is_addressed=is_addressed,
    )


def space_of(payload: Fields) -> str | None:
    """The workspace: of an event or command by `team_id`, of an interaction inside `team` or `user`."""
    for value in (
        payload.get("team_id"),
        inside(payload, "team").get("id"),
        inside(payload, "user").get("team_id"),
    ):
        if isinstance(value, str) and ANY_ID.fullmatch(value):
            return value
    return None


def reaction_of(*, peer: Peer, room: str, message: str, person: str, name: str, emoji: object) -> Reaction:
    """Once for a person, a message and an emoji, whether it is told by an event or read after a gap."""
    short = shaped(_WORD, emoji, "reaction")
    ts = ts_id(message)
    return Reaction(
        peer=peer,
        sender=Sender(native=person_id(person), name=name or person),
        delivery=DeliveryId(f"reaction:{room}:{ts}:{person}:{short}"),
        message_id=MessageId(ts),
        emoji=short,
    )


def fields_of(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Malformed("that is not a JSON object")
    return value


def inside(fields: Fields, name: str) -> dict[str, object]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def text_in(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
