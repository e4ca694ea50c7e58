"""What a story needs of a platform server, whatever network it plays: people who write and press, and eyes.

Each platform's server in this folder gives a `Network`. It speaks the network's own wire to an unmodified SDK;
these calls are the far side: what people do in their own apps, and what they see there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from bot.domain.message import Action
from bot.domain.session import MessageId, Peer
from bot.ports import Channel


class Order(StrEnum):
    """A fault that a test orders of the next send (a new message by the bot), once each time it is ordered."""

    LOST_ANSWER = "lost_answer"  # the message stands, and the connection drops before the answer
    THROTTLED = "throttled"  # 429 with a Retry-After of one second, or the network's own form of it
    UNAVAILABLE = "unavailable"  # 503, nothing stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One message as people see it in their app: markup read, mentions resolved, escapes undone."""

    id: MessageId
    author: str | None
    """A person's native id; None for the bot."""
    text: str
    """All words that it shows now, code included, as one reads them."""
    code: tuple[str, ...] = ()
    """The insides of its code fences, to the letter, in order."""
    file: str | None = None
    """The text of the file that hangs on it."""
    buttons: tuple[tuple[Action, str], ...] = ()
    """What each button does, and what the app sends when it is pressed."""
    reply_to: MessageId | None = None
    """The message that it visibly answers, where the network shows that."""
    mentions: tuple[str, ...] = ()
    """Native ids of the people that this message pings; `everyone` for a ping of all."""


class Network(Protocol):
    """A strict server of one platform on loopback. An async context manager; it outlives gateways."""

    @property
    def name(self) -> str:
        """The channel's name: `discord`, `slack`, `whatsapp`."""
        ...

    @property
    def rooms(self) -> Sequence[Peer]:
        """At least two conversations that differ, of the account `default`. On a network of direct ones: those."""
        ...

    @property
    def thread(self) -> Peer | None:
        """A thread in the first room; None where the network has none."""
        ...

    def direct(self, person: str) -> Peer:
        """The direct conversation of the account `default` with this person."""
        ...

    def person(self, name: str) -> str:
        """The native id of a person; made at the first call, the same for a name ever after."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...

    def channel(self, account: str = "default") -> Channel:
        """A new adapter of ours for this account, pointed at this server: one life of a gateway. Not started."""
        ...

    async def say(self, peer: Peer, person: str, text: str, *, repeats: int = 0) -> MessageId:
        """This person (a native id) writes there so that it is addressed to the bot; delivered `repeats` times more.

        Returns when it is acknowledged, or when the network has given up for now.
        """
        ...

    async def press(
        self, peer: Peer, message_id: MessageId, person: str, action: Action, *, reason: str = "", execution: str = ""
    ) -> str:
        """Press what the message shows (or ever showed); gives the private words that the person got, or an empty text.

        On a network whose button asks for the reason in a form, the form is filled in and sent. Where one message has
        several buttons of this kind, `execution` says whose.
        """
        ...

    async def react(self, peer: Peer, message_id: MessageId, person: str, emoji: str) -> None:
        """Raises `NotImplementedError` where the network delivers none."""
        ...

    def seen(self, peer: Peer) -> Sequence[Seen]:
        """What stands in exactly this conversation now, oldest first, the people's own messages included."""
        ...

    def everywhere(self) -> Sequence[tuple[str, Seen]]:
        """Every message by the bot that stands anywhere on this network, with a word for the place."""
        ...

    def order(self, fault: Order) -> None: ...
