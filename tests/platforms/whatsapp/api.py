"""Twilio's REST API as our side may use it: checked as strictly as Twilio does, with its error codes.

Deliberately absent: sockets, faults on order, and what happens to a message afterwards (`carrier.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from tests.platforms.whatsapp.world import Account, Content, Form, Message, new_sid

BODY_CHARS, QUICK_REPLY_CHARS = 1_600, 1_024
_WHATSAPP = re.compile(r"whatsapp:(\+[1-9][0-9]{6,14})")
_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
_PARAMS = {"To", "From", "Body", "StatusCallback", "MediaUrl", "ContentSid", "ContentVariables", "MessagingServiceSid"}


class Refused(Exception):
    """An error answer, in Twilio's form."""

    def __init__(self, status: int, code: int, words: str) -> None:
        self.status, self.code, self.words = status, code, words
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class RestApi:
    """Calls are matched by method and path; `posted` is told of each new message of ours."""

    posted: Callable[[Account, Message], None]

    def answer(
        self, account: Account, method: str, path: str, query: Mapping[str, str], form: Mapping[str, Any]
    ) -> tuple[int, Form | None]:
        base = f"/2010-04-01/Accounts/{account.sid}"
        match (method, path.removeprefix(base) if path.startswith(base) else path):
            case ("GET", ".json"):
                return 200, {"sid": account.sid, "status": "active", "friendly_name": "an example"}
            case ("POST", "/Messages.json"):
                return 201, self._create(account, form)
            case ("GET", "/Messages.json"):
                return 200, _listing(account, query)
            case ("POST", "/v1/Content"):
                return 201, _content_form(_make_content(account, form))
            case ("GET", "/v1/Content"):
                listed = [_content_form(each) for each in account.contents.values()]
                return 200, {"meta": {"key": "contents", "next_page_url": None}, "contents": listed}
            case ("GET", "/v2/Channels/Senders"):
                sender = {"sid": new_sid("XE"), "sender_id": f"whatsapp:{account.number}", "status": "ONLINE"}
                return 200, {"meta": {"key": "senders", "next_page_url": None}, "senders": [sender]}
            case ("POST", "/v2/Indicators/Typing.json"):
                return 200, _typing(account, form)
            case ("GET", rest) if found := re.fullmatch(r"/Messages/(\w+)\.json", rest):
                return 200, _message(account, found[1]).form(account)
            case ("DELETE", rest) if found := re.fullmatch(r"/v1/Content/(\w+)", rest):
                if account.contents.pop(found[1], None) is None:
                    raise Refused(404, 20404, "there is no such resource")
                return 204, None
        raise Refused(404, 20404, f"there is nothing at {method} {path}")

    def _create(self, account: Account, form: Mapping[str, Any]) -> Form:
        if unknown := form.keys() - _PARAMS:
            raise Refused(400, 20001, f"unknown parameters: {unknown}")
        to = _WHATSAPP.fullmatch(form.get("To", ""))
        if to is None:
            raise Refused(400, 21211, "'To' is no valid number")
        if form.get("From") != f"whatsapp:{account.number}":
            raise Refused(400, 63007, "there is no channel with this 'From'")
        if to[1] in account.stopped:
            raise Refused(400, 21610, "the recipient is unsubscribed")
        body, content = form.get("Body", ""), None
        if "ContentSid" in form:
            content = account.contents.get(form["ContentSid"])
            if content is None:
                raise Refused(400, 21655, "the ContentSid is invalid")
            body = _PLACEHOLDER.sub("", content.body)
        elif not body and "MediaUrl" not in form:
            raise Refused(400, 21602, "a message needs a body")
        if _units(body) > BODY_CHARS:
            raise Refused(400, 21617, "the message is longer than 1600 characters")
        callback = form.get("StatusCallback")
        if callback is not None and urlsplit(callback).scheme not in {"http", "https"}:
            raise Refused(400, 21609, "the StatusCallback is no URL")
        now = time.time()
        message = Message(
            sid=new_sid("MM" if "MediaUrl" in form else "SM"),
            author=None,
            number=to[1],
            body=body,
            status="queued",
            created_at=now,
            updated_at=now,
            buttons=() if content is None else content.buttons,
            callback=callback,
            media_url=form.get("MediaUrl"),
            is_template=content is not None and content.is_approved,
        )
        account.keep(message)
        answer = message.form(account)
        self.posted(account, message)
        return answer


def _units(text: str) -> int:
    """Strictly: what is no letter may count twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _message(account: Account, sid: str) -> Message:
    found = account.messages.get(sid)
    if found is None:
        raise Refused(404, 20404, "there is no such message")
    return found


def _listing(account: Account, query: Mapping[str, str]) -> Form:
    # By the day only, as Twilio documents it: what is older on the same day is listed, too.
    since = datetime.fromisoformat(query.get("DateSent>", "1970-01-01")).date()
    listed = [
        each.form(account)
        for each in account.messages.values()
        if datetime.fromtimestamp(each.updated_at, UTC).date() >= since
    ]
    listed = [
        each
        for each in reversed(listed)
        if each["to"] == query.get("To", each["to"]) and each["from"] == query.get("From", each["from"])
    ]
    limit = int(query.get("PageSize", "50"))
    return {
        "messages": listed[:limit],
        "page": 0,
        "page_size": limit,
        "start": 0,
        "end": len(listed[:limit]),
        "uri": "/",
        "first_page_uri": "/",
        "next_page_uri": None,
        "previous_page_uri": None,
    }


def _make_content(account: Account, form: Mapping[str, Any]) -> Content:
    types = form.get("types") or {}
    quick = types.get("twilio/quick-reply")
    if quick is None or set(types) != {"twilio/quick-reply"} or not form.get("language"):
        raise Refused(400, 20001, "types and language are required; only quick replies are played here")
    actions = [(each.get("title", ""), each.get("id", "")) for each in quick["actions"]]
    if any(each.get("type") != "QUICK_REPLY" for each in quick["actions"]):
        raise Refused(400, 20001, "an action needs its type")
    if not 0 < _units(quick["body"]) <= QUICK_REPLY_CHARS:
        raise Refused(400, 20001, "the body has 1 to 1024 characters")
    if not 0 < len(actions) <= 3 or len(dict(actions)) != len(actions):
        raise Refused(400, 20001, "1 to 3 actions with different titles in a session")
    if any(not 0 < len(title) <= 20 or not 0 < len(sent) <= 200 for title, sent in actions):
        raise Refused(400, 20001, "a title has 20 characters at most, an id 200")
    return account.add(
        Content(
            sid=new_sid("HX"),
            name=form.get("friendly_name", ""),
            body=quick["body"],
            buttons=tuple(actions),
            created_at=time.time(),
        )
    )


def _content_form(content: Content) -> Form:
    stamp = datetime.fromtimestamp(content.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"sid": content.sid, "friendly_name": content.name, "language": "en", "date_created": stamp, "types": {}}


def _typing(account: Account, form: Mapping[str, Any]) -> Form:
    if form.get("channel") != "whatsapp" or _message(account, form.get("messageId", "")).author is None:
        raise Refused(400, 20001, "typing answers a message of the person")
    account.typing.append(form["messageId"])
    return {"success": True}
