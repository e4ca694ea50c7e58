"""Links to a long output: signed, for one hour, for whoever was given one. Pure.

Deliberately absent: the output, and any list of links given out: the signature is the list.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

VALID_S = 3_600
"""Twilio fetches within seconds; an hour covers a phone that is switched on a little later."""
_TOKEN = re.compile(r"(?P<id>[0-9A-Za-z]{1,20})\.(?P<until>[0-9]{1,12})\.(?P<mac>[A-Za-z0-9_-]{43})", re.ASCII)


def sign(execution_id: str, *, account: str, auth_token: str, now: float) -> str:
    until = int(now) + VALID_S
    return f"{execution_id}.{until}.{_mac(execution_id, until, account=account, auth_token=auth_token)}"


def execution_of(token: str, *, account: str, auth_token: str, now: float) -> str | None:
    """Whose output this token opens; None where it opens nothing (any more)."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    until = int(found["until"])
    expected = _mac(found["id"], until, account=account, auth_token=auth_token)
    if not hmac.compare_digest(expected, found["mac"]) or now >= until:
        return None
    return found["id"]


def _mac(execution_id: str, until: int, *, account: str, auth_token: str) -> str:
    # A key of its own: nothing that this token signs can pass for a webhook's signature.
    key = hmac.new(auth_token.encode(), b"homing whatsapp file links 1", hashlib.sha256).digest()
    digest = hmac.new(key, f"{account}\n{execution_id}\n{until}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
