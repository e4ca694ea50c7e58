"""POST /hooks/<name>: proved by a token or a signature, bounded, taken once, and mapped to an input by the config.

Nothing in a body chooses a session, an address or words: it gives values to fields that the config names.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from bot.domain.event import InputKind
from bot.domain.hook import HookWords, hook_text
from bot.domain.session import Peer, SessionKey
from bot.errors import StoreError
from bot.flow.enqueue import Refused, Wanted, enqueue
from bot.flow.signals import Signals
from bot.ports import Store

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 262_144
"""GitHub sends up to 25 MB for a push of thousands of commits; what a field names stands in far smaller ones."""
MAX_FIELD_CHARS = 500
MAX_A_MINUTE = 60
"""Of one hook: more is a loop, and each makes a turn."""
TIMESTAMP_S = 300.0
"""How far a caller's clock may be off, as services of this kind have it."""
_MAX_KEY_CHARS = 200
BODY_S = 10.0
"""For a whole body: the longest comes over a slow line in two. Whoever calls has proved nothing yet."""
MAX_READING = 64
"""Bodies that are read at once, 16 MiB of them; more are sent away with 503."""


class Signature(StrEnum):
    GITHUB = "github"
    HOMING = "homing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    name: str
    session: SessionKey
    to: Peer | None
    text: str
    fields: Mapping[str, str]
    token: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    signature: Signature = Signature.GITHUB


@dataclass(frozen=True, slots=True)
class _No:
    status: int
    said: str


class Hooks:
    """Of one gateway. `now` is its clock."""

    def __init__(self, hooks: Sequence[Hook], store: Store, signals: Signals, now: Callable[[], float]) -> None:
        self._hooks: dict[str, Hook] = {}
        self._store = store
        self._signals = signals
        self._now = now
        self._reading = 0
        self._taken: dict[str, deque[float]] = {}
        self.use(hooks)

    def use(self, hooks: Sequence[Hook]) -> bool:
        """These from now on; what one of them has taken within the last minute is not forgotten. Whether they are
        others than before."""
        before, self._hooks = self._hooks, {hook.name: hook for hook in hooks}
        self._taken = {name: self._taken.get(name, deque(maxlen=MAX_A_MINUTE)) for name in self._hooks}
        return before != self._hooks

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/hooks/{name}", self._post)]

    async def _post(self, request: web.Request) -> web.Response:
        hook = self._hooks.get(request.match_info["name"])
        if hook is None:
            return _answer(_No(404, "there is no such hook"))
        body = await self._read(request)
        if isinstance(body, _No):
            return _answer(body)
        delivery = proved(hook, request.headers, body, now=self._now())
        if isinstance(delivery, _No):
            log.warning("hook.refused", extra={"hook": hook.name, "status": delivery.status})
            return _answer(delivery)
        if not self._has_room(hook.name):
            return _answer(_No(429, f"at most {MAX_A_MINUTE} a minute"))
        found = fields_of(hook, body)
        if isinstance(found, _No):
            return _answer(found)
        return await self._take(hook, delivery, found)

    async def _read(self, request: web.Request) -> bytes | _No:
        if self._reading >= MAX_READING:
            return _No(503, "too many call at once; send it again")
        self._reading += 1
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                while len(body) <= MAX_BODY_BYTES and (more := await request.content.read(65_536)):
                    body += more
        except TimeoutError:
            return _No(408, f"the body did not come within {BODY_S:g} s")
        finally:
            self._reading -= 1
        return bytes(body) if len(body) <= MAX_BODY_BYTES else _No(413, f"a body has at most {MAX_BODY_BYTES} bytes")

    async def _take(self, hook: Hook, delivery: str, found: dict[str, str]) -> web.Response:
        wanted = Wanted(
            kind=InputKind.HOOK,
            session=hook.session,
            to=hook.to,
            source=f"hook:{hook.name}",
            delivery=delivery,
            text=hook_text(HookWords(says=hook.text, fields=tuple(found.items()))),
        )
        try:
            taken = await self._store.write(lambda tx: enqueue(tx, wanted))
        except StoreError:
            return _answer(_No(503, "it could not be recorded; send it again"))
        if isinstance(taken, Refused):
            log.warning("hook.no_place", extra={"hook": hook.name})
            return _answer(_No(409, taken.reason))
        self._signals.turn.wake()
        # Acknowledged after the commit; a repeat is acknowledged as well, and changes nothing.
        return web.json_response({"ok": True, "repeated": taken is None}, status=202 if taken is not None else 200)

    def _has_room(self, name: str) -> bool:
        taken, now = self._taken[name], self._now()
        if len(taken) == MAX_A_MINUTE and 0 <= now - taken[0] < 60.0:
            return False
        taken.append(now)
        return True


def proved(hook: Hook, headers: Mapping[str, str], body: bytes, *, now: float) -> str | _No:
    """The id of this delivery, where the caller knows the hook's token or secret.

    A signature is the id itself: whoever replays a recorded call cannot give it another, as they could a header.
    """
    if hook.token is not None:
        given = headers.get("Authorization", "")
        if not hmac.compare_digest(_raw(given), f"Bearer {hook.token}".encode()):
            return _No(401, "send the hook's token as Authorization: Bearer")
        own = headers.get("Idempotency-Key", "")[:_MAX_KEY_CHARS]
        return hashlib.sha256(own.encode("utf-8", "replace")).hexdigest() if own else secrets.token_hex(16)
    key = (hook.secret or "").encode()
    if not key:
        return _No(401, "this hook takes nothing")
    if hook.signature is Signature.GITHUB:
        wanted = hmac.new(key, body, hashlib.sha256).hexdigest()
        given = headers.get("X-Hub-Signature-256", "").removeprefix("sha256=")
        said = "sign the body: X-Hub-Signature-256"
    else:
        stamp = headers.get("X-Homing-Timestamp", "")
        wanted = hmac.new(key, _raw(f"{stamp}.") + body, hashlib.sha256).hexdigest()
        given = headers.get("X-Homing-Signature", "")
        said = "sign timestamp and body: X-Homing-Timestamp, X-Homing-Signature"
        if not stamp.isascii() or not stamp.isdigit() or abs(now - int(stamp[:12])) > TIMESTAMP_S:
            return _No(401, f"{said}; the timestamp is in seconds, and at most {TIMESTAMP_S:g} s off")
    if not hmac.compare_digest(_raw(given), wanted.encode()):
        return _No(401, said)
    return wanted


def fields_of(hook: Hook, body: bytes) -> dict[str, str] | _No:
    """The values of the fields that the config names, as texts; what is not there is said to be missing."""
    try:
        form: object = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        return _No(400, "the body is no JSON")
    return {name: _value(form, place.split("."))[:MAX_FIELD_CHARS] for name, place in hook.fields.items()}


def _value(form: object, place: Sequence[str]) -> str:
    for name in place:
        if isinstance(form, dict) and name in form:
            form = form[name]
        elif isinstance(form, list) and name.isascii() and name.isdigit() and int(name) < len(form):
            form = form[int(name)]
        else:
            return "(not given)"
    return form if isinstance(form, str) else json.dumps(form, ensure_ascii=False)


def _raw(header: str) -> bytes:
    """As it came: what is no UTF-8 in it is kept apart by the server's library."""
    return header.encode("utf-8", "surrogateescape")


def _answer(no: _No) -> web.Response:
    return web.json_response({"ok": False, "error": no.said}, status=no.status)
