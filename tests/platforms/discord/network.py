"""Discord on loopback as people have it before them: `DiscordNetwork`, one server with a guild for each account."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Sequence
from typing import Self

from aiohttp import web
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.domain.message import Action, parse_button
from bot.domain.session import AccountName, AgentName, ChannelName, MessageId, NativeId, Peer, PeerKind, ThreadId
from bot.ports import Channel as Port
from tests.platforms.discord.gateway import Gateway, until
from tests.platforms.discord.reading import read
from tests.platforms.discord.rest import Interaction, Rest, created, emoji_of, member
from tests.platforms.discord.world import App, Channel, Form, Message, Person, World, all_of
from tests.platforms.driver import Order, Seen

AGENT = AgentName("main")
LISTEN_S = 8.0
"""A bot that has just started gets so long to come: the library waits up to five seconds before it identifies anew."""
ANSWERED_S = 3.5
"""Discord shows "This interaction failed" after three."""
FOLLOWED_S = 5.0
"""Somebody who sees "thinking" or nothing yet looks on for a while."""


class DiscordNetwork:
    def __init__(self, *, reply_mode: str = "channel") -> None:
        self.world = World()
        self.gateway = Gateway(self.world, self._socket_url)
        self.rest = Rest(self.world, self.gateway, self._socket_url)
        self.reply_mode = reply_mode
        self.app = self.world.install("default")
        self._rooms = [self.world.room(name, self.app.guild) for name in ("general", "ops")]
        self._root = self.world.post(self._rooms[0], self.world.person("root", self.app.guild), {"content": "root"}, [])
        self._thread = self.world.thread(self._rooms[0], self._root.id, "a thread")
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._kept: tuple[str, object] = ("", None)
        self._tokens = itertools.count(1)

    # --- Network -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return "discord"

    @property
    def rooms(self) -> Sequence[Peer]:
        return [self.peer(room) for room in self._rooms]

    @property
    def thread(self) -> Peer | None:
        return self.peer(self._thread)

    def direct(self, person: str) -> Peer:
        return _peer("default", PeerKind.DIRECT, person, None)

    def person(self, name: str) -> str:
        return self.world.person(name, self.app.guild).id

    async def __aenter__(self) -> Self:
        # The library keeps both in variables of its modules; whoever plays Discord puts them back.
        self._kept = (Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY)
        site = web.Application(client_max_size=64 * 2**20)
        site.add_routes([*self.rest.routes(), web.get("/gw/", self.gateway.serve)])
        self._runner = web.AppRunner(site, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.gateway.drop()
        if self._runner is not None:
            await self._runner.cleanup()
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = self._kept  # type: ignore[assignment]

    def channel(
        self,
        account: str = "default",
        *,
        token: str | None = None,
        slash_commands: bool = False,
        shards: int | None = None,
    ) -> Port:
        from channels.discord.adapter import DiscordChannel

        return DiscordChannel(
            agent=AGENT,
            account=AccountName(account),
            reply_mode=self.reply_mode,
            token=token or self.account(account).token,
            api_base=f"http://127.0.0.1:{self._port}/api/v10",
            gateway_url=self._socket_url(),
            shards=shards,
            slash_commands=slash_commands,
            now=time.time,
        )

    async def say(self, peer: Peer, person: str, text: str, *, repeats: int = 0) -> MessageId:
        app = self.account(peer.account)
        await self.listens(app)
        mention = "" if peer.kind is PeerKind.DIRECT else f"<@{app.bot.id}> "
        message = await self.write(
            self.place(peer), self.world.people[person], mention + text, app=app, repeats=repeats
        )
        return MessageId(message.id)

    async def press(
        self,
        peer: Peer,
        message_id: MessageId,
        person: str,
        action: Action,
        *,
        reason: str = "",
        code: str = "",
        execution: str = "",
    ) -> str:
        app = self.account(peer.account)
        await self.listens(app)
        message = self.place(peer).messages[message_id]
        token = next(token for does, token in ever_shown(message) if does is action and execution in token)
        who = self.world.people[person]
        pressed = await self.interact(app, message.channel, who, 3, {"component_type": 2, "custom_id": token}, message)
        callback = pressed.callback or {}
        if callback.get("type") == 9:
            form = callback["data"]
            if _refuses(form["components"], reason, code):
                return "This field is required."
            fields = _filled(form["components"], reason, code)
            body = {"custom_id": form["custom_id"], "components": fields}
            pressed = await self.interact(app, message.channel, who, 5, body, message)
        return await self.private_words(pressed)

    async def react(self, peer: Peer, message_id: MessageId, person: str, emoji: str) -> None:
        app = self.account(peer.account)
        await self.listens(app)
        message = self.place(peer).messages[message_id]
        message.reactions.setdefault(emoji, []).append(person)
        guild = message.channel.guild
        body: Form = {
            "user_id": person,
            "channel_id": message.channel.id,
            "message_id": message.id,
            "emoji": emoji_of(emoji),
            "message_author_id": message.author.id,
            "burst": False,
            "type": 0,
        }
        if guild is not None:
            body |= {"guild_id": guild.id, "member": {"user": self.world.people[person].form(), **member()}}
        await self.gateway.tell(app, "MESSAGE_REACTION_ADD", body, guild=None if guild is None else guild.id)

    def seen(self, peer: Peer) -> Sequence[Seen]:
        return [self.read(one) for one in self.place(peer).messages.values() if one is not self._root]

    def everywhere(self) -> Sequence[tuple[str, Seen]]:
        return [
            (channel.name, self.read(message))
            for channel in self.world.channels.values()
            for message in channel.messages.values()
            if message.author.is_bot
        ]

    def order(self, fault: Order) -> None:
        self.rest.orders.append(fault)

    # --- beside what every network has -----------------------------------------------------------------

    def account(self, name: str) -> App:
        if name not in self.world.apps:
            app = self.world.install(name)
            self.world.room("general", app.guild)
        return self.world.apps[name]

    def peer(self, channel: Channel, *, account: str = "default") -> Peer:
        parent = channel.parent or channel
        thread = None if channel.parent is None else channel.id
        return _peer(account, PeerKind.CHANNEL, parent.id, thread)

    def place(self, peer: Peer) -> Channel:
        """The channel, the thread or the direct conversation."""
        if peer.kind is PeerKind.DIRECT:
            return self.world.direct(self.account(peer.account), self.world.people[peer.id])
        return self.world.channels[peer.thread or peer.id]

    async def listens(self, app: App) -> None:
        assert await until(lambda: bool(self.gateway.listening(app.account)), within_s=LISTEN_S), "nobody listens"

    async def write(
        self, channel: Channel, who: Person, text: str, *, app: App | None = None, repeats: int = 0, **more: object
    ) -> Message:
        message = self.world.post(channel, who, {"content": text, **more}, [])
        app = app or self.app
        # Whom a person names is pinged.
        message.pings = tuple(re.findall(r"<@!?(\d+)>", text))
        guild = None if channel.guild is None else channel.guild.id
        for _ in range(1 + repeats):
            await self.gateway.tell(app, "MESSAGE_CREATE", created(message), guild=guild)
        return message

    async def interact(
        self, app: App, channel: Channel, who: Person, kind: int, body: Form, message: Message | None = None
    ) -> Interaction:
        """One interaction until its first answer, or until the app shows that it failed."""
        made = Interaction(
            id=self.world.id(),
            token=f"interaction-{next(self._tokens)}",
            app=app,
            message=message,
            born=asyncio.get_running_loop().time(),
        )
        self.rest.interactions[made.id] = made
        form: Form = {
            "id": made.id,
            "application_id": app.bot.id,
            "type": kind,
            "data": body,
            "channel_id": channel.id,
            "channel": channel.form(),
            "token": made.token,
            "version": 1,
            "app_permissions": "0",
            "locale": "en-US",
            "entitlements": [],
            "attachment_size_limit": 10 * 2**20,
            "authorizing_integration_owners": {},
            "context": 0,
        }
        if channel.guild is None:
            form["user"] = who.form()
        else:
            form |= {"guild_id": channel.guild.id, "member": {"user": who.form(), "permissions": "0", **member()}}
        if message is not None:
            form["message"] = message.form()
        guild = None if channel.guild is None else channel.guild.id
        await self.gateway.tell(app, "INTERACTION_CREATE", form, guild=guild)
        await until(lambda: made.callback is not None, within_s=ANSWERED_S)
        return made

    async def private_words(self, made: Interaction) -> str:
        """What only the person sees, read as the app shows it."""
        callback = made.callback
        if callback is None:
            return "This interaction failed"
        if callback["type"] == 5:
            await until(lambda: bool(made.followups), within_s=FOLLOWED_S)
        forms = [callback.get("data") or {}, *made.followups]
        return "\n".join(self._words(str(form["content"])) for form in forms if form.get("content"))

    def _words(self, content: str) -> str:
        shown = Message(id="0", channel=self._rooms[0], author=self.app.bot, content=content)
        return read(shown, self._names()).text

    def _names(self) -> dict[str, str]:
        return {one.id: one.name for one in self.world.people.values()}

    def read(self, message: Message) -> Seen:
        shown = read(message, self._names())
        text = re.sub(r"\A@homing ", "", shown.text)
        return Seen(
            id=MessageId(message.id),
            author=None if message.author.is_bot else message.author.id,
            text=text,
            code=shown.code,
            file=message.files[0][1].decode() if message.files else None,
            buttons=tuple(_buttons(message.components)),
            reply_to=None if message.answers is None else MessageId(message.answers),
            mentions=tuple(dict.fromkeys(message.pings)) if message.author.is_bot else (),
        )

    def address(self) -> str:
        """Where it listens, for a gateway in another process."""
        return f"127.0.0.1:{self._port}"

    def _socket_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/gw/"


def ever_shown(message: Message) -> list[tuple[Action, str]]:
    """Newest first: what the message offers, or ever offered to somebody whose view is old."""
    return [one for shown in reversed(message.shown_components) for one in _buttons(shown)]


def _buttons(components: list[Form]) -> list[tuple[Action, str]]:
    found: list[tuple[Action, str]] = []
    for one in all_of(components):
        button = parse_button(str(one.get("custom_id", ""))) if one.get("type") == 2 else None
        if button is not None:
            found.append((button.action, str(one["custom_id"])))
    return found


def _refuses(components: list[Form], reason: str, code: str) -> bool:
    """Whether the app sends no such form: a field is empty that may not be, or too short or long."""
    fields = [one for one in all_of(components) if one.get("type") == 4]
    typed = [(one, code if one["custom_id"] == "code" else reason) for one in fields]
    return any(
        (not value and one.get("required", True))
        or (bool(value) and not (one.get("min_length") or 0) <= len(value) <= (one.get("max_length") or 4_000))
        for one, value in typed
    )


def _filled(components: list[Form], reason: str, code: str) -> list[Form]:
    """The form as it comes back: each field with what was typed into it."""
    filled: list[Form] = []
    for one in components:
        back: Form = {key: one[key] for key in ("type", "id", "custom_id") if key in one}
        if one.get("type") == 4:
            back["value"] = code if one["custom_id"] == "code" else reason
        if "components" in one:
            back["components"] = _filled(one["components"], reason, code)
        if "component" in one:
            back["component"] = _filled([one["component"]], reason, code)[0]
        filled.append(back)
    return filled


def _peer(account: str, kind: PeerKind, native: str, thread: str | None) -> Peer:
    return Peer(
        agent=AGENT,
        channel=ChannelName("discord"),
        account=AccountName(account),
        kind=kind,
        id=NativeId(native),
        thread=None if thread is None else ThreadId(thread),
    )
