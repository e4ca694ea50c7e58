"""A person's device, written from RFC 6238 alone: what the gateway takes is held against it, never against itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass

KEY = bytes(range(32))
"""Made up: what a gateway makes of its own key."""
STEP_S = 30


@dataclass(frozen=True, slots=True)
class Device:
    secret: str
    """In base32, as it was typed in or read from the QR code."""

    def code(self, now: float, *, digits: int = 6) -> str:
        """https://www.rfc-editor.org/rfc/rfc4226#section-5.3 over https://www.rfc-editor.org/rfc/rfc6238#section-4"""
        counter = struct.pack(">Q", int(now) // STEP_S)
        digest = hmac.new(base64.b32decode(self.secret), counter, hashlib.sha1).digest()
        at = digest[-1] & 0x0F
        number = struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFF_FFFF
        return str(number % 10**digits).zfill(digits)

    def wrong(self, now: float) -> str:
        """A code that is right neither now nor a few steps around."""
        right = {self.code(now + STEP_S * away) for away in range(-3, 4)}
        return next(code for code in (f"{number:06d}" for number in range(100)) if code not in right)
