"""The web chat's wire format: requests -> inbound values, posts -> JSON for the log and for the page. Pure.

Deliberately absent: HTTP, cookies, the log. Ids are checked by shape here; who may read what is in `access`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot.domain.message import (
    CODE_FIELD_CHARS,
    Block,
    Button,
    ButtonPress,
    Code,
    Facts,
    Heading,
    InboundMessage,
    Instant,
    Post,
    Prose,
    Sender,
    Span,
    parse_button,
)
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
from bot.domain.words import as_kept, parse_words
from bot.errors import Malformed
from bot.ports import ChatEntry, ChatPerson

WEB = ChannelName("web")
MAX_MESSAGE_CHARS = 8_500
"""Of one message: the longest request (8,000) with the words around it."""
MAX_REASON_CHARS = 500
"""Of a reason, as the typed `deny <id> [reason]` takes it."""
EXCERPT_CHARS = 80
"""Of the message that asked, quoted above its answer: one line on a wide screen."""

_ROOM = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_NATIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_MESSAGE = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are on this network: given at composition, part of every peer."""

    agent: AgentName
    account: AccountName


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """What a page asks to post; `nonce` is the page's own, the same over its retries."""

    peer: Peer
    text: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPress:
    """What a page asks to press, with the proof that it was shown this button on this card."""

    press: ButtonPress
    proof: str


def parse_json(body: bytes) -> Mapping[str, object]:
    """One JSON object. Raises `Malformed` for anything else."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("the request is not JSON") from None
    if not isinstance(fields, dict):
        raise Malformed("the request is not a JSON object")
    return fields


def parse_room(value: object) -> str:
    if not isinstance(value, str) or _ROOM.fullmatch(value) is None:
        raise Malformed("a room's name has 1 to 40 of a-z, 0-9 and '-'")
    return value


def parse_native(value: object) -> str:
    """The id of a person of the web chat. Raises `Malformed` for one that we never give out."""
    if not isinstance(value, str) or _NATIVE.fullmatch(value) is None:
        raise Malformed("a person's id has 1 to 64 letters, digits and . _ @ + -, and begins with a letter or digit")
    return value


def parse_message_id(value: object) -> MessageId:
    if not isinstance(value, str) or _MESSAGE.fullmatch(value) is None:
        raise Malformed("that is not the id of a message")
    return MessageId(value)


def parse_peer(fields: Mapping[str, object], *, person: ChatPerson, identity: Identity) -> Peer:
    """The conversation that a request names: a room, or the person's own with us; there is no word for another's."""
    kind, room, thread = fields.get("kind"), fields.get("room"), fields.get("thread")
    match kind:
        case "channel":
            native = parse_room(room)
        case "direct" if room is None or room == person.native:
            native = person.native
        case "direct":
            raise Malformed("there is no such conversation")
        case _:
            raise Malformed("a conversation is of kind channel or direct")
    return Peer(
        agent=identity.agent,
        channel=WEB,
        account=identity.account,
        kind=PeerKind(kind),
        id=NativeId(native),
        thread=None if thread is None else ThreadId(parse_message_id(thread)),
    )


def parse_message(fields: Mapping[str, object], *, person: ChatPerson, identity: Identity) -> NewMessage:
    """Raises `Malformed`, with a line for the person."""
    text = _text(fields.get("text"), "a message", MAX_MESSAGE_CHARS)
    if not text.strip():
        raise Malformed("an empty message says nothing")
    return NewMessage(
        peer=parse_peer(fields, person=person, identity=identity), text=text, nonce=_nonce(fields.get("nonce"))
    )


def parse_press(fields: Mapping[str, object], *, person: ChatPerson, identity: Identity) -> NewPress:
    """Raises `Malformed`, with a line for the person. The proof is checked by `access`, against the cookie."""
    token, proof = fields.get("button"), fields.get("proof")
    button = parse_button(token) if isinstance(token, str) and len(token) <= 100 else None
    if button is None:
        raise Malformed("that is not a button of ours")
    if not isinstance(proof, str) or len(proof) != 64:
        raise Malformed("the proof of what was shown is missing")
    message_id = parse_message_id(fields.get("message"))
    press = ButtonPress(
        peer=parse_peer(fields, person=person, identity=identity),
        sender=Sender(native=person.native, name=person.name),
        delivery=DeliveryId(f"press:{message_id}:{person.native}:{_nonce(fields.get('nonce'))}"),
        message_id=message_id,
        button=button,
        reason=_text(fields.get("reason", ""), "a reason", MAX_REASON_CHARS).strip(),
        code=_text(fields.get("code", ""), "a code", CODE_FIELD_CHARS).strip() or None,
    )
    return NewPress(press=press, proof=proof)


def _text(value: object, what: str, limit: int) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{what} is a text")
    if len(value) > limit:
        raise Malformed(f"{what} has at most {limit:,} characters, this one has {len(value):,}")
    if "\x00" in value or _LONE_SURROGATE.search(value):
        raise Malformed(f"{what} holds a character that no text can carry")
    return value


def _nonce(value: object) -> str:
    if not isinstance(value, str) or _NONCE.fullmatch(value) is None:
        raise Malformed("the request has no nonce")
    return value


# --- what stands in the log ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The message that asked, as it is named above its answer."""

    message_id: MessageId
    author: str
    excerpt: str


def message_body(text: str) -> str:
    """A person's message as the log keeps it."""
    return json.dumps({"text": text})


def post_body(post: Post, quote: Quote | None) -> str:
    """A post of ours as the log keeps it, with what it answers."""
    answers = None if quote is None else {"id": quote.message_id, "author": quote.author, "excerpt": quote.excerpt}
    return json.dumps({"post": post_to_json(post), "answers": answers})


def quote_of_body(body: str) -> Quote | None:
    """What a post of ours that stands in the log answers: an edit keeps it."""
    answers = json.loads(body).get("answers")
    if answers is None:
        return None
    return Quote(message_id=MessageId(answers["id"]), author=answers["author"], excerpt=answers["excerpt"])


def quote_of(entry: ChatEntry) -> Quote:
    text = " ".join(_plain_text(entry.body).split())
    excerpt = text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1] + "…"
    return Quote(message_id=MessageId(str(entry.id)), author=entry.author, excerpt=excerpt)


def as_logged(text: str) -> str:
    """A message as it may stand in the log, which whoever is in the conversation reads: without a device's code."""
    return as_kept(text, parse_words(text))


def inbound(entry: ChatEntry, *, name: str, said: str | None = None, identity: Identity) -> InboundMessage:
    """The message of a person that stands in the log, as the core takes it: the same over every repeat.

    `said` is what the page sends just now: the log has the same, but for a code that it may not keep.
    """
    logged = _inbound(entry, name=name, identity=identity)
    return replace(logged, text=said) if said is not None and as_logged(said) == logged.text else logged


def _inbound(entry: ChatEntry, *, name: str, identity: Identity) -> InboundMessage:
    return InboundMessage(
        peer=peer_of(entry, identity=identity),
        sender=Sender(native=entry.author, name=name),
        delivery=DeliveryId(f"message:{entry.id}"),
        message_id=MessageId(str(entry.id)),
        text=_plain_text(entry.body),
        sent_at=entry.created_at,
    )


def peer_of(entry: ChatEntry, *, identity: Identity) -> Peer:
    return Peer(
        agent=identity.agent,
        channel=WEB,
        account=identity.account,
        kind=PeerKind(entry.kind),
        id=NativeId(entry.room),
        thread=None if entry.thread is None else ThreadId(entry.thread),
    )


def _plain_text(body: str) -> str:
    fields = json.loads(body)
    if "text" in fields:
        return str(fields["text"])
    for block in fields["post"]["blocks"]:
        if block["is"] in {"heading", "prose"}:
            return "".join(span for span in block["spans"] if isinstance(span, str))
    return ""


def post_to_json(post: Post) -> dict[str, object]:
    # On a card of several each keeps its row, buttons or none: one that went would move the next under a finger.
    keeps_row = any(isinstance(block, Code) and block.buttons for block in post.blocks)
    return {
        "kind": post.kind.value,
        "status": post.status,
        "execution": post.execution_id,
        "mention": post.mention,
        "blocks": [_block(block, keeps_row=keeps_row) for block in post.blocks],
        "buttons": _buttons(post.buttons),
    }


def _buttons(buttons: tuple[Button, ...]) -> list[dict[str, str]]:
    return [{"action": button.action.value, "token": button.token()} for button in buttons]


def _block(block: Block, *, keeps_row: bool) -> dict[str, object]:
    match block:
        case Heading():
            return {"is": "heading", "spans": _spans(block.spans)}
        case Prose():
            return {"is": "prose", "spans": _spans(block.spans)}
        case Facts():
            return {"is": "facts", "rows": [[label, _spans(spans)] for label, spans in block.rows]}
        case Code():
            code: dict[str, object] = {"is": "code", "label": block.label, "text": block.text}
            return code | {"buttons": _buttons(block.buttons)} if keeps_row else code


def _spans(spans: tuple[Span, ...]) -> list[object]:
    return [{"at": span.at} if isinstance(span, Instant) else span for span in spans]
