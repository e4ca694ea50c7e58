"""A message's words as they were typed: from Slack's rich text where it is given, else from its escaped text. Pure.

Rich text is read first because `text` has short names for emoji and shows styles by signs that may be typed ones.
Deliberately absent: smart quotes are left as they came, for nobody can tell which were typed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_ELEMENTS = 5_000
_TOKEN = re.compile(r"<([^<>\n]*)>")
_CODE_POINTS = re.compile(r"[0-9a-f]{2,6}(-[0-9a-f]{2,6}){0,15}", re.ASCII)
_STYLES = (("code", "`"), ("strike", "~"), ("italic", "_"), ("bold", "*"))


class _Unreadable(Exception):
    """Not the rich text that we know: `text` has the words too."""


def words_of(text: object, blocks: object, me: str) -> str:
    """What was said, without the mention of us. Empty where nothing was."""
    said = None
    if isinstance(blocks, list) and blocks:
        try:
            said = _rich(blocks)
        except _Unreadable:
            said = None
    if said is None:
        said = unescaped(_links(text)) if isinstance(text, str) else ""
    return said.replace(f"<@{me}>", "").strip() if me else said.strip()


def mentions(text: object, me: str) -> bool:
    return isinstance(text, str) and bool(me) and re.search(rf"<@{re.escape(me)}(\|[^<>]*)?>", text) is not None


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _links(text: str) -> str:
    return _TOKEN.sub(lambda found: _token(found[1]), text)


def _token(inside: str) -> str:
    target, bar, label = inside.partition("|")
    if target.startswith("@"):
        return f"<{target}>"
    if target.startswith("#"):
        return f"#{label}" if label else f"<{target}>"
    if target.startswith("!"):
        return label or f"@{target[1:].partition('^')[0]}"
    return _link(target, label if bar else "")


def _link(url: str, label: str) -> str:
    """Slack makes links of what looks like one; the label is what was typed. Somebody's own label keeps its address."""
    if not label:
        return url.removeprefix("mailto:")
    bare = {url.removeprefix(scheme).rstrip("/") for scheme in ("", "http://", "https://", "mailto:", "tel:")}
    return label if label.rstrip("/") in bare else f"{label} ({url})"


def _rich(blocks: Sequence[object]) -> str:
    if len(blocks) != 1:
        raise _Unreadable
    outer = _fields(blocks[0])
    if outer.get("type") != "rich_text":
        raise _Unreadable
    said = [_part(_fields(one)) for one in _elements(outer)]
    joined = ""
    for part in said:
        joined += part if not joined or joined.endswith("\n") else "\n" + part
    return joined


def _part(part: dict[str, object]) -> str:
    match part.get("type"):
        case "rich_text_section":
            return _inline(part)
        case "rich_text_preformatted":
            return f"```{_inline(part)}```"
        case "rich_text_quote":
            return "\n".join(f"> {line}" for line in _inline(part).split("\n"))
        case "rich_text_list":
            is_ordered = part.get("style") == "ordered"
            lines = [_inline(_fields(one)) for one in _elements(part)]
            return "\n".join(f"{at}. {line}" if is_ordered else f"• {line}" for at, line in enumerate(lines, start=1))
        case _:
            raise _Unreadable


def _inline(part: dict[str, object]) -> str:
    return "".join(_styled(_fields(one)) for one in _elements(part))


def _styled(one: dict[str, object]) -> str:
    said, style = _said(one), one.get("style")
    if isinstance(style, dict) and said.strip():
        for name, sign in _STYLES:
            if style.get(name) is True:
                said = f"{sign}{said}{sign}"
    return said


def _said(one: dict[str, object]) -> str:
    match one.get("type"):
        case "text":
            return _word(one, "text")
        case "link":
            label = one.get("text")
            return _link(_word(one, "url"), label if isinstance(label, str) else "")
        case "user":
            return f"<@{_word(one, 'user_id')}>"
        case "emoji":
            return _emoji(one)
        case "channel":
            return f"<#{_word(one, 'channel_id')}>"
        case "broadcast":
            return f"@{_word(one, 'range')}"
        case "usergroup":
            return f"<!subteam^{_word(one, 'usergroup_id')}>"
        case "date":
            return _word(one, "fallback")
        case _:
            raise _Unreadable


def _emoji(one: dict[str, object]) -> str:
    code = one.get("unicode")
    if isinstance(code, str) and _CODE_POINTS.fullmatch(code):
        points = [int(point, 16) for point in code.split("-")]
        if all(point < 0x110000 and not 0xD800 <= point < 0xE000 for point in points):
            return "".join(map(chr, points))
    return f":{_word(one, 'name')}:"


def _word(one: dict[str, object], name: str) -> str:
    value = one.get(name)
    if not isinstance(value, str):
        raise _Unreadable
    return value


def _fields(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _Unreadable
    return value


def _elements(part: dict[str, object]) -> list[object]:
    elements = part.get("elements")
    if not isinstance(elements, list) or len(elements) > MAX_ELEMENTS:
        raise _Unreadable
    return elements
