"""The calls to Twilio that we make, through its SDK on an HTTP client of our own, and what their faults mean.

The SDK's own asynchronous client ignores its timeout, repeats POSTs on 503 and sends the Content API forms instead of
JSON. Deliberately absent: repeats. A message create has no idempotency key: who repeats it must know that it failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from twilio.base.exceptions import (  # type: ignore[import-untyped]
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]
from twilio.rest.content.v1.content import ContentList  # type: ignore[import-untyped]

from bot.errors import (
    ChannelError,
    ChannelHeld,
    ChannelRejected,
    ChannelThrottled,
    ChannelUnavailable,
    ChannelUncertain,
)

CALL_S = 6.0
"""Of one call: a message with buttons and a file takes three, and the core gives them 20 s."""
CONNECT_S = 4.0
ANSWER_BYTES = 2_000_000
"""Of one answer: a page of 50 messages of 1,600 characters is some 200 KiB."""
LISTED = 50
_THROTTLED_S = 10.0
_OFFICIAL = "https://api.twilio.com"

_HELD = {63016: "the person has not written for 24 hours", 63018: "too many messages for now"}
_MENDABLE = {
    20003: "the account SID or the auth token is wrong",
    20005: "the account is not active",
    63007: "the sender is no WhatsApp sender of this account",
    21606: "the sender is not of this account",
    21703: "the messaging service has no sender",
}
_REJECTED = {
    21211: "the number is not valid",
    21610: "the person has blocked the sender with STOP",
    21614: "the number is not valid",
    21617: "the message is too long",
    21408: "the account may not write to that country",
    63003: "the number has no WhatsApp",
    63024: "the number has no WhatsApp",
}
SDK_FAULTS = (TwilioException, aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError, KeyError, TypeError)
"""All that a call raises because of the network or of what Twilio answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message as Twilio takes it."""

    to: str
    status_callback: str
    body: str | None = None
    content_sid: str | None = None
    media_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One message as Twilio tells of it."""

    sid: str
    body: str
    status: str | None
    error: int | None
    created_at: datetime | None
    updated_at: datetime | None


class OneTryClient(AsyncHttpClient):  # type: ignore[misc]
    """One request, one try, one time limit, at the configured addresses."""

    def __init__(self, bases: Mapping[str, str]) -> None:
        super().__init__(logging.getLogger(f"{__name__}.quiet"), True, CALL_S)
        self._bases = {host: base.rstrip("/") for host, base in bases.items()}
        self._session: aiohttp.ClientSession | None = None
        self.is_open = True
        self.ahead_s: float | None = None
        """By how much Twilio's clock is ahead of the machine's; None until it has answered."""

    async def request(self, method: str, uri: str, **how: Any) -> Response:  # noqa: ANN401 (the SDK's own is as loose)
        parts = urlsplit(uri)
        base = self._bases.get(parts.hostname or "")
        if base is None:
            raise ValueError("an address that is not Twilio's")
        headers, data, auth = dict(how.get("headers") or {}), how.get("data"), how.get("auth")
        if auth is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(auth[0], auth[1])
        is_json = headers.get("Content-Type") == "application/json"
        if not self.is_open:
            raise ChannelUnavailable("the account is being closed")
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=CALL_S, connect=CONNECT_S)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=True)
        url = base + parts.path + (f"?{parts.query}" if parts.query else "")
        params = {name: str(value) for name, value in (how.get("params") or {}).items()}
        body: dict[str, Any] = {"json": data} if is_json else {"data": data or None}
        async with self._session.request(
            method, url, params=params or None, headers=headers, allow_redirects=False, **body
        ) as answer:
            if (answer.content_length or 0) > ANSWER_BYTES:
                raise ValueError("an answer too large for Twilio's")
            text = await answer.text("utf-8", "replace")
            self._note_time(answer.headers.get("Date"))
            if answer.status == 429:
                raise ChannelThrottled("Twilio asks for patience", retry_after_s=_retry_after_s(answer.headers))
            return Response(answer.status, text, answer.headers)

    async def close(self) -> None:
        self.is_open = False
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _note_time(self, date: str | None) -> None:
        try:
            there = parsedate_to_datetime(date or "")
        except ValueError:
            return
        self.ahead_s = (there - datetime.now(UTC)).total_seconds()


class Twilio:
    """One account of Twilio. Every call raises a `ChannelError`."""

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        sender: str,
        service_sid: str | None,
        api_base: str,
        content_base: str,
    ) -> None:
        elsewhere = api_base.rstrip("/") != _OFFICIAL
        self._http = OneTryClient(
            {
                "api.twilio.com": api_base,
                "content.twilio.com": content_base,
                "messaging.twilio.com": api_base if elsewhere else "https://messaging.twilio.com",
            }
        )
        # A region or an edge of the environment would name other hosts than the configured ones.
        self._client = Client(account_sid, auth_token, http_client=self._http, environment={"HOMING": "1"})
        self._account_sid, self._sender, self._service_sid = account_sid, sender, service_sid

    def open(self) -> None:
        """Only after `close`; a new one is open."""
        self._http.is_open = True

    async def close(self) -> None:
        """Whatever is called afterwards is surely not posted."""
        await self._http.close()

    def ahead_s(self) -> float:
        """By how much Twilio's clock is ahead of the machine's, as its last answer said."""
        return self._http.ahead_s or 0.0

    def there(self) -> datetime | None:
        """This moment by Twilio's clock; None while it is not known."""
        ahead = self._http.ahead_s
        return None if ahead is None else datetime.now(UTC) + timedelta(seconds=ahead)

    async def send(self, message: Outgoing) -> Listed:
        """`ChannelUncertain` where the answer was lost."""
        fields: dict[str, Any] = {"to": message.to, "from_": self._sender, "status_callback": message.status_callback}
        if self._service_sid is not None:
            fields["messaging_service_sid"] = self._service_sid
        if message.body is not None:
            fields["body"] = message.body
        if message.content_sid is not None:
            fields["content_sid"] = message.content_sid
        if message.media_url is not None:
            fields["media_url"] = [message.media_url]
        try:
            return _listed(await self._client.messages.create_async(**fields))
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=True) from None

    async def sent_to(self, to: str, *, since: datetime) -> Sequence[Listed]:
        """The newest messages of ours to this number, since then."""
        try:
            found = await self._client.messages.list_async(
                to=to, from_=self._sender, date_sent_after=since, limit=LISTED, page_size=LISTED
            )
        except SDK_FAULTS as fault:
            raise ChannelUnavailable(str(_of_fault(fault, may_stand=False))) from None
        return [_listed(each) for each in found]

    async def message(self, sid: str) -> Listed:
        try:
            return _listed(await self._client.messages(sid).fetch_async())
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=False) from None

    async def make_buttons(self, name: str, body: str, buttons: Sequence[tuple[str, str]]) -> str:
        """A content resource of quick replies; `buttons` are labels and what each sends."""
        request = ContentList.ContentCreateRequest(
            {
                "friendly_name": name,
                "language": "en",
                "variables": {},
                "types": {
                    "twilio/quick-reply": {
                        "body": body,
                        "actions": [{"type": "QUICK_REPLY", "title": label, "id": sent} for label, sent in buttons],
                    }
                },
            }
        )
        try:
            return str((await self._client.content.v1.contents.create_async(request)).sid)
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=False) from None

    async def unmake_buttons(self, content_sid: str) -> None:
        try:
            await self._client.content.v1.contents(content_sid).delete_async()
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=False) from None

    async def contents(self) -> Sequence[tuple[str, str, datetime | None]]:
        """SID, name and age of content resources: one page of them."""
        try:
            found = await self._client.content.v1.contents.list_async(limit=LISTED, page_size=LISTED)
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=False) from None
        return [(str(each.sid), str(each.friendly_name), each.date_created) for each in found]

    async def account_status(self) -> str:
        try:
            return str((await self._client.api.v2010.accounts(self._account_sid).fetch_async()).status)
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=False) from None

    async def senders(self) -> Sequence[tuple[str, str]]:
        """The account's WhatsApp senders: address and state. The sandbox is not among them."""
        try:
            found = await self._client.messaging.v2.channels_senders.list_async(channel="whatsapp", limit=LISTED)
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=False) from None
        return [(str(each.sender_id), str(each.status)) for each in found]

    async def show_typing(self, sid: str) -> None:
        try:
            await self._client.messaging.v2.typing_indicator.create_async(channel="whatsapp", message_id=sid)
        except SDK_FAULTS as fault:
            raise _of_fault(fault, may_stand=False) from None


def _of_fault(fault: BaseException, *, may_stand: bool) -> ChannelError:
    """`may_stand`: whether a lost answer leaves a message that nobody knows of."""
    lost = ChannelUncertain if may_stand else ChannelUnavailable
    match fault:
        case ChannelError():
            return fault
        case TwilioRestException() | TwilioServiceException():
            return _of_answer(int(fault.status), fault.code, lost)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return ChannelUnavailable("Twilio cannot be reached")
        case TwilioException() if not may_stand:
            return ChannelUnavailable("Twilio's answer cannot be read")
        case _:
            return lost("the connection to Twilio ended before its answer")


def _of_answer(status: int, code: int | None, lost: type[ChannelError]) -> ChannelError:
    if code in _HELD:
        return ChannelHeld(f"Twilio {code}: {_HELD[code]}")
    if code in _MENDABLE:
        return ChannelUnavailable(f"Twilio {code}: {_MENDABLE[code]}")
    if status == 401:
        return ChannelUnavailable("Twilio refuses the account SID or the auth token (401)")
    if status == 429 or code == 20429:
        return ChannelThrottled("Twilio asks for patience", retry_after_s=_THROTTLED_S)
    if status == 503:
        return ChannelUnavailable("Twilio is not available (503)")
    if status >= 500:
        return lost(f"Twilio failed ({status}) and did not say whether it took the message")
    return ChannelRejected(f"Twilio {code}: {_REJECTED.get(code or 0, 'it refuses the request')} ({status})")


def _listed(message: Any) -> Listed:  # noqa: ANN401 (the SDK publishes no types)
    return Listed(
        sid=str(message.sid),
        body=message.body or "",
        status=message.status,
        error=message.error_code,
        created_at=message.date_created,
        updated_at=message.date_updated,
    )


def _retry_after_s(headers: Mapping[str, str]) -> float:
    try:
        return min(3_600.0, max(1.0, float(headers.get("Retry-After", _THROTTLED_S))))
    except ValueError:
        return _THROTTLED_S
