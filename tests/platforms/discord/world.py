"""What stands on the played Discord: applications, guilds, channels, messages, and the limits of a message.

Ids are snowflakes of the present. Deliberately absent: HTTP and the socket.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Form = dict[str, Any]

TEXT, DIRECT, THREAD = 0, 1, 11
V2 = 1 << 15
EPHEMERAL = 1 << 6
EPOCH_MS = 1_420_070_400_000
CONTENT_CHARS, V2_CHARS, COMPONENTS, CUSTOM_ID_CHARS, LABEL_CHARS, NONCE_CHARS = 2_000, 4_000, 40, 100, 80, 25
FILE_BYTES = 10 * 2**20
NONCE_S = 300.0
"""For "the past few minutes" a nonce of an author is remembered."""
_STAMP = "2026-01-01T00:00:00+00:00"


class Refused(Exception):
    """Discord's answer to what it does not take: HTTP status and code."""

    def __init__(self, status: int, code: int, message: str = "") -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(f"{status} {code} {message}")


@dataclass(slots=True, kw_only=True)
class Person:
    id: str
    name: str
    is_bot: bool = False

    def form(self) -> Form:
        return {
            "id": self.id,
            "username": self.name,
            "discriminator": "0",
            "avatar": None,
            "global_name": self.name,
            "bot": self.is_bot,
        }


@dataclass(slots=True, kw_only=True)
class Message:
    id: str
    channel: Channel
    author: Person
    content: str = ""
    components: list[Form] = field(default_factory=list)
    shown_components: list[list[Form]] = field(default_factory=list)
    """Every state of its components, oldest first: what somebody may press whose view is old."""
    flags: int = 0
    files: list[tuple[str, bytes]] = field(default_factory=list)
    pings: tuple[str, ...] = ()
    answers: str | None = None
    webhook: str | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    """Emoji (a character, or `name:id`) -> people."""

    def form(self) -> Form:
        guild = self.channel.guild
        form: Form = {
            "id": self.id,
            "channel_id": self.channel.id,
            "author": self.author.form(),
            "content": self.content,
            "timestamp": _STAMP,
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [guild.people[one].form() for one in self.pings if guild is not None and one in guild.people],
            "mention_roles": [],
            "attachments": [_attachment(number, *file) for number, file in enumerate(self.files, 1)],
            "embeds": [],
            "pinned": False,
            "type": 0 if self.answers is None else 19,
            "components": self.components,
            "flags": self.flags,
            "reactions": [
                {
                    "emoji": emoji_form(emoji),
                    "count": len(who),
                    "me": False,
                    "me_burst": False,
                    "burst_colors": [],
                    "count_details": {"burst": 0, "normal": len(who)},
                }
                for emoji, who in self.reactions.items()
            ],
        }
        if self.webhook is not None:
            form["webhook_id"] = self.webhook
        if self.answers is not None:
            form["message_reference"] = {"message_id": self.answers, "channel_id": self.channel.id}
            answered = self.channel.messages.get(self.answers)
            form["referenced_message"] = None if answered is None else {**answered.form(), "referenced_message": None}
        return form


def _attachment(number: int, name: str, content: bytes) -> Form:
    url = f"http://127.0.0.1/{name}"
    return {"id": str(number), "filename": name, "size": len(content), "url": url, "proxy_url": url}


def emoji_form(emoji: str) -> Form:
    name, _, native = emoji.partition(":")
    return {"id": native or None, "name": name}


@dataclass(slots=True, kw_only=True)
class Channel:
    id: str
    kind: int
    name: str
    guild: Guild | None = None
    parent: Channel | None = None
    recipient: Person | None = None
    messages: dict[str, Message] = field(default_factory=dict)
    is_archived: bool = False
    is_gone: bool = False
    may_read_history: bool = True
    """Without Read Message History Discord gives an empty list, and no error."""
    refuses_with: int | None = None
    """A code of Discord's for every post: 50013 without permission, 50007 of a person who takes no messages."""

    def form(self) -> Form:
        form: Form = {"id": self.id, "type": self.kind, "last_message_id": next(reversed(self.messages), None)}
        if self.recipient is not None:
            return {**form, "recipients": [self.recipient.form()]}
        assert self.guild is not None
        form |= {
            "guild_id": self.guild.id,
            "name": self.name,
            "position": 0,
            "permission_overwrites": [],
            "nsfw": False,
            "parent_id": None if self.parent is None else self.parent.id,
        }
        if self.kind == THREAD:
            form |= {
                "owner_id": self.guild.bot.id,
                "member_count": 1,
                "message_count": len(self.messages),
                "thread_metadata": {
                    "archived": self.is_archived,
                    "auto_archive_duration": 1440,
                    "archive_timestamp": _STAMP,
                    "locked": False,
                },
            }
        return form


@dataclass(slots=True, kw_only=True)
class Guild:
    id: str
    name: str
    bot: Person
    people: dict[str, Person] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)

    def form(self) -> Form:
        everyone = {
            "id": self.id,
            "name": "@everyone",
            "permissions": "0",
            "position": 0,
            "color": 0,
            "hoist": False,
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }
        standing = [channel for channel in self.channels.values() if not channel.is_gone]
        return {
            "id": self.id,
            "name": self.name,
            "member_count": len(self.people),
            "roles": [everyone],
            "emojis": [],
            "features": [],
            "members": [],
            "presences": [],
            "voice_states": [],
            "stickers": [],
            "channels": [one.form() for one in standing if one.kind != THREAD],
            "threads": [one.form() for one in standing if one.kind == THREAD],
            "owner_id": "600000000000000001",
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "system_channel_flags": 0,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "nsfw_level": 0,
            "premium_progress_bar_enabled": False,
            "afk_timeout": 60,
            "icon": None,
            "banner": None,
            "splash": None,
            "stage_instances": [],
            "guild_scheduled_events": [],
            "unavailable": False,
            "large": False,
            "joined_at": _STAMP,
        }


@dataclass(slots=True, kw_only=True)
class App:
    """One bot: an application with its token and its guild."""

    account: str
    token: str
    bot: Person
    guild: Guild
    may_read_content: bool = True
    is_revoked: bool = False
    commands: list[Form] = field(default_factory=list)
    commands_written: int = 0


class World:
    def __init__(self) -> None:
        self.apps: dict[str, App] = {}
        self.channels: dict[str, Channel] = {}
        self.people: dict[str, Person] = {}
        self.nonces: dict[tuple[str, str], tuple[float, Message]] = {}
        self._count = itertools.count(1)

    def id(self) -> str:
        return str((int(time.time() * 1000 - EPOCH_MS) << 22) + next(self._count) % 2**22)

    def install(self, account: str) -> App:
        bot = Person(id=self.id(), name="homing", is_bot=True)
        guild = Guild(id=self.id(), name=f"guild of {account}", bot=bot, people={bot.id: bot})
        app = App(account=account, token=f"not-a-token.{account}", bot=bot, guild=guild)
        self.apps[account] = app
        self.people[bot.id] = bot
        return app

    def person(self, name: str, guild: Guild) -> Person:
        found = next((one for one in self.people.values() if one.name == name and not one.is_bot), None)
        if found is None:
            found = Person(id=self.id(), name=name)
            self.people[found.id] = found
        guild.people[found.id] = found
        return found

    def room(self, name: str, guild: Guild) -> Channel:
        return self._kept(Channel(id=self.id(), kind=TEXT, name=name, guild=guild), guild)

    def thread(self, parent: Channel, native: str, name: str) -> Channel:
        assert parent.guild is not None
        thread = Channel(id=native, kind=THREAD, name=name, guild=parent.guild, parent=parent)
        return self._kept(thread, parent.guild)

    def direct(self, app: App, person: Person) -> Channel:
        """The one conversation of the two."""
        name = f"{app.account} and {person.id}"
        found = next((one for one in self.channels.values() if one.name == name), None)
        if found is None:
            found = Channel(id=self.id(), kind=DIRECT, name=name, recipient=person)
            self.channels[found.id] = found
        return found

    def _kept(self, channel: Channel, guild: Guild) -> Channel:
        self.channels[channel.id] = guild.channels[channel.id] = channel
        return channel

    def post(self, channel: Channel, author: Person, form: Form, files: list[tuple[str, bytes]]) -> Message:
        """Raises `Refused`. A nonce that the author has just used gives the message that stands."""
        nonce = str(form.get("nonce", ""))
        known = self.nonces.get((author.id, nonce))
        if nonce and form.get("enforce_nonce") and known is not None and time.monotonic() - known[0] < NONCE_S:
            return known[1]
        check(form, files)
        reference = form.get("message_reference") or {}
        message = Message(
            id=self.id(),
            channel=channel,
            author=author,
            content=form.get("content") or "",
            components=numbered(form.get("components") or []),
            flags=form.get("flags", 0),
            files=files,
            answers=reference.get("message_id"),
            webhook=form.get("webhook_id"),
        )
        message.shown_components.append(message.components)
        channel.messages[message.id] = message
        if nonce:
            self.nonces[author.id, nonce] = (time.monotonic(), message)
        return message


def check(form: Form, files: list[tuple[str, bytes]]) -> None:
    """Discord's limits of one message. Raises `Refused`."""
    content, components = form.get("content") or "", form.get("components") or []
    is_v2 = bool(form.get("flags", 0) & V2)
    every = list(all_of(components))
    texts = [str(one.get("content", "")) for one in every if one.get("type") == 10]
    faults = [
        len(content) > CONTENT_CHARS,
        is_v2 and bool(content),
        not is_v2 and any(one.get("type") in {9, 10, 13, 17} for one in every),
        not is_v2 and not content and not files and not components,
        is_v2 and not components,
        sum(map(len, texts)) > V2_CHARS or not all(text.strip() for text in texts),
        len(every) > COMPONENTS,
        any(len(str(one.get("custom_id", ""))) > CUSTOM_ID_CHARS for one in every),
        any(len(str(one.get("label", ""))) > LABEL_CHARS for one in every if one.get("type") == 2),
        any(len(one.get("components", [])) > 5 for one in every if one.get("type") == 1),
        len(str(form.get("nonce", ""))) > NONCE_CHARS,
    ]
    if any(faults):
        raise Refused(400, 50035, f"Invalid Form Body {faults}")
    if any(len(content_) > FILE_BYTES for _, content_ in files):
        raise Refused(413, 40005, "Request entity too large")


def all_of(components: list[Form]) -> Iterator[Form]:
    for one in components:
        yield one
        yield from all_of(one.get("components") or [])
        if isinstance(one.get("component"), dict):
            yield from all_of([one["component"]])


def numbered(components: list[Form]) -> list[Form]:
    """Discord gives each component without an id the next small one."""
    taken = {one["id"] for one in all_of(components) if "id" in one}
    free = (number for number in itertools.count(1) if number not in taken)
    for one in all_of(components):
        if "id" not in one:
            one["id"] = next(free)
    return components
