"""The acknowledgement token: how a model says that there is nothing to say. It reaches no person, wherever it stands.

Deliberately absent: what becomes of a result. It is told before any model is asked.
"""

from __future__ import annotations

import re

TOKEN = "HEARTBEAT_OK"  # noqa: S105 -- a word of the prompt
ACK_MAX_CHARS = 300
"""Beside the token at an edge: a model that adds a sentence to it still means that there is nothing to say."""
_NO_WIDTH = "\u00ad\u034f\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff"
_BETWEEN = f"[{_NO_WIDTH}*`~\\\\]*"
"""What may stand within the token and shows nothing: markup, and characters of no width."""
_AROUND = rf"(?:</?[A-Za-z][A-Za-z0-9]{{0,9}}>|[\s{_NO_WIDTH}*_`~\"'‘’“”«»()\[\].,;:!|>#-])*"
_LETTERS = _BETWEEN.join(f"[{one}{one.lower()}]" if one.isalpha() else "[_-]" for one in TOKEN)
_TOKEN = re.compile(_LETTERS)
_EDGE_START = re.compile(_AROUND + _LETTERS)
_EDGE_END = re.compile(_LETTERS + _AROUND + r"\Z")
_ONLY_MARKUP = re.compile(_AROUND)


def is_quiet(text: str, *, ack_max_chars: int = ACK_MAX_CHARS) -> bool:
    """Whether it says that there is nothing to say: nothing at all, or the token at an edge with little beside it."""
    stripped = text.strip()
    if not stripped:
        return True
    if _EDGE_START.match(stripped) is None and _EDGE_END.search(stripped) is None:
        return False
    return len(without_token(stripped)) <= ack_max_chars


def without_token(text: str) -> str:
    """The words without the token, wherever it stood, however often."""
    while (shorter := _TOKEN.sub("", text)) != text:
        # Again: what stood around one may form another.
        text = shorter
    return "" if _ONLY_MARKUP.fullmatch(text) else text.strip()
