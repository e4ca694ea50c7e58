"""Settings -> every value in them that is secret, as plain texts, for what masks them.

What a `<key>_file` or a `${NAME}` held stands in the settings by then. Deliberately absent: how they are masked.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from pydantic import BaseModel, SecretStr

from bot.config.settings import Settings


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """All of them, wherever a table of today or of later keeps one; a password also as it is without its URL."""
    found = dict.fromkeys(one for value in _secret_values(settings) for one in (value, *_password_in(value)))
    return tuple(one for one in found if one)


def _secret_values(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secret_values(getattr(value, name))
    elif isinstance(value, dict):
        for one in value.values():
            yield from _secret_values(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _secret_values(one)


def _password_in(url: str) -> Iterator[str]:
    """By hand: a password with a `/` or a `#` in it is one that `urlsplit` would not find."""
    _, _, behind = url.partition("://")
    user, at, _ = behind.rpartition("@")
    password = user.partition(":")[2] if at else ""
    yield from (password, unquote(password))
