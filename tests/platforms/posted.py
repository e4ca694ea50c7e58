"""One message of the loopback network, as tests look at it. Deliberately absent: how it came to stand there."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.domain.message import Action, Button, Nonce, Post, PostKind
from bot.domain.session import MessageId, Peer
from tests.platforms.forms import Form, post_of, text_of

Place = tuple[str, str, str, str, str | None]
"""(channel, account, kind, id, thread): where something stands. The agent is ours, no network knows it."""


def place_of(peer: Peer) -> Place:
    return (peer.channel, peer.account, peer.kind.value, peer.id, peer.thread)


@dataclass(slots=True, kw_only=True)
class Posted:
    """One message that stands on the network, as it was posted and as it was edited since."""

    order: int
    """Over the whole network."""
    at: float
    """Monotonic seconds."""
    peer: Peer
    id: MessageId
    author: str | None
    """A person's native id; None for the bot."""
    reply_to: MessageId | None = None
    nonce: Nonce | None = None
    words: str = ""
    """What a person wrote."""
    forms: list[Form] = field(default_factory=list)
    """The post and its edits, as they came over the wire, oldest first."""

    @property
    def place(self) -> Place:
        return place_of(self.peer)

    @property
    def post(self) -> Post:
        """As it stands now."""
        return post_of(self.forms[-1])

    @property
    def text(self) -> str:
        """All that it shows now, as lines."""
        return text_of(self.post) if self.forms else self.words

    @property
    def first_text(self) -> str:
        """All that it showed when it was posted."""
        return text_of(post_of(self.forms[0])) if self.forms else self.words

    @property
    def kind(self) -> PostKind | None:
        return PostKind(self.forms[-1]["kind"]) if self.forms else None

    @property
    def status(self) -> str | None:
        return self.forms[-1]["status"] if self.forms else None

    @property
    def execution(self) -> str | None:
        return self.forms[-1]["execution"] if self.forms else None

    @property
    def mention(self) -> str | None:
        return self.forms[0]["mention"] if self.forms else None

    @property
    def buttons(self) -> tuple[Button, ...]:
        return self.post.buttons

    def button(self, action: Action) -> Button:
        found = [button for button in self.buttons if button.action is action]
        assert found, f"no button {action.value} on: {self.text}"
        return found[0]

    def first_shown(self, action: Action) -> Button:
        """A button as it was first shown: what somebody presses whose view is old."""
        return next(button for button in post_of(self.forms[0]).buttons if button.action is action)
