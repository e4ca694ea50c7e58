"""What comes in and what goes out, as every channel says it: values, no network's own words.

Deliberately absent: `metadata: dict`. What is not named here does not travel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from bot.domain.command import CommandHash
from bot.domain.session import AccountName, ChannelName, DeliveryId, MessageId, Peer

Nonce = NewType("Nonce", str)
"""Ours, stable over every repeat of one part of one event. At most 25 characters (Discord's limit)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who wrote or pressed, as the channel authenticated them."""

    native: str
    """The network's own id of the person."""
    name: str
    """What people call them there. For show only, never for a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    peer: Peer
    sender: Sender
    delivery: DeliveryId
    message_id: MessageId | None
    """None where the network has no message to answer, as for a slash command."""
    text: str
    sent_at: float
    """Seconds since the epoch, by the network's clock."""
    space: str | None = None
    """The network's id of the guild or workspace that the conversation belongs to; None where there is none."""
    is_addressed: bool = True
    """Whether it is said to us: in a direct conversation, by a mention, as an answer to us, as a command of ours."""


class Action(StrEnum):
    APPROVE = "approve"
    ALWAYS = "always"
    DENY = "deny"
    STOP = "stop"
    AGAIN = "again"
    OUTPUT = "output"
    APPROVE_ALL = "approveall"
    DENY_ALL = "denyall"
    STOP_ALL = "stopall"


OF_ALL = {Action.APPROVE_ALL: Action.APPROVE, Action.DENY_ALL: Action.DENY, Action.STOP_ALL: Action.STOP}
"""What a button for a whole card of a batch does to each that stands on it."""
DECIDING = frozenset({Action.APPROVE, Action.ALWAYS, Action.DENY, Action.STOP, *OF_ALL})
DENYING = frozenset({Action.DENY, Action.DENY_ALL})
"""Before these a network asks for the reason, where it has a form."""


CODE_FIELD_CHARS = 20
"""A recovery code with its dashes has 14; people add spaces."""


class FormField(StrEnum):
    """What a button asks of the person who presses it, in a form that nobody else sees."""

    REASON = "r"
    CODE = "c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """Binds to one execution, or a batch, and to the hash of what was shown."""

    action: Action
    execution_id: str
    """Of the actions in `OF_ALL`: the batch's id."""
    shown: CommandHash
    asks: tuple[FormField, ...] = ()
    """Must be filled in. Where the network has no form, the person is told the words to type instead."""

    @property
    def has_form(self) -> bool:
        """Whether a press first opens a form, where the network has one: for what it asks, or a denial's reason."""
        return self.action in DENYING or bool(self.asks)

    def token(self) -> str:
        """At most 100 characters, the tightest limit (Discord's custom_id)."""
        asks = "".join(ask.value for ask in self.asks)
        return f"h1:{self.action.value}:{self.execution_id}:{self.shown}" + (f":{asks}" if asks else "")


_TOKEN = re.compile(
    r"h1:(?P<action>[a-z]+):(?P<execution>[0-9A-Za-z]{1,20}):(?P<shown>[0-9a-f]{64})(?::(?P<asks>r|c|rc))?"
)


def parse_button(token: str) -> Button | None:
    """The inverse of `Button.token`; None for anything that it did not make."""
    found = _TOKEN.fullmatch(token)
    if found is None or found["action"] not in frozenset(Action):
        return None
    return Button(
        action=Action(found["action"]),
        execution_id=found["execution"],
        shown=CommandHash(found["shown"]),
        asks=tuple(FormField(ask) for ask in found["asks"] or ""),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonPress:
    peer: Peer
    sender: Sender
    delivery: DeliveryId
    message_id: MessageId | None
    """The message that carries the button; None for a private view that is no message, such as Slack's App Home."""
    button: Button
    reason: str = ""
    """What the person wrote into the field beside it; a denial's reason."""
    code: str | None = None
    """What the person typed into the form as the code of their device; never kept."""
    space: str | None = None
    """As of an `InboundMessage`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    peer: Peer
    sender: Sender
    delivery: DeliveryId
    message_id: MessageId
    emoji: str
    """As the network gives it: a character sequence, or a short name without colons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an adapter may show at once to the one who wrote or pressed, and to nobody else.

    Never a result; losing it loses nothing that is owed.
    """

    note: str | None = None
    is_working: bool = False
    """Taken as an input that a turn will answer: a sign of work (typing, 👀) may be shown meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One completion of what somebody is typing into a command's field."""

    value: str
    shown: str


class Suggest(StrEnum):
    """What a command's field holds."""

    NODE = "node"
    PENDING = "pending"  # executions that this person may decide
    EXECUTION = "execution"  # executions of this conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A message that stands in a conversation: where to read on from, or a card that is still open."""

    peer: Peer
    message_id: MessageId


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment in seconds since the epoch, shown in the network's own local-time markup where it has one."""

    at: float


Span = str | Instant
"""Inline text. Strings are data: a channel escapes them, nothing in them is ever markup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Labelled lines, in order."""

    rows: tuple[tuple[str, tuple[Span, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Shown fenced, to the letter, inert. `label` is for screen readers and headings."""

    text: str
    label: str
    buttons: tuple[Button, ...] = ()
    """What can be done with this one of several, right below it. A channel without room for them leaves them out."""


Block = Heading | Prose | Facts | Code


class PostKind(StrEnum):
    REPLY = "reply"
    CARD = "card"
    RESULT = "result"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A text file beside a message: all that was kept of a long output. Data, as everything that is shown."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One message as a channel is to show it. Fits the channel's declared capabilities."""

    kind: PostKind
    blocks: tuple[Block, ...]
    buttons: tuple[Button, ...] = ()
    execution_id: str | None = None
    mention: str | None = None
    """The network's id of the one person to mention."""
    status: str | None = None
    """For cards: the execution's state, so that a channel can show it in its own way beside the words."""
    attachment: Attachment | None = None
    """Only where the channel's capabilities declare files."""


MIN_TEXT_CHARS = 400
"""A card whose details are cut away still needs so many; the tightest network (WhatsApp) shows 1,600."""
MIN_CODE_CHARS = 200
"""Enough for the notice of a cut with a line on both sides."""
MIN_FILE_BYTES = 1_000
"""Room for the notice of a cut: a file that cannot hold it cannot say that it is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a channel can show. Rendering asks this, never the channel's name."""

    text_chars: int
    """The most characters of one message, all blocks together as we count them in `render`."""
    code_chars: int
    """The most characters of code shown inline; longer output is cut in the middle, and the cut is said."""
    can_edit: bool = True
    has_buttons: bool = True
    edit_interval_s: float = 1.0
    """At most one edit of a message in this time."""
    file_bytes: int = 0
    """The most bytes (UTF-8) of an attachment; 0: the channel takes no files."""
    batch_members: int = 0
    """The most commands on one card of a batch, each with its buttons; 0: each command has a card of its own."""
    batch_chars: int = 0
    """The most characters of such a card where its buttons take room from the words; 0: `text_chars`."""
    card_files: bool = False
    """Whether a card may have a file beside it, which stands before the card's receipt comes: then a command that is
    too long for a message can be read whole by whoever decides."""

    def __post_init__(self) -> None:
        if self.text_chars < MIN_TEXT_CHARS or self.code_chars < MIN_CODE_CHARS:
            raise ValueError(f"a channel shows at least {MIN_TEXT_CHARS} characters, {MIN_CODE_CHARS} of them code")
        if 0 < self.file_bytes < MIN_FILE_BYTES:
            raise ValueError(f"a channel that takes files takes at least {MIN_FILE_BYTES} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The network's word that it took the message."""

    message_id: MessageId
    confirmed: bool = True
    """False where the network confirms delivery later (Twilio)."""


class NotPosted(StrEnum):
    """What a reconciliation found instead of a receipt."""

    SURELY = "surely"
    UNKNOWN = "unknown"


class Delivery(StrEnum):
    """What a network that confirms later says of a message that it took."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    HELD = "held"  # cannot be delivered now, may be later (the 24-hour window is closed)
    FAILED = "failed"  # never will be


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """The network's later word on one message of ours. May come twice, late, and in any order."""

    channel: ChannelName
    account: AccountName
    message_id: MessageId
    delivery: Delivery
    reason: str = ""
    """For operators: the network's error code and its meaning, in our words."""
