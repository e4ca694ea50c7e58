"""The web chat over HTTP: each request guarded, bounded, answered; recorded before it is acknowledged.

Deliberately absent: what a message means. Rooms and people are the log's, decisions are the core's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiohttp import web

from bot.errors import Malformed
from bot.ports import ChatLog, Inbox
from channels.web import access, wire
from channels.web.conversations import PAGE_MESSAGES, Conversations
from channels.web.feed import Feed
from channels.web.gate import Gate, Refusal, WebLimits, as_json
from channels.web.live import LiveStream
from channels.web.pages import Pages
from channels.web.view import entry_for_page

log = logging.getLogger(__name__)

MAX_ROOMS = 200
"""Each is a line in everybody's list."""


class Routes:
    """`inbox` is set while the channel listens."""

    def __init__(
        self,
        chat_log: ChatLog,
        feed: Feed,
        conversations: Conversations,
        identity: wire.Identity,
        gate: Gate,
        limits: WebLimits,
        now: Callable[[], float],
    ) -> None:
        self._log = chat_log
        self._feed = feed
        self._conversations = conversations
        self._identity = identity
        self._gate = gate
        self._limits = limits
        self._now = now
        self._pages = Pages()
        self.inbox: Inbox | None = None

    def mount(self, app: web.Application) -> None:
        page, call = self._gate.page, self._gate.call
        app.router.add_get("/", page(self._open_chat), allow_head=False)
        app.router.add_get("/join", page(self._open_join), allow_head=False)
        app.router.add_get("/web/static/{name}", call(self._file), allow_head=False)
        app.router.add_get("/web/me", call(self._me), allow_head=False)
        app.router.add_get("/web/messages", call(self._messages), allow_head=False)
        app.router.add_get("/web/stream", call(self._stream), allow_head=False)
        app.router.add_post("/web/join", call(self._join))
        app.router.add_post("/web/sign-out", call(self._sign_out))
        app.router.add_post("/web/rooms", call(self._open_room))
        app.router.add_post("/web/messages", call(self._post))
        app.router.add_post("/web/presses", call(self._press))

    def _inbox(self) -> Inbox:
        if self.inbox is None:
            raise Refusal(503, "unavailable", "The chat is just starting or stopping. Please try again.")
        return self.inbox

    # --- pages -------------------------------------------------------------------------------------

    async def _open_chat(self, request: web.Request) -> web.Response:
        visit = await self._gate.visit_or_none(request)
        if visit is None:
            return _html(self._pages.welcome())
        response = _html(self._pages.chat())
        issued_at = access.cookie_issued_at(visit.cookie) or 0.0
        if self._now() - issued_at > access.COOKIE_RENEWAL_S:
            self._give_cookie(response, await access.exchange(self._log, visit.person, now=self._now()))
        return response

    async def _open_join(self, _request: web.Request) -> web.Response:
        return _html(self._pages.join())

    async def _file(self, request: web.Request) -> web.Response:
        found = self._pages.files.get(request.match_info["name"])
        if found is None:
            raise Refusal(404, "unknown", "There is no such file.")
        return web.Response(body=found.body, content_type=found.content_type, charset="utf-8")

    def _give_cookie(self, response: web.Response, cookie: str) -> None:
        response.set_cookie(
            access.COOKIE_NAME,
            cookie,
            max_age=access.COOKIE_LIFETIME_S,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._gate.is_secure,
        )

    # --- sign-in -----------------------------------------------------------------------------------

    async def _join(self, request: web.Request) -> web.Response:
        secret = wire.parse_json(await self._gate.body(request)).get("secret")
        cookie = access.new_cookie(self._now())
        person = None
        if isinstance(secret, str) and access.is_secret(secret):
            person = await self._log.redeem(
                secret_hash=access.hash_of(secret),
                cookie_hash=access.hash_of(cookie),
                cookie_expires_at=self._now() + access.COOKIE_LIFETIME_S,
            )
        if person is None:
            log.info("web.invitation_refused")
            raise Refusal(403, "invitation", "This invitation was used before, has expired, or never was one.")
        log.info("web.signed_in", extra={"person": person.native})
        response = as_json({"name": person.name})
        self._give_cookie(response, cookie)
        return response

    async def _sign_out(self, request: web.Request) -> web.Response:
        visit = await self._gate.visit(request)
        await self._log.sign_out(visit.cookie_hash)
        self._feed.end_streams(visit.cookie_hash)
        log.info("web.signed_out", extra={"person": visit.person.native})
        response = as_json({})
        response.del_cookie(access.COOKIE_NAME, path="/")
        return response

    # --- reading -----------------------------------------------------------------------------------

    async def _me(self, request: web.Request) -> web.Response:
        visit = await self._gate.visit(request)
        self._inbox()
        # Read before the messages: what is written in between is then seen twice, never missed.
        head = self._feed.head
        await self._conversations.learn_names()
        native = visit.person.native
        rooms = [
            {"name": room, "newest": await self._conversations.newest_id(kind="channel", room=room)}
            for room in sorted(await self._log.rooms())
        ]
        direct = {"newest": await self._conversations.newest_id(kind="direct", room=native)}
        return as_json(
            {"me": {"id": native, "name": visit.person.name}, "rooms": rooms, "direct": direct, "head": head},
        )

    async def _messages(self, request: web.Request) -> web.Response:
        visit = await self._gate.visit(request)
        query = request.query
        peer = wire.parse_peer(query, person=visit.person, identity=self._identity)
        before_id = int(wire.parse_message_id(query["before"])) if "before" in query else None
        if not await self._conversations.exists(peer):
            raise Refusal(404, "unknown", "There is no such conversation.")
        entries = list(await self._conversations.page(peer, before_id=before_id))
        root = await self._conversations.root(peer)
        shown = entries if root is None else [root, *entries]
        names = await self._conversations.names(shown)
        replies = {} if peer.thread else await self._conversations.last_replies(peer, entries)
        made = [entry_for_page(entry, viewer=visit.person.native, cookie=visit.cookie, names=names) for entry in shown]
        return as_json({"messages": made, "replies": replies, "has_more": len(entries) == PAGE_MESSAGES})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        visit = await self._gate.visit(request)
        after = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        if not after.isascii() or not after.isdecimal() or len(after) > 18:
            raise Malformed("a stream begins after a change that the page has seen")
        self._inbox()
        live = LiveStream(self._log, self._feed, self._conversations, beat_s=self._limits.beat_s)
        response = await live.run(request, visit.person, visit.cookie, after=int(after))
        if response is None:
            raise Refusal(429, "streams", "You have the chat open in too many tabs.")
        return response

    # --- writing -----------------------------------------------------------------------------------

    async def _open_room(self, request: web.Request) -> web.Response:
        visit = await self._gate.visit(request)
        room = wire.parse_room(wire.parse_json(await self._gate.body(request)).get("name"))
        rooms = await self._log.rooms()
        if room not in rooms and len(rooms) >= MAX_ROOMS:
            raise Refusal(409, "rooms", f"There are {MAX_ROOMS} rooms already, no more are kept.")
        await self._log.open_room(room)
        log.info("web.room_opened", extra={"room": room, "person": visit.person.native})
        return as_json({"name": room})

    async def _post(self, request: web.Request) -> web.Response:
        visit = await self._gate.visit(request)
        inbox = self._inbox()
        message = wire.parse_message(
            wire.parse_json(await self._gate.body(request)), person=visit.person, identity=self._identity
        )
        if not await self._conversations.exists(message.peer):
            raise Refusal(404, "unknown", "There is no such conversation.")
        entry, _ = await self._log.post(
            kind=message.peer.kind.value,
            room=message.peer.id,
            thread=message.peer.thread,
            author=visit.person.native,
            body=wire.message_body(wire.as_logged(message.text)),
            nonce=message.nonce,
        )
        self._feed.wake()
        # A repeat goes in again: the first may have died between the log and the core, which drops what it has seen.
        answer = await inbox.message(
            wire.inbound(entry, said=message.text, name=visit.person.name, identity=self._identity)
        )
        names = await self._conversations.names([entry])
        shown = entry_for_page(entry, viewer=visit.person.native, cookie=visit.cookie, names=names)
        return as_json({"message": shown, "note": answer.note})

    async def _press(self, request: web.Request) -> web.Response:
        visit = await self._gate.visit(request)
        inbox = self._inbox()
        pressed = wire.parse_press(
            wire.parse_json(await self._gate.body(request)), person=visit.person, identity=self._identity
        )
        press = pressed.press
        message_id = press.message_id
        if message_id is None or not access.is_proof(pressed.proof, visit.cookie, message_id, press.button.token()):
            log.warning("web.press_unproven", extra={"person": visit.person.native})
            raise Refusal(403, "unproven", "This button was not shown to you like this. Reload and look again.")
        if await self._conversations.message(press.peer, message_id) is None:
            raise Refusal(404, "unknown", "There is no such message.")
        answer = await inbox.press(press)
        return as_json({"note": answer.note})


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8")
