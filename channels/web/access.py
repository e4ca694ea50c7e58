"""Who may come in, from where, and what they may read: secrets, cookies, proofs, origins, headers. Pure.

Deliberately absent: reading requests and writing answers. A secret is kept nowhere: only its hash is, and
it is found by that hash, so that no comparison of ours runs over the secret itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.errors import ConfigError
from bot.ports import ChatEntry, ChatLog, ChatPerson
from channels.web.wire import parse_native

COOKIE_NAME = "homing_web"
COOKIE_LIFETIME_S = 30 * 86_400
"""A person who has not come for 30 days needs a new invitation."""
COOKIE_RENEWAL_S = COOKIE_LIFETIME_S // 2
"""A cookie older than this is exchanged when its page is opened, so that who comes at all stays signed in."""
INVITATION_LIFETIME_S = 86_400.0
"""A day: long enough to be handed over, short enough not to lie about."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_COOKIE = re.compile(r"([A-Za-z0-9_-]{43})\.([0-9]{1,12})", re.ASCII)

HEADERS = {
    # `require-trusted-types-for` makes a slip with innerHTML an exception instead of a hole.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer of ours, refusals included."""


def new_secret() -> str:
    """256 bits, 43 characters."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode("ascii")


def new_cookie(now: float) -> str:
    """A secret and when it was given out. Both are hashed together, so neither can be changed."""
    return f"{new_secret()}.{int(now)}"


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_secret(value: object) -> bool:
    return isinstance(value, str) and _SECRET.fullmatch(value) is not None


def cookie_issued_at(cookie: str) -> float | None:
    """None where it has not the shape of one that we give out."""
    match = _COOKIE.fullmatch(cookie)
    return None if match is None else float(match[2])


async def invite(log: ChatLog, *, native: str, name: str, now: float) -> str:
    """A one-time link for this person, as a path. Valid for a day. Raises `Malformed` for an id we cannot carry.

    The secret stands behind `#`: browsers send that part to no server, so it is in no log and no Referer.
    """
    secret = new_secret()
    person = ChatPerson(native=parse_native(native), name=name)
    await log.invite(secret_hash=hash_of(secret), person=person, expires_at=now + INVITATION_LIFETIME_S)
    return f"/join#{secret}"


async def exchange(log: ChatLog, person: ChatPerson, *, now: float) -> str:
    """A new cookie for a person who is signed in. The old one runs out by itself: this answer may be lost."""
    secret, cookie = new_secret(), new_cookie(now)
    await log.invite(secret_hash=hash_of(secret), person=person, expires_at=now + 60.0)
    await log.redeem(
        secret_hash=hash_of(secret), cookie_hash=hash_of(cookie), cookie_expires_at=now + COOKIE_LIFETIME_S
    )
    return cookie


def proof_of(cookie: str, message_id: str, token: str) -> str:
    """What ties one rendering of a button to one sign-in and one card.

    Keyed by the cookie, which only this browser holds: nothing to keep here, and it outlives a restart.
    """
    shown = f"homing/web/button/1\n{hash_of(cookie)}\n{message_id}\n{token}"
    return hmac.new(cookie.encode("ascii"), shown.encode(), hashlib.sha256).hexdigest()


def is_proof(proof: str, cookie: str, message_id: str, token: str) -> bool:
    return hmac.compare_digest(proof.encode("utf-8", "replace"), proof_of(cookie, message_id, token).encode())


def may_read(entry: ChatEntry, native: str) -> bool:
    """Rooms are for everybody signed in, a direct conversation for its person."""
    return entry.kind == "channel" or (entry.kind == "direct" and entry.room == native)


@dataclass(frozen=True, slots=True)
class Origins:
    """Our own names. A page of any other name that reaches our port has rebound its DNS, or is somebody else's."""

    public_url: str | None

    def __post_init__(self) -> None:
        if self.public_url is None:
            return
        parts = urlsplit(self.public_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            raise ConfigError(("web.public_url is an address like https://chat.example.org, without a path",))

    @property
    def is_secure(self) -> bool:
        return self.public_url is not None and urlsplit(self.public_url).scheme == "https"

    def origin(self, host: str, port: int) -> str | None:
        """The origin of a page that was asked for by this Host header on this port of ours; None for a stranger's."""
        host = host.lower()
        if self.public_url is not None:
            public = urlsplit(self.public_url)
            if host == public.netloc.lower():
                return f"{public.scheme}://{host}"
        names = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        if port == 80:
            # A browser leaves the port out of Host and Origin where it is the scheme's own.
            names += ["127.0.0.1", "localhost", "[::1]"]
        return f"http://{host}" if host in names else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a browser says about the page that a request comes from."""

    origin: str | None
    fetch_site: str | None
    fetch_mode: str | None

    def refusal(self, own: str, *, changes: bool, is_page: bool) -> str | None:
        """Why this request is refused, None where it is not.

        A link from elsewhere may open a page (`is_page`); everything else is for our own page only. Another port
        of the same host is the same *site* but a foreign origin, so only `same-origin` will do.
        """
        if self.origin is not None and self.origin != own:
            return "This request comes from another site."
        is_own = self.fetch_site in {None, "none", "same-origin"}
        if not is_own and not (is_page and self.fetch_mode == "navigate"):
            return "This request comes from another site."
        if changes and self.origin is None and self.fetch_site != "same-origin":
            return "This request does not say where it comes from."
        return None
