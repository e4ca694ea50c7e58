"""What Twilio does by itself: signed webhooks with retries, status callbacks, and fetching media.

The signature is computed here by Twilio's published rule, not by its SDK, which our side uses to check it.
Deliberately absent: the REST API.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import aiohttp

from tests.platforms.whatsapp.world import Account, Message, new_sid

PAUSE_S = 0.02
ANSWER_S = 15.0
MEDIA_TYPES = {"text/plain", "application/pdf", "image/png", "image/jpeg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    status: int
    """0 where there was no answer."""
    words: str = ""
    """What the TwiML says, which Twilio sends on."""


def sign(account: Account, url: str, form: Mapping[str, str], *, token: str | None = None) -> str:
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    key = (account.token if token is None else token).encode()
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()


@dataclass(slots=True)
class Carrier:
    """`open` and `close` with the server."""

    overrides: str = "#rc=3&rp=ct,rt,5xx"
    """Behind the operator's address for messages; an address without any is tried once."""
    signs_overrides: bool = False
    plan: Sequence[str] = ("sent", "delivered")
    """The statuses that a message goes through which nothing stops."""
    callback_repeats: int = 0
    is_quiet: bool = False
    """No status callback is sent."""
    is_shuffled: bool = False
    """Callbacks come in the opposite order."""
    failing: int | None = None
    """Every message fails with this code."""
    hook_log: list[tuple[str, int]] = field(default_factory=list)
    """Path and answer of every request to our side."""
    _client: aiohttp.ClientSession | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def open(self) -> None:
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    # --- to our side -------------------------------------------------------------------------------

    async def hook(self, account: Account, url: str, form: Mapping[str, str]) -> Answered:
        """Deliver, again as the overrides behind the address say."""
        bare, _, fragment = url.partition("#")
        overrides = dict(parse_qsl(fragment))
        policy = overrides.get("rp", "ct").split(",")
        answered = Answered(status=0)
        for attempt in range(1 + int(overrides.get("rc", "0"))):
            await asyncio.sleep(PAUSE_S * attempt * 5)
            answered = await self._once(account, bare, form, sign(account, url if self.signs_overrides else bare, form))
            self.hook_log.append((bare.removeprefix(account.public_url), answered.status))
            is_failed = "5xx" in policy and answered.status >= 500
            if answered.status and not is_failed:
                break
        return answered

    async def _once(self, account: Account, url: str, form: Mapping[str, str], signature: str) -> Answered:
        headers = {"X-Twilio-Signature": signature, "User-Agent": "TwilioProxy/1.1"}
        if account.local_url is None or not url.startswith(account.public_url):
            return Answered(status=0)
        assert self._client is not None
        try:
            local = account.local_url + url.removeprefix(account.public_url)
            async with self._client.post(local, data=dict(form), headers=headers) as answer:
                text = await answer.text()
                is_twiml = answer.status == 200 and answer.content_type in {"text/xml", "application/xml"}
                return Answered(status=answer.status, words=_said(text) if is_twiml else "")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Answered(status=0)

    async def deliver(
        self, account: Account, message: Message, fields: Mapping[str, str], *, repeats: int = 0
    ) -> Answered:
        """A message of a person, by webhook. What is said in answer stands in the conversation."""
        form = {
            "SmsMessageSid": message.sid,
            "MessageSid": message.sid,
            "SmsSid": message.sid,
            "SmsStatus": "received",
            "AccountSid": account.sid,
            "MessageType": "text",
            "From": f"whatsapp:{message.number}",
            "To": f"whatsapp:{account.number}",
            "WaId": message.number.removeprefix("+"),
            "ProfileName": "Somebody & co",
            "Body": message.body,
            "NumMedia": "0",
            "NumSegments": "1",
            "ApiVersion": "2010-04-01",
            **fields,
        }
        answered = Answered(status=0)
        for _ in range(repeats + 1):
            answered = await self.hook(
                account, f"{account.public_url}/whatsapp/{account.name}/message{self.overrides}", form
            )
            if answered.words:
                now = time.time()
                account.keep(
                    Message(
                        sid=new_sid("SM"),
                        author=None,
                        number=message.number,
                        body=answered.words,
                        status="delivered",
                        created_at=now,
                        updated_at=now,
                    )
                )
        return answered

    # --- of our messages ---------------------------------------------------------------------------

    def carry(self, account: Account, message: Message) -> None:
        task = asyncio.create_task(self._carry(account, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, account: Account, message: Message) -> None:
        steps: list[tuple[str, int | None]] = [(status, None) for status in self.plan]
        if self.failing is not None:
            steps = [("sent", None), ("failed", self.failing)]
        elif not message.is_template and not account.is_open(message.number):
            steps = [("sent", None), ("undelivered", 63016)]
        elif message.media_url is not None and not await self._fetches(account, message):
            steps = [("failed", 63019)]
        if self.is_shuffled:
            message.status, message.error = steps[-1]
            steps.reverse()
        for status, error in steps:
            await asyncio.sleep(PAUSE_S)
            if not self.is_shuffled:
                message.status, message.error = status, error
            message.updated_at = time.time()
            if message.callback is None or self.is_quiet:
                continue
            form = {
                "MessageSid": message.sid,
                "SmsSid": message.sid,
                "MessageStatus": status,
                "SmsStatus": status,
                "To": f"whatsapp:{message.number}",
                "From": f"whatsapp:{account.number}",
                "AccountSid": account.sid,
                "ApiVersion": "2010-04-01",
                **({} if error is None else {"ErrorCode": str(error)}),
            }
            for _ in range(1 + self.callback_repeats):
                await self.hook(account, message.callback, form)

    async def _fetches(self, account: Account, message: Message) -> bool:
        """HEAD for the type, then GET, as Twilio does."""
        url = message.media_url or ""
        if account.local_url is None or not url.startswith(account.public_url):
            return False
        assert self._client is not None
        local = account.local_url + url.removeprefix(account.public_url)
        async with self._client.head(local) as head:
            if head.status != 200 or head.content_type not in MEDIA_TYPES:
                return False
        async with self._client.get(local) as found:
            message.file = await found.text()
            return found.status == 200


def _said(twiml: str) -> str:
    root = ET.fromstring(twiml)  # noqa: S314
    assert root.tag == "Response", twiml
    return "\n".join(each.text or "" for each in root.iter("Message"))
