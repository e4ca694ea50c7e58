"""The forms in which a secret is written: as it is, and as the usual encodings of programs make of it.

Deliberately absent: forms that no longer hold its letters in order (hashes, compression, base64 of base64).
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator

SHORTEST_FORM_CHARS = 6
"""A shorter one stands in ordinary words."""
_LINE_BREAK = re.compile(r"[\r\n][ \t\r\n]*")


def forms_of(secret: str) -> frozenset[str]:
    """Everything to look for. Forms of several lines come without their line breaks too, see `unbroken`."""
    raw = secret.encode("utf-8", "surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    forms = {
        secret,
        escaped,
        escaped.replace("/", "\\/"),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        _in_html(secret),
        shlex.quote(secret).strip("'"),
        *_in_urls(raw),
        raw.hex(),
        raw.hex().upper(),
        *(one for shift in range(3) for one in _in_base64(raw, shift)),
    }
    forms |= {_LINE_BREAK.sub("", form) for form in forms}
    return frozenset(form for form in forms if len(form) >= SHORTEST_FORM_CHARS)


def _in_html(secret: str) -> str:
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;")):
        secret = secret.replace(sign, name)
    return secret


_UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~")
"""https://datatracker.ietf.org/doc/html/rfc3986#section-2.3"""


def _in_urls(raw: bytes) -> Iterator[str]:
    """With and without the slash, with a space as a plus, and in small letters, as libraries differ."""
    for plain in (_UNRESERVED, _UNRESERVED | {ord("/")}):
        text = "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in raw)
        small = "".join(chr(byte) if byte in plain else f"%{byte:02x}" for byte in raw)
        yield from (text, text.replace("%20", "+"), small)


def _in_base64(raw: bytes, shift: int) -> tuple[str, str]:
    """The letters that stand for `raw` alone, where it begins `shift` bytes into a group of three."""
    text = base64.b64encode(bytes(shift) + raw).decode()
    first = (shift * 8 + 5) // 6
    text = text[first : (shift + len(raw)) * 8 // 6]
    return text, text.translate(str.maketrans("+/", "-_"))


def unbroken(text: str) -> tuple[str, list[int], list[int]]:
    """The text without its line breaks and what is indented behind them, where each part of it begins, and where in the
    text: tools wrap what is long (`base64` at 76 letters, `fold` at any)."""
    parts: list[str] = []
    own_starts: list[int] = []
    starts: list[int] = []
    at = own = 0
    for found in _LINE_BREAK.finditer(text):
        if found.start() > at:
            parts.append(text[at : found.start()])
            own_starts.append(own)
            starts.append(at)
            own += found.start() - at
        at = found.end()
    if at < len(text):
        parts.append(text[at:])
        own_starts.append(own)
        starts.append(at)
    return "".join(parts), own_starts, starts
