"""A message as Slack's app shows it: markup read, escapes undone, code to the letter, who is pinged, what is previewed.

Deliberately absent: what Slack takes (`blocks.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.platforms.slack.payloads import EMOJI
from tests.platforms.slack.world import Ephemeral, Form, Message

EVERYONE = "everyone"
_BY_NAME = {name: emoji for emoji, name in EMOJI.items()}
_FENCE = re.compile(r"```(?P<code>.*?)```", re.DOTALL)
_TOKEN = re.compile(
    r"`(?P<inline>[^`\n]+)`|<(?P<angle>[^<>\n]*)>|(?<![\w:]):(?P<emoji>[a-z0-9_+\-]+):|(?P<all>(?<!\w)@(?:here|channel|everyone)\b)"
    r"|(?P<url>https?://[^\s<>|]+)"
)
_QUOTE = re.compile(r"^&gt; ?", re.MULTILINE)
_STYLE = re.compile(r"(?<![\w*_~])(?P<mark>[*_~])(?P<inside>\S|\S[^\n]*?\S)(?P=mark)(?![\w*_~])")


@dataclass(slots=True)
class Read:
    """What the app shows."""

    lines: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    pings: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    """Addresses that would be previewed if previews are on."""

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def read(message: Message | Ephemeral) -> Read:
    seen = Read()
    fallback = Read()
    if message.text:
        fallback.lines.append(_mrkdwn(message.text, fallback, verbatim=not getattr(message, "link_names", False)))
    if not message.blocks:
        return fallback
    for block in message.blocks:
        _block(block, seen)
    # Words beside blocks are shown in notifications only; whom they name is notified all the same.
    seen.pings += fallback.pings
    return seen


def read_view(view: Form) -> Read:
    """A modal or an App Home."""
    seen = Read()
    for block in view["blocks"]:
        _block(block, seen)
    return seen


def _block(block: Form, seen: Read) -> None:
    match block["type"]:
        case "section":
            for one in [*([block["text"]] if "text" in block else []), *block.get("fields", [])]:
                seen.lines.append(_object(one, seen))
        case "header":
            seen.lines.append(_object(block["text"], seen))
        case "context":
            seen.lines += [_object(one, seen) for one in block["elements"]]
        case "markdown":
            # Rendered as Markdown, which mrkdwn reading is near enough to show that markup was eaten.
            seen.lines.append(_mrkdwn(block["text"], seen, verbatim=False))
        case "rich_text":
            for outer in block["elements"]:
                _rich(outer, seen)


def _object(text: Form, seen: Read) -> str:
    if text["type"] == "plain_text":
        shown = _entities(text["text"])
        return _emoji_in(shown) if text.get("emoji", True) else shown
    return _mrkdwn(text["text"], seen, verbatim=bool(text.get("verbatim", False)))


def _rich(outer: Form, seen: Read) -> None:
    if outer["type"] == "rich_text_list":
        for one in outer["elements"]:
            _rich(one, seen)
        return
    shown = "".join(_inline(one, seen) for one in outer["elements"])
    seen.lines.append(shown)
    if outer["type"] == "rich_text_preformatted":
        seen.code.append(shown)


def _inline(one: Form, seen: Read) -> str:
    match one["type"]:
        case "text":
            # Data: nothing in it is read again.
            return str(one["text"])
        case "user":
            seen.pings.append(one["user_id"])
            return f"@{one['user_id']}"
        case "usergroup" | "broadcast":
            seen.pings.append(EVERYONE)
            return f"@{one.get('range', 'group')}"
        case "link":
            seen.links.append(one["url"])
            return str(one.get("text") or one["url"])
        case "emoji":
            return _BY_NAME.get(one["name"], f":{one['name']}:")
        case "date":
            return str(one.get("fallback") or one["timestamp"])
        case _:
            return f"#{one.get('channel_id', one.get('value', ''))}"


def _mrkdwn(text: str, seen: Read, *, verbatim: bool) -> str:
    shown, at = "", 0
    for fence in _FENCE.finditer(text):
        shown += _outside(text[at : fence.start()], seen, verbatim=verbatim)
        code = _entities(fence["code"].removeprefix("\n").removesuffix("\n"))
        seen.code.append(code)
        shown += code
        at = fence.end()
    return shown + _outside(text[at:], seen, verbatim=verbatim)


def _outside(text: str, seen: Read, *, verbatim: bool) -> str:
    text = _QUOTE.sub("", text)
    shown, at = "", 0
    for token in _TOKEN.finditer(text):
        shown += _entities(_styled(text[at : token.start()]))
        at = token.end()
        if token["inline"] is not None:
            shown += _entities(token["inline"])
        elif token["angle"] is not None:
            shown += _angle(token["angle"], seen)
        elif token["emoji"] is not None:
            shown += _BY_NAME.get(token["emoji"], token[0])
        elif token["url"] is not None:
            seen.links.append(token["url"])
            shown += _entities(token[0])
        else:
            if not verbatim:
                seen.pings.append(EVERYONE)
            shown += token[0]
    return shown + _entities(_styled(text[at:]))


def _angle(inside: str, seen: Read) -> str:
    target, _, label = inside.partition("|")
    if target.startswith("@"):
        seen.pings.append(target[1:])
        return f"@{target[1:]}"
    if target.startswith("!date^"):
        return label or target
    if target.startswith("!"):
        seen.pings.append(EVERYONE)
        return f"@{target[1:].partition('^')[0]}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    seen.links.append(target)
    return _entities(label or target)


def _styled(text: str) -> str:
    """Stars, underscores and tildes around words are style, and are not seen."""
    previous = None
    while previous != text:
        previous, text = text, _STYLE.sub(lambda found: found["inside"], text)
    return text


def _emoji_in(text: str) -> str:
    return re.sub(r":([a-z0-9_+\-]+):", lambda found: _BY_NAME.get(found[1], found[0]), text)


def _entities(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
