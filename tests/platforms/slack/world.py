"""What stands on the Slack that we play: teams, people, conversations, messages, files, installed apps.

Deliberately absent: the wire. Everything here is plain state with the answers that people could give about it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

Form = dict[str, Any]

SCOPES = (
    "app_mentions:read,channels:history,channels:read,chat:write,commands,files:write,groups:history,groups:read,"
    "im:history,im:read,im:write,mpim:history,mpim:read,reactions:read,reactions:write,users:read"
)


@dataclass(slots=True, kw_only=True)
class Person:
    id: str
    name: str
    team: str
    is_bot: bool = False


@dataclass(slots=True, kw_only=True)
class Team:
    id: str
    domain: str
    enterprise: str | None = None


@dataclass(slots=True, kw_only=True)
class App:
    """One app of ours, installed in one workspace: an account."""

    account: str
    team: Team
    id: str
    bot_user: str
    bot_id: str
    bot_token: str
    app_token: str
    signing_secret: str
    scopes: str = SCOPES
    request_url: str | None = None
    """Where HTTP deliveries go; None: over Socket Mode."""
    error: str | None = None
    """What every call by this app is answered with: `invalid_auth`, `token_revoked`, `account_inactive`."""
    has_home: bool = True
    socket_mode: bool = True
    """Whether Socket Mode is switched on in the app's settings."""


@dataclass(slots=True, kw_only=True)
class File:
    id: str
    name: str
    length: int
    app: str
    content: bytes | None = None
    is_complete: bool = False
    shared_in: str | None = None


@dataclass(slots=True, kw_only=True)
class Message:
    channel: str
    ts: str
    user: str
    text: str
    bot_id: str | None = None
    app_id: str | None = None
    thread_ts: str | None = None
    blocks: list[Form] = field(default_factory=list)
    metadata: Form | None = None
    files: list[File] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    subtype: str | None = None
    unfurls: tuple[bool, bool] = (True, True)
    """Links, media: whether previews are made."""
    edited: str | None = None
    earlier: list[list[Form]] = field(default_factory=list)
    """The blocks that it showed before each edit."""
    client_msg_id: str | None = None
    link_names: bool = False

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass(slots=True, kw_only=True)
class Ephemeral:
    """Shown to one person, kept nowhere."""

    channel: str
    user: str
    text: str
    blocks: list[Form]
    thread_ts: str | None = None


@dataclass(slots=True, kw_only=True)
class Conversation:
    id: str
    name: str
    team: str
    kind: str
    """channel, group (private), mpim, im."""
    members: set[str] = field(default_factory=set)
    is_archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)

    def with_person(self, bot: str) -> str:
        """The other side of a direct conversation."""
        return next(member for member in sorted(self.members) if member != bot)

    def top(self) -> list[Message]:
        return [each for each in self.messages.values() if not each.is_reply]

    def replies(self, root: str) -> list[Message]:
        return [each for each in self.messages.values() if each.is_reply and each.thread_ts == root]

    def info(self) -> Form:
        form: Form = {
            "id": self.id,
            "name": self.name,
            "is_channel": self.kind == "channel",
            "is_group": self.kind == "group",
            "is_im": self.kind == "im",
            "is_mpim": self.kind == "mpim",
            "is_private": self.kind != "channel",
            "is_archived": self.is_archived,
            "context_team_id": self.team,
        }
        if self.kind == "im":
            del form["name"]
        return form


class World:
    """All of it, with ids and timestamps as Slack gives them."""

    def __init__(self) -> None:
        self.teams: dict[str, Team] = {}
        self.people: dict[str, Person] = {}
        self.apps: dict[str, App] = {}
        self.conversations: dict[str, Conversation] = {}
        self.files: dict[str, File] = {}
        self.ephemerals: list[Ephemeral] = []
        self.homes: dict[tuple[str, str], Form] = {}
        """(app id, person) -> the App Home view that stands."""
        self._last_us = 0
        self._numbers = 0

    def ts(self) -> str:
        """Unique and ascending over the whole network, with a second of now."""
        self._last_us = max(self._last_us + 1, int(time.time() * 1_000_000))
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def id(self, letter: str) -> str:
        self._numbers += 1
        return f"{letter}0HOMING{self._numbers:04d}"

    def team(self, domain: str, *, enterprise: str | None = None) -> Team:
        for team in self.teams.values():
            if team.domain == domain:
                return team
        team = Team(id=self.id("T"), domain=domain, enterprise=enterprise)
        self.teams[team.id] = team
        return team

    def person(self, name: str, team: Team, *, is_bot: bool = False) -> Person:
        for person in self.people.values():
            if (person.name, person.team) == (name, team.id):
                return person
        # On Enterprise Grid people have ids that begin with W.
        person = Person(id=self.id("W" if team.enterprise else "U"), name=name, team=team.id, is_bot=is_bot)
        self.people[person.id] = person
        return person

    def conversation(self, name: str, team: Team, *, kind: str = "channel", letter: str = "C") -> Conversation:
        for conversation in self.conversations.values():
            if (conversation.name, conversation.team) == (name, team.id):
                return conversation
        made = Conversation(id=self.id(letter), name=name, team=team.id, kind=kind)
        self.conversations[made.id] = made
        return made

    def direct(self, one: str, other: str, team: Team) -> Conversation:
        name = "im:" + ":".join(sorted((one, other)))
        conversation = self.conversation(name, team, kind="im", letter="D")
        conversation.members |= {one, other}
        return conversation

    def install(self, account: str, team: Team) -> App:
        bot = self.person(f"homing-{account}", team, is_bot=True)
        app = App(
            account=account,
            team=team,
            id=self.id("A"),
            bot_user=bot.id,
            bot_id=self.id("B"),
            bot_token=f"xoxb-fake-{account}",
            app_token=f"xapp-fake-{account}",
            signing_secret=f"fake-signing-secret-{account}",
        )
        self.apps[account] = app
        return app

    def keep(self, message: Message) -> Message:
        self.conversations[message.channel].messages[message.ts] = message
        return message


def message_form(message: Message, world: World, *, all_metadata: bool = False) -> Form:
    """A message as the Web API gives it."""
    form: Form = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text}
    if message.subtype is not None:
        form["subtype"] = message.subtype
    if message.client_msg_id is not None:
        form["client_msg_id"] = message.client_msg_id
    if message.bot_id is not None:
        form |= {"bot_id": message.bot_id, "app_id": message.app_id}
    team = world.conversations[message.channel].team
    form["team"] = team
    if message.blocks:
        form["blocks"] = message.blocks
    if message.files:
        form["files"] = [file_form(file) for file in message.files]
    if message.edited is not None:
        form["edited"] = {"user": message.user, "ts": message.edited}
    replies = world.conversations[message.channel].replies(message.ts)
    if message.thread_ts is not None:
        form["thread_ts"] = message.thread_ts
    elif replies:
        form |= {"thread_ts": message.ts, "reply_count": len(replies), "latest_reply": replies[-1].ts}
    if message.reactions:
        form["reactions"] = [
            {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
        ]
    if all_metadata and message.metadata is not None:
        form["metadata"] = message.metadata
    return form


def file_form(file: File) -> Form:
    return {"id": file.id, "name": file.name, "title": file.name, "size": file.length, "mode": "snippet"}
