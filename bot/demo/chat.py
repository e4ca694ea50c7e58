"""A person at the web chat, over HTTP as a browser speaks it. Deliberately absent: any look behind the page."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.errors import HomingError

_POLL_S = 0.1
_ANSWER_S = 10.0
"""Of one request; the gateway may just be starting again."""


class DemoError(HomingError):
    """Something that the demo waits for did not come; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One message as the page shows it."""

    id: int
    room: str
    thread: str | None
    author: str | None
    kind: str
    """`text` of a person, or the post's kind."""
    status: str | None
    execution: str | None
    text: str
    """Everything that it shows, as lines."""
    buttons: tuple[dict[str, str], ...]


class Visitor:
    """One person with their own cookie."""

    def __init__(self, name: str, base_url: str) -> None:
        self.name = name
        self._base_url = base_url
        self._session = aiohttp.ClientSession(
            base_url,
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"Origin": base_url},
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
        )

    async def close(self) -> None:
        await self._session.close()

    async def join(self, link: str) -> None:
        """Turn the one-time link into a cookie."""
        await self._post("/web/join", {"secret": link.partition("#")[2]})

    async def open_room(self, room: str) -> None:
        await self._post("/web/rooms", {"name": room})

    async def say(self, room: str, text: str, *, thread: str | None = None) -> int:
        """Write a message; returns its id."""
        body = {"kind": "channel", "room": room, "thread": thread, "text": text, "nonce": secrets.token_hex(8)}
        answer = await self._post("/web/messages", body)
        return int(answer["message"]["id"])

    async def press(self, seen: Seen, action: str, *, reason: str = "") -> str:
        """Press a button of a card; returns the private note."""
        found = [button for button in seen.buttons if button["action"] == action]
        if not found:
            raise DemoError(f"the card of {seen.execution} in #{seen.room} has no button {action!r}")
        body = {
            "kind": "channel",
            "room": seen.room,
            "thread": seen.thread,
            "message": str(seen.id),
            "button": found[0]["token"],
            "proof": found[0]["proof"],
            "reason": reason,
            "nonce": secrets.token_hex(8),
        }
        return str((await self._post("/web/presses", body)).get("note") or "")

    async def messages(self, room: str, *, thread: str | None = None) -> list[Seen]:
        query = {"kind": "channel", "room": room} | ({} if thread is None else {"thread": thread})
        async with self._session.get("/web/messages", params=query) as response:
            answer = await response.json()
            if response.status != 200:
                raise DemoError(f"reading #{room}: {answer.get('words', response.status)}")
        return [_seen(message) for message in answer["messages"]]

    async def wait_for(
        self, room: str, wanted: Callable[[Seen], bool], what: str, *, thread: str | None = None, within_s: float = 30.0
    ) -> Seen:
        """The first message of this place that fits. Raises `DemoError` where none comes in time."""
        until = time.monotonic() + within_s
        while True:
            try:
                for seen in await self.messages(room, thread=thread):
                    if wanted(seen):
                        return seen
            except aiohttp.ClientError as fault:
                # The gateway is away: that is part of the story.
                if time.monotonic() > until:
                    raise DemoError(f"the gateway did not come back while waiting for {what}") from fault
            if time.monotonic() > until:
                raise DemoError(f"{what} did not come to #{room} within {within_s:.0f} s")
            await asyncio.sleep(_POLL_S)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(path, json=body) as response:
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise DemoError(f"{path}: {answer.get('words', response.status)}")
            return answer


def _seen(message: dict[str, Any]) -> Seen:
    post = message.get("post")
    if post is None:
        kind, status, execution, text, buttons = "text", None, None, str(message.get("text", "")), []
    else:
        kind, status, execution = post["kind"], post["status"], post["execution"]
        text = "\n".join(_lines(post["blocks"]))
        buttons = post["buttons"]
    author = message["author"]
    return Seen(
        id=int(message["id"]),
        room=str(message["room"]),
        thread=message["thread"],
        author=None if author is None else str(author["id"]),
        kind=kind,
        status=status,
        execution=execution,
        text=text,
        buttons=tuple(buttons),
    )


def _lines(blocks: list[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        if block["is"] == "code":
            lines += [f"{block['label']}:", block["text"]]
        elif block["is"] == "facts":
            lines += [f"{label}: {_words(spans)}" for label, spans in block["rows"]]
        else:
            lines.append(_words(block["spans"]))
    return lines


def _words(spans: list[Any]) -> str:
    return "".join(
        span if isinstance(span, str) else time.strftime("%H:%M:%S", time.localtime(span["at"])) for span in spans
    )
