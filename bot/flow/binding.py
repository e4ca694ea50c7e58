"""The inbox as the networks see it: what comes in belongs to the agent that the bindings name for its conversation.

Deliberately absent: everything else, which `intake` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.domain.binding import Binding, bound
from bot.domain.message import (
    Answer,
    Attachment,
    ButtonPress,
    DeliveryReport,
    InboundMessage,
    Post,
    Reaction,
    Sender,
    Standing,
    Suggest,
    Suggestion,
)
from bot.domain.session import AccountName, ChannelName, Peer
from bot.ports import Inbox


@dataclass(frozen=True, slots=True)
class Bound:
    """An `Inbox` before another. With the agent the session changes, and nothing else: a card is found without it."""

    inner: Inbox
    bindings: Sequence[Binding]

    async def message(self, message: InboundMessage) -> Answer:
        return await self.inner.message(replace(message, peer=bound(message.peer, self.bindings)))

    async def press(self, press: ButtonPress) -> Answer:
        return await self.inner.press(replace(press, peer=bound(press.peer, self.bindings)))

    async def reaction(self, reaction: Reaction) -> Answer:
        return await self.inner.reaction(replace(reaction, peer=bound(reaction.peer, self.bindings)))

    async def delivered(self, report: DeliveryReport) -> None:
        await self.inner.delivered(report)

    async def read_from(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        return await self.inner.read_from(channel, account)

    async def open_cards(self, channel: ChannelName, account: AccountName) -> Sequence[Standing]:
        return await self.inner.open_cards(channel, account)

    async def suggest(
        self, peer: Peer, sender: Sender, what: Suggest, typed: str, space: str | None = None
    ) -> Sequence[Suggestion]:
        return await self.inner.suggest(bound(peer, self.bindings), sender, what, typed, space)

    async def awaiting(self, channel: ChannelName, sender: Sender) -> Sequence[Post]:
        return await self.inner.awaiting(channel, sender)

    async def output(self, execution_id: str) -> Attachment | None:
        return await self.inner.output(execution_id)
