"""A post in the form that Discord takes: texts, buttons, a file; and how each of our words is escaped. Pure.

Components V2 and not classic `content`, for three reasons found in the library and in Discord's documents: 4,000
characters instead of 2,000, so that a longer command fits the one card that people decide on; texts that are apart,
so that a fence of one block cannot reach into the next; and component ids, which stand in the message for ever, where
a `nonce` is given back only to the one who sent it: so a lost answer can be found by history, also after a restart.

Deliberately absent: the library's classes, any look at what the words mean.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.domain.message import Action, Attachment, Block, Button, Code, Facts, Heading, Instant, Post, Prose, Span

TEXTS_CHARS = 4_000
"""Of all texts of one message: https://discord.com/developers/docs/components/reference#text-display"""
MAX_TEXTS = 24
"""A message has 40 components at most; buttons, rows and a file need up to 10."""
ROW_BUTTONS = 5
"""https://discord.com/developers/docs/components/reference#action-row"""
FILE_NAME_CHARS = 100
BATCH_MEMBERS = 7
"""On one card of a batch. A message has 40 components: each of these is a text and a row of two buttons, four in all;
the words around them are six texts at most, the buttons for all a row of three."""

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
_STEP = "\u200b"
"""Shows nothing. What we are given holds none (`bot.domain.parts.visible` names each), so each in it is ours."""
_MARKUP = re.compile(r"[\\`*_~|\[\]<>@]|:(?=//)")
_LINE_START = re.compile(r"^([ \t]*)([#+-])", re.MULTILINE)
_NUMBERED = re.compile(r"^([ \t]*[0-9]{1,9})\.", re.MULTILINE)
_FENCE_IN = re.compile("``(?=`)")
_SNOWFLAKE = re.compile(r"[1-9][0-9]{4,19}", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_GROWTH = 1.5
"""Escaped words may be so much longer than they were counted; 2,600 of ours stay under Discord's 4,000 then."""


Shown = tuple[str, str, Action]
"""A button: what it sends, what it says, what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One message as Discord shows it, from top to bottom."""

    marker: int
    """The component id of the first text: by it a message is known as the one of its nonce."""
    texts: tuple[str, ...]
    buttons: tuple[Shown, ...]
    rows: Mapping[int, tuple[Shown, ...]]
    """The buttons below one of the texts, by its number."""
    file: Attachment | None
    mention: int | None

    @property
    def chars(self) -> int:
        return sum(len(text) for text in self.texts)


def form_of(post: Post, nonce: str) -> Form:
    shown = [(text, block) for block in post.blocks if (text := _block(block)).strip()]
    texts = [text for text, _ in shown]
    mention = post.mention if post.mention is not None and _SNOWFLAKE.fullmatch(post.mention) else None
    if mention is not None:
        texts.insert(0, f"<@{mention}>")
    if len(texts) > MAX_TEXTS:
        texts[MAX_TEXTS - 1 :] = ["\n".join(texts[MAX_TEXTS - 1 :])]
    above = len(texts) - len(shown)
    rows = {
        at: tuple(_button(button) for button in block.buttons)
        for at, (_, block) in enumerate(shown, above)
        if isinstance(block, Code) and block.buttons
    }
    return Form(
        marker=marker_of(nonce),
        texts=tuple(texts) or (_STEP,),
        buttons=tuple(_button(button) for button in post.buttons),
        rows=rows,
        file=None if post.attachment is None else _file(post.attachment),
        mention=None if mention is None else int(mention),
    )


def marker_of(nonce: str) -> int:
    """The nonce as a component id: 31 bits, the highest one set, far from the small ids that Discord counts up.

    Two of the some hundred messages that a look goes through are alike once in ten million looks.
    """
    digest = int.from_bytes(hashlib.sha256(nonce.encode()).digest()[:4], "big")
    return 2**30 + digest % (2**30 - 2**10)


def escaped(text: str) -> str:
    """Words that show as they are: Discord takes a backslash before any sign as that sign."""
    text = _MARKUP.sub(r"\\\g<0>", text)
    return _NUMBERED.sub(r"\1\\.", _LINE_START.sub(r"\1\\\2", text))


def fenced(text: str) -> str:
    """A block of code whose inside cannot close it: a third backtick in a row has a step before it that shows nothing.

    Discord drops empty lines at both ends of a block; a step keeps them.
    """
    inside = _FENCE_IN.sub("``" + _STEP, text)
    head = _STEP if not inside or inside.startswith("\n") else ""
    tail = _STEP if inside.endswith("\n") else ""
    return f"```\n{head}{inside}{tail}\n```"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return _lasting(_inline(block.spans), block, before="### ")
        case Prose():
            return _lasting(_inline(block.spans), block)
        case Facts():
            rows = (f"**{escaped(label)}:** {_inline(spans)}" for label, spans in block.rows)
            return _lasting("\n".join(rows), block)
        case Code():
            label = escaped(block.label)
            # A label may hold a path: where nearly each sign of it needed a backslash, it stands in a fence as well.
            marked = f"**{label}**\n" if len(label) <= _GROWTH * len(block.label) + 12 else f"{fenced(block.label)}\n"
            return (marked if label else "") + fenced(block.text)


def _lasting(marked: str, block: Heading | Prose | Facts, before: str = "") -> str:
    """The words with markup, or inside a fence where nearly each of them would need a backslash."""
    plain = _plain(block)
    if len(marked) <= _GROWTH * len(plain) + 12:
        return before + marked
    return fenced(plain)


def _plain(block: Heading | Prose | Facts) -> str:
    if isinstance(block, Facts):
        return "\n".join(f"{label}: {_unmarked(spans)}" for label, spans in block.rows)
    return _unmarked(block.spans)


def _inline(spans: Iterable[Span]) -> str:
    # The text is escaped as one, because a number and its dot may stand in two spans.
    return "".join(f"<t:{int(span.at)}:f>" if isinstance(span, Instant) else escaped(span) for span in spans)


def _unmarked(spans: Iterable[Span]) -> str:
    return "".join(_utc(span) if isinstance(span, Instant) else span for span in spans)


def _utc(instant: Instant) -> str:
    return datetime.fromtimestamp(instant.at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _button(button: Button) -> Shown:
    return button.token(), LABELS[button.action], button.action


def _file(attachment: Attachment) -> Attachment:
    """`attachment://name` must be the name that Discord keeps, and it changes all other signs."""
    name = _NOT_IN_NAMES.sub("_", attachment.name)[-FILE_NAME_CHARS:].lstrip(".")
    return Attachment(name=name or "output.txt", text=attachment.text)
