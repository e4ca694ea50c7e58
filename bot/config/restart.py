"""What of a changed config a running gateway takes, and what only its next start brings.

Deliberately absent: the taking (see `bot.reloading`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

from pydantic import SecretStr

from bot.config.secrets import secrets_of
from bot.config.settings import Settings

_RULES = frozenset({"owners", "people", "node_group", "rule", "break_glass"})
_CLOCKS = frozenset({"heartbeat", "schedule"})
_ACK = "heartbeat.ack_max_chars"
"""What an agent is made with, though it stands among what is taken."""
_SECRETS = "secrets"
_WAKERS = _CLOCKS | {"hook"}
_LEANED_ON = frozenset({"agent", "agents", "session", "display", "web", "discord", "slack", "whatsapp"})
"""What a cadence, a schedule or a hook may name, or is made with."""


def needs_restart(started: Settings, now: Settings) -> tuple[str, ...]:
    """The tables of which the file says something that a gateway which was started with `started` does not take."""
    return _waiting(_changed(started, now), has_new_secrets=_has_new_secrets(started, now))


def lacks(started: Settings, now: Settings) -> frozenset[str]:
    """Those of cadences, schedules and hooks that cannot be taken before the next start, changed or not."""
    waits = _WAKERS if _changed(started, now) & _LEANED_ON else frozenset()
    return waits | {"hook"} if _has_new_secrets(started, now) else waits


def digests(settings: Settings, key: bytes) -> dict[str, str]:
    """What stands for each table, for another process to compare. `key` is the gateway's: nobody else can guess at
    a secret by them."""
    parts = {**settings.model_dump(), _SECRETS: sorted(secrets_of(settings)), _ACK: settings.heartbeat.ack_max_chars}
    return {
        name: hmac.new(key, json.dumps(part, default=_shown, sort_keys=True).encode(), hashlib.sha256).hexdigest()
        for name, part in parts.items()
    }


def needs_restart_by(started: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The same by the digests of both. Of secrets it is only seen that they are others."""
    changed = frozenset(name for name in now if started.get(name) != now[name])
    return _waiting(changed - {_SECRETS}, has_new_secrets=_SECRETS in changed)


def _changed(started: Settings, now: Settings) -> frozenset[str]:
    changed = frozenset(name for name in Settings.model_fields if getattr(started, name) != getattr(now, name))
    return changed | ({_ACK} if started.heartbeat.ack_max_chars != now.heartbeat.ack_max_chars else set())


def _waiting(changed: frozenset[str], *, has_new_secrets: bool) -> tuple[str, ...]:
    waits = changed - _RULES - _WAKERS
    if changed & _LEANED_ON:
        waits |= changed & _WAKERS
    if has_new_secrets:
        # What masks secrets is made at the start.
        waits |= changed & {"hook"}
    return tuple(sorted(waits))


def _has_new_secrets(started: Settings, now: Settings) -> bool:
    return bool(set(secrets_of(now)) - set(secrets_of(started)))


def _shown(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
