"""The keys of [audit]: how long lines keep what they say, and who is told of the newest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from bot.config.sections import Section
from bot.config.values import Length, check_address


def _check_webhook(url: str) -> str:
    if not check_address(url).startswith(("https://", "http://")):
        raise ValueError('is no address of a webhook; it begins with "https://"')
    return url


class AuditSection(Section):
    """The record of what was asked, decided and done. docs/AUDIT.md says what it holds against whom."""

    keep_days: float | None = Field(
        default=None,
        ge=1,
        le=36_500,
        examples=[400],
        description="Days after which lines lose what they say. That they were there is kept, and the rest still "
        "verifies. Left out: they keep it.",
    )
    heads_file: Path | None = Field(
        default=None,
        examples=["/mnt/elsewhere/homing-heads.jsonl"],
        description="A file that gets the newest line's number and hash, again and again, so that a past that is "
        "rewritten shows. It is worth something on another machine only.",
    )
    heads_url: Annotated[str, AfterValidator(_check_webhook)] | None = Field(
        default=None,
        examples=["https://collector.example.org/homing"],
        description="A webhook that gets the same by POST, as JSON; https, or this machine.",
    )
    heads_token: SecretStr | None = Field(
        default=None,
        examples=["${HOMING_HEADS_TOKEN}"],
        description="Sent there as Authorization: Bearer; or heads_token_file. It is never shown.",
    )
    heads_token_file: Path | None = Field(
        default=None,
        examples=["/run/secrets/homing-heads-token"],
        description="A file that holds the token, instead of heads_token.",
    )
    heads_every: Length = Field(
        default=3_600.0, ge=1, le=86_400 * 30, description='Seconds (or "1h") between two heads, where any is wanted.'
    )
