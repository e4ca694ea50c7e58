"""The accounts on the chat networks: `[[discord]]`, `[[slack]]`, `[[whatsapp]]`, with every key and its default.

Deliberately absent: what only several accounts or other tables together can be wrong about (see `networks`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bot.config.sections import Conversation, Section, Texts, Word, as_list
from bot.config.values import check_account, check_address
from bot.domain.gate import DirectPolicy, RoomPolicy
from bot.domain.session import DEFAULT_ACCOUNT

MAX_LISTED = 1_000
"""Entries of one allow list. Longer ones are a workspace: allow that."""

Address = Annotated[str, AfterValidator(check_address)]


def _shaped(pattern: str, said: str) -> AfterValidator:
    """Ids of one shape. A name in their place would silently allow nothing."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"is {said}")
        return text

    return AfterValidator(check)


def _secret(pattern: str, said: str) -> AfterValidator:
    def check(secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not re.fullmatch(pattern, secret.get_secret_value()):
            raise ValueError(f"is {said}")
        return secret

    return AfterValidator(check)


def _digits(value: object) -> object:
    """An id of digits may be written without quotes: TOML's whole numbers are exact."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Snowflake = Annotated[
    str,
    BeforeValidator(_digits),
    _shaped(r"[0-9]{5,20}", 'no id of Discord; in its developer mode "Copy ID" gives the digits'),
]
_SlackRoom = Annotated[
    str, _shaped(r"[CGD][A-Z0-9]{2,}", 'no id of a Slack channel; "About" in its details shows it, as C0123456789')
]
_SlackSpace = Annotated[
    str, _shaped(r"[TE][A-Z0-9]{2,}", "no id of a Slack workspace; it begins with T, or E for a grid")
]
Snowflakes = Annotated[tuple[_Snowflake, ...], BeforeValidator(as_list)]
SlackRooms = Annotated[tuple[_SlackRoom, ...], BeforeValidator(as_list)]
SlackSpaces = Annotated[tuple[_SlackSpace, ...], BeforeValidator(as_list)]
DiscordToken = Annotated[SecretStr, _secret(r"[^\s]+", "no token; it holds no blank, and nothing stands before it")]
SlackBotToken = Annotated[
    SecretStr, _secret(r"xoxb-[^\s]+", "no bot token; that begins with xoxb- (“OAuth & Permissions” of your app)")
]
SlackAppToken = Annotated[
    SecretStr | None,
    _secret(r"xapp-[^\s]+", "no app token; that begins with xapp- (“Basic Information”, connections:write)"),
]
PlainSecret = Annotated[SecretStr, _secret(r"[^\s]+", "empty or holds a blank; copy it again")]


class AccountSection(Section):
    """What the accounts of all networks have."""

    channel: ClassVar[str]
    environment: ClassVar[dict[str, str]] = {}
    """Key -> the name of the environment that stands in for it, for the account `default`."""

    account: Annotated[Word, AfterValidator(check_account)] = Field(
        default=DEFAULT_ACCOUNT, description="This account's name in session keys; unique on its network."
    )
    dm_policy: DirectPolicy = Field(
        default=DirectPolicy.PAIRING,
        description="Who may write to it alone: pairing (unknown people get a code that `homing pairing approve` "
        "takes), allowlist (allow_from and [[people]]), open (anybody), disabled.",
    )
    allow_from: Texts | None = Field(
        default=None,
        max_length=MAX_LISTED,
        description='Whom it hears: names, @roles, ids such as slack:U0123456789, or "*". It admits alone and narrows '
        "in rooms. Left out: whom dm_policy admits alone, anybody in the rooms that are allowed. []: nobody.",
    )
    fallback: Conversation | None = Field(
        default=None,
        description="Conversation that is told, without any output, what this account could not tell where it was "
        'asked, such as "slack:channel:C0OPS".',
    )

    def secrets(self) -> tuple[str, ...]:
        """Every value of this table that may be shown nowhere."""
        values = (getattr(self, key) for key in type(self).model_fields)
        return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))


class RoomsSection(AccountSection):
    """What the accounts of networks with shared rooms have."""

    room_policy: RoomPolicy = Field(
        default=RoomPolicy.ALLOWLIST,
        description="In which shared rooms it hears anything: allowlist (rooms and spaces), open, disabled.",
    )
    rooms: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    require_mention: bool = Field(
        default=True,
        description="Whether a room's message must mention it, or answer it, to be heard.",
    )
    reply_mode: Literal["channel", "thread"] = Field(
        default="channel",
        description="Where a question at a room's top level is answered: there (channel), or in a thread of its own.",
    )


class DiscordSection(RoomsSection):
    """Discord: one bot an entry. docs/channels/discord.md says how to make one."""

    channel: ClassVar[str] = "discord"
    environment: ClassVar[dict[str, str]] = {"token": "DISCORD_BOT_TOKEN"}

    token: DiscordToken = Field(
        description="The bot's token; or token_file, or, for the account default, DISCORD_BOT_TOKEN of the "
        "environment. It is never shown."
    )
    token_file: Path | None = Field(default=None, description="A file that holds the token, instead of token.")
    rooms: Snowflakes = Field(
        default=(), max_length=MAX_LISTED, description="Ids of the channels and forums that it hears, threads included."
    )
    spaces: Snowflakes = Field(
        default=(), max_length=MAX_LISTED, description="Ids of the guilds of which it hears every channel."
    )
    slash_commands: bool = Field(default=True, description="Whether it offers /run, /approve and so on.")
    shards: int | None = Field(
        default=None, ge=1, le=1_024, description="Connections to the gateway. Left out: as many as Discord advises."
    )
    api_base: Address = Field(
        default="https://discord.com/api/v10",
        description="Address of the API, for proxies and emulators; the same for all accounts of this gateway.",
    )
    gateway_url: Address | None = Field(
        default=None,
        description="Address of the socket, where the API does not say it. The same for all accounts.",
    )


class SlackSection(RoomsSection):
    """Slack: one app in one workspace an entry. docs/channels/slack.md has the manifest to paste."""

    channel: ClassVar[str] = "slack"
    environment: ClassVar[dict[str, str]] = {
        "bot_token": "SLACK_BOT_TOKEN",
        "app_token": "SLACK_APP_TOKEN",
        "signing_secret": "SLACK_SIGNING_SECRET",
    }

    bot_token: SlackBotToken = Field(
        description="The bot token, xoxb-…; or bot_token_file, or, for the account default, SLACK_BOT_TOKEN of the "
        "environment. It is never shown."
    )
    bot_token_file: Path | None = Field(default=None, description="A file that holds the bot token.")
    app_token: SlackAppToken = Field(
        default=None,
        description="The app token, xapp-…: then it connects by Socket Mode and needs no public address. Or "
        "app_token_file, or SLACK_APP_TOKEN.",
    )
    app_token_file: Path | None = Field(default=None, description="A file that holds the app token.")
    signing_secret: PlainSecret | None = Field(
        default=None,
        description="The signing secret, for HTTP Events without an app token: they come to /slack/<account>/events "
        "of [gateway] public_url. Or signing_secret_file, or SLACK_SIGNING_SECRET.",
    )
    signing_secret_file: Path | None = Field(default=None, description="A file that holds the signing secret.")
    rooms: SlackRooms = Field(
        default=(), max_length=MAX_LISTED, description="Ids of the channels that it hears, threads included."
    )
    spaces: SlackSpaces = Field(
        default=(), max_length=MAX_LISTED, description="Ids of the workspaces of which it hears every channel it is in."
    )
    api_base: Address = Field(
        default="https://slack.com/api/",
        description="Address of the Web API, for proxies, government clouds and emulators.",
    )


class WhatsAppSection(AccountSection):
    """WhatsApp, through Twilio: one sender an entry. docs/channels/whatsapp.md says what to set up there."""

    channel: ClassVar[str] = "whatsapp"
    environment: ClassVar[dict[str, str]] = {
        "account_sid": "TWILIO_ACCOUNT_SID",
        "auth_token": "TWILIO_AUTH_TOKEN",
        "messaging_service_sid": "TWILIO_MESSAGING_SERVICE_SID",
    }

    account_sid: Annotated[
        str, _shaped(r"AC[0-9A-Za-z]{32}", "no account SID; that is AC and 32 digits (the console's front page)")
    ] = Field(
        description="Twilio's account SID; for the account default TWILIO_ACCOUNT_SID of the environment stands in."
    )
    auth_token: PlainSecret = Field(
        description="Twilio's auth token, which also signs what comes in; or auth_token_file, or, for the account "
        "default, TWILIO_AUTH_TOKEN of the environment. It is never shown."
    )
    auth_token_file: Path | None = Field(default=None, description="A file that holds the auth token.")
    sender: Annotated[
        str, _shaped(r"\+[1-9][0-9]{6,14}", "no number in the form of E.164; write + and digits, as +15551230001")
    ] = Field(description="The WhatsApp sender's number, such as +15551230001.")
    messaging_service_sid: Annotated[str, _shaped(r"MG[0-9A-Za-z]{32}", "no messaging service SID")] | None = Field(
        default=None,
        description="Twilio's messaging service, where one sends for the number. For the account default "
        "TWILIO_MESSAGING_SERVICE_SID of the environment stands in.",
    )
    template_sid: Annotated[str, _shaped(r"HX[0-9A-Za-z]{32}", "no content SID")] | None = Field(
        default=None,
        description="An approved template for what is told outside the 24 hours after a person's last message. "
        "Left out: it waits until the person writes again.",
    )
    api_base: Address = Field(default="https://api.twilio.com", description="Address of Twilio's API.")
    content_base: Address = Field(
        default="https://content.twilio.com", description="Address of Twilio's Content API, which makes the buttons."
    )
