"""Every kind of request that Twilio makes, hand-made after its public documentation, and what it means to us."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from bot.domain.command import CommandHash
from bot.domain.message import Action, Button, ButtonPress, Delivery, InboundMessage
from bot.domain.session import AccountName, AgentName, PeerKind
from bot.errors import ChannelRejected, Malformed
from channels.whatsapp import links, wire

US = wire.Identity(agent=AgentName("main"), account=AccountName("default"), sender="+15550100000")
SID = "SM" + "0a" * 16
ASKED = "SM" + "1b" * 16
TOKEN = "fake-auth-token"
URL = "https://bot.example.org/whatsapp/default/message"
TEXT = {
    "SmsMessageSid": SID,
    "NumMedia": "0",
    "ProfileName": "Ana",
    "MessageType": "text",
    "SmsSid": SID,
    "WaId": "15550200001",
    "SmsStatus": "received",
    "Body": "run df -h",
    "To": "whatsapp:+15550100000",
    "NumSegments": "1",
    "ReferralNumMedia": "0",
    "MessageSid": SID,
    "AccountSid": "AC" + "00" * 16,
    "From": "whatsapp:+15550200001",
    "ApiVersion": "2010-04-01",
}
BUTTON = Button(action=Action.APPROVE, execution_id="7K3QHM", shown=CommandHash("ab" * 32))
PRESS = TEXT | {
    "MessageType": "button",
    "Body": "Allow once",
    "ButtonText": "Allow once",
    "ButtonPayload": BUTTON.token(),
    "OriginalRepliedMessageSid": ASKED,
    "OriginalRepliedMessageSender": "whatsapp:+15550100000",
}
QUOTE = TEXT | {"Body": "status", "OriginalRepliedMessageSid": ASKED}
PICTURE = TEXT | {
    "MessageType": "image",
    "Body": "",
    "NumMedia": "1",
    "MediaContentType0": "image/jpeg",
    "MediaUrl0": "https://api.twilio.example/2010-04-01/Accounts/AC/Messages/MM/Media/ME",
}
CAPTIONED = PICTURE | {"Body": "run uptime"}
PLACE = TEXT | {"MessageType": "location", "Body": "", "Latitude": "52.5", "Longitude": "13.4", "Address": "home"}
CONTACT = TEXT | {"MessageType": "contacts", "Body": "", "NumMedia": "1", "MediaContentType0": "text/vcard"}
ADVERT = TEXT | {"ReferralBody": "an advertisement", "ReferralSourceType": "ad"}
TEMPLATE_REPLY = TEXT | {"MessageType": "button", "Body": "Show me", "ButtonText": "Show me", "ButtonPayload": "show"}


def inbound(fields: dict[str, str]) -> InboundMessage | ButtonPress | None:
    return wire.parse_inbound(fields, identity=US, received_at=1_800_000_000.0)


def status(name: str, **fields: str) -> wire.Status:
    return wire.parse_status({"MessageSid": SID, "MessageStatus": name, "To": "whatsapp:+15550200001", **fields})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (TEXT, "run df -h"),
        (QUOTE, "status"),
        (PICTURE, wire.NO_TEXT),
        (CAPTIONED, "run uptime"),
        (PLACE, wire.NO_TEXT),
        (CONTACT, wire.NO_TEXT),
        (ADVERT, "run df -h"),
        (TEMPLATE_REPLY, "Show me"),
    ],
)
def test_whatever_a_person_sends_arrives_as_words_from_their_number(fields: dict[str, str], text: str) -> None:
    message = inbound(fields)
    assert isinstance(message, InboundMessage)
    assert (message.text, message.message_id, message.delivery) == (text, SID, SID)
    assert (message.peer.kind, message.peer.id, message.peer.account) == (PeerKind.DIRECT, "+15550200001", "default")
    assert (message.sender.native, message.sender.name) == ("+15550200001", "Ana")
    assert message.is_addressed


def test_f048_a_press_is_bound_to_the_card_that_it_answers() -> None:
    press = inbound(PRESS)
    assert isinstance(press, ButtonPress)
    assert (press.button, press.message_id, press.delivery) == (BUTTON, ASKED, SID)
    assert press.peer.id == press.sender.native == "+15550200001"


def test_a_message_to_another_number_is_not_ours() -> None:
    assert inbound(TEXT | {"To": "whatsapp:+15550100001"}) is None
    assert inbound(TEXT | {"To": "+15550100000"}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"MessageSid": ""},
        {"MessageSid": "SM1"},
        {"MessageSid": SID + "\n"},
        {"From": "+15550200001"},
        {"From": "whatsapp:"},
        {"From": "whatsapp:+0123"},
        {"From": "whatsapp:+1555020000١"},
        {"From": "messenger:123"},
        {"Body": "x" * 9_000},
        {"Body": "a\x00b"},
    ],
)
def test_what_twilio_would_never_send_is_malformed(wrong: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        inbound(TEXT | wrong)


@pytest.mark.parametrize(
    ("found", "delivery"),
    [
        (status("queued"), Delivery.PENDING),
        (status("sending"), Delivery.PENDING),
        (status("sent"), Delivery.PENDING),
        (status("delivered"), Delivery.CONFIRMED),
        (status("read"), Delivery.CONFIRMED),
        (status("undelivered", ErrorCode="63016"), Delivery.HELD),
        (status("failed", ErrorCode="63016"), Delivery.HELD),
        (status("failed", ErrorCode="63018"), Delivery.HELD),
        (status("failed", ErrorCode="63024"), Delivery.FAILED),
        (status("failed"), Delivery.FAILED),
        (status("undelivered", ErrorCode="none"), Delivery.FAILED),
        (status("a status of next year"), Delivery.PENDING),
    ],
)
def test_each_status_has_its_meaning(found: wire.Status, delivery: Delivery) -> None:
    assert found.delivery is delivery
    assert found.to == "+15550200001"


def test_what_whatsapp_has_had_for_an_hour_waits_for_the_phone_only() -> None:
    sent_at = datetime(2027, 1, 1, tzinfo=UTC)
    for after_s, delivery in ((3_599.0, Delivery.PENDING), (3_600.0, Delivery.CONFIRMED)):
        now = sent_at.timestamp() + after_s
        assert wire.asked_delivery("sent", None, sent_at=sent_at, now=now) is delivery
        assert wire.asked_delivery("queued", None, sent_at=sent_at, now=now) is Delivery.PENDING
        assert wire.asked_delivery("undelivered", 63016, sent_at=sent_at, now=now) is Delivery.HELD


def test_f020_whatever_twilio_calls_a_person_the_session_is_of_their_number_and_answers_go_to_it() -> None:
    """The design differs: a peer is the E.164 number of the other side. Twilio may add another name of the same person
    (a WaId, a hidden id), and none of them is ever a session, an address, or somebody's identity."""
    plain = parsed_of(TEXT)
    for alias in ({"WaId": "4915112345678"}, {"WaId": "99999999999999@lid"}, {"ProfileName": "+15550209999"}):
        other = parsed_of(TEXT | alias)
        assert (other.peer, other.sender.native) == (plain.peer, plain.sender.native)
        assert wire.number_of(other.peer, identity=US) == "+15550200001"
    for hidden in ("whatsapp:99999999999999@lid", "whatsapp:12036304@g.us", "whatsapp:15550200001", "+15550200001"):
        with pytest.raises(Malformed):
            inbound(TEXT | {"From": hidden})


def parsed_of(fields: dict[str, str]) -> InboundMessage:
    message = inbound(fields)
    assert isinstance(message, InboundMessage)
    return message


def test_f020_an_address_that_is_none_of_ours_is_refused_and_no_other_is_guessed() -> None:
    own = wire.peer_of("+15550200001", identity=US)
    assert wire.number_of(own, identity=US) == "+15550200001"
    for native in ("15550200001", "whatsapp:+15550200001", "+0", "agent:main:whatsapp:direct:+1555", "U123"):
        with pytest.raises(ChannelRejected):
            wire.number_of(wire.peer_of(native, identity=US), identity=US)


def signature(url: str, form: dict[str, str], *, token: str = TOKEN, digest: str = "sha1") -> str:
    text = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), digest).digest()).decode()


def is_signed(url: str, given: str, *, form: dict[str, str] = TEXT, settings: str = "") -> bool:
    parsed = wire.parse_form(urlencode(form).encode())
    return wire.is_signed(url=url, form=parsed, signature=given, settings=settings, auth_token=TOKEN)


def test_f111_what_counts_is_the_configured_address_with_or_without_its_port() -> None:
    with_port = "https://bot.example.org:443/whatsapp/default/message"
    for signed in (URL, with_port, URL + wire.OVERRIDES):
        assert is_signed(URL, signature(signed, TEXT))
        assert is_signed(with_port, signature(signed, TEXT))
    other = "https://bot.example.org:8443/whatsapp/default/message"
    assert is_signed(other, signature(other, TEXT))
    for wrong in (
        "http://bot.example.org/whatsapp/default/message",
        "https://bot.example.org:8443/whatsapp/default/message",
        "https://bot.example.org/whatsapp/other/message",
        "https://bot.example.org/whatsapp/default/message?x=1",
        "https://evil.example.org/whatsapp/default/message",
    ):
        assert not is_signed(URL, signature(wrong, TEXT))
    assert not is_signed(other, signature(URL, TEXT))


def test_the_query_string_is_signed_as_it_stands() -> None:
    url = "https://bot.example.org/whatsapp/default/status?n=a%20b&m=c+d"
    assert is_signed(url, signature(url, TEXT))
    assert not is_signed(url, signature(url.replace("%20", "+"), TEXT))


def test_the_newer_algorithm_counts_where_twilio_names_it() -> None:
    newer = signature(URL, TEXT, digest="sha256")
    settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    assert is_signed(URL, newer, settings=settings)
    assert not is_signed(URL, newer)
    assert not is_signed(URL, signature(URL, TEXT), settings=settings)
    assert not is_signed(URL, signature(URL, TEXT), settings="algorithm=NONE")


def test_a_changed_form_or_another_token_is_not_signed() -> None:
    good = signature(URL, TEXT)
    assert is_signed(URL, good)
    assert not is_signed(URL, good, form=TEXT | {"Body": "run rm"})
    assert not is_signed(URL, good, form=TEXT | {"Extra": ""})
    assert not is_signed(URL, signature(URL, TEXT, token="another"))
    for wrong in ("", "=", good[:-1], good + "=", "ü" * 28, "\udc80"):
        assert not is_signed(URL, wrong)


@pytest.mark.parametrize("body", [b"&&", b"novalue", b"a=%ff", b"\xff=1", b"&".join([b"a=1"] * 300), "ü=1".encode()])
def test_what_is_no_form_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        wire.parse_form(body)


def test_a_link_opens_one_output_of_one_account_for_one_hour() -> None:
    token = links.sign("7K3QHM", account="default", auth_token=TOKEN, now=1_000.0)

    def opened(text: str, *, account: str = "default", auth_token: str = TOKEN, now: float = 1_000.0) -> str | None:
        return links.execution_of(text, account=account, auth_token=auth_token, now=now)

    assert opened(token) == opened(token, now=4_599.9) == "7K3QHM"
    assert opened(token, now=4_600.0) is None
    assert opened(token, account="other") is None
    assert opened(token, auth_token="another") is None
    for wrong in ("", token + "A", token.replace("7K3", "7K4"), token.replace("4600", "9600"), "7K3QHM", "../../etc"):
        assert opened(wrong) is None
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    assert digest not in token
