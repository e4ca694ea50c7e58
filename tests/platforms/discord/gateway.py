"""The socket of the played Discord: hello, identify, resume with replay, dispatches, close codes on order."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.platforms.discord.world import App, Form, World

NEEDS = {"guilds": 1 << 0, "messages": 1 << 9, "direct": 1 << 12, "content": 1 << 15}
MAX_REPLAYED = 1_000


@dataclass(slots=True, kw_only=True)
class Session:
    id: str
    app: App
    intents: int
    shard: tuple[int, int]
    sequence: int = 0
    sent: list[tuple[int, str]] = field(default_factory=list)
    socket: web.WebSocketResponse | None = None
    is_deaf: bool = False
    """Its socket is open and takes everything, and nothing ever comes back on it."""

    def hears(self, guild: str | None) -> bool:
        number, count = self.shard
        return number == 0 if guild is None else (int(guild) >> 22) % count == number

    async def dispatch(self, kind: str, body: Form) -> None:
        """Kept for a resume, and sent where somebody listens."""
        self.sequence += 1
        frame = json.dumps({"op": 0, "t": kind, "s": self.sequence, "d": body})
        self.sent = [*self.sent[-MAX_REPLAYED:], (self.sequence, frame)]
        if self.socket is not None and not self.socket.closed and not self.is_deaf:
            try:
                await self.socket.send_str(frame)
            except ConnectionError:
                self.socket = None


class Gateway:
    def __init__(self, world: World, url: Callable[[], str]) -> None:
        self.world = world
        self.sessions: dict[str, Session] = {}
        self.identified = 0
        self.resumed = 0
        self.greeted = 0
        """Sockets that were opened."""
        self.refuse_with: int | None = None
        """A close code for the next identify."""
        self.invalidate_resumes = False
        self.sends_away = False
        """Every session is asked to come back as soon as it has begun."""
        self.heartbeat_ms = 41_250
        self._url = url
        self._numbers = itertools.count(1)

    def listening(self, account: str) -> list[Session]:
        return [one for one in self.sessions.values() if one.app.account == account and one.socket is not None]

    async def tell(self, app: App, kind: str, body: Form, *, guild: str | None) -> None:
        """To each session of this bot; one that is away gets it when it resumes."""
        for session in [one for one in self.sessions.values() if one.app is app and one.hears(guild)]:
            await session.dispatch(kind, body)

    async def drop(self, *, code: int | None = None, forget: bool = False) -> None:
        """End every socket: by a close code, else by cutting the connection. `forget`: no session can be resumed."""
        for session in list(self.sessions.values()):
            socket, session.socket = session.socket, None
            if socket is None:
                continue
            if code is not None:
                await socket.close(code=code)
            elif socket._req is not None and socket._req.transport is not None:
                socket._req.transport.abort()
        if forget:
            self.sessions.clear()

    def deafen(self, *, forget: bool = False) -> None:
        """Every socket stays open and is silent from now on. `forget`: no session can be resumed."""
        for session in self.sessions.values():
            session.is_deaf = True
        if forget:
            self.sessions.clear()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.greeted += 1
        await _send(socket, 10, {"heartbeat_interval": self.heartbeat_ms})
        session: Session | None = None
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    break
                said = json.loads(frame.data)
                if said["op"] == 1 and not (session is not None and session.is_deaf):
                    await _send(socket, 11, None)
                elif said["op"] == 2:
                    session = await self._identify(socket, said["d"])
                elif said["op"] == 6:
                    session = await self._resume(socket, said["d"])
        finally:
            if session is not None and session.socket is socket:
                session.socket = None
        return socket

    async def _identify(self, socket: web.WebSocketResponse, said: Form) -> Session | None:
        self.identified += 1
        app = next((one for one in self.world.apps.values() if one.token == said["token"]), None)
        code, self.refuse_with = self.refuse_with, None
        if app is None or app.is_revoked:
            code = 4004
        elif said["intents"] & NEEDS["content"] and not app.may_read_content:
            code = 4014
        if code is not None or app is None:
            await socket.close(code=code or 4004)
            return None
        shard = said.get("shard")
        session = Session(
            id=f"session-{next(self._numbers)}",
            app=app,
            intents=said["intents"],
            shard=(0, 1) if shard is None else (shard[0], shard[1]),
            socket=socket,
        )
        for old in [one for one in self.sessions.values() if one.app is app and one.shard == session.shard]:
            if old.socket is None:
                del self.sessions[old.id]
        self.sessions[session.id] = session
        ready: Form = {
            "v": 10,
            "user": app.bot.form(),
            "guilds": [{"id": app.guild.id, "unavailable": True}] if session.hears(app.guild.id) else [],
            "session_id": session.id,
            "resume_gateway_url": self._url(),
            "application": {"id": app.bot.id, "flags": 1 << 19},
        }
        await session.dispatch("READY", ready | ({} if shard is None else {"shard": shard}))
        if session.hears(app.guild.id):
            await session.dispatch("GUILD_CREATE", app.guild.form())
        if self.sends_away:
            await _send(socket, 7, None)
        return session

    async def _resume(self, socket: web.WebSocketResponse, said: Form) -> Session | None:
        session = self.sessions.get(said["session_id"])
        if session is None or session.app.token != said["token"] or self.invalidate_resumes:
            self.invalidate_resumes = False
            self.sessions.pop(said["session_id"], None)
            await _send(socket, 9, False)
            return None
        self.resumed += 1
        session.socket, session.is_deaf = socket, False
        for sequence, frame in session.sent:
            if sequence > said["seq"]:
                await socket.send_str(frame)
        await session.dispatch("RESUMED", {})
        if self.sends_away:
            await _send(socket, 7, None)
        return session


async def _send(socket: web.WebSocketResponse, op: int, body: object) -> None:
    await socket.send_str(json.dumps({"op": op, "d": body, "s": None, "t": None}))


async def until(holds: Callable[[], bool], *, within_s: float) -> bool:
    """Whether it came to hold in time."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True
