"""The models of [heartbeat], `[[schedule]]` and `[[hook]]`: what wakes an agent besides people."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field, SecretStr, field_validator

from bot.config.sections import Conversation, Section, TimeZone, Word
from bot.config.values import Hours, Length, check_conversation, check_session
from bot.domain.quiet import ACK_MAX_CHARS, TOKEN

MAX_ENTRIES = 200
"""Of schedules, and of hooks: each is looked at every few seconds."""
PROMPT = f"Look whether anything here needs attention now. If nothing does, answer only {TOKEN}."


def check_cron(line: str) -> str:
    """Five fields, and a moment that they name. Raises `ValueError`."""
    try:
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        raise ValueError('is no cron line with a time that comes; write five fields, such as "0 7 * * 1-5"') from None
    return line


def check_target(text: str) -> str:
    return text if text in ("last", "none") else check_conversation(text)


SessionName = Annotated[str, AfterValidator(check_session)]


class HeartbeatSection(Section):
    """The agent's own cadence. It never holds a result back: what is owed is told at any hour."""

    every: Length = Field(
        default=0.0,
        ge=0,
        le=86_400 * 30,
        description='Seconds (or "30m") between two looks of the agent; 0 turns them off, and nothing else.',
    )
    active_hours: Hours | None = Field(
        default=None,
        examples=["08:00-22:00"],
        description="Hours of the day in which it looks. Left out: always.",
    )
    time_zone: TimeZone | None = Field(
        default=None, examples=["Europe/Berlin"], description="Zone of these hours. Left out: as [display] says."
    )
    session: SessionName = Field(
        default="main",
        description='What it looks at: "main", or a session\'s key such as agent:main:slack:channel:C0OPS.',
    )
    target: Annotated[str, AfterValidator(check_target)] = Field(
        default="last",
        description='Where its words are told: "last" (where that session was last written from), "none", or a '
        'conversation such as "slack:channel:C0OPS".',
    )
    prompt: str = Field(default=PROMPT, max_length=8_000, description="What it is asked. Empty: nothing to do.")
    ack_max_chars: int = Field(
        default=ACK_MAX_CHARS,
        ge=0,
        le=4_000,
        description=f"Characters beside {TOKEN} up to which an answer still means that there is nothing to say.",
    )


class WokenSection(Section):
    """What schedules and hooks have."""

    name: Word = Field(description="Unique; it stands in the session's key and is who asks for what comes of it.")
    agent: Word | None = Field(default=None, description="Who answers. Left out: the agent of [agent].")
    to: Conversation | None = Field(
        default=None, description='Where it is told, such as "slack:channel:C0OPS"; or session.'
    )
    session: SessionName | None = Field(
        default=None,
        description="Instead: a session's key. It is told where that session was last written from, looked up each "
        "time once.",
    )


class ScheduleSection(WokenSection):
    """Something at its time: words for the agent, or a command, which passes the rules like any other."""

    cron: Annotated[str, AfterValidator(check_cron)] = Field(
        description='Minute, hour, day, month, weekday: "0 7 * * 1-5". Once on the day when the clock changes.'
    )
    time_zone: TimeZone | None = Field(default=None, description="Its zone. Left out: as [display] says.")
    text: str | None = Field(default=None, min_length=1, max_length=8_000, description="Words for the agent; or:")
    command: str | None = Field(
        default=None,
        min_length=1,
        max_length=8_000,
        description="A command, asked for by schedule:<name>. A rule or an “always” can allow exactly it.",
    )
    node: Word | None = Field(default=None, description="The command's node. Left out: the only one there is.")
    missed: Literal["once", "skip"] = Field(
        default="once", description="What becomes of runs that were missed while the gateway was away; it is said."
    )


class HookSection(WokenSection):
    """Something that calls POST /hooks/<name>, and is mapped to words for the agent: never to a key of its own."""

    text: str = Field(
        min_length=1,
        max_length=8_000,
        description="Words for the agent, with {field} for each of `fields`, which reach it fenced.",
    )
    fields: dict[str, str] = Field(
        default={},
        max_length=32,
        description='Name and place in the JSON body: {repo = "repository.full_name", who = "sender.login"}.',
    )
    token: SecretStr | None = Field(
        default=None, min_length=16, description="Sent as Authorization: Bearer; or token_file, or a secret."
    )
    token_file: Path | None = Field(default=None, description="A file that holds the token.")
    secret: SecretStr | None = Field(
        default=None, min_length=16, description="Key of the signature over the body; or secret_file, or a token."
    )
    secret_file: Path | None = Field(default=None, description="A file that holds the secret.")
    signature: Literal["github", "homing"] = Field(
        default="github",
        description="Whose form it has: github (X-Hub-Signature-256), or homing (X-Homing-Timestamp and "
        "X-Homing-Signature, the HMAC-SHA256 of “<timestamp>.<body>”).",
    )

    @field_validator("fields", mode="after")
    @classmethod
    def _named(cls, fields: dict[str, str]) -> dict[str, str]:
        for name, place in fields.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name) or not re.fullmatch(r"[^\s.]+(\.[^\s.]+)*", place):
                raise ValueError('are names in small letters and places with dots, such as repo = "repository.name"')
        return fields
