"""A post as Slack takes it: blocks, buttons, the words beside them; the forms behind buttons; App Home. Pure.

Everything is rich text, whose `text` elements are shown to the letter. In mrkdwn nothing escapes a star, a colon or
a backtick: command output would lose signs, close its fence and become emoji. It also holds no mention and makes no
link by itself, so `Post.mention` is the only ping. Slack takes about 13,200 characters of blocks, as JSON
(https://github.com/slackapi/bolt-js/issues/2509); a section would be cut at 3,000.

Deliberately absent: the library, and any look at what the words mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from bot.domain.factor import CODE_DIGITS
from bot.domain.message import (
    CODE_FIELD_CHARS,
    DENYING,
    Action,
    Block,
    Button,
    Code,
    Facts,
    FormField,
    Heading,
    Instant,
    Post,
    PostKind,
    Prose,
    Span,
)

Form = dict[str, object]

MAX_BLOCKS_CHARS = 12_600
"""Some under what Slack was seen to take."""
MAX_BLOCKS = 45
"""Of 50; buttons and a note need some."""
BATCH_MEMBERS = 12
"""On one card of a batch: each costs some 700 of the characters in marks and buttons, those for all another 900."""
BATCH_CHARS = 2_300
"""Of its words: what is left then, where every sign of them is one that JSON writes as two."""
MAX_FALLBACK_CHARS = 700
"""Before escapes, which make five of one at worst: a text is refused at about 4,000."""
MAX_HOME_BLOCKS = 90
"""Of 100."""
MAX_HOME_CHARS = 200_000
"""Of 250,000."""
MAX_REASON_CHARS = 500
REASON_BLOCK, REASON_FIELD, DENIAL = "homing_reason", "reason", "homing_denial"
CODE_BLOCK, CODE_FIELD, CONSENT = "homing_code", "code", "homing_consent"
EVENT_TYPE = "homing_post"

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
_STYLES = {
    Action.APPROVE: "primary",
    Action.DENY: "danger",
    Action.STOP: "danger",
    Action.APPROVE_ALL: "primary",
    Action.DENY_ALL: "danger",
    Action.STOP_ALL: "danger",
}
_PERSON = re.compile(r"[UW][A-Z0-9]{2,30}", re.ASCII)
_BOLD: Form = {"bold": True}


def escaped(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def metadata_of(nonce: str, file: str | None = None) -> Form:
    """`file` is the name of what follows the words."""
    return {"event_type": EVENT_TYPE, "event_payload": {"nonce": nonce} | ({"file": file} if file else {})}


def nonce_in(message: Form) -> str | None:
    """Of a message of ours, where it was asked for with all metadata."""
    return _carried(message, "nonce")


def file_in(message: Form) -> str | None:
    """The name of the file that belongs to it."""
    return _carried(message, "file")


def shows_file(message: Form, name: str) -> bool:
    files = message.get("files")
    return isinstance(files, list) and any(isinstance(one, dict) and one.get("title") == name for one in files)


def _carried(message: Form, name: str) -> str | None:
    metadata = message.get("metadata")
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    value = payload.get(name) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else None


def fallback_of(post: Post) -> str:
    """What a notification says, and a screen reader first."""
    words = " · ".join(filter(None, (" ".join(_plain(block).split()) for block in post.blocks)))
    cut = words if len(words) <= MAX_FALLBACK_CHARS else words[: MAX_FALLBACK_CHARS - 1] + "…"
    return escaped(cut) or "…"


def blocks_of(post: Post) -> list[Form]:
    """Styled where it fits; plainer where many small blocks would cost more marks than words."""
    rows = _buttons(post.buttons)
    room = MAX_BLOCKS_CHARS - _size(rows)
    for shape in (_styled, _plainer, _plainest):
        blocks = shape(post)
        if len(blocks) <= MAX_BLOCKS and _size(blocks) <= room:
            break
    return [*blocks, *rows]


def said(text: str) -> list[Form]:
    """One line of ours or of the core, to the letter."""
    return [_rich([_section([_text(text)])])]


def _styled(post: Post) -> list[Form]:
    blocks: list[Form] = []
    for block in post.blocks:
        blocks += filter(None, [_block(block)])
        if isinstance(block, Code):
            blocks += _buttons(block.buttons)
    return _mentioned(post, blocks)


def _plainer(post: Post) -> list[Form]:
    """Neighbours that are no code in one."""
    blocks: list[Form] = []
    words: list[str] = []
    for block in (*post.blocks, None):
        if block is not None and not isinstance(block, Code):
            words.append(_plain(block))
            continue
        if words:
            blocks += said("\n".join(words))
            words = []
        if block is not None:
            blocks += filter(None, [_block(block)])
    return _mentioned(post, blocks)


def _plainest(post: Post) -> list[Form]:
    return _mentioned(post, said("\n".join(_plain(block) for block in post.blocks)))


def _mentioned(post: Post, blocks: list[Form]) -> list[Form]:
    if post.mention is not None and _PERSON.fullmatch(post.mention):
        blocks = [_rich([_section([{"type": "user", "user_id": post.mention}])]), *blocks]
    return blocks or said(" ")


def _block(block: Block) -> Form | None:
    match block:
        case Heading():
            elements = _inline(block.spans, is_bold=True)
        case Prose():
            elements = _inline(block.spans)
        case Facts():
            elements = []
            for at, (label, spans) in enumerate(block.rows):
                elements += [_text(("\n" if at else "") + f"{label}: ", is_bold=True), *_inline(spans)]
        case Code():
            return _code(block)
    return _rich([_section(elements)]) if elements else None


def _code(block: Code) -> Form | None:
    parts = [_section([_text(block.label, is_bold=True)])] if block.label else []
    if block.text:
        parts.append({"type": "rich_text_preformatted", "elements": [_text(block.text)]})
    return _rich(parts) if parts else None


def _inline(spans: Iterable[Span], *, is_bold: bool = False) -> list[Form]:
    return [_date(span) if isinstance(span, Instant) else _text(span, is_bold=is_bold) for span in spans if span != ""]


def _text(text: str, *, is_bold: bool = False) -> Form:
    return {"type": "text", "text": text, **({"style": _BOLD} if is_bold else {})}


def _date(moment: Instant) -> Form:
    """Shown in the reader's own time; `<!date^…>` is the same in mrkdwn."""
    return {
        "type": "date",
        "timestamp": int(moment.at),
        "format": "{date_short_pretty} {time}",
        "fallback": _utc(moment),
    }


def _utc(moment: Instant) -> str:
    return datetime.fromtimestamp(moment.at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def _section(elements: list[Form]) -> Form:
    return {"type": "rich_text_section", "elements": elements}


def _rich(elements: list[Form]) -> Form:
    return {"type": "rich_text", "elements": elements}


def _plain(block: Block) -> str:
    match block:
        case Heading() | Prose():
            return _unmarked(block.spans)
        case Facts():
            return "\n".join(f"{label}: {_unmarked(spans)}" for label, spans in block.rows)
        case Code():
            return f"{block.label}\n{block.text}" if block.label else block.text


def _unmarked(spans: Iterable[Span]) -> str:
    return "".join(_utc(span) if isinstance(span, Instant) else span for span in spans)


def _buttons(buttons: Sequence[Button]) -> list[Form]:
    rows = [buttons[at : at + 5] for at in range(0, len(buttons), 5)]
    return [
        {"type": "actions", "elements": [_button(button, at) for at, button in enumerate(row)]} for row in rows if row
    ]


def _button(button: Button, at: int) -> Form:
    made: Form = {
        "type": "button",
        "text": {"type": "plain_text", "text": LABELS[button.action]},
        # Unique in its row; what it does stands in the value.
        "action_id": f"homing:{button.action.value}:{at}",
        "value": button.token(),
    }
    style = _STYLES.get(button.action)
    return made | {"style": style} if style else made


def _size(blocks: list[Form]) -> int:
    return len(json.dumps(blocks, ensure_ascii=False))


# --- views -----------------------------------------------------------------------------------------


def asking(button: Button, kept: str) -> Form:
    """What the button asks for, in one form; a denial's reason may be left out."""
    if button.action in DENYING:
        field = _reason_field("Reason, shown to who asked", is_optional=True)
        return _modal(DENIAL, LABELS[button.action], f"{button.execution_id} will not run.", [field], kept)
    fields = []
    if FormField.REASON in button.asks:
        fields.append(_reason_field("Reason, kept with your yes", is_optional=False))
    if FormField.CODE in button.asks:
        fields.append(_code_field())
    return _modal(CONSENT, LABELS[button.action], f"For {button.execution_id}, as its card shows it.", fields, kept)


def asked_last(button: Button) -> str:
    """The block that a fault stands beside."""
    return CODE_BLOCK if FormField.CODE in button.asks else REASON_BLOCK


def _modal(callback: str, title: str, words: str, fields: list[Form], kept: str) -> Form:
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": kept,
        "title": _plain_text(title),
        "submit": _plain_text(title),
        "close": _plain_text("Back"),
        "blocks": [*said(words), *fields],
    }


def _reason_field(label: str, *, is_optional: bool) -> Form:
    return {
        "type": "input",
        "block_id": REASON_BLOCK,
        "optional": is_optional,
        "label": _plain_text(label),
        "element": {
            "type": "plain_text_input",
            "action_id": REASON_FIELD,
            "multiline": True,
            "max_length": MAX_REASON_CHARS,
        },
    }


def _code_field() -> Form:
    return {
        "type": "input",
        "block_id": CODE_BLOCK,
        "label": _plain_text("Code of your own device"),
        "hint": _plain_text("Six digits, or a recovery code. Nobody else sees it."),
        "element": {
            "type": "plain_text_input",
            "action_id": CODE_FIELD,
            "min_length": CODE_DIGITS,
            "max_length": CODE_FIELD_CHARS,
        },
    }


def home(posts: Sequence[Post], note: str = "") -> Form:
    """What waits for the one who looks, oldest first."""
    title = "Waiting for your decision" if posts else "Nothing waits for your decision."
    blocks = [*said(title), *(said(note) if note else [])]
    chars, shown = _home_size(blocks), 0
    for post in posts:
        card: list[Form] = [{"type": "divider"}, *blocks_of(_without_mention(post))]
        chars += _home_size(card)
        if chars > MAX_HOME_CHARS or len(blocks) + len(card) > MAX_HOME_BLOCKS:
            break
        blocks += card
        shown += 1
    if shown < len(posts):
        blocks += said(f"{len(posts) - shown} more wait; they appear when these are decided.")
    return {"type": "home", "blocks": blocks}


def _without_mention(post: Post) -> Post:
    return Post(kind=PostKind.CARD, blocks=post.blocks, buttons=post.buttons, execution_id=post.execution_id)


def _home_size(blocks: list[Form]) -> int:
    return len(json.dumps(blocks))


def _plain_text(text: str) -> Form:
    return {"type": "plain_text", "text": text}
