"""What Discord's app shows of a message: markdown read, escapes undone, code to the letter, who is pinged. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.platforms.discord.world import Form, Message, all_of

ZERO_WIDTH = "\u200b"
_TOKEN = re.compile(
    r"```(?P<fence>.*?)```"
    r"|(?<!`)`(?P<tick>[^`\n]+)`(?!`)"
    r"|\\(?P<escaped>[^\w\s])"
    r"|<t:(?P<moment>-?\d+)(?::[tTdDfFR])?>"
    r"|<@!?(?P<person>\d+)>"
    r"|(?P<everyone>@everyone|@here)"
    r"|(?P<strong>\*\*|__|~~|\|\|)"
    r"|(?P<soft>(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*]))"
    r"|(?P<heading>^#{1,3} )"
    r"|(?P<quote>^> )",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    text: str
    code: tuple[str, ...]
    mentioned: tuple[str, ...]
    """Whom the words name, whether or not that may ping."""


def read(message: Message, names: dict[str, str]) -> Read:
    texts = [str(one["content"]) for one in all_of(message.components) if one.get("type") == 10]
    parts = [_read(text, names) for text in (texts or [message.content])]
    return Read(
        text="\n".join(part.text for part in parts),
        code=tuple(code for part in parts for code in part.code),
        mentioned=tuple(one for part in parts for one in part.mentioned),
    )


def _read(text: str, names: dict[str, str]) -> Read:
    code: list[str] = []
    mentioned: list[str] = []

    def shown(found: re.Match[str]) -> str:
        if found["fence"] is not None:
            # Without a language in the first line; empty lines at both ends are not shown.
            inside = found["fence"].strip("\n").replace(ZERO_WIDTH, "")
            code.append(inside)
            return inside
        if found["tick"] is not None:
            return found["tick"]
        if found["escaped"] is not None:
            return found["escaped"]
        if found["moment"] is not None:
            return datetime.fromtimestamp(int(found["moment"]), UTC).strftime("%Y-%m-%d %H:%M UTC")
        if found["person"] is not None:
            mentioned.append(found["person"])
            return f"@{names.get(found['person'], 'unknown')}"
        if found["everyone"] is not None:
            mentioned.append("everyone")
            return found["everyone"]
        return ""

    return Read(text=_TOKEN.sub(shown, text).replace(ZERO_WIDTH, ""), code=tuple(code), mentioned=tuple(mentioned))


def pings(read_: Read, form: Form) -> tuple[str, ...]:
    """Whom Discord lets the words ping, by the message's own `allowed_mentions`. Without one: everybody named."""
    allowed = form.get("allowed_mentions")
    if allowed is None:
        return read_.mentioned
    parse, users = allowed.get("parse", []), [str(one) for one in allowed.get("users", [])]
    return tuple(
        one
        for one in read_.mentioned
        if (one == "everyone" and "everyone" in parse) or (one != "everyone" and ("users" in parse or one in users))
    )
