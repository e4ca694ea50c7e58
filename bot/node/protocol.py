"""Both ends of a node's connection as machines without I/O: which frame may come when, and the proofs.

hello -> challenge -> proof -> welcome (pending, then paired; or paired at once) -> open. The tables are the
protocol: a frame that they do not hold for the state is a `MalformedFrame`, and the connection is closed.
Deliberately absent: sockets, time, files, randomness. Nonces are handed in, the pinned key is checked by whoever
holds the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from bot.domain.command import NodeFingerprint
from bot.domain.node import Pairing
from bot.errors import MalformedFrame
from bot.node import frames
from bot.node.codec import decode, encode, kind_of
from bot.node.faults import Untrusted
from bot.node.frames import Challenge, Frame, Hello, Proof, Welcome
from bot.node.identity import GATEWAY, NODE, KeyPair, fingerprint, is_signed, transcript


class State(StrEnum):
    """Of a connection, at either end."""

    NEW = "new"  # nothing was said
    GREETED = "greeted"  # the hello is out
    CHALLENGED = "challenged"  # the gateway has proved its key
    PROVEN = "proven"  # the node has proved its key
    PENDING = "pending"  # an operator has to pair it
    OPEN = "open"


class Close:
    """WebSocket close codes of ours: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.2 leaves 4000 to 4999 free."""

    GOING_AWAY = 1001
    TROUBLE = 1011  # the gateway's own: come back later
    SUPERSEDED = 4001  # the same key has connected again
    MALFORMED = 4002  # a frame that the protocol refuses
    REVOKED = 4003  # an operator revoked the key
    VERSION = 4004  # no version in common
    UNTRUSTED = 4005  # a proof failed
    SLOW = 4006  # the handshake or a frame took too long
    CROWDED = 4007  # too many strangers


S = State
_HANDSHAKE: Mapping[str, Mapping[State, State]] = {
    "hello": {S.NEW: S.GREETED},
    "challenge": {S.GREETED: S.CHALLENGED},
    "proof": {S.CHALLENGED: S.PROVEN},
    "welcome pending": {S.PROVEN: S.PENDING},
    "welcome paired": {S.PROVEN: S.OPEN, S.PENDING: S.OPEN},
}
_IN_OPEN: Mapping[State, State] = {S.OPEN: S.OPEN}
FROM_NODE: Mapping[str, Mapping[State, State]] = {
    **{word: _HANDSHAKE[word] for word in ("hello", "proof")},
    **dict.fromkeys(("inspected", "accepted", "declined", "busy", "answers", "progress"), _IN_OPEN),
    **dict.fromkeys(frames.REPORTS, _IN_OPEN),
}
FROM_GATEWAY: Mapping[str, Mapping[State, State]] = {
    **{word: _HANDSHAKE[word] for word in ("challenge", "welcome pending", "welcome paired")},
    **dict.fromkeys(("inspect", "offer", "go", "stop", "ask", "ack"), _IN_OPEN),
}
"""Word -> state before -> state after, for both ends alike: what one sends, the other receives."""


def _move(table: Mapping[str, Mapping[State, State]], state: State, frame: Frame) -> State:
    word = f"welcome {frame.pairing.value}" if isinstance(frame, Welcome) else kind_of(frame)
    try:
        return table[word][state]
    except KeyError:
        raise MalformedFrame(f"a frame '{word}' has no place while the connection is {state.value}") from None


class GatewayEnd:
    """The gateway's end of one connection. Not usable after a fault: close the socket."""

    def __init__(self, key: KeyPair, nonce: bytes) -> None:
        self._key = key
        self._nonce = nonce
        self._said = b""
        self.state = State.NEW
        self.hello: Hello | None = None

    @property
    def node(self) -> NodeFingerprint:
        """Whose key it is; proved once the state is `proven` or later."""
        return fingerprint(self._greeting().public_key)

    def read(self, text: str) -> Frame:
        """Take one frame. Raises `MalformedFrame`, or `Untrusted` for a proof that is none."""
        frame = decode(text)
        state = _move(FROM_NODE, self.state, frame)
        if isinstance(frame, Hello):
            self.hello = frame
            self._said = transcript(
                version=frames.VERSION,
                name=frame.name,
                node_key=frame.public_key,
                gateway_key=self._key.public_key,
                nonces=(frame.nonce, self._nonce),
            )
        if isinstance(frame, Proof) and not is_signed(self._greeting().public_key, NODE, self._said, frame.signature):
            raise Untrusted("the node did not prove the key that it showed")
        self.state = state
        return frame

    def no_version(self) -> str | None:
        """Why there is none in common, and which side to upgrade; None where there is one."""
        spoken = self._greeting().versions
        if frames.VERSION in spoken:
            return None
        side = "node" if max(spoken) < frames.VERSION else "gateway"
        # A close reason has room for 120 bytes.
        return f"the node speaks version {max(spoken)}, the gateway version {frames.VERSION}: upgrade the {side}"

    def challenge(self) -> str:
        """Our key, our nonce, and our proof, which the node can check before it proves anything."""
        return self.write(
            Challenge(
                version=frames.VERSION,
                public_key=self._key.public_key,
                nonce=self._nonce,
                signature=self._key.sign(GATEWAY, self._said),
            )
        )

    def welcome(self, pairing: Pairing) -> str:
        return self.write(Welcome(pairing=pairing))

    def write(self, frame: Frame) -> str:
        """One frame as text. Raises `MalformedFrame` where it has no place now, or cannot be carried."""
        state = _move(FROM_GATEWAY, self.state, frame)
        text = encode(frame)
        self.state = state
        return text

    def _greeting(self) -> Hello:
        if self.hello is None:
            raise MalformedFrame("nobody has said hello yet")
        return self.hello


class NodeEnd:
    """The node's end of one connection. Not usable after a fault: close the socket."""

    def __init__(self, key: KeyPair, nonce: bytes, name: str) -> None:
        self._key = key
        self._nonce = nonce
        self._name = name
        self._said = b""
        self.state = State.NEW
        self.gateway_key = b""

    def hello(self) -> str:
        return self.write(
            Hello(versions=(frames.VERSION,), public_key=self._key.public_key, nonce=self._nonce, name=self._name)
        )

    def read(self, text: str) -> Frame:
        """Take one frame. Raises `MalformedFrame`, or `Untrusted` for a gateway that did not prove its key."""
        frame = decode(text)
        state = _move(FROM_GATEWAY, self.state, frame)
        if isinstance(frame, Challenge):
            self._check(frame)
        self.state = state
        return frame

    def _check(self, challenge: Challenge) -> None:
        if challenge.version != frames.VERSION:
            raise MalformedFrame(f"the gateway chose version {challenge.version}; this node speaks {frames.VERSION}")
        self._said = transcript(
            version=challenge.version,
            name=self._name,
            node_key=self._key.public_key,
            gateway_key=challenge.public_key,
            nonces=(self._nonce, challenge.nonce),
        )
        if not is_signed(challenge.public_key, GATEWAY, self._said, challenge.signature):
            raise Untrusted("the gateway did not prove the key that it showed")
        self.gateway_key = challenge.public_key

    def proof(self) -> str:
        """Ours; to be sent after the gateway's key was found to be the pinned one."""
        return self.write(Proof(signature=self._key.sign(NODE, self._said)))

    def write(self, frame: Frame) -> str:
        """One frame as text. Raises `MalformedFrame` where it has no place now, or cannot be carried."""
        state = _move(FROM_NODE, self.state, frame)
        text = encode(frame)
        self.state = state
        return text
