"""The REST API v10 of the played Discord, with its error codes, and faults on order. Strict about types and limits.

discord.py takes `application/json` to the letter, and a 429 without `Via` for a ban.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from tests.platforms.discord.gateway import Gateway
from tests.platforms.discord.reading import pings, read
from tests.platforms.discord.world import (
    DIRECT,
    EPHEMERAL,
    THREAD,
    App,
    Channel,
    Form,
    Message,
    Refused,
    World,
    check,
    emoji_form,
    numbered,
)
from tests.platforms.driver import Order

Served = Callable[[web.Request], Awaitable[web.Response]]

ANSWER_S = 3.0
"""Discord's limit for the first answer to an interaction."""


@dataclass(slots=True, kw_only=True)
class Interaction:
    """One press, form or command, and what the app answered to it."""

    id: str
    token: str
    app: App
    message: Message | None
    born: float
    callback: Form | None = None
    followups: list[Form] = field(default_factory=list)


class Rest:
    def __init__(self, world: World, gateway: Gateway, socket_url: Callable[[], str]) -> None:
        self.world = world
        self.gateway = gateway
        self.interactions: dict[str, Interaction] = {}
        self.orders: list[Order] = []
        self.calls: list[tuple[str, str]] = []
        self.before_answer: Callable[[str, str], Awaitable[None]] | None = None
        """Held by a test: awaited before a call is served."""
        self.answer_s = ANSWER_S
        self.retry_after_s: object = 1.0
        """Of an ordered 429; None for one without any, as of a proxy before Discord."""
        self.shards = 1
        """As many as Discord advises."""
        self._socket_url = socket_url

    def routes(self) -> list[web.RouteDef]:
        base = "/api/v10"
        return [
            web.get(f"{base}/users/@me", self._with(self._me)),
            web.get(f"{base}/oauth2/applications/@me", self._with(self._application)),
            web.get(f"{base}/gateway/bot", self._with(self._gateway_bot)),
            web.get(f"{base}/users/@me/guilds", self._with(self._guilds)),
            web.post(f"{base}/users/@me/channels", self._with(self._direct)),
            web.get(f"{base}/applications/{{app}}/commands", self._with(self._commands)),
            web.put(f"{base}/applications/{{app}}/commands", self._with(self._write_commands)),
            web.get(f"{base}/applications/{{app}}/guilds/{{guild}}/commands", self._with(self._guild_commands)),
            web.get(f"{base}/channels/{{channel}}", self._with(self._channel)),
            web.post(f"{base}/channels/{{channel}}/typing", self._with(self._typing)),
            web.post(f"{base}/channels/{{channel}}/messages", self._with(self._post)),
            web.get(f"{base}/channels/{{channel}}/messages", self._with(self._history)),
            web.get(f"{base}/channels/{{channel}}/messages/{{message}}", self._with(self._message)),
            web.patch(f"{base}/channels/{{channel}}/messages/{{message}}", self._with(self._edit)),
            web.post(f"{base}/channels/{{channel}}/messages/{{message}}/threads", self._with(self._begin_thread)),
            web.get(
                f"{base}/channels/{{channel}}/messages/{{message}}/reactions/{{emoji}}", self._with(self._reactions)
            ),
            web.post(f"{base}/interactions/{{id}}/{{token}}/callback", self._answer),
            web.post(f"{base}/webhooks/{{app}}/{{token}}", self._follow_up),
        ]

    def _with(
        self, serve: Callable[[App, web.Request], Awaitable[web.Response]]
    ) -> Callable[..., Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            self.calls.append((request.method, request.path))
            if self.before_answer is not None:
                await self.before_answer(request.method, request.path)
            said = request.headers.get("Authorization", "")
            app = next((one for one in self.world.apps.values() if said == f"Bot {one.token}"), None)
            if app is None or app.is_revoked:
                return as_json({"message": "401: Unauthorized", "code": 0}, 401)
            try:
                return await serve(app, request)
            except Refused as fault:
                return as_json({"message": fault.message, "code": fault.code}, fault.status)

        return answer

    # --- the application -----------------------------------------------------------------------------

    async def _me(self, app: App, _: web.Request) -> web.Response:
        return as_json(app.bot.form())

    async def _application(self, app: App, _: web.Request) -> web.Response:
        flags = 1 << 19 if app.may_read_content else 0
        owner = {"id": "100000000000000001", "username": "o", "discriminator": "0", "avatar": None}
        return as_json(
            {
                "id": app.bot.id,
                "name": "homing",
                "icon": None,
                "description": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "",
                "flags": flags,
                "summary": "",
                "owner": owner,
                "team": None,
            }
        )

    async def _gateway_bot(self, _: App, __: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}
        return as_json({"url": self._socket_url(), "shards": self.shards, "session_start_limit": limit})

    async def _guilds(self, app: App, _: web.Request) -> web.Response:
        guild = app.guild
        return as_json(
            [{"id": guild.id, "name": guild.name, "icon": None, "owner": False, "permissions": "0", "features": []}]
        )

    async def _commands(self, app: App, _: web.Request) -> web.Response:
        return as_json(app.commands)

    async def _write_commands(self, app: App, request: web.Request) -> web.Response:
        given = await request.json()
        app.commands_written += 1
        app.commands = [
            {**one, "id": self.world.id(), "application_id": app.bot.id, "version": self.world.id()} for one in given
        ]
        return as_json(app.commands)

    async def _guild_commands(self, _: App, __: web.Request) -> web.Response:
        return as_json([])

    # --- places --------------------------------------------------------------------------------------

    def _place(self, app: App, request: web.Request) -> Channel:
        channel = self.world.channels.get(request.match_info["channel"])
        if channel is None or channel.is_gone:
            raise Refused(404, 10003, "Unknown Channel")
        if channel.guild is not None and channel.guild is not app.guild:
            raise Refused(403, 50001, "Missing Access")
        return channel

    def _standing(self, app: App, request: web.Request) -> Message:
        message = self._place(app, request).messages.get(request.match_info["message"])
        if message is None:
            raise Refused(404, 10008, "Unknown Message")
        return message

    async def _channel(self, app: App, request: web.Request) -> web.Response:
        return as_json(self._place(app, request).form())

    async def _direct(self, app: App, request: web.Request) -> web.Response:
        person = self.world.people.get(str((await request.json())["recipient_id"]))
        if person is None:
            raise Refused(400, 50033, "Invalid Recipient(s)")
        return as_json(self.world.direct(app, person).form())

    async def _typing(self, app: App, request: web.Request) -> web.Response:
        self._place(app, request)
        return web.Response(status=204, headers={"Via": "1.1 played"})

    async def _begin_thread(self, app: App, request: web.Request) -> web.Response:
        parent, native = self._place(app, request), request.match_info["message"]
        if native in self.world.channels:
            raise Refused(400, 160004, "A thread has already been created for this message")
        if native not in parent.messages:
            raise Refused(404, 10008, "Unknown Message")
        thread = self.world.thread(parent, native, (await request.json())["name"])
        return as_json(thread.form(), 201)

    # --- messages ------------------------------------------------------------------------------------

    async def _post(self, app: App, request: web.Request) -> web.Response:
        channel = self._place(app, request)
        form, files = await _body(request)
        order = self.orders.pop(0) if self.orders else None
        if order is Order.UNAVAILABLE:
            return as_json({"message": "Service Unavailable", "code": 0}, 503)
        if order is Order.THROTTLED:
            return self._throttled()
        if channel.refuses_with is not None:
            raise Refused(403, channel.refuses_with, "Missing Permissions")
        if channel.kind == THREAD and channel.is_archived:
            raise Refused(400, 50083, "Thread is archived")
        message = self.world.post(channel, app.bot, form, files)
        names = {one.id: one.name for one in self.world.people.values()}
        message.pings = pings(read(message, names), form)
        guild = None if channel.guild is None else channel.guild.id
        await self.gateway.tell(app, "MESSAGE_CREATE", created(message), guild=guild)
        if order is Order.LOST_ANSWER:
            if request.transport is not None:
                request.transport.abort()
            await asyncio.sleep(0)
        return as_json({**message.form(), "nonce": form.get("nonce")})

    def _throttled(self) -> web.Response:
        if self.retry_after_s is None:
            return web.Response(status=429, text="slow down", content_type="text/html")
        body = {"message": "You are being rate limited.", "retry_after": self.retry_after_s, "global": False}
        return as_json(body, 429, {"Retry-After": str(self.retry_after_s)})

    async def _edit(self, app: App, request: web.Request) -> web.Response:
        message = self._standing(app, request)
        if message.author is not app.bot:
            raise Refused(403, 50005, "Cannot edit a message authored by another user")
        form, files = await _body(request)
        check({"flags": message.flags, **form}, files)
        if "components" in form:
            message.components = numbered(form["components"])
            message.shown_components.append(message.components)
        message.content = form.get("content", message.content) or ""
        if files:
            message.files = files
        return as_json(message.form())

    async def _message(self, app: App, request: web.Request) -> web.Response:
        return as_json(self._standing(app, request).form())

    async def _history(self, app: App, request: web.Request) -> web.Response:
        channel = self._place(app, request)
        after, before = int(request.query.get("after", 0)), int(request.query.get("before", 2**64))
        limit = int(request.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise Refused(400, 50035, "limit")
        if not channel.may_read_history:
            return as_json([])
        found = [one for one in channel.messages.values() if after < int(one.id) < before]
        found = found[:limit] if "after" in request.query else found[-limit:]
        # Newest first, whatever was asked for.
        return as_json([one.form() for one in reversed(found)])

    async def _reactions(self, app: App, request: web.Request) -> web.Response:
        message = self._standing(app, request)
        who = message.reactions.get(request.match_info["emoji"], [])
        return as_json([self.world.people[one].form() for one in who])

    # --- interactions --------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.Response:
        found = self.interactions.get(request.match_info["id"])
        loop = asyncio.get_running_loop()
        if found is None or found.token != request.match_info["token"] or loop.time() - found.born > self.answer_s:
            return as_json({"message": "Unknown interaction", "code": 10062}, 404)
        if found.callback is not None:
            return as_json({"message": "Interaction has already been acknowledged.", "code": 40060}, 400)
        found.callback = await request.json()
        body = found.callback.get("data") or {}
        is_form_wrong = found.callback.get("type") == 9 and not is_form(body)
        if len(body.get("content") or "") > 2_000 or len(body.get("choices") or []) > 25 or is_form_wrong:
            found.callback = None
            return as_json({"message": "Invalid Form Body", "code": 50035}, 400)
        return as_json({"interaction": {"id": found.id, "type": 2}})

    async def _follow_up(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        found = next((one for one in self.interactions.values() if one.token == token), None)
        if found is None or found.callback is None:
            return as_json({"message": "Unknown Webhook", "code": 10015}, 404)
        form, _ = await _body(request)
        found.followups.append(form)
        channel = next(iter(self.world.channels.values()))
        shown = Message(id=self.world.id(), channel=channel, author=found.app.bot, content=form.get("content", ""))
        shown.flags = EPHEMERAL
        return as_json(shown.form())


def created(message: Message) -> Form:
    """MESSAGE_CREATE: the message, with who wrote it as a member of the guild."""
    form = message.form()
    if message.channel.kind != DIRECT and message.channel.guild is not None:
        form["guild_id"] = message.channel.guild.id
        if message.webhook is None:
            form["member"] = member()
    return form


def member() -> Form:
    return {"roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}


def emoji_of(text: str) -> Form:
    return emoji_form(text)


async def _body(request: web.Request) -> tuple[Form, list[tuple[str, bytes]]]:
    if not request.content_type.startswith("multipart/"):
        return json.loads(await request.read()), []
    fields = await request.post()
    files = [
        (one.filename, one.file.read())
        for name, one in fields.items()
        if name.startswith("files[") and isinstance(one, web.FileField)
    ]
    return json.loads(str(fields["payload_json"])), files


def as_json(body: object, status: int = 200, headers: Form | None = None) -> web.Response:
    head = {"Content-Type": "application/json", "Via": "1.1 played", **(headers or {})}
    return web.Response(body=json.dumps(body).encode(), status=status, headers=head)


def is_form(body: Form) -> bool:
    """Whether Discord shows it: https://discord.com/developers/docs/components/reference#label"""
    labels = body.get("components") or []
    fields = [one.get("component") or {} for one in labels]
    return (
        0 < len(body.get("title") or "") <= 45
        and 0 < len(body.get("custom_id") or "") <= 100
        and 0 < len(labels) <= 5
        and all(one.get("type") == 18 and 0 < len(one.get("label") or "") <= 45 for one in labels)
        and all(len(one.get("description") or "") <= 100 for one in labels)
        and all(one.get("type") == 4 and 0 < len(one.get("custom_id") or "") <= 100 for one in fields)
        and len({one.get("custom_id") for one in fields}) == len(fields)
    )
