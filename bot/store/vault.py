"""What is kept of secrets of people's devices: sealed and keyed by a key of the gateway, which is in no database.

A copy of the database gives nobody a code. Deliberately absent: rows, and what a right code is worth.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from bot.domain.execution import ID_ALPHABET
from bot.domain.factor import CODE_DIGITS, RECOVERY_CHARS, RECOVERY_CODES, STEP_S, WINDOW_STEPS, step_at
from bot.domain.session import PersonId

SECRET_BYTES = 20
"""As long as the hash: https://www.rfc-editor.org/rfc/rfc4226#section-4 (R6)"""
_NONCE_BYTES = 12
"""What AES-GCM takes; one key seals a few secrets in its life, so that random ones never meet."""


class Vault:
    """`key` is 32 bytes, made of the gateway's own. Without one it opens nothing: who only looks needs none."""

    __slots__ = ("_hashing", "_sealing")

    def __init__(self, key: bytes | None) -> None:
        self._sealing = None if key is None else AESGCM(_derived(key, b"seal"))
        self._hashing = None if key is None else _derived(key, b"recovery codes")

    @property
    def is_open(self) -> bool:
        return self._sealing is not None

    def seal(self, person: PersonId, secret: bytes) -> bytes:
        """For this person alone: moved to the row of another it opens no more."""
        if self._sealing is None:
            raise RuntimeError("a vault without a key seals nothing")
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, secret, person.encode("utf-8"))

    def unseal(self, person: PersonId, sealed: bytes) -> bytes | None:
        """None where it was sealed under another key, for somebody else, or was changed."""
        if self._sealing is None:
            return None
        try:
            return self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], person.encode("utf-8"))
        except (InvalidTag, ValueError):
            return None

    def hashed(self, person: PersonId, recovery: str) -> str:
        if self._hashing is None:
            raise RuntimeError("a vault without a key knows no recovery code")
        return hmac.new(self._hashing, f"{person}\0{recovery}".encode(), "sha256").hexdigest()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"homing second factor: " + purpose).derive(key)


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def in_base32(secret: bytes) -> str:
    """As apps take it, without padding: 20 bytes need none."""
    return base64.b32encode(secret).decode("ascii")


def new_recovery_codes() -> list[str]:
    return ["".join(secrets.choice(ID_ALPHABET) for _ in range(RECOVERY_CHARS)) for _ in range(RECOVERY_CODES)]


def steps_of(secret: bytes, code: str, now: float) -> list[int]:
    """The time steps around this moment whose code it is; nearly always one at most. All are compared, in one time."""
    # SHA-1 because apps take the URI's `algorithm` for a decoration; as an HMAC it is not broken:
    # https://www.rfc-editor.org/rfc/rfc6238#section-1.2
    totp = TOTP(secret, CODE_DIGITS, SHA1(), STEP_S)  # noqa: S303 -- see above
    here = step_at(now)
    steps = range(here - WINDOW_STEPS, here + WINDOW_STEPS + 1)
    alike = [hmac.compare_digest(totp.generate(step * STEP_S), code.encode("ascii")) for step in steps]
    return [step for step, is_alike in zip(steps, alike, strict=True) if is_alike]
