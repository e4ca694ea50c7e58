"""The web chat on a real server of loopback over a real SQLite file, and people who call it.

Deliberately absent: a browser.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from bot.domain.message import Button
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, NativeId, Peer, PeerKind, ThreadId
from bot.ports import ChatLog
from bot.store.open import OpenStore, open_store
from channels.web.access import COOKIE_NAME, invite
from channels.web.adapter import WebChannel
from channels.web.gate import WebLimits
from tests.channels.contract import RecordingInbox

AGENT, ACCOUNT = AgentName("main"), AccountName("default")


class RealClock:
    """The machine's own, moved by what a test adds."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> float:
        return time.time() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing here sleeps, least of all {seconds} s")


def room(name: str, thread: str | None = None) -> Peer:
    return _peer(PeerKind.CHANNEL, name, thread)


def direct(native: str, thread: str | None = None) -> Peer:
    return _peer(PeerKind.DIRECT, native, thread)


def _peer(kind: PeerKind, native: str, thread: str | None) -> Peer:
    return Peer(
        agent=AGENT,
        channel=ChannelName("web"),
        account=ACCOUNT,
        kind=kind,
        id=NativeId(native),
        thread=None if thread is None else ThreadId(thread),
    )


def naming(peer: Peer) -> dict[str, str]:
    """A conversation, as a request names it."""
    names = {"kind": peer.kind.value, "room": str(peer.id)}
    return names if peer.thread is None else {**names, "thread": str(peer.thread)}


@dataclass(slots=True)
class Site:
    """One gateway's web chat. `port` stays the same over restarts."""

    path: Path
    limits: WebLimits = field(default_factory=WebLimits)
    public_url: str | None = None
    port: int = 0
    clock: RealClock = field(default_factory=RealClock)
    inbox: RecordingInbox = field(default_factory=RecordingInbox)
    _store: OpenStore | None = None
    _channel: WebChannel | None = None
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        self._store = open_store(f"sqlite:///{self.path}", clock=self.clock, gateway=True)
        self._channel = WebChannel(
            self._store.chat_log,
            agent=AGENT,
            account=ACCOUNT,
            now=self.clock.now,
            public_url=self.public_url,
            limits=self.limits,
        )
        app = web.Application()
        self._channel.mount(app)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        await web.SockSite(self._runner, listening).start()
        await self._channel.start(self.inbox)

    async def stop(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._store is not None:
            await self._store.close()
        self._channel = self._runner = self._store = None

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def channel(self) -> WebChannel:
        assert self._channel is not None
        return self._channel

    @property
    def log(self) -> ChatLog:
        assert self._store is not None
        return self._store.chat_log

    async def invite(self, native: str, name: str) -> str:
        """The whole link."""
        return self.url + await invite(self.log, native=native, name=name, now=self.clock.now())


@asynccontextmanager
async def site_at(path: Path, *, limits: WebLimits | None = None, public_url: str | None = None) -> AsyncIterator[Site]:
    site = Site(path=path / "homing.db", limits=limits or WebLimits(), public_url=public_url)
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        fields = json.loads(self.body)
        assert isinstance(fields, dict)
        return fields

    @property
    def messages(self) -> list[dict[str, object]]:
        found = self.json["messages"]
        assert isinstance(found, list)
        return found


class Visitor:
    """A browser without a page: a cookie, an origin, and requests."""

    def __init__(self, site: Site, session: aiohttp.ClientSession) -> None:
        self.site = site
        self.session = session
        self.cookie = ""
        self._nonce = 0

    async def sign_in(self, native: str, name: str) -> None:
        link = await self.site.invite(native, name)
        reply = await self.post("/web/join", {"secret": link.partition("#")[2]})
        assert reply.status == 200, reply.body
        self.cookie = reply.headers["Set-Cookie"].split(";")[0].removeprefix(f"{COOKIE_NAME}=")

    def headers(self, *, changes: bool = False) -> dict[str, str]:
        headers = {"Cookie": f"{COOKIE_NAME}={self.cookie}"} if self.cookie else {}
        return {**headers, "Origin": self.site.url} if changes else headers

    async def get(
        self, path: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        sent = {**self.headers(), **(headers or {})}
        async with self.session.get(self.site.url + path, params=query, headers=sent) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    async def post(self, path: str, fields: object, headers: Mapping[str, str] | None = None) -> Reply:
        sent = {**self.headers(changes=True), **(headers or {})}
        async with self.session.post(self.site.url + path, json=fields, headers=sent) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    def nonce(self) -> str:
        self._nonce += 1
        return f"nonce-{self._nonce:06}"

    async def write(self, peer: Peer, text: str, *, nonce: str | None = None) -> Reply:
        return await self.post("/web/messages", {**naming(peer), "text": text, "nonce": nonce or self.nonce()})

    async def read(self, peer: Peer) -> list[dict[str, object]]:
        reply = await self.get("/web/messages", naming(peer))
        assert reply.status == 200, reply.body
        return reply.messages

    async def press_fields(self, peer: Peer, message_id: MessageId, button: Button) -> dict[str, object]:
        """What the page would send for a button that this person is shown."""
        message = next(each for each in await self.read(peer) if str(each["id"]) == message_id)
        post = message["post"]
        assert isinstance(post, dict)
        theirs = [each for block in post["blocks"] for each in block.get("buttons", ())]
        shown = next(each for each in (*post["buttons"], *theirs) if each["token"] == button.token())
        return {
            **naming(peer),
            "message": str(message_id),
            "button": shown["token"],
            "proof": shown["proof"],
            "reason": "",
            "nonce": self.nonce(),
        }


@asynccontextmanager
async def visitor_of(site: Site) -> AsyncIterator[Visitor]:
    # A jar of its own would send cookies that a test did not mean.
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=20)
    ) as session:
        yield Visitor(site, session)


@dataclass(frozen=True, slots=True)
class Heard:
    """One event of a stream."""

    id: int
    event: str
    data: str


class Listening:
    """An open stream, read event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, event: str = "entry") -> Heard | None:
        """The next event of this kind. None where the stream has ended."""
        fields: dict[str, str] = {}
        async for raw in self.response.content:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            if fields.get("event") == event:
                return Heard(int(fields["id"]), event, fields["data"])
            fields = {}
        return None

    async def entry(self) -> dict[str, object]:
        heard = await self.next()
        assert heard is not None, "the stream has ended"
        found = json.loads(heard.data)
        assert isinstance(found, dict)
        return found


@asynccontextmanager
async def listening(visitor: Visitor, after: int, headers: Mapping[str, str] | None = None) -> AsyncIterator[Listening]:
    sent = {**visitor.headers(), **(headers or {})}
    async with visitor.session.get(
        visitor.site.url + "/web/stream", params={"after": str(after)}, headers=sent
    ) as response:
        assert response.status == 200, await response.read()
        yield Listening(response)
