"""What stands on the Twilio that we play: accounts, messages, content resources, and whose window is open.

Deliberately absent: sockets.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

Form = dict[str, Any]
WINDOW_S = 86_400.0


@dataclass(slots=True, kw_only=True)
class Content:
    sid: str
    name: str
    body: str
    buttons: tuple[tuple[str, str], ...] = ()
    """Label and what it sends."""
    is_approved: bool = False
    created_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Message:
    sid: str
    author: str | None
    """A person's number; None for the bot."""
    number: str
    """The other side of the conversation."""
    body: str
    status: str
    created_at: float
    updated_at: float
    buttons: tuple[tuple[str, str], ...] = ()
    callback: str | None = None
    media_url: str | None = None
    file: str | None = None
    error: int | None = None
    is_template: bool = False

    def form(self, account: Account) -> Form:
        """As the REST API tells of it."""
        us, them = f"whatsapp:{account.number}", f"whatsapp:{self.number}"
        return {
            "sid": self.sid,
            "account_sid": account.sid,
            "body": self.body,
            "from": us if self.author is None else them,
            "to": them if self.author is None else us,
            "direction": "outbound-api" if self.author is None else "inbound",
            "status": self.status,
            "error_code": self.error,
            "error_message": None,
            "num_media": "0" if self.media_url is None else "1",
            "num_segments": "1",
            "date_created": formatdate(self.created_at),
            "date_updated": formatdate(self.updated_at),
            "date_sent": formatdate(self.updated_at),
            "api_version": "2010-04-01",
            "uri": f"/2010-04-01/Accounts/{account.sid}/Messages/{self.sid}.json",
        }


@dataclass(slots=True, kw_only=True)
class Account:
    """One Twilio account with one WhatsApp sender."""

    name: str
    sid: str
    token: str
    number: str
    public_url: str
    """What the operator wrote into Twilio's console, and what is signed."""
    local_url: str | None = None
    """Where that address leads: the gateway's server, once it listens."""
    messages: dict[str, Message] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)
    """When each number wrote last."""
    stopped: set[str] = field(default_factory=set)
    """Who wrote STOP."""
    typing: list[str] = field(default_factory=list)

    def hears(self, number: str, at: float | None = None) -> None:
        self.heard[number] = time.time() if at is None else at

    def is_open(self, number: str) -> bool:
        return time.time() - self.heard.get(number, 0.0) < WINDOW_S

    def keep(self, message: Message) -> Message:
        self.messages[message.sid] = message
        return message

    def of(self, number: str) -> list[Message]:
        return [each for each in self.messages.values() if each.number == number]

    def template(self, body: str) -> Content:
        """One that WhatsApp has approved."""
        return self.add(Content(sid=new_sid("HX"), name="notice", body=body, is_approved=True, created_at=time.time()))

    def add(self, content: Content) -> Content:
        self.contents[content.sid] = content
        return content


def new_sid(prefix: str) -> str:
    return prefix + secrets.token_hex(16)
