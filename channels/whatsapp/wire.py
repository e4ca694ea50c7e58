"""What Twilio sends us: checked signatures, webhook forms -> inbound values, statuses -> deliveries. Pure.

Deliberately absent: HTTP, what we send (`form`), and reactions: Twilio has no webhook for WhatsApp's.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from twilio.request_validator import (  # type: ignore[import-untyped]
    HMAC_SHA1,
    HMAC_SHA256,
    RequestValidator,
    get_signature_algorithm,
)

from bot.domain.message import ButtonPress, Delivery, InboundMessage, Sender, parse_button
from bot.domain.session import AccountName, AgentName, ChannelName, DeliveryId, MessageId, NativeId, Peer, PeerKind
from bot.errors import ChannelRejected, Malformed

WHATSAPP = ChannelName("whatsapp")
BODY_BYTES = 64 * 1024
"""Of one webhook request: a message has 1,600 characters at most, all of Twilio's fields some 4 KiB."""
MAX_FIELDS = 200
_NAME_CHARS = 100
_TEXT_CHARS = 8_500
"""Of one message to us, above WhatsApp's own 4,096."""
OVERRIDES = "#rc=5&rp=ct,rt,5xx"
"""Behind an address: five more tries where nothing answers, slowly, or with 5xx. Never sent to us; our docs name it.
https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides"""
NO_TEXT = "[a message without text: I read text only]"
"""Stands for a picture, a voice message, a file, a contact or a place."""

_PREFIX = "whatsapp:"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}", re.ASCII)
_NOT_IN_TEXT = re.compile("[\x00\ud800-\udfff]")

WINDOW_CLOSED = 63016
_LATER = frozenset({WINDOW_CLOSED, 63018, 63038})
"""The 24-hour window is closed; too much was sent for now; too much was sent today. All pass by themselves."""
_CONFIRMED = frozenset({"delivered", "read"})
_ENDED = frozenset({"failed", "undelivered", "canceled"})
SENT_IS_ENOUGH_S = 3_600.0
"""WhatsApp refuses within seconds what it refuses. What it has had for an hour waits for a phone that is off; it keeps
that for 30 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who we are on this network: given at composition, part of every peer."""

    agent: AgentName
    account: AccountName
    sender: str
    """Our number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One status callback."""

    message_id: MessageId
    delivery: Delivery
    error: int | None
    to: str | None
    is_over: bool
    """Twilio has handed it on, or never will: what it was made of is not needed any more."""


Fields = Mapping[str, str]


class Form(dict[str, list[str]]):
    """All values of a webhook's form by name, as the SDK's validator asks for them."""

    def getall(self, name: str) -> list[str]:
        return self[name]

    def first(self) -> Fields:
        return {name: values[0] for name, values in self.items()}


def parse_form(body: bytes) -> Form:
    """Raises `Malformed` for what is no form in UTF-8."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise Malformed("the request is no form") from None
    form = Form()
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def is_signed(*, url: str, form: Form, signature: str, settings: str, auth_token: str) -> bool:
    """Whether Twilio signed exactly this form for this address, which people know us by, with our token.

    `url` is the configured one, never what a request or a proxy says. Twilio signs with or without the port of the
    scheme, and does not document whether it signs the overrides: all of these count, each needs the token.
    """
    algorithm = str(get_signature_algorithm(settings)).upper()
    if algorithm not in {HMAC_SHA1, HMAC_SHA256}:
        return False
    validator, given = RequestValidator(auth_token), signature.encode("utf-8", "replace")
    found = False
    for each in _ways_to_sign(url):
        expected = validator.compute_signature(each, form, algorithm).encode()
        found |= hmac.compare_digest(expected, given)
    return found


def _ways_to_sign(url: str) -> Iterable[str]:
    for each in _with_and_without_port(url):
        yield each
        yield each + OVERRIDES


def _with_and_without_port(url: str) -> Iterable[str]:
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if parts.port in (None, default):
        return (
            parts._replace(netloc=f"{host}").geturl(),
            parts._replace(netloc=f"{host}:{default}").geturl(),
        )
    return (url,)


def parse_inbound(fields: Fields, *, identity: Identity, received_at: float) -> InboundMessage | ButtonPress | None:
    """None for what is not for this number. Raises `Malformed` for what Twilio would never send."""
    if fields.get("To") != address_of(identity.sender):
        return None
    sid, native = _sid(fields.get("MessageSid")), _number(fields.get("From"))
    sender = Sender(native=native, name=_name(fields.get("ProfileName", "")) or native)
    peer = peer_of(native, identity=identity)
    button = parse_button(fields.get("ButtonPayload", ""))
    if button is not None:
        replied = fields.get("OriginalRepliedMessageSid")
        return ButtonPress(
            peer=peer,
            sender=sender,
            delivery=DeliveryId(sid),
            message_id=None if replied is None else MessageId(_sid(replied)),
            button=button,
        )
    text = fields.get("Body", "")
    if len(text) > _TEXT_CHARS or _NOT_IN_TEXT.search(text):
        raise Malformed("the message holds what no text can carry")
    return InboundMessage(
        peer=peer,
        sender=sender,
        delivery=DeliveryId(sid),
        message_id=MessageId(sid),
        text=text if text.strip() else NO_TEXT,
        sent_at=received_at,
    )


def parse_status(fields: Fields) -> Status:
    """Raises `Malformed` for what is no status callback of Twilio."""
    status = fields.get("MessageStatus", "")
    to = fields.get("To", "").removeprefix(_PREFIX)
    error = _code(fields.get("ErrorCode"))
    return Status(
        message_id=MessageId(_sid(fields.get("MessageSid"))),
        delivery=delivery_of(status, error),
        error=error,
        to=to if _E164.fullmatch(to) else None,
        is_over=status in _CONFIRMED | _ENDED | {"sent"},
    )


def delivery_of(status: str | None, error: int | None) -> Delivery:
    """`sent` proves nothing yet: a closed window is often found only after it."""
    if status in _CONFIRMED:
        return Delivery.CONFIRMED
    if status in _ENDED:
        return Delivery.HELD if error in _LATER else Delivery.FAILED
    return Delivery.PENDING


def asked_delivery(status: str | None, error: int | None, *, sent_at: datetime | None, now: float) -> Delivery:
    """As `delivery_of`, for what is looked at later: WhatsApp has had it for so long that it will show it."""
    if status == "sent" and sent_at is not None and now - sent_at.timestamp() >= SENT_IS_ENOUGH_S:
        return Delivery.CONFIRMED
    return delivery_of(status, error)


def reason_of(error: int | None) -> str:
    """For operators: the network's code, in our words."""
    if error is None:
        return "Twilio could not deliver it and names no error"
    known = {
        WINDOW_CLOSED: "the person has not written for 24 hours",
        63003: "the number has no WhatsApp",
        63018: "too many messages for now",
        63024: "the number has no WhatsApp",
        63038: "the account's messages of today are used up",
    }
    return f"Twilio {error}: {known.get(error, 'could not be delivered')}"


def peer_of(native: str, *, identity: Identity) -> Peer:
    return Peer(
        agent=identity.agent,
        channel=WHATSAPP,
        account=identity.account,
        kind=PeerKind.DIRECT,
        id=NativeId(native),
    )


def number_of(peer: Peer, *, identity: Identity) -> str:
    """The other side's number. Raises `ChannelRejected` for what is not a conversation of this account."""
    # Whichever of our agents it is: the network knows of none.
    if (peer.channel, peer.account) != (WHATSAPP, identity.account):
        raise ChannelRejected("this conversation is not one of this WhatsApp account")
    if peer.kind is not PeerKind.DIRECT or peer.thread is not None:
        raise ChannelRejected("WhatsApp through Twilio has direct conversations only, without threads")
    if _E164.fullmatch(peer.id) is None:
        raise ChannelRejected("the address is no number in the form of E.164")
    return str(peer.id)


def address_of(number: str) -> str:
    """As Twilio writes a number of WhatsApp."""
    return f"{_PREFIX}{number}"


def message_sid(text: str) -> str:
    """Raises `ChannelRejected` for what is no message of Twilio."""
    if _SID.fullmatch(text) is None:
        raise ChannelRejected("that is not the id of a message of Twilio")
    return text


def _sid(value: str | None) -> str:
    if value is None or _SID.fullmatch(value) is None:
        raise Malformed("the message has no id of Twilio's form")
    return value


def _number(value: str | None) -> str:
    number = (value or "").removeprefix(_PREFIX)
    if value is None or not value.startswith(_PREFIX) or _E164.fullmatch(number) is None:
        raise Malformed("the sender is no WhatsApp number")
    return number


def _name(value: str) -> str:
    return _NOT_IN_TEXT.sub("", value).strip()[:_NAME_CHARS]


def _code(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,6}", value, re.ASCII) else None
