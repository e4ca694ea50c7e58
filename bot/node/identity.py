"""Keys of nodes and of the gateway: made, kept, named by a fingerprint, proved over one transcript.

Deliberately absent: who is paired (the store knows) and when the proofs are exchanged (see `protocol`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bot.domain.command import NodeFingerprint
from bot.errors import Malformed
from bot.node.faults import NodeUnusable, Untrusted
from bot.node.files import write_new

NONCE_BYTES = 32
_DOMAIN = b"homing node handshake"
"""So that no signature made here means anything anywhere else."""
_GROUPS, _GROUP_CHARS = 7, 4
"""28 characters of base32 are 140 bits of the digest: more than anybody can search, few enough to compare by eye."""
NODE, GATEWAY = b"node", b"gateway"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair. The private part never leaves this object but for its file."""

    _private: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return self._private.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> NodeFingerprint:
        return fingerprint(self.public_key)

    @property
    def factor_key(self) -> bytes:
        """32 bytes that secrets of people's devices are sealed with; this key cannot be found from them."""
        private = self._private.private_bytes_raw()
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"homing second factor").derive(private)

    def sign(self, role: bytes, transcript: bytes) -> bytes:
        """64 bytes over the transcript, good for this role only: an answer cannot be reflected."""
        return self._private.sign(role + b"\x00" + transcript)


def new_key() -> KeyPair:
    return KeyPair(Ed25519PrivateKey.generate())


def fingerprint(public_key: bytes) -> NodeFingerprint:
    """`ABCD-EFGH-…`: the start of the SHA-256 of the public key in base32, for eyes and for rows."""
    digest = base64.b32encode(hashlib.sha256(public_key).digest()).decode("ascii")
    groups = [digest[at : at + _GROUP_CHARS] for at in range(0, _GROUPS * _GROUP_CHARS, _GROUP_CHARS)]
    return NodeFingerprint("-".join(groups))


def parse_fingerprint(typed: str) -> NodeFingerprint:
    """A fingerprint as people type it: case, spaces and dashes do not matter. Raises `Malformed`."""
    bare = re.sub(r"[\s-]", "", typed).upper()
    if not re.fullmatch(rf"[A-Z2-7]{{{_GROUPS * _GROUP_CHARS}}}", bare):
        raise Malformed(
            f"a fingerprint has {_GROUPS} groups of {_GROUP_CHARS} characters (A to Z, 2 to 7), "
            "as the node prints it; copy it whole"
        )
    return NodeFingerprint("-".join(bare[at : at + _GROUP_CHARS] for at in range(0, len(bare), _GROUP_CHARS)))


def transcript(*, version: int, name: str, node_key: bytes, gateway_key: bytes, nonces: tuple[bytes, bytes]) -> bytes:
    """What both sides sign: everything said so far, each part with its length, the node's nonce first."""
    parts = (_DOMAIN, str(version).encode(), name.encode(), node_key, gateway_key, *nonces)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def is_signed(public_key: bytes, role: bytes, said: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, role + b"\x00" + said)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def load_or_create_key(path: Path) -> KeyPair:
    """The key in this file, made with mode 0600 where there is none. Raises `NodeUnusable`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            pem = new_key()._private.private_bytes(  # noqa: SLF001 -- the one place that writes it to its file
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            # Never over one that another process made meanwhile: both then load the same.
            write_new(path, pem)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise NodeUnusable(f"the key {path} can be read by others; make it private: chmod 600 {path}")
        loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as fault:
        raise NodeUnusable(f"the key {path} cannot be used: {fault.strerror}; look at its owner and mode") from fault
    except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise NodeUnusable(f"{path} holds no key; move it away, and a new one is made (a new node to pair)") from fault
    if not isinstance(loaded, Ed25519PrivateKey):
        raise NodeUnusable(f"{path} holds another kind of key; move it away, and a new one is made")
    return KeyPair(loaded)


def check_gateway(
    pin: Path, public_key: bytes, expected: NodeFingerprint | None, *, obeyed: Collection[NodeFingerprint] = ()
) -> None:
    """Hold a gateway, which has proved this key, to the one of the first contact. Raises `Untrusted`.

    `expected` is what an operator configured; it is checked first, and then also pinned. `obeyed` is the node's own
    policy: where it names keys, they are its keeper's word, and the first contact is none.
    """
    shown = fingerprint(public_key)
    if obeyed and shown not in obeyed:
        raise Untrusted(f"the gateway's key is {shown}, which is none of those that this node obeys")
    if expected is not None and not hmac.compare_digest(shown, expected):
        raise Untrusted(f"the gateway's key is {shown}, but {expected} is configured; somebody may stand in between")
    if obeyed:
        return
    try:
        if not pin.exists():
            write_new(pin, public_key.hex().encode("ascii") + b"\n")
        pinned = pin.read_bytes().strip()
    except OSError as fault:
        raise NodeUnusable(f"{pin} cannot be used: {fault.strerror}; look at its owner and mode") from fault
    if not hmac.compare_digest(pinned, public_key.hex().encode("ascii")):
        raise Untrusted(
            f"the gateway shows the key {shown}, which is not the one of the first contact; somebody may stand in "
            f"between. If the gateway was really set up anew, remove {pin} and start the node again"
        )


def new_nonce() -> bytes:
    return os.urandom(NONCE_BYTES)
