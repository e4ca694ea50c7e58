"""Lengths of time, sizes, hours of the day, ids and places as people write them in a config; a fault names its remedy.

Deliberately absent: which key holds what. No message here shows the value: it may have come from a secret.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from bot.domain.pattern import parse_pattern
from bot.domain.place import ANYONE, parse_place
from bot.domain.session import PeerKind, parse_key
from bot.errors import Malformed, MalformedKey

CHANNELS = ("web", "discord", "slack", "whatsapp")
"""The chat networks that a config can name."""

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_LENGTH = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|min|m|h|d)\s*)+")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; None where nothing is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean port?`, or what there is."""
    names = sorted(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near}?"
    return f"known here: {', '.join(names)}" if names else "nothing is known here"


def parse_length_s(value: object) -> object:
    """`"30m"`, `"1h 30m"` or a number of seconds -> seconds. Other types are left to the model to refuse."""
    if isinstance(value, bool):
        raise ValueError('is not a length of time; write seconds (90) or a text such as "30m"')  # noqa: TRY004 -- the model reads ValueError only
    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not _LENGTH.fullmatch(text):
        raise ValueError('is not a length of time; write seconds (90) or a text such as "30m", "1h 30m" or "2d"')
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PIECE.findall(text))


Length = Annotated[
    float,
    BeforeValidator(parse_length_s),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _LENGTH.pattern}]}),
]
"""A length of time in seconds; a text with units is taken as well."""

_UNIT_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size_bytes(value: object) -> object:
    """`"512M"` or a number of bytes -> bytes. Other types are left to the model to refuse."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d{1,15})([KMGT]?)", value.strip())
    if found is None:
        raise ValueError('is no size; write bytes (536870912) or a text such as "512M" or "2G"')
    return int(found[1]) * _UNIT_BYTES[found[2]]


Size = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d{1,15}[KMGT]?$"}]}),
]
"""Bytes; a text with a unit is taken as well."""


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start` until before `end`, of every day; over midnight where `end` is the earlier one."""

    start: time
    end: time

    @classmethod
    def parse(cls, value: object) -> Hours:
        """`08:00-22:00`. Raises `ValueError`."""
        if isinstance(value, Hours):
            return value
        found = (
            re.fullmatch(r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)", value.strip()) if isinstance(value, str) else None
        )
        if found is None:
            raise ValueError('are not hours of the day; write "08:00-22:00"')
        first, second, third, fourth = (int(number) for number in found.groups())
        if first > 23 or third > 23 or second > 59 or fourth > 59:
            raise ValueError('name an hour that no day has; write "08:00-22:00", from 00:00 to 23:59')
        if (first, second) == (third, fourth):
            raise ValueError("begin and end at the same time; leave the key out for the whole day")
        return cls(time(first, second), time(third, fourth))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\d{1,2}:\d\d\s*-\s*\d{1,2}:\d\d$"}


def check_time_zone(name: str) -> str:
    """A zone of the IANA database. Raises `ValueError` with the nearest one."""
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        near = nearest(name, zoneinfo.available_timezones())
        remedy = f"did you mean {near}?" if near else 'write one such as "Europe/Berlin" or "UTC"'
        raise ValueError(f"is no time zone that is known here; {remedy}") from None
    return name


def check_place(text: str) -> str:
    """`*`, a channel, or one conversation of it. Raises `ValueError`."""
    if text.startswith("agent:"):
        raise ValueError('begins with "agent:"; write the part behind the agent\'s name, such as "web:channel:ops"')
    try:
        parse_place(text)
    except MalformedKey:
        raise ValueError('is no place; write "*", "web", or one conversation such as "web:channel:ops"') from None
    channel = text.split(":", 1)[0]
    if channel != ANYONE and channel not in CHANNELS:
        raise ValueError(f"names no channel; {did_you_mean(channel, CHANNELS)}")
    return text


def check_conversation(text: str) -> str:
    """One conversation of a channel. Raises `ValueError`."""
    if check_place(text) == ANYONE or ":" not in text:
        raise ValueError('is no single conversation; write channel, kind and id, such as "slack:channel:C0OPS"')
    return text


def check_session(text: str) -> str:
    """`main`, or a session's key. Raises `ValueError`."""
    if text == "main":
        return text
    try:
        parse_key(text)
    except MalformedKey:
        raise ValueError('is no session; write "main", or a key such as "agent:main:slack:channel:C0OPS"') from None
    return text


def check_binding(text: str) -> str:
    """A channel, an account of it, or one conversation. Raises `ValueError`."""
    channel, _, account = text.partition(":")
    if account and ":" not in account and account not in frozenset(PeerKind):
        check_place(channel)
        return text
    if check_place(text) == ANYONE:
        raise ValueError("is everywhere; give [agent] the name of the agent that answers everywhere")
    return text


def check_pattern(text: str) -> str:
    """Words of a command with `*` for one word and `**` for the rest. Raises `ValueError`."""
    try:
        parse_pattern(text)
    except Malformed as fault:
        raise ValueError(f"is no pattern of a command: {fault}") from None
    return text


def check_account(name: str) -> str:
    """A name that a key can carry between channel and kind. Raises `ValueError`."""
    if name in frozenset(PeerKind):
        raise ValueError("is a kind of conversation in keys (channel, group, direct); choose another name")
    return name


def check_address(url: str) -> str:
    """Where a network's API answers: what is sent there holds a token. Raises `ValueError`."""
    parts = urlsplit(url)
    is_plain = parts.scheme in ("http", "ws")
    if (parts.scheme not in ("https", "wss") and not is_plain) or not parts.hostname:
        raise ValueError('is no address; write scheme, host and path, such as "https://slack.com/api/"')
    if is_plain and not _is_loopback(parts.hostname):
        raise ValueError("would send the token unencrypted to another machine; begin with https (or wss)")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_person_id(text: str) -> str:
    """`web:owner`, `discord:1234`: a channel and the person's own id there. Raises `ValueError`."""
    channel, colon, native = text.partition(":")
    if not colon or not native:
        raise ValueError('is no id of a person; write the channel and the id there, such as "web:owner"')
    if channel not in CHANNELS:
        raise ValueError(f"names no channel; {did_you_mean(channel, CHANNELS)}")
    return text


def check_person_name(text: str) -> str:
    """A name can be told from an id, a role and the star. Raises `ValueError`."""
    if not text.strip() or ":" in text or text.startswith("@") or text == ANYONE:
        raise ValueError("is no name of a person; it is not empty, holds no ':' and does not begin with '@' or '*'")
    return text
