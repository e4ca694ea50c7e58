"""A post -> what WhatsApp shows: words in which no markup of others works, and at most three buttons. Pure.

WhatsApp has no escape character. What may hold markup stands in a fence of three backticks, inside which everything is
shown to the letter; three backticks in a row inside are kept apart by a character that shows nothing.
Deliberately absent: sending.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.domain.message import Action, Block, Button, Code, Facts, FormField, Heading, Instant, Post, Prose, Span

BODY_CHARS = 1_600
"""Of one message; Twilio refuses more (21617), and counts an emoji as two:
https://www.twilio.com/docs/api/errors/21617"""
QUICK_REPLY_CHARS = 1_024
"""Of the words above quick-reply buttons: https://www.twilio.com/docs/content/twilio-quick-reply"""
MAX_BUTTONS = 3
"""In a session, without a template's approval; the same page."""
BATCH_MEMBERS = 8
"""On one card of a batch. There are buttons for all of them only; one alone is decided by typing its id."""
BATCH_CHARS = 1_000
"""Of its words, as we count them: with all fences around them they stay under those of quick replies, but for such as
are full of backticks or of emoji. Then there are no buttons, and the words to type stand there anyway."""
TEXT_CHARS = 1_400
"""Of ours: room for fences around single words, and for the line of typed words. What grows more is sent in two."""

LABELS = {
    Action.APPROVE: "Allow once",
    Action.ALWAYS: "Always allow",
    Action.DENY: "Deny",
    Action.STOP: "Stop",
    Action.AGAIN: "Run again",
    Action.OUTPUT: "Whole output",
    Action.APPROVE_ALL: "Allow all",
    Action.DENY_ALL: "Deny all",
    Action.STOP_ALL: "Stop all",
}
"""At most 20 characters each."""
_TYPED = {
    Action.APPROVE: "approve {}",
    Action.ALWAYS: "approve {} always",
    Action.DENY: "deny {} <reason>",
    Action.STOP: "stop {}",
    Action.AGAIN: "again {}",
    Action.OUTPUT: "output {}",
}
_ASKED = {FormField.REASON: " because <reason>", FormField.CODE: " code <code>"}
"""There are no forms: what a button asks for is typed behind it, and nobody else reads a conversation with us."""
_WANTED = (
    Action.APPROVE,
    Action.DENY,
    Action.ALWAYS,
    Action.STOP,
    Action.AGAIN,
    Action.OUTPUT,
    Action.APPROVE_ALL,
    Action.DENY_ALL,
    Action.STOP_ALL,
)
FENCE = "```"
STEP = "\u2060"
"""Shows nothing. What we are given holds none (`bot.domain.parts.visible` names each): one read back is ours."""
_MARKUP = re.compile(
    r"[*~`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[ \t]*(?:[-]|[0-9]+\.)(?=[ \t])|^[ \t]*>", re.MULTILINE
)
"""Bold, strike, code; italics, which do not begin inside a word; and quotes and lists, at the begin of a line."""
_RUN = re.compile("``(?=`)")
_PLACEHOLDER = re.compile(r"\{(?=\{)")
"""Words above buttons are a template to Twilio, where `{{x}}` names a variable; there is no escape for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One message as WhatsApp is to show it."""

    body: str
    buttons: tuple[Button, ...] = ()
    """Empty also where the words leave no room for buttons: the typed ones stand in the body."""


def shown(post: Post) -> tuple[Shown, ...]:
    """One message; more only where escaping made it too long. The last one has the buttons."""
    typed = _typed_line(post)
    body = _body(post, typed)
    if units(body) > BODY_CHARS:
        plain = "\n".join(_plain(block) for block in post.blocks)
        pieces = [_fenced(piece) for piece in _slices(plain)]
        return (*(Shown(body=piece) for piece in pieces), *([Shown(body=typed)] if typed else []))
    over_buttons = _PLACEHOLDER.sub(f"{{{STEP}", body)
    if post.buttons and units(over_buttons) <= QUICK_REPLY_CHARS:
        return (Shown(body=over_buttons, buttons=_most_wanted(post.buttons)),)
    return (Shown(body=body),)


def _most_wanted(buttons: tuple[Button, ...]) -> tuple[Button, ...]:
    """Where there are too many the decisions stay, in the order in which they were given."""
    kept = sorted(buttons, key=lambda button: _WANTED.index(button.action))[:MAX_BUTTONS]
    return tuple(button for button in buttons if button in kept)


def _body(post: Post, typed: str) -> str:
    parts = [_marked(block) for block in post.blocks]
    return "\n".join([*(part for part in parts if part), *([typed] if typed else [])]) or "(nothing to show)"


def _typed_line(post: Post) -> str:
    """The words that do what the buttons do; those that the post names itself are not said twice."""
    said = "\n".join(_plain(block) for block in post.blocks if isinstance(block, Prose))
    missing = [
        _TYPED[button.action].format(button.execution_id) + "".join(_ASKED[ask] for ask in button.asks)
        for button in post.buttons
        # What decides a whole card has no word that is typed: the card names those of its commands.
        if button.action in _TYPED and f"{button.action.value} {button.execution_id}" not in said
    ]
    return f"Or type: {', or: '.join(missing)}" if missing else ""


def _marked(block: Block) -> str:
    match block:
        case Heading():
            line = _line(block.spans)
            return line if FENCE in line or "\n" in line or not line.strip() else f"*{line.strip()}*"
        case Prose():
            return _line(block.spans)
        case Facts():
            return "\n".join(f"{_inert(label)}: {_line(spans)}" for label, spans in block.rows)
        case Code():
            return f"{_inert(block.label)}:\n{_fenced(block.text)}" if block.label else _fenced(block.text)


def _plain(block: Block) -> str:
    match block:
        case Heading() | Prose():
            return "".join(_word(span) for span in block.spans)
        case Facts():
            return "\n".join(f"{label}: {''.join(_word(span) for span in spans)}" for label, spans in block.rows)
        case Code():
            return f"{block.label}:\n{block.text}" if block.label else block.text


def _line(spans: tuple[Span, ...]) -> str:
    return "".join(_inert(_word(span)) for span in spans)


def _word(span: Span) -> str:
    """A moment in UTC: WhatsApp has no markup for the reader's own time."""
    return span if isinstance(span, str) else moment(span)


def moment(instant: Instant) -> str:
    return datetime.fromtimestamp(instant.at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _inert(text: str) -> str:
    return _fenced(text) if _MARKUP.search(text) else _clean(text)


def _fenced(text: str) -> str:
    """To the letter, and closed by our fence alone."""
    inside = _RUN.sub(f"``{STEP}", _clean(text))
    before = STEP if not inside or inside.startswith("`") else ""
    after = STEP if inside.endswith("`") else ""
    return f"{FENCE}{before}{inside}{after}{FENCE}"


def _clean(text: str) -> str:
    return text.replace(STEP, "⟨U+2060⟩")


def units(text: str) -> int:
    """The length as it is where text is UTF-16."""
    return len(text) + sum(character > "\uffff" for character in text)


def _slices(text: str) -> list[str]:
    room = (BODY_CHARS - 2 * len(FENCE) - 2) * 2 // 3  # every second character may bring one more
    if units(text) > len(text):
        room //= 2
    return [text[at : at + room] for at in range(0, len(text), room)]
